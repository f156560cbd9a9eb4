"""Image services over HTTP: Tintype, and Glance from PyPI, both driven by curl."""

import datetime
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request
import uuid

from keepers import CACHE
from measure import spend

START_TIME_MAX = 300


class Service:
    """A running image service and who speaks to it."""

    def start(self):
        raise NotImplementedError

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def request(self, method, path, body=None):
        """A small request; its answer's body as JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self.headers, 'Content-Type': 'application/json'}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def upload(self, path):
        """Seconds of one upload, and the image."""
        record = {'name': 'bench', 'disk_format': 'raw', 'container_format': 'bare'}
        image = self.request('POST', '/v2/images', record)['id']
        return spend([*self.curl(), '-H', 'Content-Type: application/octet-stream', '-T', path,
                      f'{self.url}/v2/images/{image}/file']), image

    def download(self, image):
        """Seconds of one download to nowhere."""
        return spend([*self.curl(), '-o', '/dev/null', f'{self.url}/v2/images/{image}/file'])

    def delete(self, image):
        self.request('DELETE', f'/v2/images/{image}')

    def curl(self):
        named = [part for name, value in self.headers.items() for part in ('-H', f'{name}: {value}')]
        return ['curl', '-sS', '--fail', '-H', 'Expect:', *named]

    def wait(self):
        end = time.monotonic() + START_TIME_MAX
        while True:
            try:
                self.request('GET', '/v2/images?limit=1')
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(f'{self.name} does not start') from None
                time.sleep(0.1)


class Glance(Service):
    """OpenStack Glance as production runs it: uWSGI, two workers, SQLite, files."""

    name = 'Glance 33.0.0'

    def __init__(self, folder):
        self.folder = folder

    def start(self):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        script = pathlib.Path(__file__).with_name('glance')
        with open(f'{self.folder}.log', 'wb') as log:
            self.process = subprocess.Popen([script, CACHE / 'tintype-glance-33.0.0', self.folder, str(port)],
                                            stdout=log, stderr=log, env={**os.environ, 'GLANCE_AUTH': 'headers'})
        self.url = f'http://127.0.0.1:{port}'
        self.headers = {'X-Identity-Status': 'Confirmed', 'X-User-Id': 'u', 'X-Project-Id': 'p',
                        'X-Roles': 'member,reader'}
        self.wait()


    def multiply(self, image, count):
        """Gives it `count` images like one that it has, each with another name and time; the id of one of them."""
        catalog = sqlite3.connect(f'{self.folder}/glance.sqlite', timeout=60)
        catalog.row_factory = sqlite3.Row
        made = datetime.datetime(2026, 1, 1)

        def copies(table, key):
            rows = [dict(row) for row in catalog.execute(f'SELECT * FROM {table} WHERE {key} = ?', (image,))]
            for number in range(1, count):
                other = str(uuid.UUID(int=number, version=4))
                for row in rows:
                    row = {**row, key: other}
                    if key == 'id':
                        time = made + datetime.timedelta(seconds=number)
                        row |= {'name': f'image-{number:05}', 'created_at': str(time), 'updated_at': str(time)}
                    else:
                        del row['id']
                    yield row

        for table, key in (('images', 'id'), ('image_properties', 'image_id'), ('image_tags', 'image_id')):
            for row in copies(table, key):
                marks = ', '.join('?' * len(row))
                catalog.execute(f'INSERT INTO {table} ({", ".join(row)}) VALUES ({marks})', list(row.values()))
        catalog.commit()
        catalog.close()
        return str(uuid.UUID(int=count // 2, version=4))


class TintypeServer(Service):
    """`tintype serve` on a new directory."""

    name = 'tintype'

    def __init__(self, binary, folder, **settings):
        self.binary, self.folder = binary, folder
        self.settings = {f'TINTYPE_{key.upper()}': str(value) for key, value in settings.items()}

    def start(self):
        command = [self.binary, 'serve', '--data', self.folder, '--listen', '127.0.0.1:0', '--json']
        with open(f'{self.folder}.log', 'wb') as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log,
                                            env={**os.environ, **self.settings})
        self.url = json.loads(self.process.stdout.readline())['url']
        self.sign_in('admin', (self.folder / 'admin-password').read_text().strip())

    def sign_in(self, name, password):
        """Goes on as a user, for the project of the same name."""
        user = {'name': name, 'domain': {'name': 'Default'}, 'password': password}
        body = {'auth': {'identity': {'methods': ['password'], 'password': {'user': user}},
                         'scope': {'project': {'name': name, 'domain': {'name': 'Default'}}}}}
        request = urllib.request.Request(f'{self.url}/v3/auth/tokens', json.dumps(body).encode(),
                                         {'Content-Type': 'application/json'})
        with urllib.request.urlopen(request) as answer:
            self.headers = {'X-Auth-Token': answer.headers['X-Subject-Token']}

    def become_member(self):
        """Goes on as somebody who is no administrator, as clients of Glance are here."""
        name, password = 'bench', 'bench-password-1'
        project = self.request('POST', '/v3/projects', {'project': {'name': name}})['project']['id']
        user = self.request('POST', '/v3/users', {'user': {'name': name, 'password': password}})['user']['id']
        role = self.request('GET', '/v3/roles?name=member')['roles'][0]['id']
        self.request('PUT', f'/v3/projects/{project}/users/{user}/roles/{role}')
        self.sign_in(name, password)
