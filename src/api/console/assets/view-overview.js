// What there is, at one glance: images, space and what deduplication saves, health, what waits for an answer. Owns the page.

import { get, send } from './api.js';
import { facts, fill, h, link, svg, text } from './dom.js';
import { isOffered } from './images.js';
import { may, session } from './session.js';
import { bytes, count, mark, moment } from './words.js';

/** Most images that are counted one by one. */
const COUNTED = 1000;
const EVENTS = 8;
/** What limits are on, in words. */
const LIMITED = {
    image_count_total: 'Images',
    image_size_total: 'Their size',
    image_stage_total: 'Data on its way',
    image_count_uploading: 'Uploads at once',
};

/** Shows the overview. */
export async function showOverview(main, { signal }) {
    const box = may('tintype:store:get');
    const [own, offered, jobs, ready, stats, damage, events, scrub, quotas] = await Promise.all([
        optional(get(`/v2/images?limit=${COUNTED}&owner=${session.project.id}`, signal)),
        optional(get('/v2/images?visibility=shared&member_status=pending&limit=100', signal)),
        may('ims:jobs:get') ? optional(get('/tintype/v1/jobs?limit=200', signal)) : null,
        health(signal),
        box ? get('/tintype/v1/stats', signal) : null,
        box ? get('/tintype/v1/damage', signal) : null,
        box ? get('/tintype/v1/events', signal) : null,
        box ? get('/tintype/v1/scrub', signal) : null,
        optional(get('/tintype/v1/quotas', signal)),
    ]);
    const images = own?.images ?? [];
    const waiting = (offered?.images ?? []).filter(isOffered).length;
    const open = (jobs?.jobs ?? []).filter((job) => ['queued', 'running'].includes(job.state)).length;
    const more = own?.next ? '+' : '';
    fill(
        main,
        h('h1', { tabindex: -1 }, 'Overview'),
        h(
            'ul',
            { class: 'figures' },
            own
                ? figure(
                      `${count(images.length)}${more}`,
                      images.length === 1 ? 'image of this project' : 'images of this project',
                      '#/images',
                  )
                : null,
            own
                ? figure(bytes(images.reduce((sum, image) => sum + (image.size ?? 0), 0)) + more, 'of data in them')
                : null,
            jobs ? figure(count(open), open === 1 ? 'job under way' : 'jobs under way', '#/jobs') : null,
            waiting
                ? figure(
                      count(waiting),
                      waiting === 1 ? 'share to answer' : 'shares to answer',
                      '#/images?visibility=offered',
                  )
                : null,
        ),
        own ? null : h('p', { class: 'notice inline wait' }, 'Your role does not let you list images in this project.'),
        quotas ? limits(quotas) : null,
        stats ? space(stats) : null,
        condition(ready, stats, damage, scrub),
        events ? happened(events.events) : null,
    );
}

/** What may be refused to some, and is left out then. */
async function optional(asked) {
    try {
        return await asked;
    } catch (error) {
        if (error.status === 403) return null;
        throw error;
    }
}

async function health(signal) {
    try {
        const response = await send('GET', '/readyz', { signal, anonymous: true });
        return { ready: true, words: (await response.text()).trim() };
    } catch (error) {
        if (error.name === 'AbortError') throw error;
        return { ready: false, words: error.message };
    }
}

function figure(value, words, href) {
    const content = [h('strong', null, value), h('span', null, words)];
    return h('li', null, href ? link(content, href) : h('div', null, content));
}

/** What of the project's limits is used; nothing where there are none. */
function limits({ quotas }) {
    const limited = quotas.filter((quota) => quota.limit >= 0);
    if (!limited.length) return null;
    const line = ({ resource, used, limit, unit }) => [
        LIMITED[resource] ?? resource,
        `${count(used)} of ${count(limit)}${unit === 'MiB' ? '\u00a0MiB' : ''}`,
    ];
    return h('section', { class: 'panel' }, h('h2', null, 'Limits of this project'), facts(limited.map(line)));
}

