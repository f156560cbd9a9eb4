// The frame around all pages: who is signed in, where one can go, and which page an address names. Owns the
// address (the part after #), the focus and the title. Knows no image.

import { append, button, choice, fill, h, link, plain, text } from './dom.js';
import { closeDialogs, failed, failure, speak } from './notices.js';
import { may, onChange, projects, resume, session, signOut, switchProject } from './session.js';
import { goOn, underWay } from './transfers.js';
import { showSignIn } from './view-sign-in.js';
import { showOverview } from './view-overview.js';
import { showImages } from './view-images.js';
import { showImage } from './view-image.js';
import { showEdit } from './view-edit.js';
import { showCreate } from './view-create.js';
import { showJobs } from './view-jobs.js';
import { showKeys } from './view-keys.js';
import { showAudit } from './view-audit.js';

const PAGES = [
    [/^$/, 'Overview', showOverview],
    [/^images$/, 'Images', showImages],
    [/^images\/new$/, 'New image', showCreate],
    [/^images\/([0-9a-f-]{36})$/, 'Image', showImage],
    [/^images\/([0-9a-f-]{36})\/edit$/, 'Edit image', showEdit],
    [/^jobs$/, 'Jobs', showJobs],
    [/^keys$/, 'Access keys', showKeys],
    [/^audit$/, 'Audit', showAudit],
];

const main = document.getElementById('main');
const top = document.getElementById('top');
let leaving = new AbortController();
let shownFor = null;

function navigation() {
    return [
        ['', 'Overview'],
        ['images', 'Images'],
        may('ims:jobs:get') && ['jobs', 'Jobs'],
        ['keys', 'Access keys'],
        (may('tintype:audit:get') || may('tintype:audit:getAll')) && ['audit', 'Audit'],
    ].filter(Boolean);
}

/** Where the address leads: path and query. */
function address() {
    const [path, search] = location.hash.replace(/^#\/?/, '').split('?');
    return { path: path.replace(/\/$/, ''), search: new URLSearchParams(search ?? '') };
}

function drawTop() {
    const brand = link(
        [h('img', { src: 'icon.svg', alt: '', width: 28, height: 28 }), h('span', null, 'Tintype')],
        '#/',
        { class: 'brand' },
    );
    if (!session) {
        fill(top, h('div', { class: 'bar' }, brand));
        return;
    }
    const here = address().path.split('/')[0];
    const places = navigation().map(([path, words]) =>
        h('li', null, link(words, `#/${path}`, { 'aria-current': path === here ? 'page' : null })),
    );
    const switcher = choice([[session.project.id, session.project.name]], session.project.id, {
        'aria-label': 'Project',
        class: 'project',
        on: { change: onProject },
    });
    const out = button('Sign out', () => leave(out), { class: 'quiet' });
    fill(
        top,
        h(
            'div',
            { class: 'bar' },
            brand,
            h(
                'div',
                { class: 'who' },
                h('label', { class: 'switch' }, h('span', { class: 'unseen' }, 'Project'), switcher),
                h('span', { class: 'user' }, text(session.user.name)),
                out,
            ),
        ),
        h('nav', { 'aria-label': 'Console' }, h('ul', null, places)),
    );
    offerProjects(switcher);
}

async function offerProjects(switcher) {
    try {
        const open = await projects();
        if (!session || open.length < 2) return;
        const twice = new Set(open.map((one) => one.name)).size < open.length;
        const others = open.map((one) =>
            h(
                'option',
                { value: one.id, selected: one.id === session.project.id },
                plain(twice ? `${one.name} (${one.id.slice(0, 8)})` : one.name),
            ),
        );
        fill(switcher, others);
    } catch (error) {
        failed(error, 'Your projects cannot be listed');
    }
}

async function onProject(event) {
    const chosen = event.target;
    if (
        underWay() &&
        !window.confirm('Transfers that are under way belong to the project that you leave, and stop. Go on?')
    ) {
        chosen.value = session.project.id;
        return;
    }
    chosen.disabled = true;
    try {
        await switchProject(chosen.value);
        speak(`Project ${session.project.name}`);
    } catch (error) {
        chosen.disabled = false;
        chosen.value = session.project.id;
        failed(error, 'The project cannot be changed');
    }
}

async function leave(pressed) {
    if (underWay() && !window.confirm('Transfers that are under way stop. Sign out?')) return;
    pressed.disabled = true;
    await signOut();
}

/** Shows the page that the address names, or the way in. */
async function show() {
    leaving.abort();
    leaving = new AbortController();
    const { signal } = leaving;
    closeDialogs();
    drawTop();
    if (!session) {
        document.title = 'Sign in – Tintype';
        showSignIn(main);
        return;
    }
    const { path, search } = address();
    const found = PAGES.map(([form, title, view]) => ({ match: form.exec(path), title, view })).find(
        ({ match }) => match,
    );
    document.title = `${found?.title ?? 'Not found'} – Tintype`;
    if (!found) {
        fill(main, h('h1', { tabindex: -1 }, 'There is no such page'), h('p', null, link('Go to the overview', '#/')));
        return;
    }
    fill(main, h('p', { class: 'hint loading' }, 'Loading…'));
    try {
        await found.view(main, { signal, search, id: found.match[1], again: show });
        if (signal.aborted) return;
        focusTitle(path);
    } catch (error) {
        if (error.name === 'AbortError' || signal.aborted || error.status === 401) return;
        if (!('status' in error)) console.error(error);
        fill(main, h('h1', { tabindex: -1 }, error.status === 404 ? 'Not found' : found.title), failure(error, show));
    }
}

/** Those who listen hear of a new page; a page that only changed its filters keeps the focus. */
function focusTitle(path) {
    if (shownFor !== null && shownFor !== path) main.querySelector('h1')?.focus();
    shownFor = path;
}

/** The way in, and why one stands before it. */
function signedOut(why) {
    show();
    if (why) append(main.querySelector('.told'), [h('p', { role: 'alert', class: 'notice inline wait' }, why)]);
}

onChange((why) => {
    if (!session) return signedOut(why);
    goOn();
    return show();
});
window.addEventListener('hashchange', show);
window.addEventListener('beforeunload', (event) => {
    if (underWay()) event.preventDefault();
});

let why = null;
try {
    if (await resume()) why = 'Your session has ended. Sign in again to go on.';
} catch (error) {
    why = error.message;
}
if (!session) signedOut(why);
