"""The server killed at any moment, under uploads, updates, deletes and reclaiming.

Each worker owns its images and notes what it asks before it asks, and what was acknowledged
after: whatever the kill cut off may have happened or not, but nothing else, and never half.
"""

import random
import threading
import time

from box import plain_box, sealed_box
from client import LOST, Client, admin
from verdict import Failed, equal, expect, has

WORKERS = 5
# Times that a store is emptied before what is left counts.
PATIENCE = 60
ROUNDS, ROUNDS_LONG = 20, 1000
IMAGES_A_WORKER_MAX = 5
CHECK_EVERY, EMPTY_EVERY = 5, 10
PIECE_BYTES = 64 << 10


class Data:
    """Image data in pieces, some of them shared between images, some zero."""

    def __init__(self, choices):
        self.choices = choices
        self.shared = [choices.randbytes(PIECE_BYTES) for _ in range(24)]

    def next(self):
        """Some 4 KiB to 2.5 MB."""
        choices = random.Random(self.choices.getrandbits(64))
        pieces = []
        for _ in range(choices.randrange(1, 40)):
            kind = choices.random()
            if kind < 0.5:
                pieces.append(choices.choice(self.shared))
            elif kind < 0.6:
                pieces.append(bytes(PIECE_BYTES))
            else:
                pieces.append(choices.randbytes(choices.randrange(4096, PIECE_BYTES)))
        return b''.join(pieces)


class Image:
    """What is known of one image. `None` as data: it has none."""

    def __init__(self, image):
        self.id = image
        self.data, self.note, self.gone = None, None, False
        # What was asked and not answered: 'data', 'note' or 'gone', and its value.
        self.asked = None

    def may_be(self, what, now):
        """The values that `what` may have by now."""
        asked = [self.asked[1]] if self.asked and self.asked[0] == what else []
        return [now, *asked]


class Worker:
    """One client that works on its own images until the server goes away."""

    def __init__(self, name, seed, data):
        self.name, self.choices, self.data = name, random.Random(seed), data
        self.images, self.creating, self.serial, self.broke = [], set(), 0, None
        self.stored = 0

    def run(self, client):
        """Works until the connection is lost; keeps what else went wrong."""
        try:
            while True:
                self.step(client)
        except LOST:
            pass
        except Exception as error:  # A failure, kept for the main thread to raise.
            self.broke = error

    def step(self, client):
        """One random action."""
        known = [image for image in self.images if not image.gone]
        empty = [image for image in known if image.data is None]
        kind = self.choices.random()
        if empty and kind < 0.6:
            self.change(client, self.choices.choice(empty), 'data', self.data.next())
        elif len(known) < 2 or (kind < 0.5 and len(known) < IMAGES_A_WORKER_MAX):
            self.create(client)
        elif kind < 0.8:
            self.serial += 1
            self.change(client, self.choices.choice(known), 'note', f'{self.name}-{self.serial}')
        else:
            self.change(client, self.choices.choice(known), 'gone', True)

    def create(self, client):
        self.serial += 1
        name = f'{self.name}-{self.serial}'
        self.creating.add(name)
        self.images.append(Image(client.create(name)))
        self.creating.discard(name)

    def change(self, client, image, what, value):
        image.asked = (what, value)
        if what == 'data':
            status, wanted = client.upload(image.id, value).status, 204
        elif what == 'note':
            status = client.patch(image.id, {'op': 'add', 'path': '/note', 'value': value}).status
            wanted = 200
        else:
            status, wanted = client.delete(image.id).status, 204
        equal(f'{what} of {image.id}', status, wanted)
        setattr(image, what, value)
        image.asked = None
        self.stored += what == 'data'


class Reclaimer:
    """Reclaims again and again until the server goes away; writes packs anew where asked to."""

    def __init__(self, rewrites):
        self.rewrites, self.broke = rewrites, None

    def run(self, client):
        """Works until the connection is lost; keeps what else went wrong."""
        try:
            while True:
                reply = client.gc(compact=self.rewrites, recompress=self.rewrites)
                equal('gc', reply.status, 200)
                has('gc', reply.text(), '"result"')
                time.sleep(0.05)
        except LOST:
            pass
        except Exception as error:  # A failure, kept for the main thread to raise.
            self.broke = error


def run_until_killed(box, client, workers, reclaimer, choices, longest=0.9):
    """Lets everybody work for a moment, then kills the server."""
    if reclaimer.rewrites or choices.random() < 0.5:
        workers = [*workers, reclaimer]
    threads = [threading.Thread(target=worker.run, args=(client,)) for worker in workers]
    for thread in threads:
        thread.start()
    time.sleep(choices.uniform(0.02, longest))
    expect(box.runs(), f'the server ended by itself: {box.said()}')
    box.kill()
    for thread in threads:
        thread.join()
    for worker in workers:
        if worker.broke:
            raise worker.broke