/** What images are, beside what they take. */
function space(stats) {
    const logical = stats.image_bytes + stats.deleted_image_bytes;
    const saved = logical > 0 ? Math.max(0, 1 - stats.stored_bytes / logical) : 0;
    const times = stats.stored_bytes > 0 ? logical / stats.stored_bytes : 0;
    const words =
        logical === 0
            ? 'Nothing is stored yet.'
            : `Images of ${bytes(logical)} take ${bytes(stats.stored_bytes)}: ${saved > 0 ? `${(saved * 100).toFixed(saved > 0.995 ? 2 : 0)}\u00a0% less` : 'no less yet'}.`;
    return h(
        'section',
        { class: 'panel' },
        h('h2', null, 'Space'),
        h(
            'p',
            null,
            words,
            saved > 0 && times >= 1.05 ? ` Each stored byte serves ${times.toFixed(1)} bytes of images.` : null,
        ),
        logical ? drawing(logical, stats.stored_bytes, words) : null,
        facts([
            ['Images in the box', count(stats.images)],
            stats.deleted_images
                ? ['Deleted, and retained', `${count(stats.deleted_images)}, ${bytes(stats.deleted_image_bytes)}`]
                : null,
            ['Blocks stored', `${count(stats.chunks)} in ${count(stats.packs)} packs`],
            ['Sealed', stats.sealed ? 'Yes: everything is encrypted at rest' : 'No'],
        ]),
    );
}

function drawing(logical, stored, words) {
    const most = Math.max(logical, stored);
    const bar = (y, value, kind) => [
        svg('rect', { x: 0, y, width: 600, height: 16, rx: 4, class: 'groove' }),
        svg('rect', { x: 0, y, width: Math.max(4, (600 * value) / most), height: 16, rx: 4, class: kind }),
    ];
    return h(
        'div',
        { class: 'bars' },
        h('div', { class: 'bar-words' }, h('span', null, 'Images'), h('span', null, bytes(logical))),
        svg(
            'svg',
            { viewBox: '0 0 600 16', preserveAspectRatio: 'none', role: 'img', 'aria-label': words },
            bar(0, logical, 'logical'),
        ),
        h('div', { class: 'bar-words' }, h('span', null, 'Stored'), h('span', null, bytes(stored))),
        svg(
            'svg',
            { viewBox: '0 0 600 16', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
            bar(0, stored, 'stored'),
        ),
    );
}

function condition(ready, stats, damage, scrub) {
    const hit = damage?.damage ?? [];
    const round = scrub?.is_under_way
        ? `under way: ${bytes(scrub.scrubbed_bytes)} of ${bytes(scrub.total_bytes)}`
        : null;
    const lines = [
        [
            'Server',
            ready.ready
                ? [mark('Ready', 'good'), ready.words === 'ready' ? null : h('small', { class: 'more' }, ready.words)]
                : [mark('Not ready', 'bad'), h('small', { class: 'more' }, ready.words)],
        ],
        damage
            ? [
                  'Stored data',
                  hit.length
                      ? mark(`${count(hit.length)} damaged object${hit.length === 1 ? '' : 's'}`, 'bad')
                      : mark('No known damage', 'good'),
              ]
            : null,
        scrub ? ['Last comparison', round ?? (scrub.completed_at ? moment(scrub.completed_at) : 'none yet')] : null,
        stats?.version ? ['Version', stats.version] : null,
        [
            'You',
            [text(session.user.name), ` (${session.roles.join(', ') || 'no role'}) in `, text(session.project.name)],
        ],
        ['Session', ['ends ', moment(session.expires)]],
    ];
    return h(
        'section',
        { class: 'panel' },
        h('h2', null, 'Condition'),
        facts(lines),
        hit.length ? h('ul', { class: 'damage' }, hit.map(damaged)) : null,
    );
}

function damaged(object) {
    const names = object.images.map((one) => [' ', link(text(one.name || one.image), `#/images/${one.image}`)]);
    return h(
        'li',
        null,
        h('strong', null, text(object.object)),
        ': ',
        text(object.reason),
        object.images.length ? ['. Images:', names] : '. No image needs it.',
    );
}

function happened(events) {
    if (!events.length) return null;
    // The server tells the newest first.
    const shown = events.slice(0, EVENTS);
    return h(
        'section',
        { class: 'panel' },
        h('h2', null, 'What happened to stored data lately'),
        h(
            'ul',
            { class: 'events' },
            shown.map((event) =>
                h(
                    'li',
                    null,
                    moment(event.at),
                    ' ',
                    h('strong', null, text(event.event)),
                    ' ',
                    text(event.object ?? ''),
                    event.detail ? [': ', text(event.detail)] : null,
                ),
            ),
        ),
    );
}
