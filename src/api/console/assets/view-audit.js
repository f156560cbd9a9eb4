// Who did what: the records, narrowed by filters, and whether their chain is whole. Owns the page.

import { get, query, watch } from './api.js';
import { button, choice, empty, facts, field, fill, h, table, text } from './dom.js';
import { act, dialog } from './notices.js';
import { may } from './session.js';
import { count, mark, moment } from './words.js';

const ROWS = 50;
const RECORDS = '/tintype/v1/audit/records';
const RATINGS = [
    ['', 'Any rating'],
    ['normal', 'Normal'],
    ['warning', 'Warning'],
    ['incident', 'Incident'],
];
const TONES = { normal: 'plain', warning: 'wait', incident: 'bad' };

/** Shows the records that the address asks for. */
export async function showAudit(main, { signal, search }) {
    const filter = Object.fromEntries(
        ['user', 'name', 'resource', 'rating', 'from', 'to'].map((key) => [key, search.get(key) ?? '']),
    );
    const rows = [];
    let next = null;
    const list = h('div');
    const outcome = h('div', { 'aria-live': 'polite' });
    await more();
    fill(
        main,
        h(
            'div',
            { class: 'head' },
            h('h1', { tabindex: -1 }, 'Audit'),
            h('p', { class: 'actions' }, may('tintype:upkeep:manage') ? button('Verify the chain…', verify) : null),
        ),
        outcome,
        filters(filter),
        list,
    );

    async function more() {
        const day = (value, end) => (value ? `${value}T${end ? '23:59:59' : '00:00:00'}Z` : null);
        const asked = {
            user: filter.user,
            name: filter.name,
            resource: filter.resource,
            rating: filter.rating,
            from: day(filter.from),
            to: day(filter.to, true),
            limit: ROWS,
            after: next,
        };
        const page = await get(RECORDS + query(asked), signal);
        rows.push(...page.records);
        next = page.next;
        draw();
    }

    function draw() {
        const columns = [
            { head: 'No.', label: 'No.', class: 'number' },
            { head: 'When', label: 'When' },
            { head: 'Who', label: 'Who' },
            { head: 'What', label: 'What' },
            { head: 'On', label: 'On' },
            { head: 'Rating', label: 'Rating' },
            { head: 'Detail', label: 'Detail' },
        ];
        const body = rows.length
            ? table('Audit records', columns, rows.map(row))
            : empty(
                  'No records',
                  next
                      ? 'None so far: there are older ones that were not looked at yet.'
                      : 'Nothing on record is like that.',
              );
        fill(
            list,
            body,
            next
                ? h(
                      'p',
                      { class: 'actions' },
                      button('Older', (event) => act(event.target, more)),
                  )
                : null,
        );
    }

    async function verify() {
        const head = h('input', { spellcheck: 'false', autocapitalize: 'none', placeholder: '7:9a0af56b…' });
        const found = await dialog({
            title: 'Verify the chain',
            content: [
                h('p', null, 'All records are read, and each is compared with the one before it.'),
                field(
                    'Head that was kept elsewhere',
                    head,
                    'SEQ:HASH, as “tintype audit head” prints it. With it, records that were cut off at the end show too. May be empty.',
                ),
            ],
            action: 'Verify',
            submit: () => watch(`/tintype/v1/audit/verify${query({ head: head.value.trim() })}`, () => {}, signal),
        });
        if (found) fill(outcome, verified(found));
    }
}

function verified(found) {
    const whole = found.flaws_total === 0;
    return h(
        'section',
        { class: `panel ${whole ? 'sound' : 'flawed'}` },
        h(
            'h2',
            null,
            whole
                ? 'The chain is whole'
                : `The chain is not what was written: ${count(found.flaws_total)} flaw${found.flaws_total === 1 ? '' : 's'}`,
        ),
        whole
            ? h('p', null, `${count(found.records)} records are what was written, and none is missing.`)
            : h(
                  'ul',
                  null,
                  found.flaws.map((flaw) => h('li', null, text(flaw))),
              ),
        facts([
            ['Ends at', h('span', { class: 'id' }, found.head)],
            found.anchor ? ['Begins after', h('span', { class: 'id' }, found.anchor)] : null,
        ]),
    );
}

function row(record) {
    const who = record.user_name || record.user.id || '–';
    return {
        cells: [
            button(String(record.seq), () => show(record), {
                class: 'as-link',
                'aria-label': `Record ${record.seq}, all of it`,
            }),
            moment(record.time),
            [text(who), record.source ? h('small', { class: 'more' }, text(record.source)) : null],
            h('span', { class: 'nowrap' }, text(record.name)),
            [
                text(record.resource_name || record.resource_id || '–'),
                h('small', { class: 'more' }, text(record.resource_type)),
            ],
            mark(record.rating, TONES[record.rating] ?? 'plain'),
            h('span', { class: 'clip' }, text(record.message)),
        ],
    };
}

function show(record) {
    const lines = Object.entries(record).map(([name, value]) => {
        const words =
            value === null || value === '' ? null : typeof value === 'object' ? JSON.stringify(value) : String(value);
        return words === null
            ? null
            : [
                  name,
                  h('span', { class: ['id', 'hash', 'before', 'request'].includes(name) ? 'id' : null }, text(words)),
              ];
    });
    return dialog({ title: `Record ${record.seq}`, content: facts(lines), dismiss: 'Close' });
}

function filters(filter) {
    const boxes = {
        user: h('input', { value: filter.user, spellcheck: 'false', autocapitalize: 'none' }),
        name: h('input', {
            value: filter.name,
            placeholder: 'deleteImage',
            spellcheck: 'false',
            autocapitalize: 'none',
        }),
        resource: h('input', {
            value: filter.resource,
            placeholder: 'id',
            spellcheck: 'false',
            autocapitalize: 'none',
        }),
        rating: choice(RATINGS, filter.rating),
        from: h('input', { type: 'date', value: filter.from }),
        to: h('input', { type: 'date', value: filter.to }),
    };
    const apply = (event) => {
        event.preventDefault();
        const search = new URLSearchParams(
            Object.entries(boxes)
                .map(([key, box]) => [key, box.value.trim()])
                .filter(([, value]) => value),
        );
        location.hash = `#/audit${search.size ? `?${search}` : ''}`;
    };
    const words = { user: 'Who', name: 'What', resource: 'On', rating: 'Rating', from: 'From', to: 'To' };
    return h(
        'form',
        { class: 'filters', role: 'search', on: { submit: apply } },
        Object.entries(boxes).map(([key, box]) => field(words[key], box)),
        h('button', { type: 'submit' }, 'Show'),
    );
}
