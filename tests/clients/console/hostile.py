"""Texts that want to be more than texts: markup, scripts, formulas, turned directions, in every field that takes one."""

import csv
import io

from verdict import equal, expect

PAYLOADS = [
    '<img src=x onerror=caught("img")>',
    '"><script>caught("script")</script>',
    '\'"><svg/onload=caught("svg")>',
    'javascript:caught("url")',
    '=HYPERLINK("http://127.0.0.1/","click")',
    'safe\u202egpj.exe',
    '\u2066+1\u2069-1@SUM(A1)',
    '${caught(1)}{{caught(2)}}',
]
MARKUP = PAYLOADS[0] + PAYLOADS[1]


def shown(text):
    """How the console writes a text: what cannot be seen is spelled out."""
    for character in '\u202e\u2066\u2069':
        text = text.replace(character, f'‹U+{ord(character):04X}›')
    return text


def fields(context):
    """Hostile names, descriptions, tags and properties stay texts, wherever they are shown."""
    ann = context.as_user('ann', 'lab')
    page = context.enter('ann', 'lab')
    for number, payload in enumerate(PAYLOADS):
        image = ann.create(
            payload,
            visibility='shared',
            tags=[payload, f't{number}'],
            __description=payload,
            __os_version=payload,
            tintype_family='f',
            tintype_deprecated=payload,
            **{payload.replace('/', '|'): payload},
        )
        ann.upload(image, payload.encode())
        page.go(f'images/{image}')
        page.title(shown(payload))
        expect(page.text().count(shown(payload)) >= 5, f'{payload!r} is not shown as it is: {page.text()!r}')
        page.press('Edit')
        page.title('Edit image')
        equal('the name to be edited', page.control('Name').get_attribute('value'), payload)
        page.press('Save')
        page.title(shown(payload))
        page.press('Delete…')
        expect(shown(payload) in page.one('dialog').text, 'the question does not name the image')
        page.press('Cancel')
    page.go('images?sort=name:asc')
    page.sees(shown(PAYLOADS[1]))
    page.picture('hostile')
    page.look(360, 740)
    page.picture('hostile-phone')
    page.look(1280)
    record = ann.show(image)
    equal(
        'the record after it was saved', (record['name'], record['tags']), (PAYLOADS[-1], sorted(['t7', PAYLOADS[-1]]))
    )


def typed(context):
    """The same through the console's own forms."""
    page = context.enter('ann', 'lab')
    page.go('images/new')
    page.title('New image')
    for label in ('Name', 'Description', 'Family', 'Deprecated', 'Tags'):
        page.write(label, MARKUP)
    page.press('Add a property')
    row = page.find('.property-row')[-1].find_elements('css selector', 'input')
    page.put(row[0], PAYLOADS[0])
    page.put(row[1], MARKUP)
    page.press('Create and upload')
    page.title(MARKUP)
    page.sees('No data yet')
    expect(page.text().count(MARKUP) >= 5, 'a text is lost')
    page.go('keys')
    page.press('New access key…')
    page.write('Description', MARKUP)
    page.press('Create')
    page.press('I have kept it')
    page.sees(MARKUP)
    page.press('Delete…')
    page.press('Delete')
    page.sees('No access keys')


# Texts, and what they are in a cell.
CELLS = {
    '=1+1': "'=1+1",
    '  =1+1': "  '=1+1",
    '-1': "'-1",
    '+1': "'+1",
    '@SUM(A1)': "'@SUM(A1)",
    '\t=1': "'\t'=1",
    '\rx': "'\rx",
    '\uff1d1': "'\uff1d1",
    '\u202e=1': "\u202e'=1",
    'a;=1': "a;'=1",
    'a;"=1': 'a;"\'=1',
    'two\nlines': 'two\nlines',
    'two\n=lines': "two\n'=lines",
    'a-b, c=d': 'a-b, c=d',
    'she said "no"': 'she said "no"',
    '2026-11-27T00:00:00Z': '2026-11-27T00:00:00Z',
    '': '',
}


