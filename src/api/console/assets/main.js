// The frame around all pages: who is signed in, where one can go, and which page an address names. Owns the
// address (the part after #), the focus and the title. Knows no image.

import { append, button, choice, fill, h, link, plain, text } from './dom.js';
import { clearNotices, closeDialogs, confirm, failed, failure, noteDefect, speak } from './notices.js';
import { may, onChange, projects, resume, session, signOut, switchProject } from './session.js';
import { dropAll, goOn, underWay } from './transfers.js';
import { showSignIn } from './view-sign-in.js';
import { showOverview } from './view-overview.js';
import { showImages } from './view-images.js';
import { showImage } from './view-image.js';
import { showEdit } from './view-edit.js';
import { showCreate } from './view-create.js';
import { showDeleted } from './view-deleted.js';
import { showJobs } from './view-jobs.js';
import { showKeys } from './view-keys.js';
import { showAudit } from './view-audit.js';

const PAGES = [
    [/^$/, 'Overview', showOverview],
    [/^images$/, 'Images', showImages],
    [/^images\/new$/, 'New image', showCreate],
    [/^images\/deleted$/, 'Deleted images', showDeleted],
    [/^images\/([0-9a-f-]{36})$/, 'Image', showImage],
    [/^images\/([0-9a-f-]{36})\/edit$/, 'Edit image', showEdit],
    [/^jobs$/, 'Jobs', showJobs],
    [/^keys$/, 'Access keys', showKeys],
    [/^audit$/, 'Audit', showAudit],
];

/** A page that takes longer is announced. */
const SLOW_MS = 200;

const main = document.getElementById('main');
const top = document.getElementById('top');
let leaving = new AbortController();
/** The path of the page that is shown; null before the first. */
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
    const [wanted, before] = [chosen.value, session.project.id];
    if (!(await mayStop('Go over to another project?'))) {
        chosen.value = before;
        return;
    }
    chosen.disabled = true;
    try {
        await switchProject(wanted);
        speak(`Project ${session.project.name}`);
    } catch (error) {
        chosen.disabled = false;
        chosen.value = before;
        failed(error, 'The project cannot be changed');
    }
}

async function leave(pressed) {
    if (!(await mayStop('Sign out?'))) return;
    pressed.disabled = true;
    dropAll();
    await signOut();
}

/** Whether transfers that are under way may stop. */
async function mayStop(title) {
    if (!underWay()) return true;
    const content = h('p', null, 'Transfers that are under way stop. An upload can go on later, with the same file.');
    return Boolean(await confirm({ title, content, action: 'Stop them' }));
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
        shownFor = 'sign in';
        showSignIn(main);
        return;
    }
    const { path, search } = address();
    const match = PAGES.map((page) => [page, page[0].exec(path)]).find(([, found]) => found);
    const [[, title, view], [, id]] = match ?? [[null, 'Not found', showNothing], []];
    document.title = `${title} – Tintype`;
    // A page is made apart, and takes the place of the one before when it is whole: what was left meanwhile never shows.
    const page = h('div', { class: 'page' });
    const slow = setTimeout(() => sayThatItTakesTime(path), SLOW_MS);
    try {
        await view(page, { signal, search, id, again: show });
    } catch (error) {
        if (error.name === 'AbortError' || signal.aborted || error.status === 401) return;
        noteDefect(error);
        fill(page, h('h1', { tabindex: -1 }, error.status === 404 ? 'Not found' : title), failure(error, show));
    } finally {
        clearTimeout(slow);
    }
    if (!signal.aborted) place(page, path);
}

function showNothing(page) {
    fill(page, h('h1', { tabindex: -1 }, 'There is no such page'), h('p', null, link('Go to the overview', '#/')));
}

function sayThatItTakesTime(path) {
    if (path === shownFor) main.setAttribute('aria-busy', 'true');
    else fill(main, h('p', { class: 'hint loading' }, 'Loading…'));
}

/** Puts a page in its place. Those who listen hear of a new one; the focus of one that is shown anew stays. */
function place(page, path) {
    const held = main.contains(document.activeElement) ? nameOf(document.activeElement) : null;
    main.removeAttribute('aria-busy');
    fill(main, page);
    const title = page.querySelector('h1');
    if (shownFor !== null && path !== shownFor) {
        window.scrollTo(0, 0);
        title?.focus();
    } else if (held) {
        const same = [...page.querySelectorAll('button, a, input, select')].find((one) => nameOf(one) === held);
        (same ?? title)?.focus();
    }
    shownFor = path;
}

/** What a control is called, whatever the order of a list. */
function nameOf(control) {
    const label = control.getAttribute('aria-label') ?? control.labels?.[0]?.textContent ?? control.textContent;
    return `${control.tagName} ${label.replace(/ [↑↓]$/, '')}`;
}

/** The way in, and why one stands before it. Of what was shown nothing stays. */
function signedOut(why) {
    clearNotices();
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
