"""Bytes that changed or went missing while nobody looked: a read refuses, and `check` says where.

The files are damaged while no server runs. FORMAT.md names them: packs below `pack/`, manifests
below `manifest/`.
"""

import os

from box import plain_box, sealed_box
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
        equal('damaged images', set(found), {image.id for image in hurt})
        for image in hurt:
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


CASES = [plain, sealed, foreign_catalog, foreign_sealed_catalog, flipped_catalog, flipped_sealed_catalog]
