// Files of buckets: an image made from one, an image written to one. Owns the two forms; the server does the work in jobs.

import { ask, get } from './api.js';
import { choice, field, h, link } from './dom.js';
import { dialog, notice } from './notices.js';

/** What may stand in a form's field for a file: the buckets that this project may use so. */
async function place(use) {
    const { buckets } = await get('/tintype/v1/places');
    const names = buckets.filter((bucket) => bucket[use]).map((bucket) => bucket.name);
    const what = use === 'read' ? 'read' : 'write to';
    return {
        first: names[0] ?? 'bucket',
        hint: names.length
            ? `bucket:file. This project may ${what}: ${names.join(', ')}.`
            : `This project may ${what} no bucket. An administrator sets buckets up, in sections [[exchange]] of the settings.`,
    };
}

/** Asks where to, and begins an export. */
export async function exportDialog(image) {
    const { first, hint } = await place('write');
    const to = h('input', {
        required: true,
        placeholder: `${first}:${/^[\w.-]+$/.test(image.name ?? '') ? image.name : image.id}.${image.disk_format}`,
        spellcheck: 'false',
        autocapitalize: 'none',
    });
    const job = await dialog({
        title: 'Export to a bucket',
        content: [
            field('File', to, hint),
            h('p', { class: 'hint' }, `It is written as it is stored (${image.disk_format}); nothing is overwritten.`),
        ],
        action: 'Export',
        submit: () =>
            ask('POST', `/v1/cloudimages/${image.id}/file`, {
                json: { bucket_url: to.value.trim(), file_format: image.disk_format },
            }),
    });
    if (job) notice(['The export has begun. ', link('Jobs', '#/jobs'), ' tells how far it is.']);
}

/** Asks where from, and begins an import. Resolves to null when it was dismissed. */
export async function importDialog() {
    const { first, hint } = await place('read');
    const from = h('input', {
        required: true,
        placeholder: `${first}:debian.qcow2`,
        spellcheck: 'false',
        autocapitalize: 'none',
    });
    const name = h('input', { required: true, maxlength: 128 });
    const disk = h('input', { type: 'number', min: 1, max: 1024, value: 40, required: true });
    const type = choice(
        [
            ['', 'Not said'],
            ['Linux', 'Linux'],
            ['Windows', 'Windows'],
            ['Other', 'Other'],
        ],
        '',
    );
    const says = h('input', { maxlength: 1024 });
    return dialog({
        title: 'Import from a bucket',
        content: [
            field('File', from, hint),
            field('Name of the image', name),
            field('Disk, in GiB', disk, 'What a machine needs at least: no less than the disk in the file.'),
            field('Operating system', type),
            field('Description', says),
        ],
        action: 'Import',
        submit: () => {
            const json = { image_url: from.value.trim(), name: name.value.trim(), min_disk: Number(disk.value) };
            if (type.value) json.os_type = type.value;
            if (says.value) json.description = says.value;
            return ask('POST', '/v2/cloudimages/action', { json });
        },
    });
}
