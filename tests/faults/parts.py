"""Uploads in parts and their downloads, with the server killed between and during requests, the
client killed, and connections that break: what was acknowledged stays, and the end is exact."""

import hashlib
import subprocess
import threading
import time

from box import Box, plain_box, sealed_box, wait_until
from client import LOST, Client, admin
from verdict import equal, expect

MIB = 1 << 20
TUS = {'Tus-Resumable': '1.0.0'}
IMAGES, IMAGES_LONG = 3, 60
# Enough that a transfer of it is still under way when the server is killed.
FILE_BYTES = 160 * MIB


def begin(client, image, length):
    """Begins an upload in parts; its path."""
    headers = {**TUS, 'Upload-Length': str(length)}
    return client.want(201, 'POST', f'/tintype/v1/images/{image}/uploads', None, headers).headers['location']


def stands(client, upload):
    """Where an upload stands."""
    reply = client.want(200, 'HEAD', upload, None, TUS)
    return int(reply.headers['upload-offset'])


def send(client, upload, offset, data):
    """Sends a part; where the upload stands then, or None when the server went away."""
    headers = {**TUS, 'Upload-Offset': str(offset), 'Content-Type': 'application/offset+octet-stream'}
    try:
        reply = client.ask('PATCH', upload, data, headers)
    except LOST:
        return None
    equal('status of a part', reply.status, 204)
    return int(reply.headers['upload-offset'])


def send_under_fire(box, client, upload, data, choices):
    """Sends all of it, with the server killed at random; how often that cut a part off."""
    acknowledged, cut, kills = 0, 0, 0
    while True:
        offset = stands(client, upload)
        expect(acknowledged <= offset, f'{acknowledged} bytes were acknowledged, the upload stands at {offset}')
        acknowledged = offset
        if offset == len(data):
            return cut
        part = data[offset:offset + choices.choice([1, 4096, 100_000, MIB, 3 * MIB, len(data)])]
        killer = None
        if kills < 6 and choices.random() < 0.7:
            kills += 1
            killer = threading.Timer(choices.uniform(0, 0.25), box.process.kill)
            killer.start()
        answered = send(client, upload, offset, part)
        if answered is not None:
            equal('offset after a part', answered, offset + len(part))
            acknowledged = answered
        if killer:
            killer.join()
            box.ended()
            cut += answered is None
            box.start()
            client = Client(box.url, client.token)


def under_fire(context, box):
    """Several images, each sent under fire."""
    choices, cut = context.random, 0
    box.settings.update(reclaim_delay_s=0, reclaim_interval_s=1, reclaim_start_delay_s=0)
    with box:
        box.start()
        token = admin(box).token
        for number in range(IMAGES_LONG if context.long else IMAGES):
            data = bytes(choices.randrange(2 * MIB)) + choices.randbytes(choices.randrange(1, 12 * MIB))
            client = Client(box.url, token)
            image = client.create(f'parts{number}')
            cut += send_under_fire(box, client, begin(client, image, len(data)), data, choices)
            client = Client(box.url, token)
            client.expect_whole(image, data)
            equal('delete', client.delete(image).status, 204)
        equal('damaged images', box.check(), [])
        box.result('gc')
        box.result('gc')
        kept = [str(path) for path in box.objects() if path.parts[-3] in ('pack', 'manifest')]
        equal('image data in an emptied store', kept, [])
        print(f'  {cut} parts cut off by kills')
        equal('exit status', box.stop(), 0)


def plain(context):
    """Parts with the server killed between and during them: each offset told stays, the end is exact."""
    under_fire(context, plain_box(context, context.work / 'box'))


def sealed(context):
    """The same on a sealed store."""
    under_fire(context, sealed_box(context, context.work / 'box'))


def broken_connection(context):
    """A client whose connection breaks finds what had arrived, also when it asks at once."""
    data = context.random.randbytes(5 * MIB)
    with Box(context.binary, context.work, store_pack_bytes=MIB) as box:
        box.start()
        client = admin(box)
        image = client.create('broken')
        upload = begin(client, image, len(data))
        head = [f'PATCH {upload} HTTP/1.1', 'Host: box', f'X-Auth-Token: {client.token}', 'Upload-Offset: 0',
                'Tus-Resumable: 1.0.0', 'Content-Type: application/offset+octet-stream', f'Content-Length: {len(data)}']
        connection = client.connect()
        connection.sendall('\r\n'.join([*head, '', '']).encode() + data[:3 * MIB])
        time.sleep(0.5)
        # The old connection still stands: asking takes the upload over from it.
        offset = wait_until('bytes arrived', lambda: stands(client, upload))
        expect(0 < offset <= 3 * MIB, f'{offset} bytes are durable')
        equal('the old request', connection.makefile('rb').readline().split()[1], b'409')
        connection.close()
        equal('the rest', send(client, upload, offset, data[offset:]), len(data))
        client.expect_whole(image, data)
        equal('exit status', box.stop(), 0)


