// Image data in, in slices (tus 1.0.0, /tintype/v1/images/ID/uploads). Owns how an upload goes on: after a broken
// connection, a pause, a new sign-in, and in another tab or on another day with the same file.

import { ApiError, ask, carried, get, refusal, refused, send } from './api.js';
import { Transfer } from './transfers.js';

/** Bytes of a slice. The server keeps what arrived of one that broke off. */
const SLICE = 64 << 20;
const RESTS_S = [1, 2, 4, 8, 15, 30];
const TUS = { 'Tus-Resumable': '1.0.0' };

/** The upload of an image that is not finished; null where there is none. */
export async function unfinished(image, signal) {
    const { uploads } = await get(`/tintype/v1/images/${image}/uploads`, signal);
    return uploads.find((upload) => !upload.complete) ?? null;
}

/** What this tab remembers of the file that an upload began with; it cannot compare bytes. */
export function isSameFile(image, file) {
    const known = sessionStorage.getItem(`tintype.file.${image}`);
    return known === null ? null : known === mark(file);
}

function mark(file) {
    return JSON.stringify([file.name, file.size, file.lastModified]);
}

/** Begins an upload of the file, or goes on with one. */
export function upload(image, file) {
    let place = null;
    return new Transfer({
        image: image.id,
        name: image.name || image.id,
        verb: 'Upload',
        total: file.size,
        work: async (transfer) => {
            place = await begin(image.id, file, transfer);
            await move(place, file, transfer);
            sessionStorage.removeItem(`tintype.file.${image.id}`);
        },
        cancelled: async () => {
            if (place) await send('DELETE', place, { headers: TUS }).catch(() => {});
        },
    });
}

async function begin(image, file, transfer) {
    const path = `/tintype/v1/images/${image}/uploads`;
    return stubbornly(transfer, async () => {
        const earlier = await unfinished(image, transfer.stop.signal);
        if (earlier && earlier.length !== file.size) {
            throw new ApiError(
                409,
                `The upload that is there is of ${earlier.length} bytes, and this file has ${file.size}. Choose the file that it began with.`,
            );
        }
        sessionStorage.setItem(`tintype.file.${image}`, mark(file));
        if (earlier) return `${path}/${earlier.id}`;
        const response = await send('POST', path, {
            headers: { ...TUS, 'Upload-Length': String(file.size) },
            signal: transfer.stop.signal,
        });
        return new URL(response.headers.get('Location'), location.href).pathname;
    });
}

async function move(place, file, transfer) {
    let offset = await stubbornly(transfer, () => standing(place, transfer));
    transfer.moved(offset);
    while (offset < file.size) {
        if (transfer.paused) await transfer.rest('paused', 'Paused');
        const from = offset;
        offset = await stubbornly(transfer, async (again) => {
            // After a failure nobody here knows what arrived.
            const known = again ? await standing(place, transfer) : from;
            transfer.moved(known);
            if (known >= file.size) return known;
            return sendSlice(place, file.slice(known, Math.min(known + SLICE, file.size)), known, transfer);
        });
        transfer.moved(offset);
    }
}

async function standing(place, transfer) {
    const response = await send('HEAD', place, { headers: TUS, signal: transfer.stop.signal });
    return Number(response.headers.get('Upload-Offset'));
}

/** Tries until it works, or until the server says that it never will. */
async function stubbornly(transfer, work) {
    for (let tries = 0; ; tries += 1) {
        try {
            return await work(tries > 0);
        } catch (error) {
            if (error.name === 'PauseError') {
                await transfer.rest('paused', 'Paused');
            } else if (error.status === 401) {
                await transfer.rest('session', 'Waits until you sign in again');
            } else if (error.status === 0 || error.status === 502 || error.status === 503 || error.status === 504) {
                const seconds = RESTS_S[Math.min(tries, RESTS_S.length - 1)];
                await transfer.rest('network', `${error.message} Next try in ${seconds} s.`, seconds);
            } else {
                throw error;
            }
        }
    }
}

/** Sends one slice, telling how much of it left. fetch would not tell. */
function sendSlice(place, slice, from, transfer) {
    return new Promise((resolve, reject) => {
        const request = new XMLHttpRequest();
        const used = carried();
        request.open('PATCH', place);
        request.setRequestHeader('X-Auth-Token', used ?? '');
        request.setRequestHeader('Accept', 'application/json');
        request.setRequestHeader('Content-Type', 'application/offset+octet-stream');
        request.setRequestHeader('Upload-Offset', String(from));
        request.setRequestHeader('Tus-Resumable', TUS['Tus-Resumable']);
        request.upload.onprogress = (event) => transfer.moved(from + event.loaded);
        request.onload = () => {
            if (request.status === 204) return resolve(Number(request.getResponseHeader('Upload-Offset')));
            if (request.status === 401) refused(used);
            return reject(
                refusal(request.status, request.responseText, request.getResponseHeader('x-openstack-request-id')),
            );
        };
        request.onerror = () => reject(new ApiError(0, 'The connection broke off.'));
        const ends = () => request.abort();
        transfer.stop.signal.addEventListener('abort', ends, { once: true });
        transfer.onPause = ends;
        request.onabort = () =>
            reject(new DOMException('stopped', transfer.stop.signal.aborted ? 'AbortError' : 'PauseError'));
        request.onloadend = () => {
            transfer.stop.signal.removeEventListener('abort', ends);
            transfer.onPause = null;
        };
        request.send(slice);
    });
}

/** Takes an unfinished upload away. */
export function abandon(image, id) {
    return ask('DELETE', `/tintype/v1/images/${image}/uploads/${id}`, { headers: TUS });
}

// What files begin with, for those whose names do not say what they are.
const BEGINNINGS = [
    ['qcow2', 0, 'QFI\xfb'],
    ['vmdk', 0, 'KDMV'],
    ['vhdx', 0, 'vhdxfile'],
    ['vhd', 0, 'conectix'],
    ['vdi', 64, '\x7f\x10\xda\xbe'],
    ['iso', 32769, 'CD001'],
];
const ENDINGS = {
    qcow2: 'qcow2',
    vmdk: 'vmdk',
    vhdx: 'vhdx',
    vhd: 'vhd',
    vdi: 'vdi',
    iso: 'iso',
    raw: 'raw',
    img: 'raw',
    zvhd2: 'zvhd2',
    zvhd: 'zvhd',
};

/** The format that a file has, by what is in it, or else by its name. */
export async function formatOf(file) {
    const start = new Uint8Array(await file.slice(0, 33000).arrayBuffer());
    const found = BEGINNINGS.find(([, at, magic]) =>
        [...magic].every((character, step) => start[at + step] === character.charCodeAt(0)),
    );
    return found?.[0] ?? ENDINGS[file.name.split('.').pop().toLowerCase()] ?? 'raw';
}
