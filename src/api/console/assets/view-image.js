// One image: all that is known of it, and what can be done with it. Owns the page's buttons; sharing has a file of its own.

import { button, facts, field, fill, h, link, table, text } from './dom.js';
import { download } from './download.js';
import { activate, image as show, properties, remove } from './images.js';
import { exportDialog } from './exchange.js';
import { act, confirm, notice } from './notices.js';
import { may, mayOn, session } from './session.js';
import { sharing } from './sharing.js';
import { transferOf } from './transfers.js';
import { abandon, isSameFile, unfinished, upload } from './upload.js';
import * as words from './words.js';

const LOOK_MS = 3000;
/** Properties that have a place of their own on the page. */
const OWN_PLACE = [
    '__description',
    'description',
    'tintype_family',
    'tintype_deprecated',
    '__os_type',
    '__os_version',
    'virtual_env_type',
    '__system__cmkid',
    'tintype_key',
];

/** Shows the image. */
export async function showImage(main, { signal, id, again }) {
    const image = await show(id, signal);
    const waiting = ['queued', 'saving'].includes(image.status) && mayOn(image, 'ims:images:upload');
    const earlier = waiting ? await unfinished(id, signal) : null;
    const shared = await sharing(image, signal, again);
    const running = transferOf(id);
    running?.outcome.then(() => {
        if (!signal.aborted) again();
    });
    if (image.status === 'saving' && !running) awaitOthers(image, signal, again);
    const says = words.description(image);
    fill(
        main,
        h('p', { class: 'trail' }, link('Images', '#/images')),
        h('div', { class: 'head' }, h('h1', { tabindex: -1 }, text(image.name || image.id)), actions(image, again)),
        h(
            'p',
            { class: 'marks' },
            words.statusMark(running && image.status === 'queued' ? 'saving' : image.status),
            words.mark(words.visibilityWord(image.visibility), 'plain'),
            image.protected ? words.mark('Protected', 'plain') : null,
            image.os_hidden ? words.mark('Hidden', 'plain') : null,
            image.tintype_deprecated !== undefined ? words.mark('Deprecated', 'wait') : null,
        ),
        says ? h('p', { class: 'says' }, text(says)) : null,
        waiting && !running ? unfilled(image, earlier, again) : null,
        shared.offer,
        h(
            'div',
            { class: 'columns' },
            panel(
                'Image',
                facts([
                    ['ID', h('span', { class: 'id' }, image.id)],
                    ['Type', words.typeWord(image)],
                    ['Operating system', text(words.systemWord(image))],
                    ['Format', `${image.disk_format ?? '–'} in ${image.container_format ?? '–'}`],
                    ['Size', exact(image.size)],
                    ['Virtual size', exact(image.virtual_size)],
                    [
                        'Needs',
                        `${image.min_disk || 'any'}${image.min_disk ? ' GiB' : ''} disk, ${image.min_ram || 'any'}${image.min_ram ? ' MiB' : ''} memory`,
                    ],
                    [
                        'Owner',
                        image.owner === session.project.id
                            ? ['This project, ', text(session.project.name)]
                            : h('span', { class: 'id' }, image.owner ?? 'nobody'),
                    ],
                    ['Created', words.moment(image.created_at)],
                    ['Changed', words.moment(image.updated_at)],
                ]),
            ),
            panel(
                'Data',
                facts([
                    [
                        'Encryption',
                        [
                            words.encryptionWord(image),
                            image.__system__cmkid || image.tintype_key
                                ? h('small', { class: 'more id' }, text(image.__system__cmkid || image.tintype_key))
                                : null,
                        ],
                    ],
                    [
                        image.os_hash_algo?.toUpperCase() ?? 'Hash',
                        h('span', { class: 'id' }, image.os_hash_value ?? '–'),
                    ],
                    ['MD5', h('span', { class: 'id' }, image.checksum ?? '–')],
                    image.tintype_format === undefined ? null : ['Found to be', text(image.tintype_format)],
                    image.tintype_findings === undefined
                        ? null
                        : ['Worth knowing', text(image.tintype_findings)],
                    ['Family', image.tintype_family === undefined ? '–' : text(image.tintype_family)],
                    image.tintype_deprecated === undefined
                        ? null
                        : ['Deprecated', text(image.tintype_deprecated || 'yes')],
                    [
                        'Tags',
                        image.tags.length
                            ? h(
                                  'ul',
                                  { class: 'tags' },
                                  image.tags.map((tag) => h('li', null, text(tag))),
                              )
                            : '–',
                    ],
                ]),
            ),
        ),
        shared.panel,
        panel('Properties', listProperties(image)),
    );
}

