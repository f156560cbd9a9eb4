// Who an image is shared with, and what a project says to an offer. Owns that part of an image's page.

import { button, field, fill, h, table, text } from './dom.js';
import { get, query } from './api.js';
import { answer, isOffered, members, share, unshare } from './images.js';
import { act, confirm, notice } from './notices.js';
import { may, mayOn, projects, session } from './session.js';
import { mark, moment } from './words.js';

const WORDS = { pending: ['Offered', 'wait'], accepted: ['Accepted', 'good'], rejected: ['Rejected', 'off'] };

/** The parts of an image's page: an offer to answer, and the list of members. Either may be null. */
export async function sharing(image, signal, again) {
    if (image.visibility !== 'shared') return { offer: null, panel: hintToShare(image) };
    const listed = await members(image.id, signal);
    if (listed === null) return { offer: null, panel: null };
    if (isOffered(image) && !mayOn(image, 'ims:images:share')) {
        const own = listed.find((member) => member.member_id === session.project.id);
        return { offer: own ? offer(image, own, again) : null, panel: null };
    }
    const known = new Map((await projects()).map((one) => [one.id, one.name]));
    const own = isOffered(image) ? listed.find((member) => member.member_id === session.project.id) : null;
    return { offer: own ? offer(image, own, again) : null, panel: list(image, listed, known, again) };
}

function hintToShare(image) {
    if (!mayOn(image, 'ims:images:share') || image.visibility !== 'private') return null;
    return h(
        'section',
        { class: 'panel' },
        h('h2', null, 'Sharing'),
        h(
            'p',
            { class: 'hint' },
            'A private image is not shared. Edit it and make it “Shared” to offer it to other projects.',
        ),
    );
}

function offer(image, own, again) {
    const answered = own.status !== 'pending';
    const say = (event, status, words) =>
        act(
            event.target,
            async () => {
                await answer(image.id, status);
                notice(words);
                again();
            },
            'The offer was not answered',
        );
    const words = {
        pending: 'Another project offers this image to yours.',
        accepted: 'Your project accepted this image: its lists show it.',
        rejected: 'Your project rejected this image: its lists do not show it.',
    };
    return h(
        'section',
        { class: 'panel offer' },
        h('h2', null, 'Offered to this project'),
        h('p', null, words[own.status]),
        may('ims:images:share')
            ? h(
                  'p',
                  { class: 'actions' },
                  own.status === 'accepted'
                      ? null
                      : button('Accept', (event) => say(event, 'accepted', 'Accepted.'), {
                            class: answered ? null : 'primary',
                        }),
                  own.status === 'rejected' ? null : button('Reject', (event) => say(event, 'rejected', 'Rejected.')),
              )
            : h('p', { class: 'hint' }, 'Your role may not answer.'),
    );
}

function list(image, listed, known, again) {
    const changes = mayOn(image, 'ims:images:share');
    const named = (id) =>
        known.has(id)
            ? [text(known.get(id)), h('small', { class: 'more id' }, id)]
            : h('span', { class: 'id' }, text(id));
    const columns = [
        { head: 'Project', label: 'Project' },
        { head: 'Answer', label: 'Answer' },
        { head: 'Since', label: 'Since' },
        { head: h('span', { class: 'unseen' }, 'Actions'), class: 'end' },
    ];
    const rows = listed.map((member) => ({
        cells: [
            named(member.member_id),
            mark(...(WORDS[member.status] ?? [member.status, 'off'])),
            moment(member.created_at),
            changes ? button('Take back…', () => takeBack(member.member_id), { class: 'quiet' }) : null,
        ],
    }));
    const body = rows.length
        ? table('Projects that it is shared with', columns, rows)
        : h('p', { class: 'hint' }, 'It is offered to no project yet.');
    return h('section', { class: 'panel' }, h('h2', null, 'Shared with'), body, changes ? add() : null);

    async function takeBack(project) {
        const done = await confirm({
            title: 'Take the share back?',
            content: h('p', null, named(project), ' cannot use the image from then on.'),
            action: 'Take back',
            submit: () => unshare(image.id, project),
        });
        if (done) again();
    }

    function add() {
        const options = h(
            'datalist',
            { id: 'projects-known' },
            [...known]
                .filter(([id]) => id !== image.owner && !listed.some((member) => member.member_id === id))
                .map(([id, name]) => h('option', { value: id }, text(name).textContent)),
        );
        const who = h('input', { list: 'projects-known', autocapitalize: 'none', spellcheck: 'false', required: true });
        const send = h('button', { type: 'submit' }, 'Share');
        const trouble = h('div');
        const submit = (event) => {
            event.preventDefault();
            fill(trouble);
            act(
                send,
                async () => {
                    await share(image.id, await resolve(who.value.trim(), known));
                    notice('Offered. The other project decides whether its lists show it.');
                    again();
                },
                'It was not shared',
            );
        };
        return h(
            'form',
            { class: 'row', on: { submit } },
            field('Share with project', who, 'Its id. A name works for your own projects, and for administrators.'),
            send,
            options,
            trouble,
        );
    }
}

/** The id of a project that was named. */
async function resolve(named, known) {
    for (const [id, name] of known) if (id === named || name === named) return id;
    if (!may('identity:projects:list')) return named;
    const { projects: found } = await get(`/identity/v3/projects${query({ name: named })}`);
    return found.length === 1 ? found[0].id : named;
}
