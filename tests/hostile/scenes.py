"""What is done with the corpus: each scene brings files through a door and fails unless all of them were refused as they must.

A scene is a generator of titles, one for each group of files that passed.
"""

import dataclasses
import threading

import iso
import mixed
import ova
import qcow2
import raw
import vdi
import vhd
import vhdx
import vmdk
import wrapped
from client import LOST
from doors import DOORS, TUS
from made import Case
from verdict import equal, expect

MAKERS = (qcow2, vmdk, vhd, vhdx, vdi, iso, ova)
CORPUS = [case for maker in (*MAKERS, mixed) for case in maker.cases()]
LATE = [case for maker in (qcow2, vmdk) for case in maker.late()]
# A file in a bucket is what its bytes say, and its name must not say otherwise: what is told by that has words of its own.
FROM_BUCKET = ('the file is named', 'the content looks like', 'and min_disk is 1024 GiB')
# States that an image which was refused may be in, by door.
REFUSED_STATES = {'bucket': (None, 'killed'), 'command': (None, 'queued'), 'reference': ('active',)}


def in_order(door):
    """Files in order are taken: the door works, and the corpus is refused for what is wrong with it."""
    def scene(place):
        for maker in MAKERS:
            claim = maker.__name__
            case = Case(f'a good {claim}', claim, maker.good())
            if maker is ova:
                case = Case('a good OVA', 'vmdk', maker.good(), container='ova')
            if not passes(door, case):
                continue
            answer = DOORS[door][0](place, case)
            expect(answer.is_taken, f'{case.name} was refused: {answer}')
            equal(f'the data of {case.name}', place.client.data(answer.image) == case.data, True)
            place.client.want(204, 'DELETE', f'/v2/images/{answer.image}')
    return scene


def passes(door, case):
    """Whether a case can come in by this door at all."""
    # A bucket's files are not declared to be of formats that have no marks, and what is no container at all is raw there.
    return door != 'bucket' or (case.container == 'bare' and case.claim != 'ploop')


def refused(door, every):
    """The corpus is refused, each file with its code, and nothing of it is left."""
    bring, status = DOORS[door]
    # All go through the first door; through each other one go other files than through the one before it.
    number = list(DOORS).index(door)
    brought = [case for case in CORPUS[number % every::every] if passes(door, case)] if number else CORPUS

    def scene(place):
        before, count, wrong = place.stored_bytes(), 0, []
        for case in brought:
            answer = bring(place, case)
            place.told.append(answer.text)
            wrong += [f'{case.name}: {said}' for said in faults(place, door, case, answer, status)]
            if answer.image and place.client.show(answer.image) is not None:
                place.client.want(204, 'DELETE', f'/v2/images/{answer.image}')
            count += 1
        expect(count > 100 / (every if number else 1), f'only {count} cases')
        expect(not wrong, f'{len(wrong)} of {count}:\n  ' + '\n  '.join(wrong))
        equal('stored bytes', place.stored_bytes(), before)
    return scene


def faults(place, door, case, answer, status):
    """What is wrong with how a case was refused."""
    if answer.is_taken:
        return ['it was taken']
    found = []
    if answer.status != status:
        found.append(f'status {answer.status!r}, not {status!r}')
    says = case.says + (FROM_BUCKET if door == 'bucket' else ())
    if not dataclasses.replace(case, says=says).is_said(answer.text):
        found.append(f'it was told {answer.text!r}, not {case.code or case.says}')
    record = place.client.show(answer.image) if answer.image else None
    state = record and record['status']
    if state not in REFUSED_STATES.get(door, ('queued',)):
        found.append(f'its image is {state}')
    if record and (record.get('checksum') or record.get('os_hash_value')):
        found.append('its image has digests')
    return found


def no_upload_is_left(place):
    """An upload in parts that was refused is gone, and nothing goes on with it."""
    image = place.client.create('parts', disk_format='qcow2')
    data = qcow2.backing('x')
    begun = place.client.want(
        201, 'POST', f'/tintype/v1/images/{image}/uploads', None, {**TUS, 'Upload-Length': str(len(data))})
    path = begun.headers['location']
    part = {**TUS, 'Upload-Offset': '0', 'Content-Type': 'application/offset+octet-stream'}
    place.client.want(415, 'PATCH', path, data, part)
    reply = place.client.ask('HEAD', path, None, TUS)
    expect(reply.status in (404, 410), f'the upload is there: {reply.status}')
    place.client.want(204, 'DELETE', f'/v2/images/{image}')


