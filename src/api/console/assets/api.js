// Requests to this server, with the caller's token. Owns how a refusal of any of its interfaces becomes
// one kind of error with the server's own words. Knows no path.

let token = null;
let whenRefused = () => {};

/** Which token requests carry from now on. */
export function carry(value) {
    token = value;
}

/** The token that requests carry. */
export function carried() {
    return token;
}

/** Who hears that the token is worth nothing any more. */
export function onRefused(listener) {
    whenRefused = listener;
}

/** A request that did not succeed. Its message is the server's. */
export class ApiError extends Error {
    constructor(status, message, code, request) {
        super(message);
        Object.assign(this, { status, code, request });
    }
}

/** What a response that is no success says, whichever interface it is of. */
export function refusal(status, body, request) {
    let told = null;
    try {
        told = JSON.parse(body);
    } catch {
        // Not all refusals are JSON; those are short texts.
    }
    const error = told?.error ?? {};
    const message =
        error.message ??
        error.error_msg ??
        told?.message ??
        told?.error_msg ??
        (typeof told?.error === 'string' ? told.error : null);
    const code = [error.code, error.error_code, told?.error_code].find((value) => typeof value === 'string');
    const short = body && !body.trimStart().startsWith('<') && !told ? body.trim().slice(0, 300) : null;
    return new ApiError(status, message || short || `The server answered ${status}.`, code, request);
}

/** Says that this token was refused. Whoever asked with an older one is not meant. */
export function refused(used) {
    if (used && used === token) whenRefused();
}

/** A response, whatever it is. `options`: json, headers, body, signal, anonymous. */
export async function send(method, path, options = {}) {
    const headers = { Accept: 'application/json', ...options.headers };
    const used = options.anonymous ? null : token;
    if (used) headers['X-Auth-Token'] ??= used;
    let body = options.body;
    if (options.json !== undefined) {
        headers['Content-Type'] ??= 'application/json';
        body = JSON.stringify(options.json);
    }
    let response;
    try {
        response = await fetch(path, {
            method,
            headers,
            body,
            signal: options.signal,
            cache: 'no-store',
            redirect: 'error',
        });
    } catch (error) {
        if (error.name === 'AbortError') throw error;
        throw new ApiError(0, 'The server cannot be reached. Look whether it runs, and whether the network is there.');
    }
    if (response.ok) return response;
    if (response.status === 401 && used) refused(used);
    const said = await response.text().catch(() => '');
    throw refusal(response.status, said, response.headers.get('x-openstack-request-id'));
}

/** The JSON that a request is answered with; null for no content. */
export async function ask(method, path, options) {
    const response = await send(method, path, options);
    const body = await response.text();
    if (!body) return null;
    try {
        return JSON.parse(body);
    } catch {
        throw new ApiError(response.status, 'The server’s answer cannot be read. Is there a proxy in between?');
    }
}

/** `ask` for a GET. */
export function get(path, signal) {
    return ask('GET', path, { signal });
}

/** The last line of an answer that grows while the server works; each step is told. */
export async function watch(path, step, signal) {
    const response = await send('POST', path, { signal });
    const lines = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let [waiting, last] = ['', null];
    const take = (line) => {
        if (!line.trim()) return;
        last = JSON.parse(line);
        if (last.progress) step(last.progress);
    };
    for (;;) {
        const { value, done } = await lines.read();
        waiting += value ?? '';
        const parts = waiting.split('\n');
        waiting = done ? '' : parts.pop();
        parts.forEach(take);
        if (done) break;
    }
    if (last?.error) throw new ApiError(200, last.error);
    if (!last?.result) throw new ApiError(0, 'The connection broke off before the outcome was told.');
    return last.result;
}

/** A part of a path, or of a query. */
export const enc = encodeURIComponent;

/** A query of the pairs that have a value. */
export function query(pairs) {
    const shown = Object.entries(pairs).filter(([, value]) => value !== null && value !== undefined && value !== '');
    return shown.length ? `?${shown.map(([name, value]) => `${enc(name)}=${enc(value)}`).join('&')}` : '';
}

/** All of a listing that is told in pages: `page` is given the marker and says rows and the next marker. */
export class Pages {
    constructor(page, keep = () => true) {
        Object.assign(this, { page, keep, rows: [], marker: null, done: false, looked: 0 });
    }

    /** Reads on until there are this many rows, or no more. */
    async reach(wanted) {
        while (!this.done && this.rows.length < wanted) {
            const { rows, next } = await this.page(this.marker);
            this.looked += rows.length;
            this.rows.push(...rows.filter(this.keep));
            this.marker = next;
            this.done = !next;
        }
        return this.rows;
    }
}
