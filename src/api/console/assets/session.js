// Who is signed in: the token, its user and project, when it ends, and what it allows. Owns the one place
// where a token is kept, the tab's session storage, and nowhere else.

import { ask, carry, get, onRefused, send } from './api.js';

const KEPT = 'tintype.session';
const LAST = 'tintype.project';
const TOKENS = '/identity/v3/auth/tokens';

/** What the pages ask about, so that nobody is offered what the server refuses. */
const ACTIONS = [
    'ims:images:create',
    'ims:images:update',
    'ims:images:delete',
    'ims:images:upload',
    'ims:images:export',
    'ims:images:share',
    'ims:serverImages:create',
    'ims:dataImages:create',
    'ims:jobs:get',
    'ims:jobs:manage',
    'kms:cmk:list',
    'tintype:images:accessAll',
    'tintype:images:publish',
    'tintype:store:get',
    'tintype:audit:get',
    'tintype:audit:getAll',
    'tintype:upkeep:manage',
    'tintype:accessKeys:manageAll',
    'tintype:jobs:accessAll',
    'identity:projects:list',
];

/** The session; null while nobody is signed in. */
export let session = null;
let rights = new Set();
let timer = null;
const listeners = new Set();

/** Calls the function after each sign-in, change of project and end of a session. It is told why it ended. */
export function onChange(listener) {
    listeners.add(listener);
}

/** Whether the caller may do this in the project. */
export function may(action) {
    return rights.has(action);
}

/** Whether the caller may do this to the image, whose project counts too. */
export function mayOn(image, action) {
    return may(action) && (image.owner === session?.project.id || may('tintype:images:accessAll'));
}

/** Signs in. The project may be left out by whoever has a default one, just one, or does not mind which. */
export async function signIn({ user, password, domain, project }) {
    const identity = { methods: ['password'], password: { user: { name: user, password, domain: { name: domain } } } };
    const wish = project ? { scope: { project: { name: project, domain: { name: domain } } } } : {};
    const first = await issue({ identity, ...wish });
    if (first.token.project) return begin(first);
    try {
        carry(first.text);
        const open = await projects();
        const found = open.find((one) => one.id === sessionStorage.getItem(LAST)) ?? open[0];
        if (!found) throw new Error('You have no rights in any project. An administrator can give you a role in one.');
        const scoped = await scope(first.text, found.id);
        await revoke(first.text, scoped.text);
        return await begin(scoped);
    } catch (error) {
        carry(null);
        throw error;
    }
}

/** Goes over to another project of the caller's. */
export async function switchProject(id) {
    const before = session.token;
    const next = await scope(before, id);
    await revoke(before, next.text);
    await begin(next);
}

/** The projects that the caller can act in. */
export async function projects() {
    const { projects: open } = await get('/identity/v3/auth/projects');
    return open.sort((a, b) => a.name.localeCompare(b.name));
}

/** Ends the session, and the token with it. */
export async function signOut() {
    const ending = session?.token;
    if (ending) await revoke(ending);
    end('You are signed out.');
}

/** Takes up the session that this tab had. Says whether there was one that holds no more. */
export async function resume() {
    let kept = null;
    try {
        kept = JSON.parse(sessionStorage.getItem(KEPT));
    } catch {
        sessionStorage.removeItem(KEPT);
    }
    if (!kept?.token || Date.parse(kept.expires) <= Date.now()) {
        sessionStorage.removeItem(KEPT);
        return Boolean(kept?.token);
    }
    try {
        await take(kept);
        return false;
    } catch (error) {
        if (error.status !== 401) throw error;
        sessionStorage.removeItem(KEPT);
        return true;
    }
}

async function issue(auth) {
    const response = await send('POST', `${TOKENS}?nocatalog`, { json: { auth }, anonymous: true });
    return { text: response.headers.get('x-subject-token'), token: (await response.json()).token };
}

function scope(text, project) {
    return issue({ identity: { methods: ['token'], token: { id: text } }, scope: { project: { id: project } } });
}

/** Ends a token, by itself or by another one of the same user. One that is gone already is no trouble. */
async function revoke(text, by = text) {
    await ask('DELETE', TOKENS, { headers: { 'X-Auth-Token': by, 'X-Subject-Token': text }, anonymous: true }).catch(
        () => {},
    );
}

async function begin({ text, token }) {
    const next = {
        token: text,
        expires: token.expires_at,
        user: token.user,
        project: token.project,
        roles: (token.roles ?? []).map((role) => role.name),
    };
    sessionStorage.setItem(KEPT, JSON.stringify(next));
    sessionStorage.setItem(LAST, next.project.id);
    await take(next);
}

async function take(next) {
    carry(next.token);
    rights = await allowed(next);
    session = next;
    clearTimeout(timer);
    // A browser's timer takes 24 days at most, and a token may live a week.
    timer = setTimeout(ended, Math.max(0, Date.parse(next.expires) - Date.now()));
    listeners.forEach((listener) => listener(null));
}

/** What the server says that the caller may do in the project. */
async function allowed({ user, project }) {
    const one = async (action) => {
        const question = { user: user.id, action, resource: '*', project: project.id };
        const answer = await ask('POST', '/tintype/v1/policy-simulation', { json: question });
        return answer.allowed ? action : null;
    };
    // One alone first: where the token is worth nothing, that is found out once.
    const [first, ...others] = ACTIONS;
    return new Set([await one(first), ...(await Promise.all(others.map(one)))].filter(Boolean));
}

function ended() {
    end('Your session has ended. Sign in again to go on.');
}

function end(why) {
    if (!session) return;
    session = null;
    rights = new Set();
    clearTimeout(timer);
    carry(null);
    sessionStorage.removeItem(KEPT);
    listeners.forEach((listener) => listener(why));
}

onRefused(ended);
