"""Boxes that earlier releases made: the present one reads, changes and rebuilds them.

The archives are in `tests/fixtures`, which says what made each.
"""

import io
import pathlib
import sys
import tarfile

from box import Box
from client import admin
from verdict import equal, expect

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / 'fixtures'
sys.path.insert(0, str(FIXTURES))

import images


def unpacked(context, name):
    """The box in an archive, its settings those of the release that made it."""
    pieces = sorted(FIXTURES.glob(f'{name}.tar.xz.*'))
    expect(pieces, f'there is no archive {name}')
    archive = io.BytesIO(b''.join(piece.read_bytes() for piece in pieces))
    folder = context.work / 'box'
    folder.mkdir()
    with tarfile.open(fileobj=archive) as found:
        found.extractall(folder, filter='data')
    key = folder / 'key'
    return Box(context.binary, folder, **({'store_key_file': key} if key.exists() else {}))


def expect_images(client, wanted):
    """Fails unless the box has exactly these images, each byte of them."""
    ids = {record['name']: record['id'] for record in client.all().values()}
    equal('images', sorted(ids), sorted(wanted))
    for name, data in wanted.items():
        client.expect_whole(ids[name], data)
    return ids


def clean(box):
    """Fails unless a check finds nothing at all."""
    status, text = box.command('--json', 'check')
    equal(f'check, which said {text}', status, 0)


def opened(context, name):
    """A box as a release left it: read, checked, scrubbed, changed, and its catalog made anew."""
    box = unpacked(context, name)
    wanted = images.kept()
    with box:
        box.start()
        client = admin(box)
        ids = expect_images(client, wanted)
        for image in ids.values():
            expect(client.show(image)['note'], f'image {image} lost its property')
        projects = client.want(200, 'GET', '/v3/projects').json()['projects']
        expect(images.PROJECT in [project['name'] for project in projects], f'projects: {projects}')
        clean(box)
        equal('damaged objects', box.result('scrub')['damaged_objects'], 0)

        equal('delete', client.delete(ids['half']).status, 204)
        del wanted['half']
        box.result('gc', '--compact')
        wanted['new'] = images.noise('new', 300_000)
        client.add('new', wanted['new'])
        # Shares everything with what the old release stored.
        wanted['text again'] = wanted['text']
        before = box.store_bytes()
        client.add('text again', wanted['text'])
        expect(box.store_bytes() - before < 16 << 10, 'what an earlier release stored is not shared')
        expect_images(client, wanted)
        clean(box)
        equal('exit status', box.stop(), 0)

        box.start()
        expect_images(admin(box), wanted)
        equal('exit status', box.stop(), 0)
        (box.data / 'catalog.redb').unlink()
        rebuilt = box.result('rebuild')
        equal('images of the rebuilt catalog', rebuilt['images'], len(wanted))
        box.start()
        expect_images(admin(box), wanted)
        clean(box)
        equal('exit status', box.stop(), 0)


def rebuilt(context, name):
    """The store alone of a box as a release left it: the catalog is made anew from it."""
    box = unpacked(context, name)
    (box.data / 'catalog.redb').unlink()
    with box:
        equal('images of the rebuilt catalog', box.result('rebuild')['images'], len(images.kept()))
        box.start()
        expect_images(admin(box), images.kept())
        clean(box)
        equal('exit status', box.stop(), 0)


def first_plain(context):
    """A plain box of the first release: read, changed, its catalog made anew."""
    opened(context, '90a7488-plain')


def first_sealed(context):
    """A sealed box of the first release: read, changed, its catalog sealed and made anew."""
    opened(context, '90a7488-sealed')


def last_plain(context):
    """A plain box from before objects' sums were kept: read, changed, its catalog made anew."""
    opened(context, 'c8c6830-plain')


def last_sealed(context):
    """A sealed box from before objects' sums were kept: read, changed, its catalog made anew."""
    opened(context, 'c8c6830-sealed')


def first_rebuilt(context):
    """The stores of all of these without their catalogs: made anew from the first byte on."""
    for number, name in enumerate(['90a7488-plain', '90a7488-sealed', 'c8c6830-plain', 'c8c6830-sealed']):
        context.work = context.work.parent / f'{context.work.name}-{number}'
        context.work.mkdir()
        rebuilt(context, name)


CASES = [first_plain, first_sealed, last_plain, last_sealed, first_rebuilt]
