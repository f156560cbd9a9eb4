"""What whoever takes the disk of a sealed box can read of it: nothing that its users wrote."""

import json
import subprocess
import time

from box import Box, sealed_box
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


def rotation(context):
    """p9: a new master key on a running server and on a closed store: the old one opens nothing."""
    data = context.random.randbytes(MIB)
    with sealed_box(context, context.work / 'box') as box:
        first, second, third = (context.work / f'{name}.key' for name in ['first', 'second', 'third'])
        box.settings['store_key_file'].rename(first)
        box.settings['store_key_file'] = first
        box.start()
        image = admin(box).add('kept', data)
        equal('the ring', box.result('key', 'status')['version'], 1)
        equal('a rotation while it runs', box.result('key', 'rotate', '--new-key-file', second)['version'], 2)
        expect(second.stat().st_mode & 0o777 == 0o600, 'the new key can be read by others')
        admin(box).expect_whole(image, data)
        refused = admin(box).ask('POST', '/tintype/v1/key/rotate', third.name * 8)
        equal('a key over the network', refused.status, 403)
        equal('exit status', box.stop(), 0)
        equal('the old key', box.refused_start()[0], 6)
        box.settings['store_key_file'] = second
        status, said = box.command('key', 'rotate', '--new-key-file', second)
        expect(status == 1 and 'in force already' in said, f'the same key again: {status}, {said}')
        equal('a rotation of the closed store', box.result('key', 'rotate', '--new-key-file', third)['version'], 3)
        equal('the second key', box.command('image', 'list')[0], 6)
        box.settings['store_key_file'] = third
        found = box.result('key', 'status')
        equal('the ring', (found['version'], found['copies'], found['other_versions']), (3, 3, []))
        box.start()
        admin(box).expect_whole(image, data)
        equal('damaged images', box.check(), [])
        equal('exit status', box.stop(), 0)


def restore_drill(context):
    """p9: all copies of the key ring lost: refused, restored from its backup, every image reads."""
    data = context.random.randbytes(MIB)
    with sealed_box(context, context.work / 'box') as box, sealed_box(context, context.work / 'other') as other:
        box.start()
        image = admin(box).add('kept', data)
        backup, foreign = context.work / 'ring', context.work / 'foreign'
        box.result('key', 'backup', backup)
        other.result('key', 'backup', foreign)
        expect(box.command('key', 'backup', backup)[0] == 1, 'a backup was overwritten')
        equal('a restore under a running server', box.command('key', 'restore', backup)[0], 1)
        equal('exit status', box.stop(), 0)
        equal('a restore of a whole ring', box.command('key', 'restore', backup)[0], 1)
        for copy in (box.data / 'store' / 'keyring').iterdir():
            copy.unlink()
        status, said = box.refused_start()
        expect(status == 1 and 'key restore' in said, f'without a ring: {status}, {said}')
        equal('a ring of another store', box.command('key', 'restore', foreign)[0], 1)
        equal('its version', box.result('key', 'restore', backup)['version'], 1)
        box.start()
        admin(box).expect_whole(image, data)
        equal('damaged images', box.check(), [])
        equal('exit status', box.stop(), 0)
        # The ring alone opens nothing.
        box.settings['store_key_file'] = other.settings['store_key_file']
        equal('the ring without its key', box.refused_start()[0], 6)


def erasure(context):
    """p9: an erased key domain takes exactly its images, for good."""
    data = context.random.randbytes(MIB)
    with sealed_box(context, context.work / 'box') as box:
        box.settings['seal_domains'] = 'project'
        box.start()
        client = admin(box)
        headers = {'Content-Type': 'application/json'}
        body = json.dumps({'project': {'name': 'tenant'}})
        tenant = client.want(201, 'POST', '/identity/v3/projects', body, headers).json()['project']['id']
        kept = client.add('kept', data)
        lost = client.create('lost', owner=tenant)
        equal('upload', client.upload(lost, data).status, 204)
        domains = {entry['project']: entry for entry in box.result('key', 'status')['domains']}
        equal('images of a domain', [domains[name]['images'] for name in ['admin', 'tenant']], [1, 1])
        number = str(domains['tenant']['domain'])
        equal('the store\'s own domain', box.command('key', 'erase-domain', '1')[0], 1)
        equal('no such domain', box.command('key', 'erase-domain', '99')[0], 3)
        box.result('key', 'erase-domain', number)
        for _ in range(2):
            client = admin(box)
            client.expect_whole(kept, data)
            reply = client.ask('GET', f'/v2/images/{lost}/file')
            expect(reply.status == 410 and 'revoked' in reply.text(), f'{reply.status}: {reply.text()}')
            status, said = box.command('image', 'save', lost, context.work / 'out')
            expect(status == 7 and 'revoked' in said, f'save: {status}, {said}')
            report = box.result('check')
            equal('check', (report['revoked'], report['damaged']), ([lost], []))
            equal('exit status', box.stop(), 0)
            box.start()
        client = admin(box)
        equal('delete', client.delete(lost).status, 204)
        box.result('gc')
        client.expect_whole(kept, data)
        equal('exit status', box.stop(), 0)


