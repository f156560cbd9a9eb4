// Image data out, in ranges of one entity tag (/tintype/v1/images/ID/file). Owns how a download goes on after a
// broken connection, and where the bytes go: to a file that the browser opened, or to one that it makes at the end.

import { ApiError, send } from './api.js';
import { notice } from './notices.js';
import { Transfer } from './transfers.js';

/** Bytes of a range. */
const RANGE = 16 << 20;
/** From this size on a browser that can writes straight to the disk. */
const STRAIGHT = 512 << 20;
const RESTS_S = [1, 2, 4, 8, 15, 30];

/** What the file is called: the image's name, without what a file's name cannot have or show. */
export function fileName(image) {
    const clean = (image.name || image.id)
        .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"*/:<>?\\|]/g, '_')
        .replace(/^\.+/, '_')
        .slice(0, 150);
    const ending =
        image.disk_format && !clean.toLowerCase().endsWith(`.${image.disk_format}`) ? `.${image.disk_format}` : '';
    return clean + ending;
}

/** Hands a file to the person. */
export function save(blob, name) {
    const place = URL.createObjectURL(blob);
    const way = document.createElement('a');
    way.href = place;
    way.download = name;
    way.hidden = true;
    document.body.append(way);
    way.click();
    way.remove();
    setTimeout(() => URL.revokeObjectURL(place), 60_000);
}

/** Begins a download of the image's data. */
export async function download(image) {
    let file = null;
    if (image.size >= STRAIGHT && window.showSaveFilePicker) {
        try {
            file = await (await window.showSaveFilePicker({ suggestedName: fileName(image) })).createWritable();
        } catch (error) {
            if (error.name === 'AbortError') return;
            notice(`The file cannot be made: ${error.message}`, 'bad');
            return;
        }
    }
    new Transfer({
        image: image.id,
        name: image.name || image.id,
        verb: 'Download',
        total: image.size,
        work: (transfer) => move(image, file, transfer),
        cancelled: () => file?.abort().catch(() => {}),
    });
}

async function move(image, file, transfer) {
    const pieces = [];
    let [offset, tag, tries] = [0, null, 0];
    while (offset < image.size) {
        if (transfer.paused) await transfer.rest('paused', 'Paused');
        try {
            const piece = await range(image, offset, tag, transfer);
            tag = piece.tag;
            if (file) await file.write(piece.blob);
            else pieces.push(piece.blob);
            offset += piece.blob.size;
            transfer.moved(offset);
            tries = 0;
        } catch (error) {
            await recover(error, tries, transfer);
            tries += 1;
        }
    }
    if (file) await file.close();
    else save(new Blob(pieces, { type: 'application/octet-stream' }), fileName(image));
}

async function range(image, offset, tag, transfer) {
    const last = Math.min(offset + RANGE, image.size) - 1;
    const headers = { Range: `bytes=${offset}-${last}` };
    if (tag) headers['If-Match'] = tag;
    const response = await send('GET', `/tintype/v1/images/${image.id}/file`, {
        headers,
        signal: transfer.stop.signal,
    });
    if (response.status !== 206)
        throw new ApiError(
            response.status,
            'Something between here and the server does not pass ranges on, so the download cannot be made in parts.',
        );
    let blob;
    try {
        blob = await response.blob();
    } catch (error) {
        if (error.name === 'AbortError') throw error;
        throw new ApiError(0, 'The connection broke off.');
    }
    if (blob.size !== last - offset + 1) throw new ApiError(0, 'The connection broke off.');
    return { blob, tag: response.headers.get('ETag') };
}

async function recover(error, tries, transfer) {
    if (error.status === 401) return transfer.rest('session', 'Waits until you sign in again');
    if (error.status === 0 || error.status === 503) {
        // Damage ends a range short, and would do so for ever.
        if (tries > 20)
            throw new ApiError(
                0,
                `It broke off ${tries} times at the same place. The page of the image may tell of damage.`,
            );
        const seconds = RESTS_S[Math.min(tries, RESTS_S.length - 1)];
        return transfer.rest('network', `${error.message} Next try in ${seconds} s.`, seconds);
    }
    throw error;
}
