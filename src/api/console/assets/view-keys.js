// Access keys, for programs that sign their requests. Owns that a secret is shown once: it is in one dialog, and nowhere else.

import { ask, enc, get } from './api.js';
import { button, empty, field, fill, h, table, text } from './dom.js';
import { act, confirm, copy, dialog, notice } from './notices.js';
import { may, session } from './session.js';
import { mark, moment } from './words.js';

const KEYS = '/tintype/v1/access-keys';
const STATES = {
    usable: ['Usable', 'good'],
    disabled: ['Disabled', 'off'],
    expired: ['Expired', 'off'],
    'secret lost': ['Secret lost', 'bad'],
};

/** Shows the keys. */
export async function showKeys(main, { signal, again }) {
    const { access_keys: keys } = await get(KEYS, signal);
    const all = may('tintype:accessKeys:manageAll');
    const columns = [
        { head: 'Access key', label: 'Access key' },
        { head: 'State', label: 'State' },
        all ? { head: 'User', label: 'User' } : null,
        { head: 'Project', label: 'Project' },
        { head: 'Created', label: 'Created' },
        { head: 'Last used', label: 'Last used' },
        { head: 'Ends', label: 'Ends' },
        { head: h('span', { class: 'unseen' }, 'Actions'), class: 'end' },
    ].filter(Boolean);
    const row = (key) => ({
        attributes: { 'data-key': key.access },
        cells: [
            [
                h('span', { class: 'id' }, key.access),
                key.description ? h('small', { class: 'more clip' }, text(key.description)) : null,
            ],
            mark(...(STATES[key.state] ?? [key.state, 'off'])),
            ...(all ? [text(key.user ?? key.user_id)] : []),
            text(key.project ?? key.project_id),
            moment(key.created_at),
            key.last_used_on ?? 'never',
            key.expires_at ? moment(key.expires_at) : 'never',
            h(
                'span',
                { class: 'actions' },
                button(key.enabled ? 'Disable' : 'Enable', (event) => turn(event, key)),
                button('Delete…', () => drop(key), { class: 'quiet' }),
            ),
        ],
    });
    fill(
        main,
        h(
            'div',
            { class: 'head' },
            h('h1', { tabindex: -1 }, 'Access keys'),
            h('p', { class: 'actions' }, button('New access key…', make, { class: 'primary' })),
        ),
        h(
            'p',
            { class: 'hint' },
            'Programs sign their requests with a key and its secret, in place of a password. A key is worth what its user holds in its project.',
        ),
        keys.length
            ? table('Access keys', columns, keys.map(row))
            : empty(
                  'No access keys',
                  'Make one for each program that uses images, so that each can be switched off by itself.',
              ),
    );

    function turn(event, key) {
        return act(event.target, async () => {
            await ask('PATCH', `${KEYS}/${enc(key.access)}`, { json: { enabled: !key.enabled } });
            notice(key.enabled ? 'Disabled: requests signed with it are refused.' : 'Enabled.');
            again();
        });
    }

    async function drop(key) {
        const gone = await confirm({
            title: 'Delete this access key?',
            content: [
                h('p', { class: 'id' }, h('strong', null, key.access)),
                key.description ? h('p', null, text(key.description)) : null,
                h('p', null, 'Programs that use it are refused from then on.'),
            ],
            action: 'Delete',
            submit: () => ask('DELETE', `${KEYS}/${enc(key.access)}`),
        });
        if (gone) again();
    }

    async function make() {
        const says = h('input', { maxlength: 255 });
        const ends = h('input', { type: 'date', min: new Date().toISOString().slice(0, 10) });
        const made = await dialog({
            title: 'New access key',
            content: [
                h('p', { class: 'hint' }, 'For your rights in the project ', text(session.project.name), '.'),
                field('Description', says, 'What it is for, so that one knows later.'),
                field('Ends on', ends, 'Empty: never.'),
            ],
            action: 'Create',
            submit: () =>
                ask('POST', KEYS, {
                    json: {
                        description: says.value.trim() || null,
                        project: session.project.id,
                        expires_at: ends.value ? `${ends.value}T23:59:59Z` : null,
                    },
                }),
        });
        if (!made) return;
        await tell(made);
        again();
    }
}

/** Shows the secret. When the dialog closes, nothing here knows it any more. */
function tell(made) {
    const shown = (label, value, name) => {
        const box = h('input', { value, readOnly: true, class: 'id', name });
        const pressed = button('Copy', () => copy(value, pressed, box), {
            'aria-label': `Copy ${label.toLowerCase()}`,
        });
        return h('div', { class: 'row' }, field(label, box), pressed);
    };
    return dialog({
        title: 'Keep the secret now',
        content: [
            h(
                'p',
                { class: 'notice inline wait' },
                'It is shown this once. The server does not keep it, and cannot tell it again.',
            ),
            shown('Access key', made.access, 'access'),
            shown('Secret', made.secret, 'secret'),
        ],
        dismiss: 'I have kept it',
    });
}
