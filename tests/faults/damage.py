"""Bytes that changed or went missing while nobody looked: a read refuses, `check` and the scrub say
where, and what was lost is healed when its data is there again.

The files are damaged while no server runs. FORMAT.md names them: packs below `pack/`, manifests
below `manifest/`.
"""

import json
import os
import shutil

from box import plain_box, sealed_box, wait_until
from client import LOST, admin
from verdict import Failed, equal, expect, has

MIB = 1 << 20
FLIPS_IN_CATALOG = 12


def flip(path, offset):
    """Changes one byte."""
    with open(path, 'r+b') as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x40]))


def flipped(choices):
    """One byte somewhere in the file."""
    return lambda path: flip(path, choices.randrange(path.stat().st_size))


def flipped_in_data(choices):
    """One byte in the first half, where a pack keeps its chunks."""
    return lambda path: flip(path, choices.randrange(64, path.stat().st_size // 2))


def cut_short(path):
    """The second half gone."""
    os.truncate(path, path.stat().st_size // 2)


def new_objects(box, kind, before):
    """The objects of a kind that came since `before`, in the order of their names."""
    return sorted(path for path in set(box.objects()) - set(before) if path.relative_to(box.data).parts[1] == kind)


def expect_refusal(client, image, data):
    """Fails unless a read of damaged data ends with an error, or is exact all the same."""
    try:
        reply = client.ask('GET', f'/v2/images/{image}/file')
    except LOST:
        return True
    if reply.status == 200:
        expect(reply.body == data, f'image {image} was read with wrong bytes')
        return False
    equal('reading a damaged image', reply.status, 500)
    has('refusal', reply.text(), 'damaged')
    return True


# What is damaged, how, and whether what is left can never be read whole. (A cut manifest may have
# lost no more than padding; its trailer is gone all the same, so `check` sees it.)
DAMAGE = [
    ('pack', flipped, False),
    ('pack', flipped_in_data, True),
    ('pack', lambda _: cut_short, True),
    ('pack', lambda _: os.unlink, True),
    ('manifest', flipped, False),
    ('manifest', lambda _: cut_short, False),
    ('manifest', lambda _: os.unlink, True),
]


class Hurt:
    """An image one of whose objects is about to be damaged."""

    def __init__(self, box, client, choices, number):
        self.kind, how, self.unreadable = DAMAGE[number]
        self.name, self.data = f'hurt-{number}', choices.randbytes(2 * MIB)
        before = box.objects()
        self.id = client.add(self.name, self.data)
        self.target = choices.choice(new_objects(box, self.kind, before))
        self.damage = lambda: how(choices)(self.target)


def damaged_objects(context, box):
    """Damages an object of each of some images; looks at them, their neighbour, how they heal."""
    choices = context.random
    with box:
        box.start()
        client = admin(box)
        hurt = [Hurt(box, client, choices, number) for number in range(len(DAMAGE))]
        whole = choices.randbytes(2 * MIB)
        whole_id = client.add('whole', whole)
        equal('exit status', box.stop(), 0)
        for image in hurt:
            image.damage()

        box.start()
        client = admin(box)
        for image in hurt:
            refused = expect_refusal(client, image.id, image.data)
            expect(refused or not image.unreadable, f'a read passed over the damage in {image.target}')
        client.expect_whole(whole_id, whole)
        found = {entry['image']: entry for entry in box.check()}
        # What was hurt without losing data may have been healed meanwhile.
        expect(set(found) <= {image.id for image in hurt}, f'damaged images: {found}')
        for image in hurt:
            if image.id not in found:
                expect(not image.unreadable, f'check passed over {image.target}')
                client.expect_whole(image.id, image.data)
                continue
            equal('its name', found[image.id]['name'], image.name)
            has(f'the damage of {image.target}', found[image.id]['reason'], image.kind)

        for image in hurt:
            equal('delete', client.delete(image.id).status, 204)
        box.result('gc')
        for image in hurt:
            client.expect_whole(client.add(image.name, image.data), image.data)
        client.expect_whole(whole_id, whole)
        equal('damaged images after the data was sent again', box.check(), [])
        equal('exit status', box.stop(), 0)


def plain(context):
    """Packs and manifests of a plain store flipped, cut short, lost: refused, named, healed."""
    damaged_objects(context, plain_box(context, context.work / 'box'))


def sealed(context):
    """Packs and manifests of a sealed store flipped, cut short, lost: refused, named, healed."""
    damaged_objects(context, sealed_box(context, context.work / 'box'))


def metric(client, name):
    """A figure of the running server."""
    for line in client.want(200, 'GET', '/metrics').text().splitlines():
        if line.startswith(name + ' '):
            return float(line.split()[1])
    return None


def damage(box):
    """What the box lists as damaged."""
    return box.result('damage', 'list')


def found_and_healed(context, box, kind, how, exact):
    """An object is damaged; the scrub finds it by itself, and the data sent again heals it."""
    choices = context.random
    with box:
        box.start()
        client = admin(box)
        data = choices.randbytes(3 * MIB)
        before = box.objects()
        hurt = client.add('hurt', data)
        target = choices.choice(new_objects(box, kind, before))
        shared = client.add('shared', data + choices.randbytes(MIB))
        whole = client.add('whole', choices.randbytes(MIB))
        equal('exit status', box.stop(), 0)
        how(target)

        box.settings.update(scrub_enabled='true', scrub_start_delay_s=0)
        box.start()
        client = admin(box)
        wait_until('the scrub finding the damage', lambda: damage(box))
        [entry] = damage(box)
        has('the damaged object', entry['object'], kind)
        hits = {image['image']: image for image in entry['images']}
        equal('images hit', set(hits), {hurt, shared} if kind == 'pack' else {hurt})
        equal('its name', hits[hurt]['name'], 'hurt')
        for lost in hits[hurt]['ranges']:
            expect_lost(client, hurt, lost)
        if exact:
            expect_rest(client, hurt, data, hits[hurt]['ranges'])
        # Counted beside the scrub, from one look at all images.
        wait_until('the count of damaged images',
                   lambda: metric(client, 'tintype_damaged_images') == float(len(hits)))
        status, said = box.command('scrub')
        expect(status == 1 and 'damage list' in said, f'scrub ended with {status}: {said}')
        # It is known after a restart, too.
        equal('exit status', box.stop(), 0)
        box.start()
        client = admin(box)
        equal('images hit', {image['image'] for image in damage(box)[0]['images']}, set(hits))

        again = client.add('again', data)
        wait_until('healing', lambda: all(hurt not in {image['image'] for image in entry['images']}
                                          for entry in damage(box)))
        client.expect_whole(hurt, data)
        client.expect_whole(again, data)
        client.add('shared again', client_data(client, shared, data, choices))
        box.result('gc')
        wait_until('the end of all damage', lambda: not damage(box))
        wait_until('the figure of no damage', lambda: metric(client, 'tintype_damaged_packs') == 0)
        equal('damaged images', box.check(), [])
        expect(client.show(whole)['status'] == 'active', 'an image that nobody touched is gone')
        equal('exit status', box.stop(), 0)


def client_data(client, image, data, choices):
    """An image's data where it reads back, else any."""
    try:
        return client.data(image)
    except (Failed, *LOST):
        equal('delete', client.delete(image).status, 204)
        return data + choices.randbytes(1)


def expect_lost(client, image, lost):
    """Fails unless a range that is listed as lost is refused."""
    reach = {'Range': f'bytes={lost["start"]}-{lost["end"] - 1}'}
    try:
        reply = client.ask('GET', f'/v2/images/{image}/file', headers=reach)
    except LOST:
        return
    equal(f'reading {lost}', reply.status, 500)


def expect_rest(client, image, data, ranges):
    """Fails unless every byte outside these ranges reads back."""
    ends = [0] + [lost['end'] for lost in ranges]
    starts = [lost['start'] for lost in ranges] + [len(data)]
    for start, end in zip(ends, starts):
        if start < end:
            reach = {'Range': f'bytes={start}-{end - 1}'}
            reply = client.want(206, 'GET', f'/v2/images/{image}/file', headers=reach)
            expect(reply.body == data[start:end], f'bytes {start} to {end} read back wrong')


def healed_pack(context):
    """A rotten place in a pack: found by the scrub, listed by image and range, healed by the data."""
    box = plain_box(context, context.work / 'box', scrub_enabled='false')
    found_and_healed(context, box, 'pack', flipped_in_data(context.random), True)


def healed_sealed_pack(context):
    """A rotten place in a sealed pack: found by the scrub, listed, healed by the data."""
    box = sealed_box(context, context.work / 'box', scrub_enabled='false')
    found_and_healed(context, box, 'pack', flipped_in_data(context.random), True)


def healed_lost_pack(context):
    """A pack that went missing: found by the scrub, listed, healed by the image's data."""
    box = plain_box(context, context.work / 'box', scrub_enabled='false')
    found_and_healed(context, box, 'pack', os.unlink, False)


def healed_lost_manifest(context):
    """A manifest that went missing: found by the scrub, listed, healed by the image's data."""
    box = sealed_box(context, context.work / 'box', scrub_enabled='false')
    found_and_healed(context, box, 'manifest', os.unlink, False)


def repaired(context, box):
    """Objects with parity rot: reads and the scrub put their bytes back, exactly."""
    choices = context.random
    with box:
        box.start()
        client = admin(box)
        images = {client.add(f'image {number}', data): data
                  for number, data in enumerate(choices.randbytes(3 * MIB) for _ in range(3))}
        made = box.result('scrub')
        equal('objects with parity', made['parity_objects'], made['objects_total'])
        equal('exit status', box.stop(), 0)
        good = {path: path.read_bytes() for path in box.objects()}
        for path in good:
            kind = path.relative_to(box.data).parts[1]
            if kind == 'pack':
                flip(path, choices.randrange(64, path.stat().st_size // 2))
                flip(path, path.stat().st_size - 1)
            elif kind == 'manifest':
                choices.choice([os.unlink, cut_short])(path)

        box.start()
        client = admin(box)
        read = choices.choice(list(images))
        client.expect_whole(read, images[read])
        expect(metric(client, 'tintype_repaired_objects_total') > 1, 'a read repaired nothing')
        equal('damaged objects', box.result('scrub')['damaged_objects'], 0)
        equal('damage', damage(box), [])
        for image, data in images.items():
            client.expect_whole(image, data)
        equal('damaged images', box.check(), [])
        equal('exit status', box.stop(), 0)
        for path, content in good.items():
            if path.relative_to(box.data).parts[1] in ('pack', 'manifest', 'parity'):
                expect(path.read_bytes() == content, f'{path} is not what it was')


def repaired_plain(context):
    """Rotten packs and lost manifests of a plain store: repaired with parity, byte by byte."""
    repaired(context, plain_box(context, context.work / 'box', parity_data=16, scrub_enabled='false'))


def repaired_sealed(context):
    """Rotten packs and lost manifests of a sealed store: repaired with parity, byte by byte."""
    repaired(context, sealed_box(context, context.work / 'box', parity_data=16, scrub_enabled='false'))


def rotten(choices):
    """One byte somewhere in the file."""
    return lambda path: flip(path, choices.randrange(path.stat().st_size))


def kind_of(box, path):
    """What a file of the store is, by its folder."""
    return path.relative_to(box.data / 'store').parts[0]


def copied(context, box):
    """Objects rot of which a copy of the store has all: reads, starts and scrubs put them right."""
    choices = context.random
    copy = box.folder / 'copy'
    with box:
        box.start()
        client = admin(box)
        images = {client.add(f'image {number}', data): data
                  for number, data in enumerate(choices.randbytes(2 * MIB) for _ in range(4))}
        equal('exit status', box.stop(), 0)
        shutil.copytree(box.data / 'store', copy)
        good = {path: path.read_bytes() for path in box.objects()}
        places = json.dumps([str(box.folder / 'never mounted'), str(copy)])
        box.settings.update(repair_copies=places, log_format='json')
        hit = [path for path in good if kind_of(box, path) in ('pack', 'manifest')]
        ways = [rotten(choices), flipped_in_data(choices), cut_short, os.unlink]
        for path in hit:
            choices.choice(ways)(path)
        ring = [path for path in good if kind_of(box, path) == 'keyring']
        for path in ring:
            rotten(choices)(path)
        rotten(choices)(box.data / 'store' / 'tintype-store')

        box.start()
        client = admin(box)
        read = choices.choice(list(images))
        client.expect_whole(read, images[read])
        expect(metric(client, 'tintype_copied_objects_total') > 0, 'a read put nothing right')
        equal('damaged objects', box.result('scrub')['damaged_objects'], 0)
        equal('damage', damage(box), [])
        for image, data in images.items():
            client.expect_whole(image, data)
        equal('damaged images', box.check(), [])
        put_right = [path for path in good if kind_of(box, path) in ('pack', 'manifest', 'keyring', 'tintype-store')]
        for path in put_right:
            expect(path.read_bytes() == good[path], f'{path} is not what it was')
        equal('objects put right', metric(client, 'tintype_copied_objects_total'), float(len(hit)))
        healed = [event for event in box.result('events') if event['event'] == 'healed']
        from_copy = [event for event in healed if str(copy) in event['detail']]
        equal('events that name the copy', len(from_copy), len(hit))
        expect(len(healed) > len(hit), f'nothing tells of the header and the ring: {healed}')
        lines = [json.loads(line) for line in box.log.read_text().splitlines() if line.startswith('{')]
        told = [line for line in lines if line['target'] == 'tintype::audit' and line['event'] == 'healed']
        expect(len(told) >= len(hit), f'the log tells of {len(told)}: {lines[-3:]}')
        expect(all(line['object'] and line['verdict'] == 'healed' for line in told), f'the log tells {told}')

        # The copy is away when something rots, and comes back; it is old, and never written to.
        away = box.folder / 'away'
        copy.rename(away)
        hurt = choices.choice([path for path in hit if kind_of(box, path) == 'pack'])
        equal('exit status', box.stop(), 0)
        os.unlink(hurt)
        box.start()
        client = admin(box)
        status, said = box.command('scrub')
        expect(status == 1 and 'damage list' in said, f'scrub ended with {status}: {said}')
        client.add('beside it', choices.randbytes(MIB))
        lost = [event for event in box.result('events') if event['event'] == 'lost']
        expect(lost and lost[0]['images'], f'no event names what was lost: {lost}')
        away.rename(copy)
        equal('damaged objects', box.result('scrub')['damaged_objects'], 0)
        expect(hurt.read_bytes() == good[hurt], 'a pack is not what it was')
        equal('damaged images', box.check(), [])
        equal('exit status', box.stop(), 0)
    now = {path.relative_to(copy): path.read_bytes() for path in copy.rglob('*') if path.is_file()}
    equal('files of the copy', sorted(now), sorted(path.relative_to(box.data / 'store') for path in good))
    for path, content in good.items():
        expect(now[path.relative_to(box.data / 'store')] == content, f'the copy of {path} was changed')


def copied_plain(context):
    """A plain store rots that has a copy: put right by reads, starts and scrubs, byte by byte."""
    copied(context, plain_box(context, context.work / 'box', scrub_enabled='false'))


def copied_sealed(context):
    """A sealed store rots, its key ring altogether, that has a copy: put right byte by byte."""
    copied(context, sealed_box(context, context.work / 'box', scrub_enabled='false'))


def log_from_copy(context):
    """A lost catalog and a rotten log: the rebuild reads from the copy what the store lacks."""
    box = sealed_box(context, context.work / 'box', scrub_enabled='false')
    copy = box.folder / 'copy'
    with box:
        box.start()
        data = context.random.randbytes(MIB)
        image = admin(box).add('kept', data)
        equal('exit status', box.stop(), 0)
        shutil.copytree(box.data / 'store', copy)
        for path in box.objects():
            if kind_of(box, path) in ('log', 'snapshot'):
                rotten(context.random)(path)
        (box.data / 'catalog.redb').unlink()
        status, said = box.command('rebuild')
        expect(status != 0 and 'log' in said, f'rebuild ended with {status}: {said}')
        box.settings.update(repair_copies=json.dumps([str(copy)]))
        equal('images', box.result('rebuild')['images'], 1)
        box.start()
        admin(box).expect_whole(image, data)
        # The log is told again, as the catalog has it all.
        box.result('scrub')
        status, said = box.command('--json', 'check')
        equal(f'check, which said {said}', status, 0)
        equal('exit status', box.stop(), 0)


def scrub_goes_on(context):
    """A slow scrub whose server is stopped again and again goes on where it was, and ends."""
    box = plain_box(context, context.work / 'box', scrub_enabled='false')
    with box:
        box.start()
        for number in range(3):
            admin(box).add(f'image {number}', context.random.randbytes(MIB))
        equal('exit status', box.stop(), 0)
        box.settings.update(scrub_enabled='true', scrub_start_delay_s=0, scrub_bytes_per_s=MIB)
        seen = None
        while seen is None or seen['is_under_way']:
            box.start()
            # More than any one object has.
            wait_until('the scrub going on', lambda: scrubbed(box) > 3 * MIB / 2 or not under_way(box))
            equal('exit status', box.stop(), 0)
            status = box.result('scrub', '--status')
            if seen:
                equal('the beginning of the round', status['started_at'], seen['started_at'])
            seen = status
        equal('objects compared', seen['objects'], seen['objects_total'])
        equal('bytes compared', seen['scrubbed_bytes'], seen['total_bytes'])
        equal('damage', damage(box), [])


def scrubbed(box):
    """Bytes that the running server has compared since it started."""
    return metric(admin(box), 'tintype_scrubbed_bytes_total') or 0


def under_way(box):
    """Whether a scrub is not complete."""
    return box.result('scrub', '--status')['is_under_way']


def stocked(context, make):
    """A stopped box that holds one image; the box, the image and its data."""
    box = make(context, context.work / 'box')
    box.start()
    data = context.random.randbytes(MIB)
    image = admin(box).add('kept', data)
    equal('exit status', box.stop(), 0)
    return box, image, data


def foreign_catalog(context):
    """A catalog that is no catalog, cut short or emptied: a start says so and touches nothing."""
    foreign(context, plain_box)


def foreign_sealed_catalog(context):
    """The same with a sealed catalog."""
    foreign(context, sealed_box)


def foreign(context, make):
    """Puts other things in the place of the catalog, and it back."""
    box, image, data = stocked(context, make)
    path = box.data / 'catalog.redb'
    good = path.read_bytes()
    noise = context.random.randbytes(len(good))
    bad = {'text': b'no catalog\n' * 1000, 'noise': noise, 'half': good[:len(good) // 2], 'a page': good[:4096],
           'head only': good[:100], 'nothing': b''}
    for what, content in bad.items():
        path.write_bytes(content)
        objects = box.objects()
        status, said = box.refused_start()
        equal(f'{what} instead of a catalog: exit status', status, 1)
        expect('catalog' in said, f'{what} instead of a catalog: {said}')
        expect('panicked' not in said, f'{what} instead of a catalog: {said}')
        equal(f'{what} instead of a catalog: the objects', box.objects(), objects)
    path.write_bytes(good)
    box.start()
    with box:
        admin(box).expect_whole(image, data)
        equal('exit status', box.stop(), 0)


def flipped_catalog(context):
    """A catalog with a flipped byte: refused, or exact, and the server stands."""
    flipped(context, plain_box)


def flipped_sealed_catalog(context):
    """A sealed catalog with a flipped byte: the same."""
    flipped(context, sealed_box)


def flipped(context, make):
    """Flips bytes all over a catalog."""
    box, image, data = stocked(context, make)
    path = box.data / 'catalog.redb'
    good = path.read_bytes()
    used = [offset for offset in range(0, len(good), 64) if any(good[offset:offset + 64])]
    for _ in range(FLIPS_IN_CATALOG):
        offset = context.random.choice(used) + context.random.randrange(64)
        path.write_bytes(good)
        flip(path, offset)
        box.log.unlink()
        look(box, image, data, f'byte {offset} of the catalog flipped')
        expect('SIGSEGV' not in box.said(), box.said())


def look(box, image, data, what):
    """Starts a box on a damaged catalog and reads what it gives: whole, or refused."""
    box.launch()
    line = box.process.stdout.readline()
    if not line:
        status, said = box.ended(), box.said()
        expect(status == 1 and 'the catalog is damaged' in said, f'{what}: status {status}, {said}')
        return
    box.kill()
    with box:
        box.start()
        try:
            client = admin(box)
            reply = client.ask('GET', f'/v2/images/{image}/file')
        except (Failed, *LOST) as refusal:
            expect(box.runs(), f'{what}: {refusal}; {box.said()}')
            return
        expect(reply.status != 200 or reply.body == data, f'{what}: wrong bytes')


CASES = [
    plain, sealed, healed_pack, healed_sealed_pack, healed_lost_pack, healed_lost_manifest,
    repaired_plain, repaired_sealed, copied_plain, copied_sealed, log_from_copy, scrub_goes_on,
    foreign_catalog, foreign_sealed_catalog, flipped_catalog, flipped_sealed_catalog,
]
