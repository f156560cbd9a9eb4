"""A data directory and the one process that serves it: started, told to stop, killed.

Knows nothing of HTTP; `client` does. A box never outlives its `with` block.
"""

import json
import os
import pathlib
import signal
import subprocess
import time

from verdict import Failed, expect

STOP_TIME_MAX = 60
# Small packs, so that small images have several.
PACK_BYTES = 1 << 20


class Box:
    """`with Box(context.binary, folder) as box: box.start()`."""

    def __init__(self, binary, folder, listen='127.0.0.1:0', variables=None, **settings):
        self.binary, self.folder = binary, pathlib.Path(folder)
        self.data = self.folder / 'data'
        self.log = self.folder / 'log'
        self.listen = listen
        self.settings = dict(settings)
        self.variables = dict(variables or {})
        self.process = None
        self.url, self.ready = None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def environment(self):
        """The environment of every process of this box: settings are TINTYPE_SECTION_KEY."""
        named = {f'TINTYPE_{key.upper()}': str(value) for key, value in self.settings.items()}
        return {**os.environ, **self.variables, **named}

    def launch(self):
        """Starts the server and waits for nothing."""
        self.spawn([self.binary, 'serve', '--data', self.data, '--listen', self.listen, '--json'])

    def spawn(self, command):
        """Starts the server by this command."""
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=self.environment())

    def start(self):
        """Starts the server and waits until it says where it is."""
        self.launch()
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait(STOP_TIME_MAX)
            raise Failed(f'the server did not start (status {status}): {self.said()}')
        self.ready = json.loads(line)
        self.url = self.ready['url']

    def refused_start(self):
        """Starts the server where it must refuse: its exit status and what it said."""
        before = self.log.stat().st_size if self.log.exists() else 0
        self.launch()
        line = self.process.stdout.readline()
        if line:
            self.kill()
            raise Failed(f'the server started: {line!r}')
        status = self.ended()
        return status, self.log.read_text(errors='replace')[before:]

    def stop(self):
        """Tells the server to stop; its exit status."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def kill(self):
        """Kills the server at once, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.ended()

    def signal(self, number):
        """Sends a signal to the server."""
        self.process.send_signal(number)

    def ended(self):
        """Waits until the server has ended; its exit status."""
        try:
            status = self.process.wait(STOP_TIME_MAX)
        except subprocess.TimeoutExpired:
            raise Failed(f'the server runs on: {self.said()}') from None
        self.process.stdout.close()
        self.process = None
        return status

    def runs(self):
        """Whether the server is running."""
        return self.process is not None and self.process.poll() is None

    def said(self):
        """The end of the server's log."""
        return self.log.read_text(errors='replace')[-2000:] if self.log.exists() else ''

    def password(self):
        """The administrator's password."""
        return (self.data / 'admin-password').read_text().strip()

    def command(self, *arguments, errors=subprocess.STDOUT):
        """Runs `tintype --data DIR ...`: exit status and output, errors behind it."""
        done = subprocess.run(
            [self.binary, '--data', self.data, *arguments],
            stdout=subprocess.PIPE, stderr=errors, env=self.environment(), timeout=300,
        )
        said = done.stdout + (done.stderr or b'' if done.returncode else b'')
        return done.returncode, said.decode(errors='replace')

    def result(self, *arguments):
        """Runs a command that must succeed; what it printed as JSON."""
        # How far it is, long work tells beside its result.
        status, text = self.command('--json', *arguments, errors=subprocess.PIPE)
        expect(status == 0, f'{" ".join(map(str, arguments))} ended with {status}: {text}')
        return json.loads(text)

    def check(self):
        """Has everything read back; the images found damaged."""
        status, text = self.command('--json', 'check')
        expect(status in (0, 1) and text.startswith('{'), f'check ended with {status}: {text}')
        damaged = json.JSONDecoder().raw_decode(text)[0]['damaged']
        expect((status == 0) == (not damaged), f'check ended with {status}: {text}')
        return damaged

    def objects(self):
        """Every file of the store with its size."""
        return {path: path.stat().st_size for path in (self.data / 'store').rglob('*') if path.is_file()}

    def store_bytes(self):
        """What the store's files take."""
        return sum(self.objects().values())


def sealed_box(context, folder, **settings):
    """A box with a sealed store that has not been started yet."""
    folder.mkdir()
    box = Box(context.binary, folder, store_pack_bytes=PACK_BYTES, store_key_file=folder / 'key', **settings)
    status, said = box.command('init', '--sealed')
    expect(status == 0, f'init --sealed ended with {status}: {said}')
    return box


def plain_box(context, folder, **settings):
    """A box with a plain store that has not been started yet."""
    folder.mkdir()
    return Box(context.binary, folder, store_pack_bytes=PACK_BYTES, **settings)


def wait_until(what, happened, limit=30.0):
    """Waits until `happened()` is true; what it returned."""
    end = time.monotonic() + limit
    while True:
        seen = happened()
        if seen:
            return seen
        if time.monotonic() > end:
            raise Failed(f'{what} did not happen within {limit:.0f} s')
        time.sleep(0.02)
