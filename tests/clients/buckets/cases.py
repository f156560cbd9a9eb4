"""What a box promises whatever becomes of its bucket: acknowledged images read back exactly, the rest
says so, and nothing is left behind."""

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import threading
import time

from box import Box, wait_until
from client import LOST, admin
from proxy import Proxy
from servers import BUCKET
from verdict import Failed, NotRun, equal, expect, has

REPOSITORY = pathlib.Path(__file__).parents[3]
# Small packs of several parts, so that small images show everything.
PACK_BYTES = 12 << 20
PART_BYTES = 5 << 20
IMAGE_BYTES = 26 << 20


def variables(server, port=None):
    """What a process needs to reach a server, itself or through a proxy."""
    return {
        'AWS_ENDPOINT': f'http://127.0.0.1:{port or server.port}', 'AWS_REGION': 'us-east-1',
        'AWS_ACCESS_KEY_ID': server.key, 'AWS_SECRET_ACCESS_KEY': server.secret,
    }


def bucket_box(context, server, port=None, **settings):
    """A box on a server's bucket, not started yet."""
    folder = context.work / 'box'
    folder.mkdir(exist_ok=True)
    chosen = {
        'store_location': f's3://{BUCKET}/a/box', 'store_pack_bytes': PACK_BYTES, 'bucket_part_bytes': PART_BYTES,
        'bucket_connect_timeout_s': 2, 'bucket_request_timeout_s': 3, 'bucket_operation_timeout_s': 10,
        'bucket_conditional_puts': str(server.conditional).lower(), 'reclaim_automatic': 'false', **settings,
    }
    return Box(context.binary, folder, variables=variables(server, port), **chosen)


def kept(server):
    """Image data of the bucket, finished or not, by name; where its files can be seen."""
    below = server.folder / 'data' / BUCKET / 'a' / 'box'
    return {str(path.relative_to(below)) for part in ('pack', 'manifest', 'tmp')
            for path in (below / part).rglob('*')
            # What a server left of itself when it was killed is its own affair.
            if path.is_file() and not path.name.startswith('.')}


def figure(client, name):
    """A figure of /metrics."""
    found = re.search(rf'^{name} (\d+)', client.want(200, 'GET', '/metrics').text(), re.MULTILINE)
    return int(found.group(1)) if found else None


def expect_nothing_left(server, box, client):
    """Everything deleted and given back: no image data is left in the bucket."""
    for image in client.all():
        equal('delete', client.delete(image).status, 204)
    box.result('gc')
    if server.has_files:
        equal('left in the bucket', kept(server), set())


def keeps_every_promise(context):
    """The medium keeps every promise."""
    with context.server(context.work / 's3') as server:
        settings = {**variables(server), 'TINTYPE_TEST_BUCKET': f's3://{BUCKET}/promises'}
        if not server.conditional:
            settings['TINTYPE_TEST_UNCONDITIONAL'] = '1'
        if not server.decides_races:
            settings['TINTYPE_TEST_RACY'] = '1'
        test = 'objects::conformance::buckets::a_real_bucket_keeps_every_promise'
        done = subprocess.run(['cargo', 'test', '--locked', '--lib', '--', '--ignored', '--exact', test],
                              cwd=REPOSITORY, env={**os.environ, **settings}, capture_output=True, text=True,
                              timeout=1800, check=False)
        expect(done.returncode == 0 and '1 passed' in done.stdout, done.stdout[-3000:] + done.stderr[-1000:])


def refuses_what_it_cannot_use(context):
    """A bucket that is missing, or lacks something, is refused with what to do."""
    with context.server(context.work / 's3') as server:
        if server.knows_buckets:
            with bucket_box(context, server, store_location='s3://no-such-bucket/box') as box:
                status, said = box.refused_start()
                equal('exit status', status, 1)
                has('a bucket that is not there', said, 'no such bucket')
        if not server.conditional:
            with bucket_box(context, server, bucket_conditional_puts='true') as box:
                status, said = box.refused_start()
                equal('exit status', status, 1)
                has('a bucket that ignores conditions', said, 'bucket.conditional_puts = false')
                equal('left by the probe', kept(server), set())
        server.kill()
        with bucket_box(context, server, bucket_operation_timeout_s=3) as box:
            status, said = box.refused_start()
            equal('exit status', status, 1)
            has('a bucket that is down', said, 'unavailable')


