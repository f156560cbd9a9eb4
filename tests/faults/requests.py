"""Requests that are wrong, hostile or not requests at all.

Each ends in the documented answer, with words that help where an API answers, and the server
answers the next request.
"""

import json
import shutil
import subprocess

from box import Box, wait_until
from client import LOST, OCTETS, Client, admin, sign_in
from verdict import NotRun, equal, expect, has

MIB = 1 << 20
NOWHERE = '00000000-0000-4000-8000-000000000000'
LARGE = 24 * MIB


class Served:
    """A running box and its administrator; at the end the server still has to be well."""

    def __init__(self, context, **settings):
        self.box = Box(context.binary, context.work, **settings)

    def __enter__(self):
        self.box.start()
        return self.box, admin(self.box)

    def __exit__(self, failed, *_):
        with self.box:
            if failed:
                return
            expect(self.box.runs(), f'the server has ended: {self.box.said()}')
            equal('healthz', Client(self.box.url).ask('GET', '/healthz').status, 200)
            expect('panicked' not in self.box.said(), self.box.said())
            equal('exit status', self.box.stop(), 0)


def raw(client, request, shut=False):
    """Sends bytes as they are; all that comes back until the server closes."""
    with client.connect() as connection:
        try:
            connection.sendall(request)
            if shut:
                connection.shutdown(1)
            answer = b''
            while piece := connection.recv(65536):
                answer += piece
        except LOST as error:
            return f'(lost: {error})'
        return answer.decode(errors='replace')


def head(method, path, client, *lines):
    """The head of a request on a connection that ends with it."""
    fixed = [f'{method} {path} HTTP/1.1', 'Host: box', f'X-Auth-Token: {client.token}', 'Connection: close']
    return '\r\n'.join([*fixed, *lines, '', '']).encode()


def refused(what, reply, status, *words):
    """Expects an API's refusal: its status, an id, and words."""
    equal(what, reply.status, status)
    has(f'{what}: the id', reply.headers.get('x-openstack-request-id', ''), 'req-')
    expect(reply.body.strip(), f'{what}: an empty body')
    for word in words:
        has(what, reply.text(), word)


def answered(what, answer, status):
    """Expects the first line of a raw answer."""
    expect(answer.startswith(f'HTTP/1.1 {status}'), f'{what}: {answer[:300]!r}, not {status}')


def tokens(context):
    """No token, a wrong one, a revoked one: 401 that says where to sign in, everywhere."""
    with Served(context) as (box, client):
        image = client.add('kept', context.random.randbytes(1000))
        gone = sign_in(box.url, box.password())
        has_gone = {'X-Subject-Token': gone.token}
        equal('revoke', client.ask('DELETE', '/v3/auth/tokens', headers=has_gone).status, 204)
        bad = {'none': {}, 'empty': {'X-Auth-Token': ''}, 'wrong': {'X-Auth-Token': 'gAAAAA'},
               'long': {'X-Auth-Token': 'x' * 60_000}, 'not text': {'X-Auth-Token': b'\xff\xfe'},
               'revoked': {'X-Auth-Token': gone.token}}
        asked = [('GET', '/v2/images'), ('GET', f'/v2/images/{image}'), ('GET', f'/v2/images/{image}/file'),
                 ('DELETE', f'/v2/images/{image}'), ('POST', '/v2/images'), ('GET', '/v2/schemas/image'),
                 ('GET', '/v3/users'), ('POST', '/tintype/v1/gc')]
        for what, headers in bad.items():
            for method, path in asked:
                reply = client.ask(method, path, headers=headers, token=False)
                refused(f'{method} {path} with the token {what}', reply, 401)
                if not path.startswith('/tintype'):
                    has(f'{path}: where to sign in', reply.headers.get('www-authenticate', ''), 'Keystone uri=')
        expect(client.show(image), 'a stranger deleted an image')


