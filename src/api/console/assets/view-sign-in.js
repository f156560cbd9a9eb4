// The way in. Owns nothing: what was typed is gone when the page is.

import { ask } from './api.js';
import { field, fill, h } from './dom.js';
import { told } from './notices.js';
import { signIn } from './session.js';

/** Shows the form. */
export function showSignIn(main) {
    const name = h('input', {
        name: 'user',
        autocomplete: 'username',
        autocapitalize: 'none',
        spellcheck: 'false',
        required: true,
    });
    const password = h('input', {
        name: 'password',
        type: 'password',
        autocomplete: 'current-password',
        required: true,
    });
    const domain = h('input', {
        name: 'domain',
        value: 'Default',
        autocapitalize: 'none',
        spellcheck: 'false',
        required: true,
    });
    const project = h('input', { name: 'project', autocapitalize: 'none', spellcheck: 'false' });
    const trouble = h('div', { class: 'told' });
    const go = h('button', { type: 'submit', class: 'primary wide' }, 'Sign in');
    const form = h(
        'form',
        { class: 'card', on: { submit } },
        h('h1', { tabindex: -1 }, 'Sign in'),
        trouble,
        field('User', name),
        field('Password', password),
        field('Domain', domain),
        field('Project', project, 'May be left empty: you can change it at any time.'),
        go,
    );

    async function submit(event) {
        event.preventDefault();
        go.disabled = true;
        fill(trouble);
        try {
            await signIn({ user: name.value, password: password.value, domain: domain.value, project: project.value });
        } catch (error) {
            const words =
                error.status === 401
                    ? 'User, password, domain or project is not right, or the user is disabled.'
                    : told(error);
            fill(trouble, h('p', { role: 'alert', class: 'notice inline bad' }, words));
            password.value = '';
            password.focus();
        } finally {
            go.disabled = false;
        }
    }

    fill(
        main,
        h(
            'div',
            { class: 'way-in' },
            form,
            h(
                'p',
                { class: 'hint' },
                'Machine images on one box. The first start prints the administrator’s password, and keeps it in the file admin-password.',
            ),
        ),
    );
    name.focus();
    // A server whose users are a cloud's says so, and no password is sent to it.
    ask('GET', '/identity/v3', { anonymous: true }).catch((error) => {
        if (error.status !== 404) return;
        go.disabled = true;
        fill(trouble, h('p', { role: 'alert', class: 'notice inline bad' }, told(error)));
    });
}