def late(place):
    """What only its compressed data is wrong in is kept as it is, and no disk comes out of it by any way."""
    for case in LATE:
        image = place.client.create(case.name, disk_format=case.claim)
        equal(case.name, place.client.upload(image, case.data).status, 204)
        equal(f'the data of {case.name}', place.client.data(image) == case.data, True)
        for form in ('raw', 'qcow2', 'vmdk'):
            said = told_of_file(place, image, form)
            expect(case.is_said(said), f'{case.name} as {form}: {said!r}')
        status, said = place.box.command('image', 'inspect', image)
        expect(status in (0, 1), f'inspecting {case.name} ended with {status}: {said}')
        place.client.want(204, 'DELETE', f'/v2/images/{image}')


def told_of_file(place, image, form):
    """What a download in another format is refused with; or that it broke off."""
    try:
        reply = place.client.ask('GET', f'/tintype/v1/images/{image}/file?format={form}')
    except LOST:
        return '(bad-data)'  # It was found on the way: the client has a broken transfer.
    expect(reply.status != 200, f'{image} as {form} came whole')
    return reply.text()


def many_at_once(place):
    """Sixteen clients that send the largest tables at once: memory is bounded for all of them together."""
    case = Case('largest tables', 'vdi', vdi.largest_map(), 'bad-table')
    ends = []

    def send():
        image = place.client.create('largest', disk_format='vdi')
        ends.append(place.client.upload(image, case.data).status)
        place.client.want(204, 'DELETE', f'/v2/images/{image}')

    clients = [threading.Thread(target=send) for _ in range(16)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    equal('statuses', set(ends), {415})
    place.expect_well()


def opened_at_once(place):
    """Sixteen clients that ask what lies in the largest tables at once; and while one of such a disk takes nothing, others are read."""
    data = vdi.largest_hole()
    large = []
    for number in range(4):
        # Each another stream: nobody shares what another has open.
        large.append(place.client.create('large', disk_format='vdi'))
        own = data[:-1] + bytes([number])
        equal('upload of a large disk', place.client.upload(large[-1], own).status, 204)
    ends = []
    asked = [threading.Thread(target=lambda image=image: ends.append(extents(place, image))) for image in large * 4]
    for client in asked:
        client.start()
    for client in asked:
        client.join()
    # Two cannot be kept beside each other: who comes second while another looks is told to come again.
    equal('statuses', set(ends) - {503}, {200})
    small = place.client.create('small', disk_format='vdi')
    equal('upload of a small disk', place.client.upload(small, vdi.good()).status, 204)
    raw_disk = place.client.add('raw', bytes(1 << 20))
    with place.client.connect() as idle:
        request = f'GET /tintype/v1/images/{large[0]}/file?format=raw HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {place.client.token}\r\n\r\n'
        idle.sendall(request.encode())
        equal('start of the answer', idle.recv(12), b'HTTP/1.1 200')
        equal('the same disk', extents(place, large[0]), 200)
        equal('another of the largest', extents(place, large[1]), 503)
        equal('a small one', extents(place, small), 200)
        equal('a raw one', extents(place, raw_disk), 200)
    for image in (*large, small, raw_disk):
        place.client.want(204, 'DELETE', f'/v2/images/{image}')


def extents(place, image):
    """The status of an answer that tells where a disk has data."""
    return place.client.ask('GET', f'/tintype/v1/images/{image}/extents').status


def unwrapped(door):
    """What cannot be unwrapped, or is something else inside, is refused, and nothing of it is left."""
    bring, status = DOORS[door]

    def scene(place):
        before, wrong = place.stored_bytes(), []
        good = Case('a good wrapper', 'qcow2', wrapped.gz(qcow2.good()))
        answer = bring(place, good)
        expect(answer.is_taken, f'{good.name} was refused: {answer}')
        equal('what was in it', place.client.data(answer.image) == qcow2.good(), True)
        place.client.want(204, 'DELETE', f'/v2/images/{answer.image}')
        for case in wrapped.cases():
            answer = bring(place, case)
            place.told.append(answer.text)
            wrong += [f'{case.name}: {said}' for said in faults(place, door, case, answer, status)]
            place.client.want(204, 'DELETE', f'/v2/images/{answer.image}')
        expect(not wrong, '\n  '.join([str(len(wrong)), *wrong]))
        equal('stored bytes', place.stored_bytes(), before)
    return scene


def programme(every=1):
    """Boxes by name, the settings of each, and the scenes that it plays; one file of so many goes through a door."""
    boxes = {door: ('', [named(in_order, door), named(refused, door, every)]) for door in DOORS}
    boxes['out'] = '', [no_upload_is_left, late, raw.stays_raw, raw.of_another_image, raw.captured]
    boxes['at-once'] = '', [many_at_once, opened_at_once]
    for door in ('stage', 'web'):
        boxes[f'unwrapping-{door}'] = 'decompress = true\n', [named(unwrapped, door)]
    return boxes


def named(scene, *given):
    """A scene at a door, under its own title."""
    played = scene(*given)
    played.__doc__ = scene.__doc__
    return played