def large_bodies(context):
    """A large body that is refused: the client that sends all of it first sees the answer."""
    data = context.random.randbytes(LARGE)
    with Served(context) as (_, client):
        queued, active = client.create('queued'), client.add('active', b'data')
        stranger = Client(client.url, 'wrong')
        uploads = [
            ('no token', Client(client.url), queued, OCTETS, 401),
            ('wrong token', stranger, queued, OCTETS, 401),
            ('no image', client, NOWHERE, OCTETS, 404),
            ('not queued', client, active, OCTETS, 409),
            ('not octets', client, queued, {'Content-Type': 'text/plain'}, 415),
            ('another size', client, queued, {**OCTETS, 'X-OpenStack-Image-Size': '7'}, 400),
        ]
        for what, sender, image, headers, status in uploads:
            pieces = (data[at:at + MIB] for at in range(0, LARGE, MIB))
            for how, body in [('at once', data), ('in chunks', pieces)]:
                reply = sender.ask('PUT', f'/v2/images/{image}/file', body, headers)
                refused(f'upload {how}: {what}', reply, status)
        for path in ['/v2/images', '/v3/auth/tokens']:
            refused(path, client.ask('POST', path, data, {'Content-Type': 'application/json'}), 413, 'bytes')
        equal('the image is', client.show(queued)['status'], 'queued')


def large_body_by_curl(context):
    """A large upload by curl without a token: curl shows the 401."""
    if not shutil.which('curl'):
        raise NotRun('there is no curl here')
    file = context.work / 'large'
    file.write_bytes(bytes(LARGE))
    with Served(context) as (_, client):
        image = client.create('queued')
        for expect_header in ['Expect:', 'Expect: 100-continue']:
            for framing in ['Transfer-Encoding: chunked', f'Content-Length: {LARGE}']:
                done = subprocess.run(
                    ['curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', '-X', 'PUT', '-T', file,
                     '-H', 'Content-Type: application/octet-stream', '-H', expect_header, '-H', framing,
                     f'{client.url}/v2/images/{image}/file'], capture_output=True, text=True)
                equal(f'curl with {expect_header} {framing}: {done.stderr}', (done.returncode, done.stdout), (0, '401'))


def another_project(context):
    """Another project's image is not there: 404 for every request, and in no list."""
    data = context.random.randbytes(1000)
    with Served(context) as (box, client):
        image = client.add('secret', data)
        box.result('project', 'create', 'lab')
        password = box.result('user', 'create', 'ann')['password']
        box.result('role', 'add', 'member', '--user', 'ann', '--project', 'lab')
        ann = sign_in(box.url, password, 'ann', 'lab')
        path = f'/v2/images/{image}'
        media = {'Content-Type': 'application/openstack-images-v2.1-json-patch'}
        patch = json.dumps([{'op': 'replace', 'path': '/name', 'value': 'mine'}])
        asked = [('GET', path, None, {}), ('PATCH', path, patch, media), ('DELETE', path, None, {}),
                 ('GET', f'{path}/file', None, {}), ('PUT', f'{path}/file', data, OCTETS),
                 ('PUT', f'{path}/tags/mine', None, {}), ('GET', f'{path}/members', None, {}),
                 ('POST', f'{path}/members', '{"member": "lab"}', {}), ('POST', f'{path}/actions/deactivate', None, {})]
        for method, where, body, headers in asked:
            reply = ann.ask(method, where, body, headers)
            there, nowhere = reply.text(), ann.ask(method, where.replace(image, NOWHERE), body, headers)
            refused(f'{method} {where}', reply, 404)
            equal('what tells it from no image', nowhere.text().replace(NOWHERE, image), there)
        equal('her list', ann.all(), {})
        refused('upkeep', ann.gc(), 403)
        client.expect_whole(image, data)


