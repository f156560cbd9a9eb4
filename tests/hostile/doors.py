"""Every way by which data gets into a box, as one function each: what the sender is told, and which image it was for.

A door gives an `Answer`. It fails (`verdict.Failed`) only where the door itself does not work. Nothing here knows what must be
refused.
"""

import dataclasses
import json
import time

from client import OCTETS
from verdict import Failed, equal

JOB_TIME_MAX_S = 60
TUS = {'Tus-Resumable': '1.0.0'}
REFUSED = 415


@dataclasses.dataclass(frozen=True)
class Answer:
    """What became of some data: whether it was taken, by which status, what was said, and the image."""

    is_taken: bool
    status: object
    text: str
    image: str


def settled(client, image, away_from):
    """The image's record once it is in none of these states."""
    end = time.monotonic() + JOB_TIME_MAX_S
    while True:
        record = client.show(image)
        if record is None or record['status'] not in away_from:
            return record
        if time.monotonic() > end:
            raise Failed(f'image {image} stays {record["status"]}')
        time.sleep(0.01)


def new_image(client, case):
    """An image that waits for the case's data."""
    return client.create(case.name, disk_format=case.claim, container_format=case.container)


def put_file(place, case):
    """PUT /v2/images/ID/file"""
    image = new_image(place.client, case)
    reply = place.client.upload(image, case.data)
    return Answer(reply.status == 204, reply.status, reply.text(), image)


def task_ended(client, image):
    """The end of an image's import: whether it is active, and what its task says."""
    record = settled(client, image, ('importing', 'uploading', 'saving'))
    if record is not None and record['status'] == 'active':
        return Answer(True, 'success', '', image)
    end = time.monotonic() + JOB_TIME_MAX_S
    while True:
        tasks = client.want(200, 'GET', f'/v2/images/{image}/tasks').json()['tasks']
        if tasks and tasks[0]['status'] in ('success', 'failure'):
            return Answer(False, tasks[0]['status'], tasks[0]['message'], image)
        if time.monotonic() > end:
            raise Failed(f'the import of {image} has no end: {tasks}')
        time.sleep(0.01)


def imported(client, image, method):
    """Asks for an import and waits for its end."""
    reply = client.ask('POST', f'/v2/images/{image}/import', json.dumps({'method': method}), {'Content-Type': 'application/json'})
    if reply.status != 202:
        return Answer(False, reply.status, reply.text(), image)
    return task_ended(client, image)


def staged(place, case):
    """PUT /v2/images/ID/stage and an import of it"""
    image = new_image(place.client, case)
    equal('stage', place.client.ask('PUT', f'/v2/images/{image}/stage', case.data, OCTETS).status, 204)
    return imported(place.client, image, {'name': 'glance-direct'})


def downloaded(place, case):
    """web-download"""
    image = new_image(place.client, case)
    return imported(place.client, image, {'name': 'web-download', 'uri': place.web.offer(case.data)})


def by_location(place, case):
    """POST /v2/images/ID/locations"""
    image = new_image(place.client, case)
    body = json.dumps({'url': place.web.offer(case.data)})
    reply = place.client.ask('POST', f'/v2/images/{image}/locations', body, {'Content-Type': 'application/json'})
    if reply.status not in (200, 201, 202):
        return Answer(False, reply.status, reply.text(), image)
    return task_ended(place.client, image)


def by_reference(place, case):
    """a location by PATCH, whose data is fetched when it is read"""
    image = new_image(place.client, case)
    patched = place.client.patch(image, {
        'op': 'add', 'path': '/locations/-', 'value': {'url': place.web.offer(case.data), 'metadata': {}}})
    equal(f'a location of {case.name}', patched.status, 200)
    reply = place.client.ask('GET', f'/v2/images/{image}/file')
    return Answer(reply.status == 200, reply.status, reply.text() if reply.status != 200 else '', image)


def in_parts(place, case):
    """tus, in two parts"""
    image = new_image(place.client, case)
    headers = {**TUS, 'Upload-Length': str(len(case.data))}
    begun = place.client.ask('POST', f'/tintype/v1/images/{image}/uploads', None, headers)
    equal(f'an upload of {case.name}', begun.status, 201)
    half = len(case.data) // 2
    for at, part in ((0, case.data[:half]), (half, case.data[half:])):
        reply = place.client.ask('PATCH', begun.headers['location'], part, {
            **TUS, 'Upload-Offset': str(at), 'Content-Type': 'application/offset+octet-stream'})
        if reply.status != 204:
            return Answer(False, reply.status, reply.text(), image)
    return Answer(True, reply.status, '', image)


def by_command(place, case):
    """tintype image import"""
    file = place.folder / f'case.{case.claim}'
    file.write_bytes(case.data)
    status, said = place.box.command(
        '--json', 'image', 'import', '--name', case.name, '--disk-format', case.claim, '--container-format', case.container, file)
    file.unlink()
    named = [image for image, record in place.client.all().items() if record['name'] == case.name]
    return Answer(status == 0, status, said, named[0] if named else '')


def from_bucket(place, case):
    """POST /v2/cloudimages/action, from a bucket"""
    key = f'case.{case.claim}'
    (place.bucket / key).write_bytes(case.data)
    body = {'name': 'from a bucket', 'image_url': f'incoming:{key}', 'min_disk': 1024, 'os_version': 'CentOS 7.0 64bit'}
    if case.claim == 'iso':
        body['type'] = 'IsoImage'
    reply = place.client.ask('POST', '/v2/cloudimages/action', json.dumps(body), {'Content-Type': 'application/json'})
    if reply.status != 200:
        return Answer(False, reply.status, reply.text(), '')
    project = place.client.want(200, 'GET', '/v3/auth/tokens', None, {'X-Subject-Token': place.client.token}).json()
    project, end = project['token']['project']['id'], time.monotonic() + JOB_TIME_MAX_S
    while True:
        job = place.client.want(200, 'GET', f'/v1/{project}/jobs/{reply.json()["job_id"]}').json()
        if job['status'] in ('SUCCESS', 'FAIL'):
            break
        if time.monotonic() > end:
            raise Failed(f'the job has no end: {job}')
        time.sleep(0.01)
    (place.bucket / key).unlink()
    image = job['entities'].get('image_id', '')
    return Answer(job['status'] == 'SUCCESS', job['status'], job.get('fail_reason') or '', image)


# Each door, and the status that a refusal has there.
DOORS = {
    'put': (put_file, REFUSED),
    'stage': (staged, 'failure'),
    'web': (downloaded, 'failure'),
    'location': (by_location, 'failure'),
    'reference': (by_reference, REFUSED),
    'parts': (in_parts, REFUSED),
    'command': (by_command, 1),
    'bucket': (from_bucket, 'FAIL'),
}