def cells(context):
    """What a spreadsheet might calculate is no formula, and everything else is left as it is."""
    page = context.enter('ann', 'lab')
    text = page.driver.execute_async_script(
        'const [rows, done] = arguments; import("/console/csv.js").then((it) => done(it.csv(rows)))',
        [[cell, 'x'] for cell in CELLS],
    )
    rows = list(csv.reader(io.StringIO(text, newline=''), strict=True))
    equal('cells', [row[0] for row in rows], list(CELLS.values()))
    equal('their neighbours', {row[1] for row in rows}, {'x'})


def sheet(context):
    """A list that is exported has no cell that a spreadsheet would calculate, and loses no text."""
    ann = context.as_user('ann', 'lab')
    for payload in PAYLOADS:
        ann.create(f'{payload} listed', visibility='private', tags=[payload], __description=payload)
    page = context.enter('ann', 'lab')
    page.go('images?name=listed&sort=name:asc')
    page.press('Export list as CSV')
    rows = list(csv.reader(io.StringIO(page.downloaded('images-').decode(), newline='')))
    wanted = {f'{payload} listed'.replace('=HYP', "'=HYP").replace('+1', "'+1") for payload in PAYLOADS}
    equal('names', {row[0] for row in rows[1:]}, wanted)
    page.go('images')
    page.title('Images')
    page.press('Export list as CSV')
    text = page.downloaded('images-').decode()
    expect(text.endswith('\r\n') and '\n' not in text.replace('\r\n', ''), 'lines do not end as RFC 4180 has it')
    rows = list(csv.reader(io.StringIO(text, newline=''), strict=True))
    expect(len({len(row) for row in rows}) == 1, 'rows differ in their columns')
    for row in rows[1:]:
        bad = [cell for cell in row if cell[:1] in tuple('=+-@\t\r') and cell]
        equal('cells that begin as a formula does', bad, [])


def identities(context):
    """Hostile names of users and projects stay texts."""
    project = f'{PAYLOADS[0]} safe\u202e'
    user = '<img src=x onerror=caught("user")>'
    context.add_user(user, {project: 'admin'})
    page = context.enter(user, project)
    page.sees(shown(user))
    page.sees(shown(project))
    page.go('keys')
    page.press('New access key…')
    page.sees(shown(project))
    page.press('Cancel')
    page.go('audit')
    page.sees(shown(user))
    page.one('td button.as-link').click()
    page.press('Close')
    page.go(f'images/{MARKUP}')
    page.title('There is no such page')
    page.go(f'images?name={MARKUP}&status=<script>&sort=name:asc')
    page.sees('No image is like that')
    page.expect_refusals()
    page.go('images?sort=<img>:asc')
    page.sees('cannot sort by')


def policy(context):
    """A page that was taken over all the same cannot run, load or reach anything; each try shows."""
    page = context.enter('ann', 'lab')
    tries = {
        'markup': 'document.body.innerHTML = "<b>x</b>"',
        'markup beside': 'document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=caught(1)>")',
        'an inline script': 'document.body.append(Object.assign(document.createElement("script"), {text: "caught(1)"}))',
        'a script from elsewhere': 'document.body.append(Object.assign(document.createElement("script"), {src: "http://127.0.0.1:9/x.js"}))',
        'an attribute': 'document.body.setAttribute("onclick", "caught(1)")',
        'a style': 'document.body.setAttribute("style", "color: red")',
        'a picture from elsewhere': 'new Image().src = "http://127.0.0.1:9/x.png"',
        'a request elsewhere': 'fetch("http://127.0.0.1:9/").catch(() => {})',
        'a frame': 'document.body.append(Object.assign(document.createElement("iframe"), {src: "/healthz"}))',
    }
    for what, script in tries.items():
        page.forget()
        page.run(f'try {{ {script} }} catch (error) {{ window.complaints.push(`threw ${{error.name}}`) }}')
        page.until(f'{what} to be refused', lambda: page.run('return window.complaints.length'), 5)
        ran = [one for one in page.run('return window.complaints') if 'hostile text' in one]
        equal(f'what {what} ran', ran, [])
    page.forget()


CASES = [policy, fields, typed, cells, sheet, identities]