def json_bodies(context):
    """JSON that is broken, too deep, not UTF-8 or not what was meant: 400 that says so."""
    deep = '[' * 100_000 + ']' * 100_000
    bad = {'nothing': (b'', 'JSON'), 'half': (b'{"name": ', 'JSON'), 'deep': (deep.encode(), 'deep'),
           'not UTF-8': (b'{"name": "\xff\xfe"}', 'JSON'), 'a list': (b'[]', ''), 'a number': (b'1e400', ''),
           'half a surrogate': (b'{"name": "\\ud800"}', ''), 'a zero byte': (b'{"name": "a\\u0000b"}', ''),
           'two values': (b'{}{}', 'JSON'), 'a long name': (json.dumps({'name': 'x' * 256}).encode(), 'name')}
    with Served(context) as (_, client):
        before = client.all()
        for path in ['/v2/images', '/v3/auth/tokens', '/v3/users']:
            for what, (body, word) in bad.items():
                reply = client.ask('POST', path, body, {'Content-Type': 'application/json'})
                if reply.status in (201, 401) and what in ('a zero byte', 'a long name'):
                    continue
                refused(f'{what} to {path}', reply, 400, word if path == '/v2/images' else '')
        after = client.all()
        expect(len(after) - len(before) <= 1, f'{len(after)} images were made')


def paths(context):
    """Paths that are not UTF-8, climb, or lead nowhere: 400 or 404, never a file."""
    with Served(context) as (_, client):
        wrong = {'/v2/images/%ff%fe': 400, '/v2/images/..%2f..%2fetc%2fpasswd': 404, '/v2/images/%00': 404,
                 '/v2/../../etc/passwd': 404, '/v2/images/not-an-id': 404, '/v2/nothing': 404,
                 '/v2/images/': 404, '/v2/images?limit=x': 400, '/v2/images?marker=%ff': 400,
                 '/v2/images?sort_key=%27': 400, f'/v2/images?name={"x" * 60_000}': 200}
        for path, status in wrong.items():
            reply = client.ask('GET', path)
            if status == 200:
                equal(path[:40], reply.status, status)
            else:
                refused(path, reply, status)
        request = head('GET', '/v2/images/RAW', client).replace(b'RAW', b'\xff\xfe')
        answered('a path of raw bytes', raw(client, request), 400)


def ranges(context):
    """Ranges that no image has: 416 or 400, and the good ones give their bytes."""
    data = context.random.randbytes(300_000)
    with Served(context) as (_, client):
        path = f'/v2/images/{client.add("ranged", data)}/file'
        bad = {'bytes=300000-': 416, 'bytes=5-4': 416, 'lines=1-2': 416, 'bytes=': 416, 'bytes=a-b': 416, 'bytes=-0': 416,
               'bytes=0-1,5-6': 400, 'bytes=18446744073709551616-': 416, 'bytes=--5': 416}
        for value, status in bad.items():
            refused(f'Range {value}', client.ask('GET', path, headers={'Range': value}), status)
        for value in ['bytes 5-4/*', 'bytes 0-300000/*', 'garbage', 'bytes 0-1/7']:
            refused(f'Content-Range {value}', client.ask('GET', path, headers={'Content-Range': value}), 416)
        good = {'bytes=0-0': (0, 1), 'bytes=-5': (299_995, 300_000), 'bytes=299999-': (299_999, 300_000),
                'bytes=131071-131073': (131_071, 131_074), 'bytes=0-999999999': (0, 300_000)}
        for value, (start, end) in good.items():
            reply = client.ask('GET', path, headers={'Range': value})
            equal(f'Range {value}', (reply.status, reply.body == data[start:end]), (206, True))


def heads(context):
    """Heads over every bound: 431 and 414, seen by a client that sends all of it."""
    with Served(context) as (_, client):
        fields = [f'X-{number}: y' for number in range(500)]
        answered('500 headers', raw(client, head('GET', '/healthz', client, *fields)), 431)
        answered('one of 2 MiB', raw(client, head('GET', '/healthz', client, 'X-A: ' + 'y' * 2 * MIB)), 431)
        answered('a path of 100 KB', raw(client, head('GET', '/' + 'y' * 100_000, client)), 414)
        answered('an id of 65', raw(client, head('GET', '/v2/images', client, 'X-OpenStack-Request-ID: ' + 'y' * 65)), 431)
        answered('bytes in a header', raw(client, head('GET', '/v2/images', client) .replace(
            b'Host: box', b'Host: box\r\nX-A: \xff\xfe')), 200)


