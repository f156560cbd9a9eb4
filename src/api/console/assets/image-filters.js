// How the list of images is narrowed and ordered: the form, the heads of columns, and the address that says the same.
// Owns no image.

import { button, choice, empty, field, h, link } from './dom.js';
import { may } from './session.js';
import { STATUSES } from './words.js';

const NEWEST = 'created_at:desc';
const VISIBILITIES = [
    ['', 'Any visibility'],
    ['private', 'Private'],
    ['shared', 'Shared'],
    ['offered', 'Offered to this project'],
    ['community', 'Community'],
    ['public', 'Public'],
    ['hidden', 'Hidden from lists'],
];
const SYSTEMS = [
    ['', 'Any OS'],
    ['Linux', 'Linux'],
    ['Windows', 'Windows'],
    ['Other', 'Other, or not said'],
];

/** The filter that an address has. */
export function filterOf(search) {
    const said = (key) => search.get(key) ?? '';
    return {
        name: said('name'),
        status: said('status'),
        visibility: said('visibility'),
        os: said('os'),
        sort: search.get('sort') ?? NEWEST,
    };
}

/** Goes to the list that a filter describes. */
function go(filter) {
    const search = new URLSearchParams(
        Object.entries(filter).filter(([name, value]) => value && !(name === 'sort' && value === NEWEST)),
    );
    location.hash = `#/images${search.size ? `?${search}` : ''}`;
}

/** The head of a column that the list can be ordered by. */
export function sorted(head, key, filter) {
    const [by, way] = filter.sort.split(':');
    const next = by === key && way === 'asc' ? 'desc' : 'asc';
    const sign = by !== key ? '' : way === 'asc' ? ' ↑' : ' ↓';
    return {
        head: button(
            [head, h('span', { 'aria-hidden': 'true' }, sign)],
            () => go({ ...filter, sort: `${key}:${next}` }),
            { class: 'sort' },
        ),
        label: head,
        sort: by !== key ? null : way === 'asc' ? 'ascending' : 'descending',
    };
}

/** The form. */
export function filters(filter) {
    const name = h('input', { type: 'search', value: filter.name, placeholder: 'Part of a name, or an id' });
    const boxes = {
        status: choice(STATUSES, filter.status),
        visibility: choice(VISIBILITIES, filter.visibility),
        os: choice(SYSTEMS, filter.os),
        sort: choice(
            [
                [NEWEST, 'Newest first'],
                ['created_at:asc', 'Oldest first'],
                ['name:asc', 'Name'],
                ['name:desc', 'Name, backwards'],
                ['size:desc', 'Largest first'],
                ['size:asc', 'Smallest first'],
                ['status:asc', 'Status'],
                ['status:desc', 'Status, backwards'],
            ],
            filter.sort,
        ),
    };
    const apply = (event) => {
        event?.preventDefault();
        go({
            name: name.value.trim(),
            ...Object.fromEntries(Object.entries(boxes).map(([key, box]) => [key, box.value])),
        });
    };
    Object.values(boxes).forEach((box) => box.addEventListener('change', apply));
    return h(
        'form',
        { class: 'filters', role: 'search', on: { submit: apply } },
        field('Search', name),
        field('Status', boxes.status),
        field('Visibility', boxes.visibility),
        field('OS', boxes.os),
        field('Order', boxes.sort),
        h('button', { type: 'submit' }, 'Search'),
    );
}

/** What stands in the place of a list without images. */
export function nothing(filter) {
    if (filter.name || filter.status || filter.visibility || filter.os) {
        return empty(
            'No image is like that',
            'Nothing that you may see passes these filters.',
            link('Show all', '#/images', { class: 'button' }),
        );
    }
    if (!may('ims:images:create'))
        return empty('No images yet', 'Nobody made one in this project, and you may not: your role only reads.');
    return empty(
        'No images yet',
        'Upload a disk image or an ISO file to begin.',
        link('New image', '#/images/new', { class: 'button primary' }),
    );
}