def expiry(context):
    """An upload for which nothing comes ends: its image is queued and its space comes back."""
    with Box(context.binary, context.work, images_upload_expiry_s=8, reclaim_automatic='false') as box:
        box.start()
        client = admin(box)
        image = client.create('expired')
        upload = begin(client, image, 2 * MIB)
        equal('a part', send(client, upload, 0, context.random.randbytes(MIB)), MIB)
        equal('exit status', box.stop(), 0)
        box.start()
        client = Client(box.url, client.token)
        equal('saving after a restart', (client.show(image)['status'], stands(client, upload)), ('saving', MIB))
        wait_until('queued', lambda: client.show(image)['status'] == 'queued', 120)
        equal('the upload', client.ask('HEAD', upload, None, TUS).status, 404)
        box.result('gc')
        kept = [str(path) for path in box.objects() if path.parts[-3] in ('pack', 'manifest')]
        equal('data of an expired upload', kept, [])
        equal('exit status', box.stop(), 0)


def random_file(context):
    """A large file of noise; its path and digest."""
    path, digest = context.work / 'disk.raw', hashlib.sha512()
    with open(path, 'wb') as file:
        for _ in range(FILE_BYTES // MIB):
            piece = context.random.randbytes(MIB)
            digest.update(piece)
            file.write(piece)
    return path, digest.hexdigest()


def digest_of(path):
    """SHA-512 of a file."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha512').hexdigest()


def cli(box, *arguments):
    """The command line on a box, running."""
    command = [box.binary, '--data', box.data, '--json', *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=box.environment())


def finished(process):
    """Waits for a command; its exit status and all it said."""
    out, errors = process.communicate(timeout=300)
    return process.returncode, (out + errors).decode(errors='replace')


def arrived(box, name):
    """How much of an unfinished import is durable, and of which image."""
    client = admin(box)
    for image in client.all().values():
        if image['name'] == name and image['status'] == 'saving':
            uploads = client.want(200, 'GET', f'/tintype/v1/images/{image["id"]}/uploads').json()['uploads']
            return sum(upload['offset'] for upload in uploads)
    return 0


def saving(box, name):
    """Whether an import has begun."""
    return any(image['name'] == name and image['status'] == 'saving' for image in admin(box).all().values())


def import_goes_on(context):
    """An import outlives the server's death, and its own with --resume, but not a change of the file."""
    path, digest = random_file(context)
    with Box(context.binary, context.work) as box:
        box.start()
        process = cli(box, 'image', 'import', path, '--name', 'one')
        wait_until('saving', lambda: saving(box, 'one'))
        time.sleep(0.2)
        box.kill()
        time.sleep(1)
        box.start()
        status, said = finished(process)
        equal(f'import through a restart ({said[-400:]})', status, 0)
        equal('digest', box.result('image', 'show', 'one')['os_hash_value'], digest)

        process = cli(box, 'image', 'import', path, '--name', 'two')
        wait_until('saving', lambda: saving(box, 'two'))
        time.sleep(0.1)
        process.kill()
        finished(process)
        wait_until('bytes of a killed import', lambda: arrived(box, 'two'))
        resume = ['--json', 'image', 'import', path, '--resume', '--name']
        equal('resuming what nobody began', box.command(*resume, 'other')[0], 3)
        with open(path, 'r+b') as file:
            start = file.read(7)
            file.seek(0)
            file.write(b'changed')
        equal('resuming with another file', box.command(*resume, 'two')[0], 3)
        with open(path, 'r+b') as file:
            file.write(start)
        status, said = box.command(*resume, 'two')
        equal(f'resumed import ({said[-400:]})', status, 0)
        equal('digest', box.result('image', 'show', 'two')['os_hash_value'], digest)
        equal('exit status', box.stop(), 0)


def save_goes_on(context):
    """A save outlives the server's death, and its own: the next one goes on where it stood."""
    path, digest = random_file(context)
    out = context.work / 'out.raw'

    def waiting():
        return [part.stat().st_size for part in context.work.glob('.out.raw.*.part')]

    with Box(context.binary, context.work) as box:
        box.start()
        box.result('image', 'import', str(path), '--name', 'disk')
        process = cli(box, 'image', 'save', 'disk', out)
        wait_until('bytes saved', lambda: sum(waiting()) > MIB)
        box.kill()
        time.sleep(0.5)
        box.start()
        status, said = finished(process)
        equal(f'save through a restart ({said[-400:]})', status, 0)
        equal('digest', digest_of(out), digest)
        out.unlink()

        process = cli(box, 'image', 'save', 'disk', out)
        wait_until('bytes saved', lambda: sum(waiting()) > MIB)
        process.kill()
        finished(process)
        expect(not out.exists() and waiting(), 'a killed save leaves what arrived, under another name')
        box.result('image', 'save', 'disk', str(out))
        equal('digest', digest_of(out), digest)
        equal('parts left', waiting(), [])

        out.unlink()
        (part,) = [context.work / f'.out.raw.{digest[:16]}.part']
        part.write_bytes(b'nonsense')
        expect(box.command('image', 'save', 'disk', out)[0] == 1, 'nonsense was taken for the image')
        expect(not out.exists() and not waiting(), 'nonsense stays')
        equal('exit status', box.stop(), 0)


CASES = [plain, sealed, broken_connection, expiry, import_goes_on, save_goes_on]
