"""What a server asked of the system, as strace saw it: files that were opened, programs that were run, addresses.

Invariant: a call that failed counts as one that did not. Nothing here knows which of them are right.
"""

import re
import shutil
import subprocess

CALLS = 'open,openat,openat2,creat,connect,execve,execveat'
LINE = re.compile(r'^(\d+) +(\w+)\((.*)$')
RESUMED = re.compile(r'^(\d+) +<\.\.\. \w+ resumed>')
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
FOLDER = re.compile(r'^(?:AT_FDCWD|\d+)<([^>]*)>, ')


def is_there():
    """Whether calls can be watched here."""
    if shutil.which('strace') is None:
        return False
    # A container may forbid it.
    return subprocess.run(['strace', '-D', '-o', '/dev/null', 'true'], capture_output=True).returncode == 0


def command(log):
    """What is put before a server's command."""
    # As a grandchild, so that the process that was started is the server itself.
    return ['strace', '-D', '-f', '-y', '-s', '4096', '-e', f'trace={CALLS}', '-e', 'signal=none', '-o', str(log)]


def calls(text):
    """Each call as its name and what it was about: a path, or an address."""
    for line in text.splitlines():
        found = LINE.match(line)
        if not found:
            if line and not RESUMED.match(line) and '+++' not in line and '---' not in line:
                raise ValueError(f'strace wrote what is not understood: {line}')
            continue
        name, rest = found.group(2), found.group(3)
        if name == 'connect':
            yield name, rest.split('{', 1)[-1].split('}', 1)[0]
            continue
        path = QUOTED.search(rest)
        folder = FOLDER.match(rest)
        path = path.group(1) if path else rest
        if folder and not path.startswith('/'):
            path = f'{folder.group(1)}/{path}'
        yield name, path
