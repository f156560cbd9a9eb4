"""The Image API as an ordinary client speaks it, and raw connections for what none would send."""

import hashlib
import http.client
import json
import socket
import urllib.parse

from verdict import Failed, equal

TIME_MAX = 60
OCTETS = {'Content-Type': 'application/octet-stream'}
# What a client sees when the server goes away under it.
LOST = (OSError, http.client.HTTPException)


class Reply:
    """An answer, whole."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self):
        """The body as JSON."""
        return json.loads(self.body)

    def text(self):
        """The body as text."""
        return self.body.decode(errors='replace')


class Client:
    """Requests to one server with one token; every request on a connection of its own."""

    def __init__(self, url, token=None):
        self.url, self.token = url, token
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port

    def ask(self, method, path, body=None, headers=(), token=True):
        """One request, one reply. Raises one of LOST when the connection breaks."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIME_MAX)
        headers = dict(headers)
        if token and self.token:
            headers['X-Auth-Token'] = self.token
        try:
            connection.request(method, path, body, headers)
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def want(self, status, method, path, body=None, headers=()):
        """One request that must be answered with this status."""
        reply = self.ask(method, path, body, headers)
        if reply.status != status:
            raise Failed(f'{method} {path} gave {reply.status}, not {status}: {reply.text()}')
        return reply

    def connect(self):
        """A connection to send whatever on."""
        return socket.create_connection((self.host, self.port), timeout=TIME_MAX)

    def create(self, name, **fields):
        """A new raw image without data; its id."""
        record = {'name': name, 'disk_format': 'raw', 'container_format': 'bare', **fields}
        return self.want(201, 'POST', '/v2/images', json.dumps(record)).json()['id']

    def upload(self, image, data):
        """Sends an image's data; the reply."""
        return self.ask('PUT', f'/v2/images/{image}/file', data, OCTETS)

    def add(self, name, data):
        """A new image with data; its id."""
        image = self.create(name)
        equal(f'upload of {name}', self.upload(image, data).status, 204)
        return image

    def show(self, image):
        """An image's record, or None where there is none."""
        reply = self.ask('GET', f'/v2/images/{image}')
        if reply.status == 404:
            return None
        equal(f'show {image}', reply.status, 200)
        return reply.json()

    def patch(self, image, *changes):
        """Changes a record; the reply."""
        media = {'Content-Type': 'application/openstack-images-v2.1-json-patch'}
        return self.ask('PATCH', f'/v2/images/{image}', json.dumps(changes), media)

    def data(self, image):
        """An image's data; raises one of LOST when it ends short."""
        return self.want(200, 'GET', f'/v2/images/{image}/file').body

    def delete(self, image):
        """Deletes an image; the reply."""
        return self.ask('DELETE', f'/v2/images/{image}')

    def all(self):
        """Every image's record, by id."""
        records, page = {}, '/v2/images?limit=100'
        while page:
            listing = self.want(200, 'GET', page).json()
            records.update((record['id'], record) for record in listing['images'])
            page = listing.get('next')
        return records

    def gc(self, **switches):
        """Has the server give space back; the reply."""
        query = urllib.parse.urlencode({name: str(on).lower() for name, on in switches.items()})
        return self.ask('POST', f'/tintype/v1/gc?{query}')

    def expect_whole(self, image, data):
        """Fails unless the image is active and its data and digests are these."""
        record = self.show(image)
        if record is None:
            raise Failed(f'image {image} is not there')
        seen = (record['status'], record['size'], record['os_hash_value'])
        equal(f'image {image}', seen, ('active', len(data), hashlib.sha512(data).hexdigest()))
        if self.data(image) != data:
            raise Failed(f'image {image} reads back wrong')


def sign_in(url, password, user='admin', project='admin'):
    """A client with a fresh token."""
    domain = {'name': 'Default'}
    body = {'auth': {
        'identity': {
            'methods': ['password'],
            'password': {'user': {'name': user, 'domain': domain, 'password': password}},
        },
        'scope': {'project': {'name': project, 'domain': domain}},
    }}
    reply = Client(url).want(201, 'POST', '/v3/auth/tokens', json.dumps(body), {'Content-Type': 'application/json'})
    return Client(url, reply.headers['x-subject-token'])


def admin(box):
    """The administrator of a running box, signed in."""
    return sign_in(box.url, box.password())