def stores_images(context):
    """Images go in and out, each block once, and their space comes back."""
    data = context.random.randbytes(IMAGE_BYTES)
    with context.server(context.work / 's3') as server, bucket_box(context, server) as box:
        box.start()
        client = admin(box)
        for name in ('one', 'two'):
            client.expect_whole(client.add(name, data), data)
        expect(box.result('stats')['stored_bytes'] < IMAGE_BYTES * 1.1, 'a block is there twice')
        expect(not (box.data / 'store').exists(), 'image data lies in the data directory')
        expect(figure(client, 'tintype_bucket_requests_total') > 0, 'no request was counted')
        equal('check', box.check(), [])
        equal('stop', box.stop(), 0)
        equal('check of the closed store', box.check(), [])
        (box.data / 'catalog.redb').rename(box.data / 'lost.redb')
        status, said = box.command('--json', 'rebuild')
        expect(status == 0, f'rebuild ended with {status}: {said}')
        # Behind what the log says.
        rebuilt = json.JSONDecoder().raw_decode(said[said.index('{'):])[0]
        equal('images made anew from the bucket alone', rebuilt['images'], 2)
        box.start()
        client = admin(box)
        for image in client.all():
            client.expect_whole(image, data)
        expect_nothing_left(server, box, client)


def survives_its_own_death(context):
    """After a kill in the middle of an upload nothing of it is left."""
    data = context.random.randbytes(IMAGE_BYTES)
    with (context.server(context.work / 's3') as server, Proxy(server.port, context.seed) as proxy,
          bucket_box(context, server, proxy.port) as box):
        box.start()
        client = admin(box)
        image = client.add('kept', data)
        # All parts are sent, and the upload is never completed.
        proxy.faults, proxy.share, proxy.concerns = ['hang'], 1.0, is_completion
        large = client.create('large')
        upload = threading.Thread(target=quietly, args=(client.upload, large, context.random.randbytes(200 << 20)))
        upload.start()
        wait_until('a completion', lambda: proxy.seen.get('hang'))
        box.kill()
        upload.join()
        proxy.faults = []
        box.start()
        if server.lists_uploads:
            has('the log of the second start', box.log.read_text(), 'aborted uploads that a crash had cut off')
        client = admin(box)
        client.expect_whole(image, data)
        equal('the state of the other', client.show(large)['status'], 'queued')
        equal('check', box.check(), [])
        expect_nothing_left(server, box, client)


def is_completion(head):
    """Whether a request completes an upload in parts."""
    return head.startswith(b'POST ') and b'uploadId=' in head.split(b'\r\n')[0]


def survives_a_restart_of_the_server(context):
    """The server is killed and started again, in an upload and in a download."""
    data = context.random.randbytes(IMAGE_BYTES * 2)
    with (context.server(context.work / 's3') as server,
          bucket_box(context, server, bucket_cache_bytes=0) as box):
        box.start()
        client = admin(box)
        image = client.create('restarted')
        before = figure(client, 'tintype_bucket_requests_total')
        replies = []
        upload = threading.Thread(target=lambda: replies.append(client.upload(image, data)))
        upload.start()
        wait_until('some parts', lambda: figure(client, 'tintype_bucket_requests_total') > before + 3)
        restart(server)
        upload.join()
        if replies[0].status != 204:
            # A server may forget an upload when it dies; then the client is told, and can repeat.
            equal('the upload', (replies[0].status, client.show(image)['status']), (503, 'queued'))
            equal('the upload again', client.upload(image, data).status, 204)
        client.expect_whole(image, data)
        before = figure(client, 'tintype_bucket_requests_total')
        got = []
        download = threading.Thread(target=lambda: got.append(client.data(image)))
        download.start()
        wait_until('some reads', lambda: figure(client, 'tintype_bucket_requests_total') > before + 1)
        restart(server)
        download.join()
        expect(got and got[0] == data, 'the download did not survive')
        equal('check', box.check(), [])
        expect_nothing_left(server, box, client)


def restart(server):
    """A server's death and return."""
    server.kill()
    time.sleep(0.5)
    server.start()


