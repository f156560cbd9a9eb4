"""What a person does with the console: signs in, changes and shares images, makes keys, looks at jobs and records."""

import csv
import io
import json
import os
import time

import browser
from box import Box, plain_box
from client import Client, admin
from moving import active
from verdict import equal, expect, has

MIB = 1 << 20


def wrong_password(context):
    """A wrong password is refused in words, and the right one leads on."""
    page = context.browser
    page.leave()
    page.expect_refusals()
    page.write('User', 'ann')
    page.write('Password', 'wrong')
    page.press('Sign in')
    page.sees('User, password, domain or project is not right')
    equal('the password that stays', page.control('Password').get_attribute('value'), '')
    page.picture('sign-in-refused')
    page.write('Password', 'quiet-water-47')
    page.press('Sign in')
    page.title('Overview')
    page.sees('ann')
    equal('the focus', page.run('return document.activeElement.tagName'), 'H1')
    kept = page.run('return [Object.keys(localStorage).length, document.cookie, Object.keys(sessionStorage)]')
    equal('what is kept', (kept[0], kept[1], 'tintype.session' in kept[2]), (0, '', True))


def nobodys(context):
    """Who has no rights anywhere hears so; a project is found by its name, and one that is none is refused."""
    context.add_user('nan', {})
    page = context.browser
    page.leave()
    page.expect_refusals()
    page.write('User', 'nan')
    page.write('Password', 'quiet-water-47')
    page.press('Sign in')
    page.sees('You have no rights in any project.')
    page.write('User', 'ann')
    page.write('Password', 'quiet-water-47')
    page.write('Project', 'den')
    page.press('Sign in')
    page.sees('User, password, domain or project is not right')
    page.write('Password', 'quiet-water-47')
    page.write('Project', '')
    page.press('Sign in')
    page.sees('in lab')


def switched_off(context):
    """A box that is told to does without: its paths lead nowhere."""
    folder = context.work / 'without'
    folder.mkdir()
    with Box(context.binary, folder, console_enabled='false') as box:
        box.start()
        for path in ('/console', '/console/', '/console/main.js'):
            equal(path, Client(box.url).ask('GET', path).status, 404)
        equal('everything else', Client(box.url).ask('GET', '/healthz').status, 200)


def sign_out(context):
    """Signing out ends the token; a session that ended leads back to the way in, and says so."""
    page = context.enter('ann', 'lab')
    token = json.loads(page.run('return sessionStorage.getItem("tintype.session")'))['token']
    page.driver.refresh()
    page.title('Overview')
    page.press('Sign out')
    page.sees('You are signed out.')
    equal(
        'the token after it',
        context.admin.ask('GET', '/v3/auth/tokens', headers={'X-Subject-Token': token}).status,
        404,
    )
    equal('what is kept', page.run('return sessionStorage.getItem("tintype.session")'), None)

    page = context.enter('ann', 'lab')
    page.expect_refusals()
    token = json.loads(page.run('return sessionStorage.getItem("tintype.session")'))['token']
    context.admin.want(204, 'DELETE', '/v3/auth/tokens', headers={'X-Subject-Token': token})
    page.go('images')
    page.sees('Your session has ended. Sign in again to go on.')
    page.picture('session-ended')

    page = context.enter('ann', 'lab')
    page.run("""const kept = JSON.parse(sessionStorage.getItem('tintype.session'));
        kept.expires = new Date(Date.now() + 4000).toISOString();
        sessionStorage.setItem('tintype.session', JSON.stringify(kept));""")
    page.driver.refresh()
    page.title('Overview')
    page.sees('Your session has ended. Sign in again to go on.')
    page.driver.refresh()
    page.title('Sign in')


