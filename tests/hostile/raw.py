"""What is declared raw is raw, whatever it looks like: any bytes are taken, and no door out reads them as anything else."""

import socket
import struct
import subprocess
import time
import urllib.parse

import mixed
import qcow2
import vhd
import vmdk
from doors import imported
from made import CANARY_PATH, Case
from verdict import NotRun, equal, expect


def misleading():
    """Files that lead elsewhere when they are taken for what they look like."""
    names = {
        'a backing file': qcow2.backing(CANARY_PATH),
        'a backing file in JSON': qcow2.backing('json:{"driver": "file", "filename": "%s"}' % CANARY_PATH),
        'external data': qcow2.extension(0x44415441, CANARY_PATH.encode()),
        'a qcow2 in order': qcow2.good(),
        'a partition table in a qcow2': mixed.mbr(qcow2.good(12)),
        'a flat VMDK inside': vmdk.good(vmdk.text('monolithicFlat', f'RW 1 FLAT "{CANARY_PATH}" 0')),
        'a fixed VHD': vhd.fixed(),
        'a differencing VHD': vhd.dynamic(vhd.footer(4)),
        **{f'VMDK text, {name}': data for name, data in vmdk.disguises().items()},
    }
    return [Case(name, 'raw', data) for name, data in names.items()]


def over_nbd(place, image):
    """A disk as an NBD client reads it: its size, and its bytes."""
    address = urllib.parse.urlsplit(place.box.ready['nbd'])
    with socket.create_connection((address.hostname, address.port), timeout=60) as client:
        def take(count):
            taken = b''
            while len(taken) < count:
                piece = client.recv(count - len(taken))
                expect(piece, 'the connection broke')
                taken += piece
            return taken

        take(18)
        client.sendall(struct.pack('>I', 3) + b'IHAVEOPT' + struct.pack('>II', 1, len(image)) + image.encode())
        size, _ = struct.unpack('>QH', take(10))
        client.sendall(struct.pack('>IHHQQI', 0x25609513, 0, 0, 7, 0, size))
        _, error, _ = struct.unpack('>IIQ', take(16))
        equal('NBD read', error, 0)
        return take(size)


def expect_raw(place, image, case):
    """Fails unless every door out has these bytes for the disk."""
    # A disk has whole sectors; what is stored has not.
    disk = case.data + bytes(-len(case.data) % 512)
    equal(f'{case.name}: data', place.client.data(image) == case.data, True)
    reply = place.client.want(200, 'GET', f'/tintype/v1/images/{image}/file?format=raw')
    expect(reply.body in (disk, case.data), f'{case.name} as raw is not itself')
    expect(over_nbd(place, image).startswith(case.data), f'{case.name} over NBD is not itself')
    packed = place.client.want(200, 'GET', f'/tintype/v1/images/{image}/file?format=qcow2').body
    equal(f'{case.name} as qcow2: backing file', packed[8:20], bytes(12))
    again = place.client.create(f'{case.name} again', disk_format='qcow2')
    equal(f'{case.name} as qcow2 and in again', place.client.upload(again, packed).status, 204)
    back = place.client.want(200, 'GET', f'/tintype/v1/images/{again}/file?format=raw').body
    expect(back.startswith(case.data), f'{case.name} is another disk after qcow2')
    status, said = place.box.command('--json', 'image', 'inspect', image)
    equal(f'{case.name}: inspect, which said {said}', status, 0)
    for gone in (image, again):
        place.client.want(204, 'DELETE', f'/v2/images/{gone}')


def stays_raw(place):
    """What is declared raw comes out as it came in, by every door."""
    for case in misleading():
        expect_raw(place, place.client.add(case.name, case.data), case)


def of_another_image(place):
    """An image that is made of a raw one of another region is raw, whatever was declared of it before."""
    case = misleading()[0]
    first = place.client.add(case.name, case.data)
    image = place.client.create('of another region', disk_format='qcow2')
    answer = imported(place.client, image, {
        'name': 'glance-download', 'glance_region': 'RegionOne', 'glance_image_id': first})
    expect(answer.is_taken, f'{answer}')
    equal('its format', place.client.show(image)['disk_format'], 'raw')
    expect_raw(place, image, case)
    place.client.want(204, 'DELETE', f'/v2/images/{first}')


def captured(place):
    """A disk of another NBD server is raw, whatever its guest wrote on it."""
    file, path = place.folder / 'disk', place.folder / 'nbd'
    for case in misleading():
        file.write_bytes(case.data)
        try:
            server = subprocess.Popen(['qemu-nbd', '-f', 'raw', '-r', '-t', '-k', path, '-x', 'disk', file])
        except FileNotFoundError:
            raise NotRun('there is no qemu-nbd here') from None
        try:
            for _ in range(200):
                if path.exists():
                    break
                time.sleep(0.02)
            record = place.box.result('image', 'capture', f'nbd+unix:///disk?socket={path}', '--name', case.name)
        finally:
            server.kill()
            server.wait()
            path.unlink(missing_ok=True)
        shown = place.client.show(record['id'])
        equal(f'{case.name}: format', (shown['status'], shown['disk_format']), ('active', 'raw'))
        expect_raw(place, record['id'], Case(case.name, 'raw', case.data + bytes(-len(case.data) % 512)))
