"""A catalog that is lost at any moment, and made anew from the store alone.

Everything that is acknowledged is noted with its time. What a rebuild says it reached must be there
then; what came later may be there or not, and if it is not, the rebuild names the upload.
"""

import datetime
import json
import shutil
import subprocess
import time

from box import Box, plain_box, sealed_box
from client import Client, admin, sign_in
from kills import Data, Reclaimer, Worker, run_until_killed
from verdict import equal, expect, has

MIB = 1 << 20
WORKERS = 4
ROUNDS, ROUNDS_LONG = 4, 60


class Witness(Worker):
    """A worker that notes when each change was acknowledged, and what the image was then."""

    def create(self, client):
        super().create(client)
        self.images[-1].states = [(time.time(), None, None, False)]

    def change(self, client, image, what, value):
        super().change(client, image, what, value)
        image.states.append((time.time(), image.data, image.note, image.gone))


def may_be(image, until):
    """What an image may be after a rebuild that reached `until`: data, note, and whether it is gone."""
    before = [state for at, *state in image.states if at < until][-1:]
    later = [state for at, *state in image.states if at >= until]
    states = (before or [[None, None, True]]) + later
    if image.asked:
        last = dict(zip(('data', 'note', 'gone'), states[-1]))
        last[image.asked[0]] = image.asked[1]
        states.append([last['data'], last['note'], last['gone']])
    return states


def settle(client, image, record, until, uploads):
    """Compares one image with what it may be, and takes over what it is."""
    states = may_be(image, until)
    if record is None:
        expect(any(gone for _, _, gone in states), f'image {image.id} was lost')
        found = (None, None, True)
    else:
        note, active = record.get('note'), record['status'] == 'active'
        expect(not all(gone for _, _, gone in states), f'deleted image {image.id} is back')
        fitting = [state for state in states if state[1:] == [note, False] and (state[0] is not None) == active]
        expect(fitting, f'image {image.id} is {record["status"]} with the note {note!r}, which it was at no time')
        if active:
            client.expect_whole(image.id, fitting[0][0])
        found = (fitting[0][0], note, False)
    if not image.asked and image.data is not None and not image.gone and found[0] is None:
        expect(image.id in uploads, f'the upload of {image.id} is lost, and nobody says so')
    image.data, image.note, image.gone = found
    image.asked, image.states = None, [(0, *found)]


def moment(text):
    """A time as the command prints it, in seconds since the epoch."""
    return datetime.datetime.fromisoformat(text.replace('Z', '+00:00')).timestamp()


def catalog(box):
    """The file that is lost."""
    return box.data / 'catalog.redb'


def rebuilt(box):
    """Makes the catalog anew, which must succeed and leave the store as it is; what the command says."""
    before = box.objects()
    done = subprocess.run([box.binary, '--data', box.data, '--json', 'rebuild'], capture_output=True,
                          env=box.environment(), timeout=300)
    expect(done.returncode == 0, f'rebuild ended with {done.returncode}: {done.stderr.decode(errors="replace")}')
    equal('objects that a rebuild changed', set(box.objects().items()) ^ set(before.items()), set())
    return json.loads(done.stdout)


def killed_rebuild(box, choices):
    """A rebuild that is killed: there is no catalog after it, or the whole one, which is lost again."""
    command = [box.binary, '--data', box.data, 'rebuild']
    with open(box.log, 'ab') as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=box.environment())
    time.sleep(choices.uniform(0, 0.3))
    process.kill()
    process.wait()
    if catalog(box).exists():
        # In a copy: whoever opens a box may commit something, and the store would tell of it as of
        # a later moment.
        data, box.data = box.data, box.folder / 'copy'
        shutil.copytree(data, box.data, ignore=shutil.ignore_patterns('control.sock'))
        equal('damaged images after a killed rebuild', box.check(), [])
        shutil.rmtree(box.data)
        box.data = data
        catalog(box).unlink()


