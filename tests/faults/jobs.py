"""Imports, exports and copies by jobs, with the server killed and stopped in the middle of them: every job that was
answered ends well, with exactly its bytes, and nothing half is ever seen in a bucket."""

import hashlib
import json
import threading

from box import Box, wait_until
from client import Client, admin
from verdict import equal, expect

MIB = 1 << 20
ROUNDS, ROUNDS_LONG = 6, 60
# Enough that a job is still under way when the server is killed.
FILE_BYTES = 48 * MIB


def exchanging_box(context):
    """A box with two buckets, that has not been started yet."""
    for name in ('in', 'out'):
        (context.work / name).mkdir()
    sections = [f'[[exchange]]\nname = "{name}"\nlocation = "{context.work / name}"\nread = ["*"]\nwrite = ["*"]\n'
                for name in ('in', 'out')]
    settings = context.work / 'settings.toml'
    settings.write_text(''.join(sections))
    return Box(context.binary, context.work, variables={'TINTYPE_CONFIG': str(settings)})


def ask(client, path, **body):
    """Begins a job; its id."""
    return client.want(200, 'POST', path, json.dumps(body)).json()['job_id']


def shown(client, job):
    """A job as it is now."""
    return client.want(200, 'GET', f'/v1/cloudimages/job/{job}').json()


def is_over(client, job):
    """A job, once it has ended."""
    found = shown(client, job)
    return found if found['status'] in ('SUCCESS', 'FAIL') else None


def under_fire(context, box, job):
    """Waits for a job, with the server killed or stopped a few times; a client and the job as it ended."""
    client, kills = admin(box), 0
    for _ in range(4):
        if context.random.random() < 0.7:
            end = threading.Timer(context.random.uniform(0, 0.3), box.process.kill)
            end.start()
            end.join()
            box.ended()
            kills += 1
        else:
            equal('exit status', box.stop(), 0)
        box.start()
        client = Client(box.url, client.token)
        expect(not half_written(context), f'half an object is seen: {half_written(context)}')
    found = wait_until('the end of a job', lambda: is_over(client, job), 120)
    return client, found


def half_written(context):
    """Objects of the bucket that exports go to whose bytes are not a whole file."""
    names = [path for path in (context.work / 'out').iterdir() if not path.name.startswith('.tintype-')]
    return [path.name for path in names if path.stat().st_size != FILE_BYTES]


def killed_in_between(context):
    """Jobs that the server dies under are done after it is back."""
    with exchanging_box(context) as box:
        box.start()
        client = admin(box)
        for number in range(ROUNDS_LONG if context.long else ROUNDS):
            data = context.random.randbytes(FILE_BYTES)
            (context.work / 'in' / f'{number}.raw').write_bytes(data)
            job = ask(client, '/v2/cloudimages/action', name=f'i{number}', image_url=f'in:{number}.raw', min_disk=1)
            client, found = under_fire(context, box, job)
            equal('an import', (found['status'], found['fail_reason']), ('SUCCESS', None))
            image = found['entities']['image_id']
            client.expect_whole(image, data)
            job = ask(client, f'/v1/cloudimages/{image}/file', bucket_url=f'out:{number}.raw', file_format='raw')
            client, found = under_fire(context, box, job)
            equal('an export', (found['status'], found['fail_reason']), ('SUCCESS', None))
            exported = (context.work / 'out' / f'{number}.raw').read_bytes()
            equal('exported bytes', hashlib.sha256(exported).digest(), hashlib.sha256(data).digest())
            job = ask(client, f'/v1/cloudimages/{image}/copy', name=f'c{number}')
            client, found = under_fire(context, box, job)
            equal('a copy', (found['status'], found['fail_reason']), ('SUCCESS', None))
            copy = found['entities']['image_id']
            equal('a delete', client.delete(image).status, 204)
            equal('gc', client.gc().status, 200)
            client.expect_whole(copy, data)
            equal('a delete', client.delete(copy).status, 204)
        left = [path.name for path in (context.work / 'out').iterdir() if path.name.startswith('.tintype-')]
        equal('left-overs beside exports', left, [])
        box.result('check')
        equal('exit status', box.stop(), 0)


def queued_over_a_kill(context):
    """Jobs that wait when the server is killed are there, in their order, and done."""
    with exchanging_box(context) as box:
        box.settings['jobs_imports_max'] = 1
        box.start()
        client = admin(box)
        data = context.random.randbytes(2 * MIB)
        (context.work / 'in' / 'a.raw').write_bytes(data)
        jobs = [ask(client, '/v2/cloudimages/action', name=f'i{number}', image_url='in:a.raw', min_disk=1)
                for number in range(40)]
        box.kill()
        box.start()
        client = Client(box.url, client.token)
        for job in jobs:
            found = wait_until('the end of a job', lambda: is_over(client, job), 120)
            equal('an import', (found['status'], found['fail_reason']), ('SUCCESS', None))
        begun = [shown(client, job)['begin_time'] for job in jobs]
        equal('the order', begun, sorted(begun))
        equal('exit status', box.stop(), 0)


CASES = [killed_in_between, queued_over_a_kill]