def changes(context):
    """Name, description, tags, properties and states change, and only what was changed is sent."""
    ann = context.as_user('ann', 'lab')
    image = ann.create('before', visibility='private', __description='old', left='alone', gone='soon')
    ann.upload(image, b'x' * 1000)
    page = context.enter('ann', 'lab')
    page.go(f'images/{image}/edit')
    page.title('Edit image')
    page.write('Name', 'after')
    page.write('Description', 'What it is')
    page.write('Family', 'plain')
    page.write('Tags', 'one')
    page.enter_key('Tags')
    page.write('Tags', 'two')
    for row in page.find('.property-row'):
        if row.find_element('css selector', 'input').get_attribute('value') == 'gone':
            row.find_element('css selector', 'button').click()
    page.press('Add a property')
    row = page.find('.property-row')[-1].find_elements('css selector', 'input')
    row[0].send_keys('new~/key')
    row[1].send_keys('value')
    page.control('Protected from being deleted').click()
    page.picture('edit')
    page.press('Save')
    page.title('after')
    record = ann.show(image)
    equal(
        'record',
        {
            key: record.get(key)
            for key in ('name', '__description', 'tags', 'left', 'gone', 'new~/key', 'protected', 'tintype_family')
        },
        {
            'name': 'after',
            '__description': 'What it is',
            'tags': ['one', 'two'],
            'left': 'alone',
            'gone': None,
            'new~/key': 'value',
            'protected': True,
            'tintype_family': 'plain',
        },
    )
    expect(not page.one('button.danger').is_enabled(), 'a protected image can be deleted')
    page.press('Deactivate')
    page.sees('Frozen')
    equal('status', ann.show(image)['status'], 'deactivated')
    page.press('Reactivate')
    active(page)
    page.expect_refusals()
    page.go(f'images/{image}/edit')
    page.press('Add a property')
    row = page.find('.property-row')[-1].find_elements('css selector', 'input')
    row[0].send_keys('locations')
    row[1].send_keys('x')
    page.press('Save')
    page.sees('attribute locations is reserved')


def shares(context):
    """An image is shared, accepted by the other project, seen there, and taken back."""
    ann = context.as_user('ann', 'lab')
    image = ann.create('for the others', visibility='shared')
    ann.upload(image, b'shared data')
    page = context.enter('ann', 'lab')
    page.go(f'images/{image}')
    page.sees('It is offered to no project yet.')
    page.write('Share with project', context.projects['den'])
    page.press('Share')
    page.sees('Offered. The other project decides')
    page.until('the member', lambda: context.projects['den'] in page.one('section table').text)

    page = context.enter('ben', 'den')
    page.sees('share to answer')
    page.go('images?visibility=offered')
    page.press('for the others')
    page.sees('Another project offers this image to yours.')
    page.press('Accept')
    page.sees('Your project accepted this image')
    equal(
        'its state',
        context.as_user('ben', 'den').want(200, 'GET', f'/v2/images/{image}/members').json()['members'][0]['status'],
        'accepted',
    )
    expect('Delete…' not in page.buttons() and 'Edit' not in page.buttons(), 'what is shared can be changed')
    page.go('images')
    page.sees('for the others')
    page.press('for the others')
    page.press('Download')
    equal('what came down', page.downloaded('for the others'), b'shared data')
    page.press('Reject')
    page.sees('Your project rejected this image')

    page = context.enter('ann', 'lab')
    page.go(f'images/{image}')
    page.sees('Rejected')
    page.press('Take back…')
    page.press('Take back')
    page.sees('It is offered to no project yet.')


def lists(context):
    """The list is searched, filtered, sorted, turned over, exported, and cleared many at a time."""
    made_by = context.admin
    names = [f'row-{number:02}' for number in range(60)]
    for number, name in enumerate(names):
        made_by.create(name, visibility='private', __os_type='Windows' if number % 2 else 'Linux')
    page = context.enter('admin', 'admin')
    page.go('images?name=ROW-&sort=name:asc')
    page.sees('row-24')
    expect('row-25' not in page.text(), 'a page is too long')
    page.press('Next')
    page.sees('row-25')
    page.press('Next')
    page.sees('51–60 of 60')
    page.press('Previous')
    page.sees('26–50 of 60')
    page.choose('OS', 'Windows')
    page.until('the filter', lambda: 'row-00' not in page.text() and 'row-01' in page.text())
    equal('the focus', page.run('return document.activeElement.labels[0].textContent'), 'OS')
    page.press('Name ↑')
    page.sees('row-59')
    page.press('Export list as CSV')
    sheet = list(csv.reader(io.StringIO(page.downloaded('images-').decode(), newline='')))
    equal(
        'columns',
        sheet[0][:9],
        ['Name', 'ID', 'Status', 'OS', 'Type', 'Created', 'Disk (GiB)', 'Size (bytes)', 'Encryption'],
    )
    equal('rows', [row[0] for row in sheet[1:]], [name for number, name in enumerate(names) if number % 2][::-1])
    equal('a row', sheet[1][2:5], ['Creating', 'Windows', 'System disk'])
    page.picture('list')
    page.one('th input').click()
    page.sees('25 ticked')
    page.press('Delete 25…')
    has('the question', page.one('dialog').text, 'row-59')
    page.press('Delete 25')
    page.sees('25 images deleted.')
    equal('what is left', sum(record['name'].startswith('row-') for record in made_by.all().values()), 35)
    page.go('images?name=nothing-like-this')
    page.sees('No image is like that')