def verify(client, workers, told):
    """Compares everything with what was acknowledged up to the moment that was reached."""
    until = moment(told['complete_until'])
    records = client.all()
    uploads = {upload['image'] for upload in told['unfinished_uploads']}
    for worker in workers:
        for image in worker.images:
            settle(client, image, records.pop(image.id, None), until, uploads)
        worker.images = [image for image in worker.images if not image.gone]
    begun = set().union(*(worker.creating for worker in workers))
    for record in records.values():
        expect(record['name'] in begun, f'image {record["id"]} was never asked for, or had been deleted')
        equal('delete', client.delete(record['id']).status, 204)
    for worker in workers:
        worker.creating.clear()


def losses(context, box, rounds):
    """Loses the catalog again and again, and compares what comes back with what was acknowledged."""
    choices = context.random
    box.settings.update(store_log_interval_s=1, store_snapshot_log_bytes=MIB,
                        reclaim_delay_s=0, reclaim_interval_s=1, reclaim_start_delay_s=0)
    data = Data(choices)
    workers = [Witness(f'worker{number}', choices.getrandbits(64), data) for number in range(WORKERS)]
    named = 0
    with box:
        for number in range(rounds):
            box.start()
            client = admin(box)
            run_until_killed(box, client, workers, Reclaimer(choices.random() < 0.5), choices, longest=4)
            catalog(box).unlink()
            if number % 2:
                killed_rebuild(box, choices)
            told = rebuilt(box)
            wrong = [told[what] for what in ('gap', 'damaged', 'damaged_packs', 'description_damage')]
            equal('what a rebuild found wrong', wrong, [False, [], [], []])
            box.start()
            equal('an old token', Client(box.url, client.token).ask('GET', '/v2/images').status, 401)
            verify(admin(box), workers, told)
            named += len(told['unfinished_uploads'])
            equal('damaged images', box.check(), [])
            equal('exit status', box.stop(), 0)
        stored = sum(worker.stored for worker in workers)
        print(f'  {stored} uploads acknowledged, {rounds} catalogs lost, {named} uploads named that may be lost')
        after_clean_stop(box, {image.id: image.data for worker in workers for image in worker.images})


def after_clean_stop(box, images):
    """After a clean stop nothing is missing, and the box goes on as any other."""
    catalog(box).unlink()
    equal('uploads that may be lost', rebuilt(box)['unfinished_uploads'], [])
    box.start()
    client = admin(box)
    equal('images after a clean stop', set(client.all()), set(images))
    for image, data in images.items():
        if data is not None:
            client.expect_whole(image, data)
        equal('delete', client.delete(image).status, 204)
    box.result('gc')
    kept = [str(path) for path in box.objects() if path.parts[-3] in ('pack', 'manifest')]
    equal('image data in an emptied store', kept, [])
    equal('exit status', box.stop(), 0)


def plain(context):
    """A catalog lost at any moment: the rebuilt one has what was acknowledged before the moment it names."""
    losses(context, plain_box(context, context.work / 'box'), ROUNDS_LONG if context.long else ROUNDS)


