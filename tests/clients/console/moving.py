"""Image data in and out by the console: byte for byte, through crashes, pauses, ended sessions and closed pages."""

import json
import os

from verdict import equal, expect, has

MIB = 1 << 20


def file_of(context, name, data):
    """A file to choose."""
    path = context.work / name
    path.write_bytes(data)
    return str(path)


def upload(page, path, name):
    """Makes an image of a file through the form; its id."""
    page.go('images/new')
    page.title('New image')
    page.control('File').send_keys(path)
    page.sees('it looks like')
    page.write('Name', name)
    page.press('Create and upload')
    page.title(name)
    return page.run('return location.hash').split('/')[-1]


def active(page):
    """Waits until the image that is shown is active."""
    page.until('the image to be active', lambda: [one for one in page.find('.marks .mark') if one.text == 'Normal'])


def there_and_back(context):
    """An image of a few megabytes goes in through the form and comes back byte for byte."""
    page = context.enter('ann', 'lab')
    data = os.urandom(5 * MIB + 17)
    image = upload(page, file_of(context, 'disk.raw', data), 'there and back')
    active(page)
    page.sees('Upload there and back')
    record = context.as_user('ann', 'lab').show(image)
    equal(
        'record',
        (record['status'], record['size'], record['visibility'], record['disk_format']),
        ('active', len(data), 'private', 'raw'),
    )
    page.sees(record['os_hash_value'])
    page.picture('image')
    page.press('Download')
    equal('what came back is the same', page.downloaded('there and back') == data, True)
    page.press('Delete…')
    page.sees('Delete this image?')
    has('the question', page.one('dialog').text, 'there and back')
    page.press('Cancel')
    expect(context.as_user('ann', 'lab').show(image), 'Cancel deleted the image')
    page.press('Delete…')
    page.press('Delete')
    page.title('Images')
    equal('the image after it', context.as_user('ann', 'lab').show(image), None)


def survives_a_crash(context):
    """An upload goes on after the server was killed under it, and after a pause."""
    page = context.enter('ann', 'lab')
    data = os.urandom(24 * MIB + 5)
    path = file_of(context, 'long.raw', data)
    page.expect_refusals()
    slow = {'offline': False, 'latency': 0, 'downloadThroughput': -1}
    page.tell('Network.emulateNetworkConditions', **slow, uploadThroughput=4 * MIB)
    image = upload(page, path, 'through a crash')
    page.until(
        'some bytes to leave', lambda: page.run('return document.querySelector("#transfers progress").value > 3e6')
    )
    page.picture('upload')
    context.box.kill()
    page.sees('Next try in')
    page.picture('upload-waits')
    context.box.start()
    page.press('Try now', '#transfers ')
    page.press('Pause', '#transfers ')
    page.sees('Paused')
    page.tell('Network.emulateNetworkConditions', **slow, uploadThroughput=-1)
    page.press('Go on', '#transfers ')
    active(page)
    context.admin = context.admin.__class__(context.box.url, context.admin.token)
    context.as_user('ann', 'lab').expect_whole(image, data)


def survives_its_session(context):
    """An upload waits when the session ends, and goes on when the same user signs in again."""
    page = context.enter('ann', 'lab')
    page.expect_refusals()
    data = os.urandom(8 * MIB)
    slow = {'offline': False, 'latency': 0, 'downloadThroughput': -1}
    page.tell('Network.emulateNetworkConditions', **slow, uploadThroughput=2 * MIB)
    image = upload(page, file_of(context, 'session.raw', data), 'past its session')
    page.until('some bytes', lambda: page.run('return document.querySelector("#transfers progress").value > 2e6'))
    page.press('Pause', '#transfers ')
    page.sees('Paused')
    page.tell('Network.emulateNetworkConditions', **slow, uploadThroughput=-1)
    token = json.loads(page.run('return sessionStorage.getItem("tintype.session")'))['token']
    context.admin.want(204, 'DELETE', '/v3/auth/tokens', headers={'X-Subject-Token': token})
    page.press('Go on', '#transfers ')
    page.sees('Your session has ended. Sign in again to go on.')
    page.sees('Waits until you sign in again')
    page.write('User', 'ann')
    page.write('Password', 'quiet-water-47')
    page.write('Project', 'lab')
    page.press('Sign in')
    active(page)
    context.as_user('ann', 'lab').expect_whole(image, data)


