// Deleted images that the server retains for a while: what they are, until when, and bringing them back. Owns the page.

import { ask, get, query, send } from './api.js';
import { button, empty, fill, h, link, table, text } from './dom.js';
import { act, confirm, notice } from './notices.js';
import { mayOn } from './session.js';
import { bytes, moment } from './words.js';

const PATH = '/tintype/v1/deleted-images';
/** Images that are shown; who deletes more at once has the command line. */
const SHOWN = 500;

/** Whether there are any, for a way to them. */
export async function areThereDeleted(signal) {
    try {
        return (await get(PATH + query({ limit: 1 }), signal)).deleted_images.length > 0;
    } catch (error) {
        if (error.status === 403) return false;
        throw error;
    }
}

/** Shows them. */
export async function showDeleted(main, { signal, again }) {
    const { deleted_images: images } = await get(PATH + query({ limit: SHOWN }), signal);
    const columns = [
        { head: 'Name', label: 'Name' },
        { head: 'Size', label: 'Size', class: 'number' },
        { head: 'Deleted', label: 'Deleted' },
        { head: 'Kept until', label: 'Kept until' },
        { head: h('span', { class: 'unseen' }, 'Actions'), class: 'end' },
    ];
    const row = (image) => ({
        cells: [
            [
                h('div', { class: 'name' }, text(image.name || image.id)),
                image.name ? h('small', { class: 'more id' }, image.id) : null,
            ],
            bytes(image.size),
            moment(image.deleted_at),
            moment(image.purged_at),
            mayOn(image, 'ims:images:delete')
                ? h(
                      'span',
                      { class: 'actions' },
                      button('Restore', (event) => restore(event, image), { 'data-hold': image.id }),
                      button('Purge…', () => purge(image), { class: 'quiet', 'data-purge': image.id }),
                  )
                : null,
        ],
    });
    fill(
        main,
        h('p', { class: 'trail' }, link('Images', '#/images')),
        h('h1', { tabindex: -1 }, 'Deleted images'),
        images.length
            ? table('Deleted images', columns, images.map(row))
            : empty('No deleted images', 'What is deleted is kept here for a while, where the server is set up so.'),
    );

    function restore(event, image) {
        return act(event.target, async () => {
            await ask('POST', `${PATH}/${image.id}/restore`);
            notice([text(image.name || image.id), ' is back.']);
            again();
        });
    }

    async function purge(image) {
        const gone = await confirm({
            title: 'Purge this image?',
            content: [
                h('p', null, h('strong', null, text(image.name || image.id))),
                h('p', null, 'Nobody can bring it back then.'),
            ],
            action: 'Purge',
            submit: () => send('DELETE', `${PATH}/${image.id}`),
        });
        if (gone) again();
    }
}
