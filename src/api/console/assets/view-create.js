// A new image: what is said of it, its file, and the upload that begins. Owns the page.

import { choice, field, fill, h, link } from './dom.js';
import { create, customKeys } from './images.js';
import { failure, speak } from './notices.js';
import { may } from './session.js';
import { recordForm } from './record-form.js';
import { formatOf, upload } from './upload.js';
import { bytes } from './words.js';

const FORMATS = ['raw', 'qcow2', 'vhd', 'vhdx', 'vmdk', 'vdi', 'iso', 'zvhd', 'zvhd2', 'ami', 'ari', 'aki', 'ploop', 'luks'];
const CONTAINERS = ['bare', 'ovf', 'ova', 'ami', 'ari', 'aki', 'docker', 'compressed'];

/** Shows the form. */
export async function showCreate(main, { signal }) {
    const head = [h('p', { class: 'trail' }, link('Images', '#/images')), h('h1', { tabindex: -1 }, 'New image')];
    if (!may('ims:images:create')) {
        fill(
            main,
            head,
            h('p', { class: 'notice inline wait' }, 'You may not make images in this project: your role only reads.'),
        );
        return;
    }
    const keys = may('kms:cmk:list') ? await customKeys(signal) : [];
    const form = recordForm({ visibility: 'private' });
    const file = h('input', { type: 'file', on: { change: chosen } });
    const about = h('p', { class: 'hint' });
    const format = choice(
        FORMATS.map((one) => [one, one]),
        'raw',
    );
    const container = choice(
        CONTAINERS.map((one) => [one, one]),
        'bare',
    );
    const key = choice([['', 'Box default'], ...keys.map((one) => [one.id, `Custom key ${one.alias}`])], '');
    const trouble = h('div');
    const save = h('button', { type: 'submit', class: 'primary' }, 'Create and upload');

    async function chosen() {
        const [one] = file.files;
        if (!one) return;
        format.value = await formatOf(one);
        if (!form.name.value) form.name.value = one.name.replace(/\.[a-z0-9]+$/i, '');
        fill(about, `${bytes(one.size)}; it looks like ${format.value}.`);
        speak(about.textContent);
    }

    async function submit(event) {
        event.preventDefault();
        save.disabled = true;
        fill(trouble);
        try {
            const [one] = file.files;
            const record = { ...form.read(), disk_format: format.value, container_format: container.value };
            if (key.value) record.__system__cmkid = key.value;
            const id = await create(record);
            if (one) upload({ id, name: record.name }, one);
            location.hash = `#/images/${id}`;
        } catch (error) {
            if (error.status !== 401) fill(trouble, failure(error));
        } finally {
            save.disabled = false;
        }
    }

    fill(
        main,
        head,
        h(
            'form',
            { class: 'panel', on: { submit } },
            field(
                'File',
                file,
                'A disk or an ISO. Without one the image is registered, and its data can come later. A broken connection does not matter: the upload goes on where it stood.',
            ),
            about,
            h('div', { class: 'pair' }, field('Format', format), field('Container', container)),
            keys.length ? field('Encryption', key) : null,
            form.shown,
            trouble,
            h('p', { class: 'actions' }, save, link('Cancel', '#/images', { class: 'button' })),
        ),
    );
}