def sealed(context):
    """A catalog lost at any moment with a sealed store: the same."""
    losses(context, sealed_box(context, context.work / 'box'), (ROUNDS_LONG if context.long else ROUNDS) // 2)


def refused(box, what, *words, wanted=1):
    """Expects a rebuild to be refused with status 1 and these words, and to leave everything as it was."""
    before = {path: path.read_bytes() for path in box.data.iterdir() if path.is_file()}
    objects = box.objects()
    status, said = box.command('rebuild')
    equal(f'{what}: exit status ({said.strip()})', status, wanted)
    for word in words:
        has(what, said, word)
    equal(f'{what}: the files', {path: path.read_bytes() for path in box.data.iterdir() if path.is_file()}, before)
    equal(f'{what}: objects that changed', set(box.objects().items()) ^ set(objects.items()), set())


def refusals(context):
    """No key, another key, a catalog that is there, a server that runs: refused, and nothing is touched."""
    with sealed_box(context, context.work / 'box') as box:
        box.start()
        data = context.random.randbytes(MIB)
        image = admin(box).add('kept', data)
        refused(box, 'under a server', 'in use')
        # The server holds a file that has no name any more.
        catalog(box).rename(box.folder / 'kept.redb')
        refused(box, 'under a server whose catalog was deleted', 'in use')
        equal('exit status', box.stop(), 0)

        key = box.settings.pop('store_key_file')
        refused(box, 'no key', 'no master key was given', '--key-file', wanted=5)
        other = box.folder / 'other'
        other.write_text('ab' * 32)
        box.settings['store_key_file'] = other
        refused(box, 'another key', 'does not open', '--key-file', wanted=6)
        box.settings['store_key_file'] = key
        status, said = box.refused_start()
        equal('a start without the catalog: exit status', status, 1)
        has('a start without the catalog', said, 'rebuild')
        expect(not catalog(box).exists(), 'a refused start made a catalog')

        rebuilt(box)
        refused(box, 'a catalog is there', 'move it away')
        box.start()
        admin(box).expect_whole(image, data)
        equal('exit status', box.stop(), 0)


def another_directory(context):
    """The store alone, in another directory: a fresh one serves it, with the passwords of then."""
    store = context.work / 'store'
    with Box(context.binary, context.work / 'old', store_location=store) as old:
        old.folder.mkdir()
        old.start()
        data, password = context.random.randbytes(2 * MIB), old.password()
        image = admin(old).add('kept', data)
        equal('exit status', old.stop(), 0)
    shutil.rmtree(old.folder)
    with Box(context.binary, context.work / 'new', store_location=store) as new:
        new.folder.mkdir()
        told = rebuilt(new)
        equal('images and users', (told['images'], told['users']), (1, 1))
        new.start()
        client = sign_in(new.url, password)
        client.expect_whole(image, data)
        client.expect_whole(client.add('more', data), data)
        equal('damaged images', new.check(), [])
        equal('exit status', new.stop(), 0)


def newest(box, kind):
    """The objects of the store's log of a kind, newest first."""
    return sorted((box.data / 'store' / kind).iterdir(), reverse=True)


def damage(context):
    """Objects lost or changed: an older snapshot serves, gaps and images are named, the rest is whole."""
    with plain_box(context, context.work / 'box') as box:
        box.settings['store_log_interval_s'] = 1
        kept = context.random.randbytes(MIB)
        images = []
        for number in range(3):
            # A log object each.
            box.start()
            images.append(admin(box).add(f'image{number}', context.random.randbytes(MIB)))
            equal('exit status', box.stop(), 0)
        before = set(newest(box, 'log'))
        box.start()
        whole = admin(box).add('whole', kept)
        equal('exit status', box.stop(), 0)
        of_whole = sorted(set(newest(box, 'log')) - before)

        manifests = {path for path in box.objects() if path.parts[-3] == 'manifest'}
        box.start()
        hurt = admin(box).add('hurt', context.random.randbytes(MIB))
        equal('exit status', box.stop(), 0)
        lost = ({path for path in box.objects() if path.parts[-3] == 'manifest'} - manifests).pop()
        lost_bytes = lost.read_bytes()
        lost.unlink()
        catalog(box).unlink()
        told = rebuilt(box)
        equal('images that cannot be read', [(entry['image'], entry['name']) for entry in told['damaged']],
              [(hurt, 'hurt')])
        box.start()
        client = admin(box)
        reply = client.ask('GET', f'/v2/images/{hurt}/file')
        equal('reading it', reply.status, 500)
        has('reading it', reply.text(), 'damaged')
        client.expect_whole(whole, kept)
        equal('exit status', box.stop(), 0)
        lost.write_bytes(lost_bytes)

        # The first log object of the start that made the last image but one is lost (a start and a stop are told
        # of too): what follows it is of no use.
        gap = of_whole[0]
        gap.rename(box.folder / 'gap')
        catalog(box).unlink()
        told = rebuilt(box)
        expect(told['gap'], f'a log object is missing, and a rebuild says {told}')
        equal('images before the gap', told['images'], 3)
        box.start()
        equal('images before the gap', set(admin(box).all()), set(images))
        equal('exit status', box.stop(), 0)
        equal('damaged images', box.check(), [])
        # The new catalog went on by itself, and is rebuilt from its own history.
        catalog(box).unlink()
        told = rebuilt(box)
        expect(not told['gap'] and told['images'] == 3, f'after a gap the box went on, and a rebuild says {told}')


CASES = [plain, sealed, refusals, another_directory, damage]
