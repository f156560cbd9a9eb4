"""Disks that fill up: the client hears it, nothing acknowledged is lost, and space helps.

Needs root, for a small file system of its own (tmpfs).
"""

import json
import os
import subprocess
import threading

from box import Box
from client import LOST, admin
from verdict import Failed, NotRun, equal, expect, has

MIB = 1 << 20


class SmallDisk:
    """A file system of a few MiB, mounted on a folder for as long as the block runs."""

    def __init__(self, folder, size_bytes):
        self.folder, self.size_bytes = folder, size_bytes

    def __enter__(self):
        if os.geteuid() != 0:
            raise NotRun('mounting a small file system needs root')
        self.folder.mkdir()
        options = f'size={self.size_bytes},mode=0700'
        mounted = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', options, 'tintype-faults', self.folder], capture_output=True, text=True,
        )
        if mounted.returncode:
            raise NotRun(f'mount: {mounted.stderr.strip()}')
        return self

    def __exit__(self, *_):
        subprocess.run(['umount', '-l', self.folder], check=True)

    def free_bytes(self):
        """What is left."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    def leave(self, size_bytes):
        """Takes what is left, but for so many bytes; the file that holds it."""
        ballast = self.folder / 'ballast'
        with open(ballast, 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, self.free_bytes() - size_bytes)
        return ballast

    def fill(self):
        """Takes what is left, to the last byte; the file that holds it."""
        ballast = self.folder / 'ballast'
        with open(ballast, 'wb', buffering=0) as file:
            try:
                while True:
                    file.write(bytes(MIB))
            except OSError:
                pass
        return ballast


class Records:
    """A client that makes records all the time the block runs, so that the catalog has to grow."""

    def __init__(self, client):
        self.client = client
        self.going, self.done, self.refused = True, 0, None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while self.going and self.refused is None:
                reply = self.client.ask('POST', '/v2/images', json.dumps({'name': 'record', 'note': 20_000 * 'x'}))
                if reply.status != 201:
                    self.refused = f'{reply.status}: {reply.text()}'
                self.done += 1
        except LOST as error:
            self.refused = repr(error)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.going = False
        self.thread.join()


def full_while_data_arrives(context):
    """A disk that fills up while data arrives: 413, the rest goes on, and deleting helps."""
    choices = context.random
    with SmallDisk(context.work / 'disk', 160 * MIB) as disk, Box(context.binary, disk.folder) as box:
        box.log = context.work / 'log'
        box.start()
        client = admin(box)
        kept, deleted = choices.randbytes(4 * MIB), choices.randbytes(6 * MIB)
        kept_id, deleted_id = client.add('kept', kept), client.add('deleted', deleted)
        large, image = choices.randbytes(200 * MIB), client.create('large')
        with Records(client) as records:
            for _ in range(2):
                reply = client.upload(image, large)
                equal('upload', reply.status, 413)
                has('refusal', reply.text(), 'no space left')
                equal('the image is', client.show(image)['status'], 'queued')
                client.expect_whole(kept_id, kept)
        expect(records.done, 'no record was made meanwhile')
        equal('a refused record', records.refused, None)
        equal('readiness', client.ask('GET', '/readyz').status, 200)
        equal('delete', client.delete(deleted_id).status, 204)
        box.result('gc')
        small = choices.randbytes(6 * MIB)
        equal('upload after gc', client.upload(image, small).status, 204)
        client.expect_whole(image, small)
        client.expect_whole(kept_id, kept)
        equal('damaged images', box.check(), [])
        equal('exit status', box.stop(), 0)


def full_at_a_commit(context):
    """A disk without one free byte: writes are refused with 503, and a restart loses nothing."""
    choices = context.random
    with SmallDisk(context.work / 'disk', 96 * MIB) as disk, Box(context.binary, disk.folder) as box:
        box.log = context.work / 'log'
        box.start()
        client = admin(box)
        kept = choices.randbytes(MIB)
        kept_id = client.add('kept', kept)
        ballast = disk.fill()
        acknowledged, refusal = [], None
        # The catalog's file has room of its own for a while.
        for number in range(20_000):
            try:
                reply = client.ask('POST', '/v2/images', f'{{"name": "{number}", "filler": "{"x" * 20_000}"}}')
            except LOST:
                break
            if reply.status != 201:
                refusal = refusal or reply
                break
            acknowledged.append(reply.json()['id'])
        if refusal is None:
            raise Failed(f'{len(acknowledged)} images on a full disk, and no refusal')
        equal('refusal', refusal.status, 503)
        has('refusal', refusal.text(), 'space')
        equal('exit status', box.ended(), 1)
        has('last words', box.said(), 'no space left')
        status, said = box.refused_start()
        equal('exit status of a start on a full disk', status, 1)
        has('a start on a full disk', said, 'space')
        ballast.unlink()
        box.start()
        client = admin(box)
        client.expect_whole(kept_id, kept)
        there = set(client.all())
        expect(there >= {kept_id, *acknowledged}, f'{len({kept_id, *acknowledged} - there)} acknowledged images are lost')
        more = choices.randbytes(MIB)
        client.expect_whole(client.add('more', more), more)
        equal('damaged images', box.check(), [])
        equal('exit status', box.stop(), 0)


def full_while_packs_are_compacted(context):
    """No room to write packs anew: it is said, nothing is lost, and room helps."""
    choices = context.random
    settings = {'store_pack_bytes': 4 * MIB, 'reclaim_automatic': 'false'}
    with SmallDisk(context.work / 'disk', 160 * MIB) as disk, Box(context.binary, disk.folder, **settings) as box:
        box.log = context.work / 'log'
        box.start()
        client = admin(box)
        files = [choices.randbytes(40_000) + bytes(960) for _ in range(1000)]
        whole = client.add('whole', b''.join(files))
        part = b''.join(files[::4])
        part_id = client.add('part', part)
        equal('delete', client.delete(whole).status, 204)
        box.result('gc')
        plan = box.result('gc', '--dry-run', '--compact')
        expect(plan['compact_packs'] > 5 and plan['returned_bytes'] > 20 * MIB, f'the plan is {plan}')
        # Less than what is kept for the catalog.
        ballast, before = disk.leave(60 * MIB), box.objects()
        status, said = box.command('gc', '--compact')
        equal('exit status of gc without room', status, 1)
        has('gc without room', said, 'free some space')
        equal('job', box.result('job', 'list')[0]['state'], 'failed')
        kept = {path for path in before if path.parts[-3] == 'pack'}
        expect(kept <= set(box.objects()), 'a pack is gone')
        client.expect_whole(part_id, part)
        ballast.unlink()
        done = box.result('gc', '--compact')
        equal('compacted', done['compacted'], plan['compact_packs'])
        returned = sum(before.values()) - box.store_bytes()
        expect(returned > 20 * MIB, f'{returned} bytes came back')
        client.expect_whole(part_id, part)
        equal('damaged images', box.check(), [])
        equal('exit status', box.stop(), 0)


def is_ready(client):
    """Whether the server serves, and will go on."""
    try:
        return client.ask('GET', '/readyz').status == 200
    except LOST:
        return False


def full_while_duplicates_are_shared(context):
    """Not one free byte while images are given one copy of what is stored twice: nothing is lost, and room helps."""
    choices = context.random
    settings = {'reclaim_automatic': 'false'}
    with SmallDisk(context.work / 'disk', 192 * MIB) as disk, Box(context.binary, disk.folder, **settings) as box:
        box.log = context.work / 'log'
        box.start()
        client = admin(box)
        data = choices.randbytes(20 * MIB)
        # Each has something of its own too, so that its pack has to be written anew without the rest.
        images = {client.create(str(number)): data + choices.randbytes(4 * MIB) for number in range(2)}
        # Neither finds what the other has in the pack it is still filling.
        senders = [threading.Thread(target=admin(box).upload, args=both) for both in images.items()]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        plan = box.result('gc', '--dry-run', '--dedup')
        expect(plan['duplicate_bytes'] > 4 * MIB, f'the two were not stored apart: {plan}')
        before = box.store_bytes()
        ballast = disk.fill()
        # Either the manifest finds no room, or a commit does not, which ends the server.
        status, said = box.command('gc', '--dedup', '--compact')
        expect(status, f'images were given new manifests without room for them: {said}')
        expect('space' in said or 'restarting' in said, f'gc without room said {said}')
        ends = not is_ready(client)
        if ends:
            equal('exit status', box.ended(), 1)
            has('last words', box.said(), 'no space left')
        ballast.unlink()
        if ends:
            box.start()
            client = admin(box)
        for image, whole in images.items():
            client.expect_whole(image, whole)
        # Room for manifests, and none to write packs anew: what is shared stays so, and is compacted later.
        ballast = disk.leave(60 * MIB)
        status, said = box.command('gc', '--dedup', '--compact')
        equal('exit status of gc without room for packs', status, 1)
        has('gc without room for packs', said, 'free some space')
        for image, whole in images.items():
            client.expect_whole(image, whole)
        ballast.unlink()
        done = box.result('gc', '--dedup', '--compact')
        expect(done['duplicate_bytes'] >= plan['duplicate_bytes'], f'the plan is {plan}, and was done {done}')
        equal('streams that are left to be shared', done['shared_streams'], 0)
        # What a server that was cut off left is found as an orphan.
        box.result('gc')
        returned = before - box.store_bytes()
        expect(returned > plan['duplicate_bytes'] * 9 // 10, f'{returned} bytes came back of {plan["duplicate_bytes"]}')
        for image, whole in images.items():
            client.expect_whole(image, whole)
        equal('damaged images', box.check(), [])
        equal('exit status', box.stop(), 0)


CASES = [
    full_while_data_arrives, full_at_a_commit, full_while_packs_are_compacted, full_while_duplicates_are_shared,
]
