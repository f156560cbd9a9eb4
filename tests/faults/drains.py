"""Being told to stop while uploads run: they finish, then the process ends well."""

import signal
import threading

from aborts import MIB, begin
from box import Box, wait_until
from client import LOST, admin
from verdict import equal, expect, has


def half_uploaded(client, data):
    """An image whose upload has begun, and the connection it arrives on."""
    image = client.create('running')
    connection = begin(client, image, f'Content-Length: {len(data)}')
    connection.sendall(data[:len(data) // 2])
    wait_until('saving', lambda: client.show(image)['status'] == 'saving')
    return image, connection


def uploads_finish(context):
    """SIGTERM while uploads run: they finish, new connections are refused, status 0."""
    data = [context.random.randbytes(2 * MIB) for _ in range(3)]
    with Box(context.binary, context.work) as box:
        box.start()
        client = admin(box)
        running = [half_uploaded(client, piece) for piece in data]
        box.signal(signal.SIGTERM)
        wait_until('the listener closes', lambda: refuses(client))
        for piece, (_, connection) in zip(data, running):
            with connection:
                connection.sendall(piece[len(piece) // 2:])
                equal('answer', connection.makefile('rb').readline().split()[1], b'204')
        equal('exit status', box.ended(), 0)
        box.start()
        client = admin(box)
        for piece, (image, _) in zip(data, running):
            client.expect_whole(image, piece)
        equal('exit status', box.stop(), 0)


def second_signal(context):
    """A second SIGTERM does not wait for running uploads; their images are queued after it."""
    data = context.random.randbytes(2 * MIB)
    with Box(context.binary, context.work, server_drain_s=600) as box:
        box.start()
        client = admin(box)
        image, connection = half_uploaded(client, data)
        with connection:
            box.signal(signal.SIGTERM)
            wait_until('the listener closes', lambda: refuses(client))
            expect(box.runs(), 'the server did not wait for a running upload')
            box.signal(signal.SIGTERM)
            equal('exit status', box.ended(), 0)
        has('log', box.said(), 'second signal')
        box.start()
        client = admin(box)
        equal('the image is', client.show(image)['status'], 'queued')
        equal('upload', client.upload(image, data).status, 204)
        client.expect_whole(image, data)
        equal('exit status', box.stop(), 0)


def deadline(context):
    """An upload that outlives the drain is ended at its deadline; its image is queued after it."""
    data = context.random.randbytes(2 * MIB)
    with Box(context.binary, context.work, server_drain_s=1) as box:
        box.start()
        client = admin(box)
        image, connection = half_uploaded(client, data)
        with connection:
            equal('exit status', box.stop(), 0)
        has('log', box.said(), 'outlived the drain')
        box.start()
        client = admin(box)
        equal('the image is', client.show(image)['status'], 'queued')
        equal('exit status', box.stop(), 0)


def idle_clients(context):
    """Clients that merely stay connected do not hold a stop up."""
    with Box(context.binary, context.work, server_drain_s=600) as box:
        box.start()
        client = admin(box)
        idle = [client.connect() for _ in range(3)]
        idle[0].sendall(b'GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n')
        has('answer', idle[0].recv(1000).decode(), '200')
        equal('exit status', box.stop(), 0)
        for connection in idle:
            connection.close()


def refuses(client):
    """Whether no new connection is taken."""
    try:
        client.connect().close()
    except LOST:
        return True
    return False


CASES = [uploads_finish, second_signal, deadline, idle_clients]
