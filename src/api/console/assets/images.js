// What the console asks of images: listings, one image, changes, shares. Owns paths and bodies of the Image API, and
// nothing of how they look.

import { Pages, ask, enc, get, query, send } from './api.js';
import { session } from './session.js';
import { description } from './words.js';

const PATCH = 'application/openstack-images-v2.1-json-patch';

/** Keys of a record that are no properties. */
export const FIELDS = new Set([
    'id',
    'name',
    'status',
    'visibility',
    'protected',
    'os_hidden',
    'owner',
    'size',
    'virtual_size',
    'checksum',
    'os_hash_algo',
    'os_hash_value',
    'tintype_format',
    'tintype_findings',
    'container_format',
    'disk_format',
    'min_ram',
    'min_disk',
    'tags',
    'created_at',
    'updated_at',
    'self',
    'file',
    'schema',
]);

/** Whether the image is offered to the project, or was. */
export function isOffered(image) {
    return image.owner !== session.project.id;
}

/** Images that a filter leaves, in pages. `filter`: name, status, visibility, os, sort. */
export function listed(filter, signal) {
    const offered = filter.visibility === 'offered';
    const parameters = {
        status: filter.status,
        visibility: offered ? 'shared' : filter.visibility === 'hidden' ? 'all' : filter.visibility,
        member_status: offered ? 'pending' : null,
        os_hidden: filter.visibility === 'hidden' ? 'true' : null,
        __os_type: filter.os === 'Other' ? null : filter.os,
        sort: filter.sort,
        limit: filter.name || offered || filter.os === 'Other' ? 500 : 100,
    };
    const wanted = (filter.name ?? '').trim().toLowerCase();
    const keep = (image) =>
        (!wanted || (image.name ?? '').toLowerCase().includes(wanted) || image.id === wanted) &&
        (!offered || isOffered(image)) &&
        (filter.os !== 'Other' || !['Linux', 'Windows'].includes(image.__os_type));
    return new Pages(async (marker) => {
        const { images, next } = await get(`/v2/images${query({ ...parameters, marker })}`, signal);
        return { rows: images, next: next ? images.at(-1).id : null };
    }, keep);
}

/** One image. */
export function image(id, signal) {
    return get(`/v2/images/${id}`, signal);
}

/** Registers an image. The answer may be of either of two forms; what counts is the id. */
export async function create(record) {
    return (await ask('POST', '/v2/images', { json: record })).id;
}

/** Deletes an image. */
export function remove(id) {
    return send('DELETE', `/v2/images/${id}`);
}

/** Stops or resumes handing out an image's data. */
export function activate(id, active) {
    return send('POST', `/v2/images/${id}/actions/${active ? 'reactivate' : 'deactivate'}`);
}

/** Changes a record: only what differs is said. `after` has fields and properties; a property that is null goes. */
export async function change(before, after) {
    const operations = [];
    for (const [key, value] of Object.entries(after)) {
        const path = `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
        const had = Object.hasOwn(before, key);
        if (value === null && !FIELDS.has(key)) {
            if (had) operations.push({ op: 'remove', path });
        } else if (!had || JSON.stringify(before[key]) !== JSON.stringify(value)) {
            operations.push({ op: had ? 'replace' : 'add', path, value });
        }
    }
    if (!operations.length) return before;
    return ask('PATCH', `/v2/images/${before.id}`, { json: operations, headers: { 'Content-Type': PATCH } });
}

/** The name of the property that holds an image's description. */
export function descriptionKey(image) {
    return !image.__description && image.description ? 'description' : '__description';
}

/** An image's properties: names and values, without those that have a place of their own on a page. */
export function properties(image, except = []) {
    return Object.entries(image)
        .filter(([key]) => !FIELDS.has(key) && !except.includes(key))
        .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Who an image is shared with; null where that is not told. */
export async function members(id, signal) {
    try {
        return (await get(`/v2/images/${id}/members`, signal)).members;
    } catch (error) {
        if (error.status === 403 || error.status === 404) return null;
        throw error;
    }
}

/** Offers an image to a project. */
export function share(id, project) {
    return ask('POST', `/v2/images/${id}/members`, { json: { member: project } });
}

/** Takes an offer back. */
export function unshare(id, project) {
    return send('DELETE', `/v2/images/${id}/members/${enc(project)}`);
}

/** Answers an offer to this project. */
export function answer(id, status) {
    return ask('PUT', `/v2/images/${id}/members/${enc(session.project.id)}`, { json: { status } });
}

/** The row of an image in a file for spreadsheets; the first has the names of the columns. */
export const CSV_HEAD = [
    'Name',
    'ID',
    'Status',
    'OS',
    'Type',
    'Created',
    'Disk (GiB)',
    'Size (bytes)',
    'Encryption',
    'Virtual size (bytes)',
    'Format',
    'Visibility',
    'Description',
    'Tags',
];

/** See [CSV_HEAD]. */
export function csvRow(image, words) {
    return [
        image.name,
        image.id,
        words.statusWord(image.status),
        words.systemWord(image),
        words.typeWord(image),
        image.created_at,
        image.min_disk,
        image.size,
        words.encryptionWord(image),
        image.virtual_size,
        image.disk_format,
        words.visibilityWord(image.visibility),
        description(image),
        image.tags.join(' '),
    ];
}

/** Custom keys of the project that can seal a new image; none where that cannot be known. */
export async function customKeys(signal) {
    try {
        const { custom_keys: keys } = await get('/tintype/v1/custom-keys', signal);
        return keys.filter((key) => key.state === 'enabled' && key.project_id === session.project.id);
    } catch (error) {
        if ([400, 403, 404, 409].includes(error.status)) return [];
        throw error;
    }
}