def answers_without_its_bucket(context):
    """While the bucket is silent, everything else is answered, and data with 503."""
    data = context.random.randbytes(IMAGE_BYTES)
    with (context.server(context.work / 's3') as server, Proxy(server.port, context.seed) as proxy,
          bucket_box(context, server, proxy.port, bucket_cache_bytes=0) as box):
        box.start()
        client = admin(box)
        image = client.add('kept', data)
        equal('stop', box.stop(), 0)
        box.start()  # With nothing of it in memory.
        client = admin(box)
        proxy.faults, proxy.share = ['hang'], 1.0
        statuses = []
        crowd = [threading.Thread(target=lambda: statuses.append(client.ask('GET', f'/v2/images/{image}/file').status))
                 for _ in range(100)]
        for member in crowd:
            member.start()
        while any(member.is_alive() for member in crowd):
            equal('list', len(client.all()), 1)
            admin(box)
            time.sleep(0.2)
        for member in crowd:
            member.join()
        equal('downloads', set(statuses), {503})
        equal('upload', client.upload(client.create('refused'), data).status, 503)
        has('readiness', client.want(200, 'GET', '/readyz').text(), 'image data cannot be reached')
        equal('the figure', figure(client, 'tintype_store_reachable'), 0)
        expect(figure(client, 'tintype_bucket_given_up_total') > 0, 'nothing was given up')
        proxy.faults = []
        wait_until('its return', lambda: client.ask('GET', f'/v2/images/{image}/file').status == 200)
        client.expect_whole(image, data)
        equal('readiness', client.want(200, 'GET', '/readyz').text(), 'ready\n')


def starts_without_its_bucket(context):
    """With the server off a box that was set up starts, serves what is at hand, and uses the bucket when it is back."""
    data, other = context.random.randbytes(6 << 20), context.random.randbytes(6 << 20)
    with context.server(context.work / 's3') as server, bucket_box(context, server) as box:
        box.start()
        client = admin(box)
        read, unread = client.add('read', data), client.add('unread', other)
        client.expect_whole(read, data)
        equal('stop', box.stop(), 0)
        server.kill()

        box.start()
        client = admin(box)
        equal('list', len(client.all()), 2)
        equal('show', client.show(unread)['status'], 'active')
        client.expect_whole(read, data)
        upload = client.create('refused')
        for what, reply in (('download', client.ask('GET', f'/v2/images/{unread}/file')),
                            ('upload', client.upload(upload, data))):
            equal(what, reply.status, 503)
            has(what, reply.text(), f's3://{BUCKET}/a/box')
            has(what, reply.text(), 'tried again')
        equal('the image after it', client.show(upload)['status'], 'queued')
        has('readiness', client.want(200, 'GET', '/readyz').text(), 'image data cannot be reached')
        equal('health', client.want(200, 'GET', '/healthz').text(), 'ok\n')
        equal('figures', [figure(client, f'tintype_store_{name}') for name in ('reachable', 'recognised')], [0, 0])
        has('the log', box.log.read_text(), 'the start goes on without it')
        equal('events', [event['event'] for event in events(client)], ['medium-away'])
        # It stops and starts as often as one likes, and a command without a server goes without too.
        equal('stop', box.stop(), 0)
        equal('list without a server', len(box.result('image', 'list')), 3)
        box.start()
        client = admin(box)

        server.start()
        wait_until('its return', lambda: figure(client, 'tintype_store_recognised') == 1)
        equal('readiness', client.want(200, 'GET', '/readyz').text(), 'ready\n')
        wait_until('the event', lambda: events(client)[0]['event'] == 'medium-back')
        client.expect_whole(unread, other)
        third = context.random.randbytes(6 << 20)
        equal('upload', client.upload(upload, third).status, 204)
        client.expect_whole(upload, third)
        equal('check', box.check(), [])
        equal('stop', box.stop(), 0)
        equal('check of the closed store', box.check(), [])


def caches_what_it_is_told_to(context):
    """An image in the cache is served without the bucket, and the API says truthfully what lies there."""
    data, other = context.random.randbytes(IMAGE_BYTES), context.random.randbytes(6 << 20)
    with context.server(context.work / 's3') as server, bucket_box(context, server) as box:
        box.start()
        client = admin(box)
        one, two = client.add('one', data), client.add('two', other)
        equal('versions', [f'v2.{minor}' in minors(client) for minor in (14, 16, 18)], [True] * 3)
        equal('at first', cached(client), {})
        box.result('cache', 'add', 'one')
        wait_until('the image', lambda: one in cached(client))
        equal('all that is there', cached(client), {one: 0})
        equal('once more', client.ask('PUT', f'/v2/cache/{one}').status, 202)
        client.expect_whole(one, data)
        wait_until('a hit', lambda: cached(client) == {one: 1})
        equal('stop', box.stop(), 0)
        server.kill()

        box.start()  # With nothing of it in memory.
        client = admin(box)
        equal('after a restart', cached(client), {one: 1})
        expect(client.data(one) == data, 'the cached image came with other bytes')
        equal('the other image', client.ask('GET', f'/v2/images/{two}/file').status, 503)
        server.start()
        wait_until('its return', lambda: figure(client, 'tintype_store_recognised') == 1)

        # A whole download fills it as well.
        client.expect_whole(two, other)
        wait_until('the other image', lambda: two in cached(client))
        equal('list', {row['image_id']: row['state'] for row in box.result('cache', 'list')},
              {one: 'cached', two: 'cached'})
        box.result('cache', 'drop', one)
        equal('after a drop', list(cached(client)), [two])
        box.result('cache', 'clear')
        equal('after all was cleared', cached(client), {})
        equal('held', figure(client, 'tintype_cache_held_bytes'), 0)
        client.expect_whole(one, data)


