"""Clients that go away in the middle of an upload: nothing is visible, and the next try works."""

import socket
import struct

from box import Box, wait_until
from client import OCTETS, admin
from verdict import equal, expect

MIB = 1 << 20


def begin(client, image, *headers):
    """A connection on which the head of an upload has been sent."""
    lines = [f'PUT /v2/images/{image}/file HTTP/1.1', 'Host: box', f'X-Auth-Token: {client.token}']
    lines += [f'{name}: {value}' for name, value in OCTETS.items()]
    connection = client.connect()
    connection.sendall('\r\n'.join([*lines, *headers, '', '']).encode())
    return connection


def reset(connection):
    """Ends a connection as a killed client's machine would: without a goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.close()


def chunked(data):
    """One piece of a chunked body."""
    return f'{len(data):x}\r\n'.encode() + data + b'\r\n'


def cut_off(context, *headers, encode, leave):
    """Leaves an upload half way, looks, and sends it again."""
    data = context.random.randbytes(6 * MIB)
    with Box(context.binary, context.work, store_pack_bytes=MIB) as box:
        box.start()
        client = admin(box)
        image = client.create('cut')
        connection = begin(client, image, *(header.format(len(data)) for header in headers))
        connection.sendall(encode(data[:5 * MIB]))
        wait_until('saving', lambda: client.show(image)['status'] == 'saving')
        equal('data while saving', client.ask('GET', f'/v2/images/{image}/file').status, 204)
        equal('a second upload meanwhile', client.upload(image, data).status, 409)
        leave(connection)
        wait_until('queued', lambda: client.show(image)['status'] == 'queued')
        record = client.show(image)
        equal('record', (record['size'], record['checksum'], record['os_hash_value']), (None, None, None))
        equal('data', client.ask('GET', f'/v2/images/{image}/file').status, 204)
        equal('upload again', client.upload(image, data).status, 204)
        client.expect_whole(image, data)
        equal('damaged images', box.check(), [])
        # The half that was stored was found again, so there is nothing to keep twice.
        box.result('gc')
        expect(box.store_bytes() < len(data) + 2 * MIB, f'{box.store_bytes()} bytes for one image of {len(data)}')
        equal('exit status', box.stop(), 0)


def known_length_closed(context):
    """A client that closes half way through a known length: queued, and the next try works."""
    cut_off(context, 'Content-Length: {}', encode=bytes, leave=socket.socket.close)


def known_length_reset(context):
    """A client that is killed half way through a known length: queued, and the next try works."""
    cut_off(context, 'Content-Length: {}', encode=bytes, leave=reset)


def chunked_closed(context):
    """A client that closes without the last chunk: queued, and the next try works."""
    cut_off(context, 'Transfer-Encoding: chunked', encode=chunked, leave=socket.socket.close)


def chunked_reset(context):
    """A client that is killed inside a chunk: queued, and the next try works."""
    def half_a_chunk(data):
        return chunked(data)[:-MIB]
    cut_off(context, 'Transfer-Encoding: chunked', encode=half_a_chunk, leave=reset)


def deleted_meanwhile(context):
    """An image deleted while its data arrives: 410 for the uploader, gone for everyone."""
    data = context.random.randbytes(2 * MIB)
    with Box(context.binary, context.work) as box:
        box.start()
        client = admin(box)
        image = client.create('deleted')
        with begin(client, image, f'Content-Length: {len(data)}') as connection:
            connection.sendall(data[:MIB])
            wait_until('saving', lambda: client.show(image)['status'] == 'saving')
            equal('delete', client.delete(image).status, 204)
            connection.sendall(data[MIB:])
            status = connection.makefile('rb').readline().decode()
        equal('the uploader hears', status.split()[1], '410')
        equal('record', client.show(image), None)
        equal('exit status', box.stop(), 0)


CASES = [known_length_closed, known_length_reset, chunked_closed, chunked_reset, deleted_meanwhile]
