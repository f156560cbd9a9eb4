// Changing what is said of an image. Owns the page; the form's controls are those of new images.

import { fill, h, link, text } from './dom.js';
import { change, image as show } from './images.js';
import { failure, notice } from './notices.js';
import { mayOn } from './session.js';
import { recordForm } from './record-form.js';

/** Shows the form. */
export async function showEdit(main, { signal, id }) {
    const image = await show(id, signal);
    const back = `#/images/${id}`;
    const head = [
        h('p', { class: 'trail' }, link('Images', '#/images'), ' / ', link(text(image.name || id), back)),
        h('h1', { tabindex: -1 }, 'Edit image'),
    ];
    if (!mayOn(image, 'ims:images:update')) {
        fill(
            main,
            head,
            h(
                'p',
                { class: 'notice inline wait' },
                'You may not change this image: it is another project’s, or your role only reads.',
            ),
        );
        return;
    }
    const form = recordForm(image);
    const trouble = h('div');
    const save = h('button', { type: 'submit', class: 'primary' }, 'Save');
    const submit = async (event) => {
        event.preventDefault();
        save.disabled = true;
        fill(trouble);
        try {
            await change(image, form.read());
            notice('Saved.');
            location.hash = back;
        } catch (error) {
            if (error.status !== 401) fill(trouble, failure(error));
        } finally {
            save.disabled = false;
        }
    };
    fill(
        main,
        head,
        h(
            'form',
            { class: 'panel', on: { submit } },
            form.shown,
            trouble,
            h('p', { class: 'actions' }, save, link('Cancel', back, { class: 'button' })),
        ),
    );
}