def cached(client):
    """How often each image was read from the cache that lies there."""
    listed = client.want(200, 'GET', '/v2/cache').json()['cached_images']
    return {image['image_id']: image['hits'] for image in listed}


def minors(client):
    """The versions of the Image API that a box lists."""
    return [version['id'] for version in client.want(200, 'GET', '/versions').json()['versions']]


def events(client):
    """What happened to stored data, the newest first."""
    return client.want(200, 'GET', '/tintype/v1/events').json()['events']


def writes_to_no_other_bucket(context):
    """Where another box's store answers in its bucket's place, a box waits, says so, and changes nothing."""
    data = context.random.randbytes(3 << 20)
    with context.server(context.work / 's3') as server:
        if not server.has_files:
            raise NotRun('the files of this server cannot be seen')
        with bucket_box(context, server) as box:
            box.start()
            image = admin(box).add('kept', data)
            equal('stop', box.stop(), 0)
            server.kill()
            box.start()
            client = admin(box)
            own, moved = server.folder / 'data' / BUCKET / 'a' / 'box', server.folder / 'moved'
            own.rename(moved)
            shutil.copytree(moved, own)
            for name in ('tintype-store', 'tintype-store-copy'):
                (own / name).unlink()
            # The header of a store that was never this box's.
            header = {**json.loads((moved / 'tintype-store').read_text()), 'id': '00' * 16}
            (own / 'tintype-store').write_text(json.dumps(header))
            before = contents(own)
            server.start()
            wait_until('a look at it', lambda: 'cannot be used' in box.log.read_text())
            has('the log', box.log.read_text(), 'the store there is ' + '00' * 16)
            equal('upload', client.upload(client.create('refused'), data).status, 503)
            equal('delete', client.delete(image).status, 204)
            expect(box.command('gc')[0] != 0, 'it reclaimed in another\'s store')
            equal('what lies there', contents(own), before)
            equal('stop', box.stop(), 0)
            equal('what lies there after the stop', contents(own), before)
            # A start that meets it is refused.
            status, said = box.refused_start()
            equal('exit status', status, 1)
            has('the refusal', said, 'does not belong to this catalog')
            equal('what lies there after that', contents(own), before)


