"""What whoever takes the disk of a sealed box can read of it: nothing that its users wrote."""

import json
import subprocess

from box import sealed_box
from client import admin
from verdict import equal, expect

MIB = 1 << 20
# Both hold the administrator's password in the clear, for whoever may open the directory.
CLEAR = ['admin-password', 'clouds.yaml']


def stolen_media(context):
    """p9: nothing of a sealed box lies open but its password file and how to sign in."""
    secrets = {what: f'{what}-{context.random.randbytes(6).hex()}' for what in
               ['image', 'property', 'value', 'tag', 'user', 'project', 'content', 'gone']}
    with sealed_box(context, context.work / 'box') as box:
        box.start()
        client = admin(box)
        content = (secrets['content'] * 4096).encode()
        fields = {secrets['property']: secrets['value'], 'tags': [secrets['tag']]}
        kept = client.create(secrets['image'], **fields)
        equal('upload', client.upload(kept, content).status, 204)
        client.delete(client.add(secrets['gone'], context.random.randbytes(MIB)))
        headers = {'Content-Type': 'application/json'}
        for kind in ['user', 'project']:
            body = json.dumps({kind: {'name': secrets[kind]}})
            client.want(201, 'POST', f'/identity/v3/{kind}s', body, headers)
        expect_nothing(box, secrets, 'while it runs')
        equal('exit status', box.stop(), 0)
        expect_nothing(box, secrets, 'after a stop')
        box.start()
        client = admin(box)
        record = client.show(kept)
        equal('its record', (record['name'], record[secrets['property']]), (secrets['image'], secrets['value']))
        client.expect_whole(kept, content)
        box.kill()
        expect_nothing(box, secrets, 'after a kill')
        box.result('gc')
        expect_nothing(box, secrets, 'after space was given back')


def expect_nothing(box, secrets, when):
    """Searches every file of the data directory, names of files too."""
    for path in box.data.rglob('*'):
        for what, secret in secrets.items():
            expect(secret not in path.name, f'{when}: {path} tells the {what}')
        if path.is_file() and path.name not in CLEAR:
            found = subprocess.run(['grep', '-aoF', *sum((['-e', text] for text in secrets.values()), []), path],
                                   stdout=subprocess.PIPE, check=False)
            expect(found.returncode == 1, f'{when}: {path} holds {found.stdout[:200]!r}')


CASES = [stolen_media]
