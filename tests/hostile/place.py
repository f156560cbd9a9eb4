"""A box for the hostile corpus: its server watched, files planted that its images name, and what must hold of it at any time."""

import os
import pathlib
import re

import made
import watch
from box import Box
from client import admin
from verdict import Failed, equal, expect

# Memory that the server may take at its busiest, in KiB. The store's own budget is a part of it.
PEAK_KIB_MAX = 320 << 10
STORE_MEMORY_BYTES = 64 << 20
# What a server may read besides, at any time: what its C library asks of the machine it is on.
OF_THE_MACHINE = ('/proc/sys/vm/overcommit_memory', '/sys/devices/system/cpu/online')
# Authorities of web servers.
AUTHORITIES = ('/etc/ssl/', '/usr/lib/ssl/', '/usr/share/ca-certificates/', '/etc/pki/')
# Bytes in a row that cannot be there by chance.
MARK_BYTES = 24


class Watched(Box):
    """A box whose server's calls are noted."""

    def __init__(self, binary, folder, settings):
        super().__init__(binary, folder)
        self.calls, self.config = folder / 'calls', folder / 'settings.toml'
        self.config.write_text(settings)

    def launch(self):
        serve = ['--config', self.config, 'serve', '--data', self.data, '--listen', self.listen, '--json']
        self.spawn([*watch.command(self.calls), self.binary, *serve])


class Place:
    """`with Place(binary, folder, web) as place`: a server that runs, and an administrator's client of it."""

    def __init__(self, binary, folder, web, imports=''):
        folder.mkdir()
        self.folder, self.web, self.bucket = folder, web, folder / 'bucket'
        self.bucket.mkdir()
        self.box = Watched(binary, folder, f'''
[store]
memory_bytes = {STORE_MEMORY_BYTES}
pack_bytes = {1 << 20}
[imports]
methods = ["glance-direct", "web-download", "glance-download"]
ports = [{web.port}]
networks = ["127.0.0.1/32"]
web_store = "web"
patch_locations = true
{imports}
[nbd]
listen = "127.0.0.1:0"
insecure = true
[[exchange]]
name = "incoming"
location = "{self.bucket}"
read = ["*"]
''')
        self.planted = os.urandom(1 << 16)
        self.plants = [folder / made.CANARY_NAME, folder.parent / made.CANARY_NAME, made.CANARY_PATH]
        self.told = []

    def __enter__(self):
        for path in self.plants:
            with open(path, 'wb') as plant:
                plant.write(self.planted)
        self.box.start()
        self.started_at = self.box.calls.stat().st_size
        self.client = admin(self.box)
        return self

    def __exit__(self, *_):
        self.box.kill()
        for path in self.plants:
            pathlib.Path(path).unlink(missing_ok=True)

    def stored_bytes(self):
        """What image data takes once everything is given back that nobody has."""
        equal('gc', self.client.gc().status, 200)
        return self.box.result('stats')['stored_bytes']

    def peak_kib(self):
        """The most memory that the server ever took."""
        with open(f'/proc/{self.box.process.pid}/status') as status:
            return int(re.search(r'VmHWM:\s+(\d+) kB', status.read()).group(1))

    def expect_well(self):
        """Fails unless the server runs, is ready, and took no more memory than it may."""
        expect(self.box.runs(), f'the server has ended: {self.box.said()}')
        equal('ready', self.client.ask('GET', '/readyz').status, 200)
        expect(self.peak_kib() <= PEAK_KIB_MAX, f'the server took {self.peak_kib()} KiB, and may take {PEAK_KIB_MAX}')
        expect('panicked' not in self.box.log.read_text(errors='replace'), f'something panicked: {self.box.said()}')

    def expect_nothing_followed(self):
        """Fails if the server opened, ran or asked what it has no business with, or bytes that were planted are anywhere."""
        # Whole lines: strace may be writing one, and may have been when the server was up.
        text = self.box.calls.read_bytes()
        text = text[:text.rfind(b'\n') + 1]
        started_at = text.find(b'\n', self.started_at - 1) + 1
        opened = {path for _, path in watch.calls(text[:started_at].decode(errors='replace'))}.union(OF_THE_MACHINE)
        mine = (f'{self.box.data}/', f'{self.bucket}/', *AUTHORITIES)
        seen, strange = 0, set()
        for name, what in watch.calls(text[started_at:].decode(errors='replace')):
            seen += 1
            if name == 'connect':
                is_right = f'sin_port=htons({self.web.port})' in what and 'inet_addr("127.0.0.1")' in what
            elif name.startswith('execve'):
                is_right = False
            else:
                is_right = what in opened or what.startswith(mine) or what in (str(self.box.data), str(self.bucket))
            if not is_right:
                strange.add(f'{name} {what}')
        expect(seen > 0, 'no call was seen: the server was not watched')
        expect(not strange, f'the server went out: {sorted(strange)[:20]}')
        marks = {self.planted[at:at + MARK_BYTES] for at in range(0, len(self.planted) - MARK_BYTES, 4096)}
        for path in [self.box.log, *(path for path in self.box.data.rglob('*') if path.is_file())]:
            content = path.read_bytes()
            for mark in marks:
                expect(mark not in content, f'what was planted is in {path}')
        for text in self.told:
            expect(made.CANARY_NAME not in text, f'an answer repeats a path of an image: {text}')
        return seen

    def expect_end(self):
        """Stops the server; fails unless it ends well."""
        status = self.box.stop()
        if status != 0:
            raise Failed(f'the server ended with {status}: {self.box.said()}')