def settle(client, image, record):
    """Compares one image with what was acknowledged, and takes over what it has become."""
    if record is None:
        expect(image.gone or image.may_be('gone', False)[-1], f'image {image.id} was lost')
        image.gone = True
        return
    expect(not image.gone, f'deleted image {image.id} is back')
    notes = image.may_be('note', image.note)
    expect(record.get('note') in notes, f'image {image.id} has the note {record.get("note")!r}, not one of {notes}')
    image.note = record.get('note')
    if record['status'] == 'queued':
        expect(image.data is None, f'the data of {image.id} was lost')
        equal(f'queued {image.id}', (record['size'], record['checksum']), (None, None))
    else:
        image.data = image.may_be('data', image.data)[-1]
        expect(image.data is not None, f'image {image.id} is {record["status"]} and was never filled')
        client.expect_whole(image.id, image.data)
    image.asked = None


def verify(client, workers):
    """Compares everything that is stored with what was acknowledged; how many requests were cut off."""
    records = client.all()
    cut = sum(image.asked is not None for worker in workers for image in worker.images)
    for worker in workers:
        for image in worker.images:
            settle(client, image, records.pop(image.id, None))
        worker.images = [image for image in worker.images if not image.gone]
    begun = set().union(*(worker.creating for worker in workers))
    for record in records.values():
        expect(record['name'] in begun, f'image {record["id"]} was never asked for, or had been deleted')
        equal(f'unanswered {record["id"]}', (record['status'], record['size']), ('queued', None))
        equal('delete', client.delete(record['id']).status, 204)
    for worker in workers:
        worker.creating.clear()
    return cut


def expect_interrupted(client):
    """Fails unless kills met packs that were being written anew."""
    jobs = client.want(200, 'GET', '/tintype/v1/jobs').json()['jobs']
    ended = [(job['state'], job['phase']) for job in jobs]
    met = [phase for state, phase in ended if state == 'interrupted' and phase in ('compacting', 'recompressing')]
    expect(met, f'the kills met no pack that was written anew: {ended}')
    print(f'  {len(met)} kills met a pack that was being written anew')


def empty(box, client, workers):
    """Deletes everything: the space has to come back, but for the store's description of itself,
    which has a bound of its own."""
    for worker in workers:
        for image in worker.images:
            equal('delete', client.delete(image.id).status, 204)
        worker.images = []
    for _ in range(PATIENCE):
        freed = box.result('gc')
        kept = [str(path) for path in box.objects() if path.parts[-3] in ('pack', 'manifest')]
        if not kept:
            return
        # A pack that is being written anew at this moment has no row yet; its writer takes it back.
        time.sleep(0.5)
    equal(f'image data in an emptied store, whose gc says {freed}', kept, [])


def killed_start(box, choices):
    """A server killed while it starts."""
    box.launch()
    time.sleep(choices.uniform(0, 0.15))
    box.kill()


def kills(context, box, rounds, rewrites=False):
    """Kills the box again and again, and compares it each time with what was acknowledged."""
    choices, cut = context.random, 0
    # Space is given back all the time, not some time after the last delete.
    box.settings.update(reclaim_delay_s=0, reclaim_interval_s=1, reclaim_start_delay_s=0)
    data = Data(choices)
    workers = [Worker(f'worker{number}', choices.getrandbits(64), data) for number in range(WORKERS)]
    reclaimer = Reclaimer(rewrites)
    if rewrites:
        # Every pack with a dead chunk, and every pack once.
        box.settings.update(reclaim_live_percent=100, reclaim_recompress_after_s=0, reclaim_recompress_level=2)
    with box:
        box.start()
        token = admin(box).token
        for number in range(1, rounds + 1):
            try:
                run_until_killed(box, Client(box.url, token), workers, reclaimer, choices)
                if choices.random() < 0.2:
                    killed_start(box, choices)
                box.start()
                client = Client(box.url, token)
                cut += verify(client, workers)
                if number % CHECK_EVERY == 0:
                    equal('damaged images', box.check(), [])
                if number % EMPTY_EVERY == 0:
                    empty(box, client, workers)
                if context.long and number % 50 == 0:
                    token = admin(box).token
                    print(f'  {number} kills survived', flush=True)
            except Failed as seen:
                raise Failed(f'round {number}: {seen}') from None
        stored = sum(worker.stored for worker in workers)
        print(f'  {stored} uploads acknowledged, {cut} requests cut off by {rounds} kills')
        expect(stored and cut, 'the kills met nothing')
        if rewrites:
            expect_interrupted(admin(box))
        equal('exit status', box.stop(), 0)


def plain(context):
    """Killed at any moment: what was acknowledged is there, exactly, and nothing else."""
    kills(context, plain_box(context, context.work / 'box'), ROUNDS_LONG if context.long else ROUNDS)


def sealed(context):
    """Killed at any moment with a sealed store: the same."""
    kills(context, sealed_box(context, context.work / 'box'), (ROUNDS_LONG if context.long else ROUNDS) // 2)


def rewriting(context):
    """Killed at any moment while packs are written anew all the time: the same."""
    rounds = ROUNDS_LONG if context.long else ROUNDS
    kills(context, plain_box(context, context.work / 'box'), rounds // 2, rewrites=True)


CASES = [plain, sealed, rewriting]