def framing(context):
    """Bodies whose framing lies or breaks: refused, and the image stays queued."""
    data = b'x' * 100
    with Served(context) as (_, client):
        image = client.create('framed')
        path, octets = f'/v2/images/{image}/file', 'Content-Type: application/octet-stream'
        chunked = 'Transfer-Encoding: chunked'
        bad = {
            'a size that is no number': ([chunked], b'zz\r\n' + data),
            'a size beyond 64 bits': ([chunked], b'fffffffffffffffff\r\n' + data),
            'a chunk without its end': ([chunked], b'64\r\n' + data + b'xx\r\n0\r\n\r\n'),
            'a negative size': ([chunked], b'-1\r\n' + data),
            'two lengths': (['Content-Length: 100', 'Content-Length: 99'], data),
            'a length that is no number': (['Content-Length: many'], data),
            'a negative length': (['Content-Length: -1'], data),
            'an unknown coding': (['Transfer-Encoding: gzip'], data),
        }
        for what, (fields, body) in bad.items():
            answered(what, raw(client, head('PUT', path, client, octets, *fields) + body), 400)
            wait_until('queued', lambda: client.show(image)['status'] == 'queued')
        answer = raw(client, head('PUT', path, client, octets, 'Content-Length: 100', chunked) + b'64\r\n' + data + b'\r\n0\r\n\r\n')
        expect(answer[9:12] in ('400', '204'), f'both lengths: {answer[:100]}')
        if answer[9:12] == '400':
            equal('upload', client.upload(image, data).status, 204)
        client.expect_whole(image, data)


def junk(context):
    """Junk instead of requests, and behind them: refused, closed, and nobody else notices."""
    choices = context.random
    with Served(context) as (_, client):
        ok = b'GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n'
        answer = raw(client, ok + b'JUNK \x00\xff\r\n\r\n')
        answered('a request before junk', answer, 200)
        has('the junk behind it', answer, 'HTTP/1.1 400')
        equal('pipelined', raw(client, 3 * ok + head('GET', '/healthz', client)).count('HTTP/1.1 200'), 4)
        for what, bytes_sent in {'TLS': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + choices.randbytes(500),
                                 'noise': choices.randbytes(4000), 'SSH': b'SSH-2.0-OpenSSH_9.2\r\n',
                                 'HTTP/9': b'GET / HTTP/9.9\r\nHost: box\r\n\r\n', 'no target': b'GET\r\n\r\n',
                                 'HTTP/2 and noise': b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + choices.randbytes(4000)}.items():
            answer = raw(client, bytes_sent, shut=True)
            expect(not answer.startswith('HTTP/1.1 2'), f'{what}: {answer[:100]}')
        for method in ['HEAD', 'TRACE', 'BREW', 'CONNECT']:
            expect(raw(client, head(method, '/v2/images', client))[9:12] in ('400', '404', '405', '501'), method)
        answered('no Host', raw(client, b'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n'), 200)
        answered('HTTP/1.0', raw(client, b'GET /healthz HTTP/1.0\r\n\r\n').replace('HTTP/1.0', 'HTTP/1.1'), 200)


def slow(context):
    """Clients that never finish a request's head are let go, and others are served meanwhile."""
    with Served(context, server_header_timeout_s=1) as (_, client):
        waiting = [client.connect() for _ in range(60)]
        for number, connection in enumerate(waiting):
            connection.sendall([b'GET /healthz HTTP/1.1\r\nX-', b'PRI * HTTP', b''][number % 3])
        equal('healthz meanwhile', client.ask('GET', '/healthz').status, 200)
        for connection in waiting:
            with connection:
                try:
                    while connection.recv(1000):
                        pass
                except ConnectionResetError:
                    pass


CASES = [tokens, large_bodies, large_body_by_curl, another_project, json_bodies, paths, ranges, heads, framing, junk, slow]
