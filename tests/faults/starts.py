"""Starts that must not succeed: each says why and what to do, and leaves everything as it was."""

import json
import os
import subprocess

from box import Box, sealed_box
from client import admin
from verdict import NotRun, equal, expect, has

MIB = 1 << 20


def refused(box, what, *words):
    """Expects a start to be refused with status 1 and these words."""
    status, said = box.refused_start()
    expect('panicked' not in said, f'{what}: {said}')
    equal(f'{what}: exit status ({said.strip()})', status, 1)
    for word in words:
        has(what, said, word)


def two_servers(context):
    """A second server on one directory is refused, and the first goes on."""
    data = context.random.randbytes(MIB)
    with Box(context.binary, context.work) as first, Box(context.binary, context.work) as second:
        first.start()
        client = admin(first)
        image = client.add('kept', data)
        second.log = context.work / 'second-log'
        refused(second, 'second server', 'in use', 'stop it')
        client.expect_whole(image, data)
        expect((first.data / 'control.sock').exists(), 'the second server took the control socket away')
        equal('damaged images', first.check(), [])
        equal('exit status', first.stop(), 0)


def port_taken(context):
    """A port that is taken is named, with what to do."""
    with Box(context.binary, context.work / 'a') as first:
        (context.work / 'a').mkdir()
        (context.work / 'b').mkdir()
        first.start()
        address = first.url.removeprefix('http://')
        with Box(context.binary, context.work / 'b', listen=address) as second:
            refused(second, 'port taken', address, 'another program has it', '--listen')
        equal('healthz', admin(first).ask('GET', '/healthz').status, 200)
        equal('exit status', first.stop(), 0)


def not_a_directory(context):
    """A data directory that is a file is refused."""
    with Box(context.binary, context.work) as box:
        box.data.write_text('a file')
        refused(box, 'a file', str(box.data), 'choose another --data')
        equal('the file', box.data.read_text(), 'a file')


def read_only(context):
    """A data directory that cannot be written is refused, and serves again when it can."""
    data = context.random.randbytes(MIB)
    with Box(context.binary, context.work) as box:
        box.start()
        image = admin(box).add('kept', data)
        equal('exit status', box.stop(), 0)
        with locked(box.data):
            refused(box, 'read only', str(box.data), 'choose another --data')
        box.start()
        admin(box).expect_whole(image, data)
        equal('exit status', box.stop(), 0)


class locked:
    """A directory that nobody can write to while the block runs: for root by a read-only mount."""

    def __init__(self, folder):
        self.folder, self.root = folder, os.geteuid() == 0

    def __enter__(self):
        if not self.root:
            for path in [*self.folder.rglob('*'), self.folder]:
                path.chmod(path.stat().st_mode & ~0o222)
            return
        for options in (['--bind', self.folder, self.folder], ['-o', 'remount,bind,ro', self.folder]):
            mounted = subprocess.run(['mount', *options], capture_output=True, text=True)
            if mounted.returncode:
                self.__exit__()
                raise NotRun(f'mount: {mounted.stderr.strip()}')

    def __exit__(self, *_):
        if self.root:
            subprocess.run(['umount', '-l', self.folder], stderr=subprocess.DEVNULL)
            return
        for path in [self.folder, *self.folder.rglob('*')]:
            path.chmod(path.stat().st_mode | 0o200)


def keys(context):
    """A sealed store without its key, with another's or with no key at all is refused."""
    data = context.random.randbytes(MIB)
    with sealed_box(context, context.work / 'sealed') as box, sealed_box(context, context.work / 'other') as other:
        box.start()
        image = admin(box).add('kept', data)
        equal('exit status', box.stop(), 0)
        own, objects = box.settings['store_key_file'], box.objects()
        garbled = context.work / 'garbled'
        garbled.write_text('not a key\n')
        another, none = other.settings['store_key_file'], context.work / 'none'
        digits = own.read_text().strip()
        wrong = [
            ('another key', {'store_key_file': another}, 6, ['master key', 'own key']),
            ('a missing key file', {'store_key_file': none}, 5, ['none', 'no such file']),
            ('a garbled key file', {'store_key_file': garbled}, 2, ['garbled', 'store.key_file']),
            ('no key', {}, 5, ['sealed', 'no master key was given']),
            ('two keys', {'store_key_file': own, 'store_key': digits}, 2, ['TINTYPE_STORE_KEY', 'store.key_file']),
            ('a garbled variable', {'store_key': digits[1:]}, 2, ['TINTYPE_STORE_KEY', '64 hexadecimal digits']),
            ('another key by command', {'store_key_command': json.dumps(['cat', str(another)])}, 6, ['own key']),
            ('a command that fails', {'store_key_command': '["false"]'}, 5, ['store.key_command', 'exit status: 1']),
        ]
        del box.settings['store_key_file']
        plain = dict(box.settings)
        for what, settings, expected, words in wrong:
            box.settings = {**plain, **settings}
            status, said = box.refused_start()
            expect('panicked' not in said and digits[1:] not in said, f'{what}: {said}')
            equal(f'{what}: exit status ({said.strip()})', status, expected)
            for word in words:
                has(what, said, word)
            equal(f'{what}: the objects', box.objects(), objects)
        for settings in [
            {'store_key': digits}, {'store_key_command': json.dumps(['cat', str(own)])}, {'store_key_file': own},
        ]:
            box.settings = {**plain, **settings}
            box.start()
            admin(box).expect_whole(image, data)
            equal('exit status', box.stop(), 0)


def newer_format(context):
    """A store of a newer release is refused and told to use that release."""
    with Box(context.binary, context.work) as box:
        box.start()
        equal('exit status', box.stop(), 0)
        header = box.data / 'store' / 'tintype-store'
        old = header.read_text()
        # Else it would tell what was written.
        (box.data / 'store' / 'tintype-store-copy').unlink()
        header.write_text(json.dumps({**json.loads(old), 'tintype_store': 99}))
        refused(box, 'newer store', 'format 99', 'newer release')
        header.unlink()
        refused(box, 'no header', 'store', 'header')
        header.write_text(json.dumps({**json.loads(old), 'id': 32 * '0'}))
        refused(box, 'another store', 'belong')
        header.write_text(old)
        box.start()
        equal('exit status', box.stop(), 0)


CASES = [two_servers, port_taken, not_a_directory, read_only, keys, newer_format]
