"""Programs that keep disk images in a repository of their own, each driven in the same way.

A keeper has a new repository, `put`s a file under a name, and `get`s it back through a pipe. Those that
can be mounted show a file that they keep on a `mount`.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from measure import spend

PACKAGE = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get('XDG_CACHE_HOME', pathlib.Path.home() / '.cache'))


def debian(*packages):
    """Installs Debian packages where that is possible."""
    if os.geteuid() == 0 and shutil.which('apt-get'):
        quiet = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
        subprocess.run(['apt-get', 'update', '-q'], **quiet)
        subprocess.run(['apt-get', 'install', '-qy', *packages], **quiet)


@contextlib.contextmanager
def mounted(command, environment, folder, file):
    """While a command that mounts something on `folder` runs: that file of it."""
    folder.mkdir()
    process = subprocess.Popen([*command, folder], env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not (folder / file).exists():
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f'{" ".join(map(str, command))} shows no {folder / file}')
            time.sleep(0.05)
        yield folder / file
    finally:
        subprocess.run(['fusermount', '-u', folder], check=False)
        process.wait()
        folder.rmdir()


class Tintype:
    """The box, closed: a command line process that does all by itself."""

    def __init__(self, binary, name='tintype', **settings):
        self.binary, self.name = binary, name
        self.settings = {f'TINTYPE_{key.upper()}': str(value) for key, value in settings.items()}

    def version(self):
        return subprocess.check_output([self.binary, '--version'], text=True).strip()

    def new(self, folder):
        self.folder = folder
        spend([self.binary, '--data', folder, 'init'], self.settings)

    def put(self, name, path):
        command = [self.binary, '--data', self.folder, 'image', 'import', '--disk-format', 'raw', '--name', name]
        return spend([*command, path], self.settings)

    def get(self, name, _):
        return spend([self.binary, '--data', self.folder, 'image', 'save', name, '-'], self.settings, counted=True)


class Library:
    """The library without a box around it (benches/keeper): BLAKE3 is its only digest."""

    name = 'tintype, library'

    def __init__(self):
        build = ['cargo', 'bench', '--quiet', '--locked', '--profile', 'ci', '--bench', 'keeper', '--no-run',
                 '--message-format', 'json']
        told = map(json.loads, subprocess.check_output(build, cwd=PACKAGE, text=True).splitlines())
        built = [message for message in told if message.get('target', {}).get('name') == 'keeper']
        self.keeper = built[0]['executable']

    def version(self):
        return self.name

    def new(self, folder):
        self.folder = folder
        spend([self.keeper, 'init', folder])

    def put(self, name, path):
        return spend([self.keeper, 'put', self.folder, name, path])

    def get(self, name, _):
        return spend([self.keeper, 'get', self.folder, name], counted=True)

    def random(self, name, length, count):
        """Reads of so many bytes at places that `reads` takes too."""
        return spend([self.keeper, 'random', self.folder, name, str(length), str(count)])

    def reads(self, path, length, count):
        """The same reads of any file."""
        return spend([self.keeper, 'reads', path, str(length), str(count)])


class Restic:
    """restic, from Debian; it always encrypts."""

    name = 'restic'

    def __init__(self):
        if not shutil.which('restic'):
            debian('restic')

    def version(self):
        return ' '.join(subprocess.check_output(['restic', 'version'], text=True).split()[:2])

    def new(self, folder):
        self.environment = {'RESTIC_REPOSITORY': str(folder), 'RESTIC_PASSWORD': 'bench',
                            'RESTIC_CACHE_DIR': f'{folder}.cache'}
        spend(['restic', 'init', '-q'], self.environment)

    def put(self, name, path):
        # By its content, as Tintype must: not by its name and date.
        return spend(['restic', 'backup', '-q', '--force', '--tag', name, path], self.environment)

    def get(self, name, path):
        return spend(['restic', 'dump', '-q', '--tag', name, 'latest', path], self.environment, counted=True)

    def mount(self, name, path, folder):
        return mounted(['restic', 'mount', '-q'], self.environment, folder, f'tags/{name}/latest{path}')


class Borg:
    """BorgBackup, from PyPI, without encryption, in fixed blocks of 4 MiB as it advises for disks."""

    name = 'borg, fixed 4 MiB'
    VERSION = '1.4.5'

    def __init__(self):
        venv = CACHE / f'tintype-borg-{self.VERSION}'
        self.borg = venv / 'bin' / 'borg'
        if not self.borg.exists():
            debian('python3-venv', 'libacl1-dev', 'libssl-dev', 'liblz4-dev', 'libzstd-dev', 'libxxhash-dev',
                   'pkg-config')
            subprocess.run([sys.executable, '-m', 'venv', venv], check=True)
            subprocess.run([venv / 'bin' / 'pip', 'install', '-q', 'pkgconfig', f'borgbackup=={self.VERSION}'],
                           check=True)

    def can_mount(self):
        """Adds to it what its mounts need."""
        python = self.borg.with_name('python')
        if subprocess.run([python, '-c', 'import llfuse'], stderr=subprocess.DEVNULL).returncode != 0:
            debian('fuse', 'libfuse-dev', 'libattr1-dev', 'pkg-config')
            subprocess.run([self.borg.with_name('pip'), 'install', '-q', 'llfuse'], check=True)

    def version(self):
        return subprocess.check_output([self.borg, '--version'], text=True).strip()

    def new(self, folder):
        self.environment = {'BORG_REPO': str(folder), 'BORG_BASE_DIR': f'{folder}.base',
                            'BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK': 'yes'}
        spend([self.borg, 'init', '-e', 'none'], self.environment)

    def put(self, name, path):
        command = [self.borg, 'create', '--chunker-params', 'fixed,4194304', '--sparse', '-C', 'zstd,1',
                   '--files-cache', 'disabled']
        return spend([*command, f'::{name}', path], self.environment)

    def get(self, name, path):
        return spend([self.borg, 'extract', '--stdout', f'::{name}', str(path).lstrip('/')], self.environment,
                     counted=True)

    def mount(self, name, path, folder):
        return mounted([self.borg, 'mount', '-f', f'::{name}'], self.environment, folder, str(path).lstrip('/'))


class Rustic:
    """rustic, built from crates.io: takes ten minutes once."""

    name = 'rustic'
    VERSION = '0.11.4'

    def __init__(self):
        root = CACHE / f'tintype-rustic-{self.VERSION}'
        self.rustic = root / 'bin' / 'rustic'
        if not self.rustic.exists():
            subprocess.run(['cargo', 'install', '--quiet', '--locked', '--root', root, '--no-default-features',
                            f'rustic-rs@{self.VERSION}'], check=True)

    def version(self):
        return subprocess.check_output([self.rustic, '--version'], text=True).strip()

    def new(self, folder):
        self.environment = {'RUSTIC_REPOSITORY': str(folder), 'RUSTIC_PASSWORD': 'bench',
                            'RUSTIC_CACHE_DIR': f'{folder}.cache', 'RUSTIC_NO_PROGRESS': 'true'}
        spend([self.rustic, 'init'], self.environment)

    def put(self, name, path):
        return spend([self.rustic, 'backup', '--force', '--label', name, path], self.environment)

    def get(self, name, path):
        return spend([self.rustic, 'dump', '--filter-label', name, f'latest:{path}'], self.environment, counted=True)