def download_survives(context):
    """A download goes on after the server was killed under it; a large one goes straight to a file."""
    ann = context.as_user('ann', 'lab')
    data = os.urandom(40 * MIB + 3)
    image = ann.create('down and up', visibility='private')
    ann.upload(image, data)
    page = context.enter('ann', 'lab')
    page.expect_refusals()
    page.go(f'images/{image}')
    page.title('down and up')
    slow = {'offline': False, 'latency': 0, 'uploadThroughput': -1}
    page.tell('Network.emulateNetworkConditions', **slow, downloadThroughput=16 * MIB)
    page.press('Download')
    page.until('some bytes', lambda: page.run('return document.querySelector("#transfers progress").value > 1e7'))
    context.box.kill()
    page.sees('Next try in')
    page.tell('Network.emulateNetworkConditions', **slow, downloadThroughput=-1)
    context.box.start()
    equal('what came back is the same', page.downloaded('down and up') == data, True)

    page.press('Dismiss', '#transfers ')
    big = context.work / 'big.raw'
    with open(big, 'wb') as file:
        file.truncate(600 * MIB)
    large = context.box.result('image', 'import', big, '--name', 'large', '--disk-format', 'raw')['id']
    page = context.enter('admin', 'admin')
    page.run("""window.written = [];
        window.showSaveFilePicker = async (options) => ({ createWritable: async () => ({
            write: async (blob) => window.written.push(blob.size), close: async () => window.written.push(options.suggestedName) }) });""")
    page.go(f'images/{large}')
    page.title('large')
    page.press('Download')
    page.until('the end', lambda: page.run('return window.written.includes("large.raw")'), 120)
    equal('bytes', page.run('return window.written.slice(0, -1).reduce((a, b) => a + b)'), 600 * MIB)
    big.unlink()


def own_key(context):
    """A new image is sealed with a custom key of the project, where there is one."""
    ann = context.as_user('ann', 'lab')
    media = {'Content-Type': 'application/json'}
    key = ann.want(201, 'POST', '/tintype/v1/custom-keys', json.dumps({'alias': 'payroll'}), media).json()['id']
    page = context.enter('ann', 'lab')
    page.go('images/new')
    page.title('New image')
    page.control('File').send_keys(file_of(context, 'secret.raw', b'secret'))
    page.sees('it looks like')
    page.choose('Encryption', 'Custom key payroll')
    page.press('Create and upload')
    page.title('secret')
    active(page)
    page.sees('Custom key')
    page.sees(key)
    page.picture('sealed')


def goes_on_tomorrow(context):
    """An upload that a closed page left behind goes on with the same file, and refuses another."""
    ann = context.as_user('ann', 'lab')
    data = os.urandom(3 * MIB)
    image = ann.create('tomorrow', visibility='private')
    tus = {'Tus-Resumable': '1.0.0'}
    made = ann.want(
        201, 'POST', f'/tintype/v1/images/{image}/uploads', headers={**tus, 'Upload-Length': str(len(data))}
    )
    part = {**tus, 'Upload-Offset': '0', 'Content-Type': 'application/offset+octet-stream'}
    ann.want(204, 'PATCH', made.headers['location'], data[:MIB], part)
    page = context.enter('ann', 'lab')
    page.go(f'images/{image}')
    page.sees('Unfinished upload')
    page.sees('1 MiB of 3 MiB arrived')
    page.control('File').send_keys(file_of(context, 'other.raw', data + b'x'))
    page.press('Go on')
    page.sees('Choose the file that it began with.')
    page.press('Dismiss', '#transfers ')
    page.go('images')
    page.title('Images')
    page.go(f'images/{image}')
    page.control('File').send_keys(file_of(context, 'same.raw', data))
    page.press('Go on')
    active(page)
    ann.expect_whole(image, data)


CASES = [
    there_and_back,
    survives_a_crash,
    survives_its_session,
    download_survives,
    own_key,
    goes_on_tomorrow,
]