def contents(folder):
    """Every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def sealed_box_needs_its_ring(context):
    """A sealed box says why it cannot start without its bucket, and starts with it again."""
    data = context.random.randbytes(3 << 20)
    with context.server(context.work / 's3') as server:
        with bucket_box(context, server, store_key_file=context.work / 'key') as box:
            status, said = box.command('init', '--sealed')
            expect(status == 0, f'init --sealed ended with {status}: {said}')
            box.start()
            image = admin(box).add('kept', data)
            equal('stop', box.stop(), 0)
            server.kill()
            status, said = box.refused_start()
            equal('exit status', status, 1)
            has('the refusal', said, 'the key ring')
            has('the refusal', said, f's3://{BUCKET}/a/box')
            server.start()
            box.start()
            admin(box).expect_whole(image, data)
            equal('check', box.check(), [])


def lies_are_not_believed(context):
    """Failures, lost answers, slow, short and corrupt bodies: what was acknowledged is exact."""
    faults = ['500', '503', 'lost', 'unanswered', 'slow', 'short', 'corrupt']
    with (context.server(context.work / 's3') as server, Proxy(server.port, context.seed) as proxy,
          bucket_box(context, server, proxy.port, bucket_cache_bytes=16 << 20) as box):
        box.start()
        client = admin(box)
        proxy.faults, proxy.share = faults, 0.15
        stored, told = {}, 0
        for number in range(8):
            data = context.random.randbytes(context.random.choice([3 << 10, 3 << 20, 16 << 20]))
            image = client.create(f'image {number}')
            reply = client.upload(image, data)
            if reply.status == 204:
                stored[image] = data
            else:
                equal(f'upload {number}: {reply.text()}', reply.status, 503)
                told += 1
        exact = broken = 0
        for image, data in [*stored.items()] * 3:
            try:
                reply = client.ask('GET', f'/v2/images/{image}/file')
            except LOST:
                broken += 1
                continue
            if reply.status == 200:
                expect(reply.body == data, f'image {image} came with other bytes')
                exact += 1
            else:
                expect(reply.status in (500, 503), f'image {image}: {reply.status} {reply.text()}')
                broken += 1
        box.command('gc')
        proxy.faults = []
        print(f'    {len(stored)} stored, {told} told to repeat; {exact} exact downloads, {broken} broken off; '
              f'{proxy.requests} requests, faults {proxy.seen}; '
              f'{figure(client, "tintype_bucket_retries_total")} retries')
        expect(len(stored) > 0 and exact > 0, 'nothing got through')
        for fault in faults:
            expect(proxy.seen.get(fault), f'no request met {fault}; the seed shows nothing')
        for image, data in stored.items():
            client.expect_whole(image, data)
        equal('check', box.check(), [])
        # What could not be removed either, in all this, goes with the next start.
        equal('stop', box.stop(), 0)
        box.start()
        expect_nothing_left(server, box, admin(box))


def rot(path, choices):
    """Changes one byte of a file."""
    content = bytearray(path.read_bytes())
    content[choices.randrange(len(content))] ^= 0x20
    path.write_bytes(content)


def expect_put_right(box, image, data, folder):
    """Rots every pack and manifest below `folder` while the box is off; fails unless its start on copies heals all."""
    objects = [path for kind in ('pack', 'manifest') for path in (folder / kind).rglob('*')
               if path.is_file() and not path.name.startswith('.')]
    expect(objects, f'there are no objects in {folder}')
    good = {path: path.read_bytes() for path in objects}
    for path in objects:
        rot(path, random.Random(str(path)))
    box.start()
    client = admin(box)
    equal('damaged objects', box.result('scrub')['damaged_objects'], 0)
    client.expect_whole(image, data)
    equal('objects put right', figure(client, 'tintype_copied_objects_total'), len(objects))
    for path, content in good.items():
        expect(path.read_bytes() == content, f'{path} is not what it was')
    equal('check', box.check(), [])
    equal('stop', box.stop(), 0)


def copies_put_it_right(context):
    """What rots of a store in a directory is put right from a mirror in a bucket, and the other way round."""
    data = context.random.randbytes(6 << 20)
    with context.server(context.work / 's3') as server:
        if not server.has_files:
            raise NotRun('the files of this server cannot be seen')
        mirror = server.folder / 'data' / BUCKET / 'mirror'
        folder = context.work / 'local'
        folder.mkdir()
        places = json.dumps([f's3://{BUCKET}/mirror'])
        with Box(context.binary, folder, variables=variables(server), repair_copies=places) as box:
            box.start()
            image = admin(box).add('kept', data)
            equal('stop', box.stop(), 0)
            shutil.copytree(box.data / 'store', mirror)
            expect_put_right(box, image, data, box.data / 'store')
        copy = context.work / 'copy'
        # Nothing is silent here: a server that has much else to do may take its time.
        patience = {'bucket_request_timeout_s': 30, 'bucket_operation_timeout_s': 60}
        with bucket_box(context, server, repair_copies=json.dumps([str(copy)]), bucket_cache_bytes=0,
                        **patience) as box:
            box.start()
            image = admin(box).add('kept', data)
            equal('stop', box.stop(), 0)
            below = server.folder / 'data' / BUCKET / 'a' / 'box'
            shutil.copytree(below, copy)
            expect_put_right(box, image, data, below)


def quietly(action, *arguments):
    """Does what may be cut off."""
    try:
        action(*arguments)
    except (*LOST, Failed):
        pass


CASES = [
    keeps_every_promise,
    refuses_what_it_cannot_use,
    stores_images,
    survives_its_own_death,
    survives_a_restart_of_the_server,
    answers_without_its_bucket,
    starts_without_its_bucket,
    caches_what_it_is_told_to,
    writes_to_no_other_bucket,
    sealed_box_needs_its_ring,
    lies_are_not_believed,
    copies_put_it_right,
]