def resealing(context):
    """p9: a domain gets another key, all its data is sealed with it, and the older one goes."""
    data = context.random.randbytes(3 * MIB)
    file = context.work / 'image.raw'
    file.write_bytes(data)
    with sealed_box(context, context.work / 'box') as box:
        box.start()
        client = admin(box)
        plain = client.add('plain', data)
        named = box.result('image', 'import', file, '--key', 'gold')['id']
        own = box.result('image', 'import', file, '--own-key')['id']
        def domains():
            return {entry['domain']: entry for entry in box.result('key', 'status')['domains']}
        told = domains()
        equal('keys', [(told[2]['key'], told[2]['images']), (told[3]['image_id'], told[3]['images'])],
              [('gold', 1), (own, 1)])
        done = box.result('key', 'rotate-domain', '2')
        equal('a named domain', (done['older_keys_dropped'], done['waits_for_restart']), (1, 0))
        equal('its key', (domains()[2]['key_version'], domains()[2]['older_keys']), (1, 0))
        # The box's own is finished by the start that puts the catalog under the new key.
        done = box.result('key', 'rotate-domain', '1')
        equal('the box\'s own', (done['older_keys_dropped'], done['waits_for_restart']), (0, 1))
        box.kill()
        box.start()
        for _ in range(100):
            if domains()[1]['older_keys'] == 0:
                break
            time.sleep(0.1)
        equal('its key', (domains()[1]['key_version'], domains()[1]['older_keys']), (1, 0))
        client = admin(box)
        for image in [plain, named, own]:
            client.expect_whole(image, data)
        equal('exit status', box.stop(), 0)
        # On a closed box, too: one command puts the catalog under the key, the next finishes.
        equal('closed', box.result('key', 'rotate-domain', '1')['waits_for_restart'], 1)
        equal('closed again', box.result('key', 'rotate-domain', '1')['older_keys_dropped'], 1)
        equal('no such domain', box.command('key', 'rotate-domain', '99')[0] != 0, True)
        box.start()
        client = admin(box)
        equal('delete', client.delete(own).status, 204)
        box.result('gc')
        equal('its key went with it', sorted(domains()), [1, 2])
        report = box.result('check')
        equal('check', (report['revoked'], report['damaged'], report['damaged_objects']), ([], [], []))
        for image in [plain, named]:
            client.expect_whole(image, data)
        equal('exit status', box.stop(), 0)


def plain_box_has_no_keys(context):
    """Commands on keys say that a plain box has none."""
    with Box(context.binary, context.work) as box:
        box.start()
        for command in [['status'], ['backup', context.work / 'ring']]:
            status, said = box.command('key', *command)
            expect(status == 1 and 'the store is plain' in said, f'{command}: {status}, {said}')
        equal('exit status', box.stop(), 0)


def expect_nothing(box, secrets, when):
    """Searches every file of the data directory, names of files too."""
    for path in box.data.rglob('*'):
        for what, secret in secrets.items():
            expect(secret not in path.name, f'{when}: {path} tells the {what}')
        if path.is_file() and path.name not in CLEAR:
            found = subprocess.run(['grep', '-aoF', *sum((['-e', text] for text in secrets.values()), []), path],
                                   stdout=subprocess.PIPE, check=False)
            expect(found.returncode == 1, f'{when}: {path} holds {found.stdout[:200]!r}')


CASES = [stolen_media, rotation, restore_drill, erasure, resealing, plain_box_has_no_keys]
