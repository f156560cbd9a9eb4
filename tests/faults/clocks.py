"""A server whose wall clock is stepped while it runs, by libfaketime (Debian's package faketime)."""

import glob

from box import Box
from client import admin
from verdict import NotRun, equal, expect, has

MIB = 1 << 20


class Clock:
    """A wall clock for one server; monotonic time goes on as it does."""

    def __init__(self, file):
        libraries = glob.glob('/usr/lib/*/faketime/libfaketime.so.1')
        if not libraries:
            raise NotRun('there is no libfaketime here')
        self.file = file
        self.variables = {
            'LD_PRELOAD': libraries[0], 'FAKETIME_TIMESTAMP_FILE': str(file), 'FAKETIME_NO_CACHE': '1',
            'FAKETIME_DONT_FAKE_MONOTONIC': '1',
        }
        self.step('+0')

    def step(self, offset):
        """Sets the clock this far from the true time: '-1d', '+2d'."""
        self.file.write_text(f'{offset}\n')


def pages(client):
    """Every image's id, as two a page give them."""
    ids, page = [], '/v2/images?limit=2'
    while page:
        listing = client.want(200, 'GET', page).json()
        ids += [record['id'] for record in listing['images']]
        page = listing.get('next')
    return ids


def steps(context):
    """A clock that steps back a day and on by two: nothing is lost, listed twice or held for ever."""
    clock = Clock(context.work / 'clock')
    with Box(context.binary, context.work, variables=clock.variables) as box:
        box.start()
        client, images = admin(box), {}

        def use(what):
            for number in range(2):
                data = context.random.randbytes(MIB // 2)
                images[client.add(f'{what} {number}', data)] = data
            gone = client.add('gone', context.random.randbytes(MIB))
            equal('update', client.patch(gone, {'op': 'add', 'path': '/note', 'value': what}).status, 200)
            equal('delete', client.delete(gone).status, 204)
            equal('gc', client.gc().status, 200)
            equal(f'images {what}, page by page', sorted(pages(client)), sorted(images))
            for image, data in images.items():
                client.expect_whole(image, data)

        use('at first')
        first = client.show(next(iter(images)))['created_at']
        clock.step('-1d')
        use('a day earlier')
        expect(client.show(list(images)[-1])['created_at'] < first, 'the clock did not step')
        clock.step('+1d')
        reply = client.ask('GET', '/v2/images')
        equal('a token of yesterday', reply.status, 401)
        has('where to sign in', reply.headers.get('www-authenticate', ''), 'Keystone uri=')
        client = admin(box)
        use('a day later')
        equal('damaged images', box.check(), [])
        equal('exit status', box.stop(), 0)
        clock.step('-3650d')
        box.start()
        client = admin(box)
        use('ten years earlier')
        equal('damaged images', box.check(), [])
        equal('exit status', box.stop(), 0)


CASES = [steps]