def keys(context):
    """An access key is made, its secret shown once, used, disabled, enabled and deleted."""
    page = context.enter('ann', 'lab')
    page.go('keys')
    page.sees('No access keys')
    page.press('New access key…')
    page.write('Description', 'for a robot')
    page.press('Create')
    page.sees('It is shown this once')
    access, secret = (page.one(f'input[name={name}]').get_attribute('value') for name in ('access', 'secret'))
    page.picture('secret')
    page.press('I have kept it')
    page.sees('for a robot')
    expect(
        secret
        not in page.run(
            'return document.documentElement.textContent + [...document.querySelectorAll("input")].map((i) => i.value)'
        ),
        'the secret is still there',
    )
    equal('its use', signed(context, access, secret), 200)
    page.press('Disable')
    page.sees('Disabled: requests signed with it are refused.')
    equal('its use when it is disabled', signed(context, access, secret), 401)
    page.press('Enable')
    page.sees('Usable')
    equal('its use when it is enabled', signed(context, access, secret), 200)
    page.press('Delete…')
    page.press('Delete')
    page.sees('No access keys')
    equal('its use when it is gone', signed(context, access, secret), 401)


def signed(context, access, secret):
    """The status of a request that is signed with a key."""
    import hashlib
    import hmac

    host = context.box.url.removeprefix('http://')
    # Reads that are the same within a second are taken as sent again, and only for some seconds.
    path = f'/v2/cloudimages?limit={time.monotonic_ns() % 900 + 1}'
    date = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
    canonical = '\n'.join(
        [
            'GET',
            '/v2/cloudimages/',
            path.split('?')[1],
            f'host:{host}',
            f'x-sdk-date:{date}',
            '',
            'host;x-sdk-date',
            hashlib.sha256(b'').hexdigest(),
        ]
    )
    to_sign = '\n'.join(['SDK-HMAC-SHA256', date, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    headers = {
        'Host': host,
        'X-Sdk-Date': date,
        'Authorization': f'SDK-HMAC-SHA256 Access={access}, SignedHeaders=host;x-sdk-date, Signature={signature}',
    }
    return context.admin.ask('GET', path, headers=headers, token=False).status


def jobs(context):
    """An import from a bucket and an export to it are seen to their end; one that fails says why, and is retried."""
    (context.incoming / 'disk.raw').write_bytes(os.urandom(2 * MIB))
    page = context.enter('ann', 'lab')
    page.go('jobs')
    page.sees('No jobs')
    page.press('Import from a bucket…')
    page.write('File', 'incoming:disk.raw')
    page.write('Name of the image', 'came by bucket')
    page.press('Import')
    page.sees('incoming:disk.raw')
    page.until('the job to end', lambda: [one for one in page.find('.mark') if one.text == 'Done'])
    page.picture('jobs')
    page.go('images')
    page.press('came by bucket')
    active(page)
    page.press('Export to a bucket…')
    page.write('File', 'incoming:out.raw')
    page.press('Export')
    page.sees('The export has begun.')
    page.go('jobs')
    page.until('both to be done', lambda: len([one for one in page.find('.mark') if one.text == 'Done']) == 2)
    equal('the file', (context.incoming / 'out.raw').read_bytes(), (context.incoming / 'disk.raw').read_bytes())
    page.expect_refusals()
    page.press('Import from a bucket…')
    page.write('File', 'nowhere:disk.raw')
    page.write('Name of the image', 'none')
    page.press('Import')
    page.sees('IMG.0069')
    page.press('Cancel')


def cancels(context):
    """A job that runs is cancelled where it is listed, and retried."""
    big = context.incoming / 'big.raw'
    with open(big, 'wb') as file:
        for _ in range(24):
            file.write(os.urandom(32 * MIB))
    page = context.enter('ann', 'lab')
    page.go('jobs')
    page.press('Import from a bucket…')
    page.write('File', 'incoming:big.raw')
    page.write('Name of the image', 'never whole')
    page.press('Import')
    page.until('a progress', lambda: page.find('td progress'))
    page.press('Cancel')
    page.until('the job to be cancelled', lambda: [one for one in page.find('.mark') if one.text == 'Cancelled'])
    os.truncate(big, MIB)
    page.press('Retry')
    page.until('the job to be done', lambda: page.find('tbody tr')[0].find_elements('css selector', '.mark.good'))
    job = context.as_user('ann', 'lab').want(200, 'GET', '/tintype/v1/jobs').json()['jobs'][0]
    equal('the job', (job['state'], job['total_bytes']), ('succeeded', MIB))
    big.unlink()


def audit(context):
    """Records are listed, narrowed, opened, and the chain is verified."""
    page = context.enter('admin', 'admin')
    page.go('audit')
    page.sees('createImage')
    page.write('What', 'createProject')
    page.press('Show')
    page.until('the filter', lambda: 'createImage' not in page.text() and 'createProject' in page.text())
    page.picture('audit')
    page.one('td button.as-link').click()
    page.sees('hash')
    page.press('Close')
    page.press('Verify the chain…')
    page.press('Verify')
    page.sees('The chain is whole')
    page.press('Verify the chain…')
    page.write('Head that was kept elsewhere', f'1:{"0" * 64}')
    page.press('Verify')
    page.sees('The chain is not what was written: 1 flaw')


def overview(context):
    """The overview tells space, health and version to whom may know, and goes over to another project."""
    context.admin.add('for the figures', os.urandom(MIB))
    page = context.enter('admin', 'admin')
    page.sees('Space')
    page.sees('No known damage')
    version = context.admin.want(200, 'GET', '/tintype/v1/stats').json()['version']
    has('the version', page.text(), version)
    page.picture('overview')
    page.look(360, 740, dark=True)
    page.picture('overview-phone')
    page.look(1280)
    context.box.result('role', 'add', 'member', '--user', 'ann', '--project', 'den')
    page = context.enter('ann', 'lab')
    expect('No known damage' not in page.text(), 'a member sees the figures of the box')
    page.until('the projects', lambda: len(page.find('.project option')) == 2)
    [one for one in page.find('.project option') if one.text == 'den'][0].click()
    page.until(
        'the other project',
        lambda: json.loads(page.run('return sessionStorage.getItem("tintype.session")'))['project']['name'] == 'den',
    )
    page.sees('(member, reader) in den')
    page.leave()
    context.box.result('role', 'remove', 'member', '--user', 'ann', '--project', 'den')


def tells_of_damage(context):
    """Damage to stored data shows on the overview, with the image that it hits; so does what happened."""
    folder = context.work / 'rotten'
    with plain_box(context, folder) as box:
        box.start()
        admin(box).add('the one that is hit', os.urandom(3 * MIB))
        pack = max(box.objects(), key=lambda path: path.stat().st_size)
        with open(pack, 'r+b') as file:
            file.seek(pack.stat().st_size // 2)
            file.write(bytes(4096))
        box.command('scrub')
        other = browser.Browser(box.url, folder)
        try:
            other.forget()
            other.enter('admin', box.password())
            other.sees('1 damaged object')
            other.press('the one that is hit')
            other.title('the one that is hit')
            other.go('')
            other.sees('What happened to stored data lately')
            other.sees('lost')
            other.expect_calm()
        finally:
            other.close()


def brings_back(context):
    """A deleted image is found among those that are retained, brought back, and purged."""
    ann = context.as_user('ann', 'lab')
    image = ann.add('too early <b>gone</b>', b'data')
    equal('the delete', ann.delete(image).status, 204)
    page = context.enter('ann', 'lab')
    page.go('images')
    page.press('Deleted images')
    page.title('Deleted images')
    page.sees('too early <b>gone</b>')
    page.one(f'button[data-hold="{image}"]').click()
    page.sees('is back.')
    equal('its data', ann.data(image), b'data')
    equal('the delete', ann.delete(image).status, 204)
    page.go('images')
    page.title('Images')
    page.go('images/deleted')
    page.sees('too early <b>gone</b>')
    page.one(f'button[data-purge="{image}"]').click()
    page.press('Purge')
    page.until('it to be gone', lambda: 'too early' not in page.text())
    expect(image not in ann.want(200, 'GET', '/tintype/v1/deleted-images').text(), 'it is still retained')


def reads_only(context):
    """Who only reads is offered nothing that would be refused."""
    ann = context.as_user('ann', 'lab')
    image = ann.add('to be looked at', b'data')
    page = context.enter('rae', 'lab')
    page.go('images')
    page.sees('to be looked at')
    page.picture('reader')
    writes = {
        'New image',
        'Edit',
        'Delete…',
        'Deactivate',
        'Download',
        'Export to a bucket…',
        'Share',
        'Import from a bucket…',
        'Upload',
        'Save',
    }
    equal('buttons of the list', writes & set(page.buttons()), set())
    page.press('to be looked at')
    page.title('to be looked at')
    equal('buttons of the image', writes & set(page.buttons()), set())
    page.go('jobs')
    page.title('Jobs')
    equal('buttons of the jobs', writes & set(page.buttons()), set())
    for path in ('images/new', f'images/{image}/edit'):
        page.go(path)
        page.sees('You may not')
    expect('Audit' not in page.text(), 'a reader is led to the audit')
    page.expect_refusals()
    page.go('audit')
    page.sees('tintype:audit:get')


# Texts whose contrast with what is behind them is below 4.5 to 1 (WCAG 2.2, 1.4.3), but for controls that are off.
FAINT = """
const parts = (colour) => (colour.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
        const [r, g, b, a = 1] = parts(getComputedStyle(at).backgroundColor);
        if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
};
return [...document.querySelectorAll('body *')]
    .filter((one) => !one.disabled && one.checkVisibility() && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((one) => {
        const [a, b] = [light(parts(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
        return [(a + 0.05) / (b + 0.05), one.textContent.slice(0, 40)];
    })
    .filter(([contrast]) => contrast < 4.5);
"""


def by_hand(context):
    """Everything is reached by keyboard, labelled, and fits a narrow window by day and by night."""
    ann = context.as_user('ann', 'lab')
    image = ann.add('a' * 200, b'data')
    page = context.enter('ann', 'lab')
    for path in ('', 'images', 'images/new', f'images/{image}', f'images/{image}/edit', 'jobs', 'keys'):
        for dark in (False, True):
            page.look(360, 740, dark)
            page.go(path)
            page.until('the page', lambda: page.find('h1') and not page.find('.loading'))
            wide = page.run('return document.documentElement.scrollWidth')
            expect(wide <= 360, f'{path or "overview"} is {wide} wide at 360')
        page.picture(f'phone-{path.replace(image, "one").replace("/", "-") or "overview"}')
        bare = page.run("""return [...document.querySelectorAll('main input, main select, main textarea, main progress, main button, main a')]
            .filter((one) => !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim())).map((one) => one.outerHTML)""")
        equal(f'controls of {path or "overview"} without a name', bare, [])
        equal(f'texts of {path or "overview"} that are hard to read by night', page.run(FAINT), [])
        page.look(360, 740)
        equal(f'texts of {path or "overview"} that are hard to read by day', page.run(FAINT), [])
    page.run('document.documentElement.style.setProperty("--soft", "#cccccc")')
    expect(page.run(FAINT), 'texts that are hard to read are not noticed')
    page.run('document.documentElement.style.removeProperty("--soft")')
    page.look(1280)
    page.go('images')
    page.title('Images')
    equal('the focus after a new page', page.run('return document.activeElement.tagName'), 'H1')
    page.go('keys')
    page.press('New access key…')
    inside = page.run('return document.querySelector("dialog").contains(document.activeElement)')
    expect(inside, 'a dialog does not take the focus')
    page.press('Cancel')
    equal('the focus after a dialog', page.run('return document.activeElement.textContent'), 'New access key…')


CASES = [
    wrong_password,
    nobodys,
    switched_off,
    sign_out,
    changes,
    shares,
    lists,
    keys,
    jobs,
    cancels,
    audit,
    overview,
    tells_of_damage,
    brings_back,
    reads_only,
    by_hand,
]