function panel(title, ...content) {
    return h('section', { class: 'panel' }, h('h2', null, title), content);
}

function exact(size) {
    if (size === null || size === undefined) return '–';
    return size < 1024
        ? words.bytes(size)
        : [words.bytes(size), h('small', { class: 'more' }, `${words.count(size)} bytes`)];
}

function listProperties(image) {
    const rest = properties(image, OWN_PLACE);
    if (!rest.length) return h('p', { class: 'hint' }, 'No others.');
    return table(
        'Properties',
        [
            { head: 'Name', label: 'Name' },
            { head: 'Value', label: 'Value' },
        ],
        rest.map(([name, value]) => ({ cells: [h('span', { class: 'id' }, text(name)), text(value)] })),
    );
}

function actions(image, again) {
    const active = image.status === 'active';
    const has = (active || (image.status === 'deactivated' && may('tintype:images:accessAll'))) && image.size > 0;
    const name = text(image.name || image.id);
    const turn = (event, on) =>
        act(event.target, async () => {
            await activate(image.id, on);
            notice(
                on
                    ? 'The image is handed out again.'
                    : 'The image is frozen: its data is handed out to administrators alone.',
            );
            again();
        });
    return h(
        'p',
        { class: 'actions' },
        has && may('ims:images:export') ? button('Download', () => download(image)) : null,
        has && may('ims:images:export') && image.owner === session.project.id
            ? button('Export to a bucket…', () => exportDialog(image))
            : null,
        mayOn(image, 'ims:images:update') ? link('Edit', `#/images/${image.id}/edit`, { class: 'button' }) : null,
        active && mayOn(image, 'ims:images:update') ? button('Deactivate', (event) => turn(event, false)) : null,
        image.status === 'deactivated' && mayOn(image, 'ims:images:update')
            ? button('Reactivate', (event) => turn(event, true))
            : null,
        mayOn(image, 'ims:images:delete')
            ? button('Delete…', () => ask(), {
                  class: 'danger',
                  disabled: image.protected,
                  title: image.protected ? 'It is protected: edit it first' : null,
              })
            : null,
    );

    async function ask() {
        const gone = await confirm({
            title: 'Delete this image?',
            content: [
                h('p', null, h('strong', null, name)),
                h('p', { class: 'id' }, image.id),
                h('p', null, 'Its data cannot be had again, unless this server retains deleted images.'),
            ],
            action: 'Delete',
            submit: () => remove(image.id),
        });
        if (!gone) return;
        notice([name.cloneNode(true), ' is deleted.']);
        location.hash = '#/images';
    }
}

/** The place of data that is not there yet: chosen now, or gone on with. */
function unfilled(image, earlier, again) {
    if (image.status === 'saving' && !earlier) {
        return h(
            'p',
            { class: 'notice inline wait' },
            'Its data is arriving by another way: another client, or a job.',
            ' ',
            link('Jobs', '#/jobs'),
        );
    }
    const chosen = h('input', { type: 'file' });
    const hint = earlier
        ? `${words.bytes(earlier.offset)} of ${words.bytes(earlier.length)} arrived. Choose the same file again: it goes on from there. What is here already is not compared with it.`
        : 'It was registered without data.';
    const begin = () =>
        act(null, async () => {
            const [file] = chosen.files;
            if (!file) throw new Error('Choose the file first.');
            if (earlier && isSameFile(image.id, file) === false && !(await goOnAnyway(file))) return;
            upload(image, file);
            again();
        });
    return h(
        'section',
        { class: 'panel' },
        h('h2', null, earlier ? 'Unfinished upload' : 'No data yet'),
        field('File', chosen, hint),
        h(
            'p',
            { class: 'actions' },
            button(earlier ? 'Go on' : 'Upload', begin, { class: 'primary' }),
            earlier
                ? button('Give the upload up', (event) =>
                      act(event.target, async () => {
                          await abandon(image.id, earlier.id);
                          again();
                      }),
                  )
                : null,
        ),
    );
}

function goOnAnyway(file) {
    const content = [
        h('p', null, h('strong', null, text(file.name))),
        h('p', null, 'Its name, size or date differ from those of the file that the upload began with.'),
    ];
    return confirm({ title: 'Is this the same file?', content, action: 'Go on anyway' });
}

/** Looks again now and then until the image's data, which comes by another way, is there. */
function awaitOthers(image, signal, again) {
    setTimeout(async () => {
        if (signal.aborted) return;
        try {
            const now = await show(image.id, signal);
            if (now.status === image.status) awaitOthers(image, signal, again);
            else again();
        } catch (error) {
            if (error.status === 0) awaitOthers(image, signal, again);
            else if (error.status === 404) again();
        }
    }, LOOK_MS);
}
