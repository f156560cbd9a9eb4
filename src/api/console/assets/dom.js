// Elements out of data. Owns the one way in which text reaches the page: as text nodes and plain
// attributes, never as markup. Knows nothing of images, users or the server.

const PROPERTIES = new Set([
    'value',
    'checked',
    'disabled',
    'selected',
    'indeterminate',
    'hidden',
    'open',
    'readOnly',
    'required',
    'multiple',
    'max',
]);
const SVG = 'http://www.w3.org/2000/svg';

// Characters that show as nothing, or turn the order of what follows: controls, marks and overrides
// of direction, zero widths.
const UNSEEN =
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb]/;

/** An element with attributes, listeners (on: {event: function}) and children. */
export function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) set(element, name, value);
    append(element, children);
    return element;
}

/** An element of a drawing. */
export function svg(tag, attributes, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
    append(element, children);
    return element;
}

function set(element, name, value) {
    if (value === null || value === undefined || value === false) {
        if (PROPERTIES.has(name)) element[name] = value ?? (name === 'value' ? '' : false);
        return;
    }
    if (name === 'on') {
        for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
        return;
    }
    if (/^on/i.test(name)) throw new Error(`${name} is no attribute here`);
    // A link leads to a page of the console and nowhere else.
    if (name === 'href' && !String(value).startsWith('#')) throw new Error('a link leads to a page of the console');
    if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
}

/** Appends texts, elements and lists of them; nothing for null and false. */
export function append(parent, children) {
    for (const child of children.flat(Infinity)) {
        if (child === null || child === undefined || child === false) continue;
        parent.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
}

/** Puts these children in the place of what was there. */
export function fill(parent, ...children) {
    parent.replaceChildren();
    append(parent, children);
    return parent;
}

/** A text that somebody else wrote: apart from the direction of its surroundings, with what cannot be seen spelled out. */
export function text(value) {
    const box = h('bdi');
    for (const part of String(value ?? '').split(new RegExp(`(${UNSEEN.source})`))) {
        if (part.length === 1 && UNSEEN.test(part)) box.append(h('span', { class: 'unseen-character' }, code(part)));
        else if (part) box.append(part);
    }
    return box;
}

/** The same for places that take no elements, such as options. */
export function plain(value) {
    return String(value ?? '').replace(new RegExp(UNSEEN.source, 'g'), code);
}

function code(character) {
    return `‹U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}›`;
}

let ids = 0;

/** A control with its label, and a hint that belongs to it. */
export function field(label, control, hint) {
    control.id ||= `f${++ids}`;
    const says = hint ? h('small', { id: `${control.id}-hint`, class: 'hint' }, hint) : null;
    if (says) control.setAttribute('aria-describedby', says.id);
    return h('div', { class: 'field' }, h('label', { for: control.id }, label), control, says);
}

/** A box to tick, with its label behind it. */
export function tick(label, control, hint) {
    control.id ||= `f${++ids}`;
    return h(
        'div',
        { class: 'tick' },
        control,
        h('label', { for: control.id }, label, hint ? h('small', { class: 'hint' }, hint) : null),
    );
}

/** A list to choose from: pairs of value and words. */
export function choice(pairs, chosen, attributes) {
    return h(
        'select',
        attributes,
        pairs.map(([value, words]) => h('option', { value, selected: value === (chosen ?? '') }, plain(words))),
    );
}

/** A button. */
export function button(words, listener, attributes) {
    return h('button', { type: 'button', ...attributes, on: { click: listener } }, words);
}

/** A link to a page of the console. */
export function link(words, href, attributes) {
    return h('a', { href, ...attributes }, words);
}

/** A table whose cells know their column, so that they can stand under each other where there is no room. */
export function table(caption, columns, rows) {
    const head = columns.map((column) =>
        h('th', { scope: 'col', class: column.class, 'aria-sort': column.sort }, column.head),
    );
    const body = rows.map((row) =>
        h(
            'tr',
            row.attributes,
            row.cells.map((cell, at) =>
                h(
                    'td',
                    {
                        class: columns[at].class,
                        'data-label': columns[at].label ?? null,
                    },
                    cell,
                ),
            ),
        ),
    );
    return h(
        'div',
        { class: 'scroll' },
        h(
            'table',
            null,
            h('caption', { class: 'unseen' }, caption),
            h('thead', null, h('tr', null, head)),
            h('tbody', null, body),
        ),
    );
}

/** Names and values under each other. */
export function facts(pairs) {
    const shown = pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined);
    return h(
        'dl',
        { class: 'facts' },
        shown.map(([name, value]) => h('div', null, h('dt', null, name), h('dd', null, value))),
    );
}

/** What stands where there is nothing to list. */
export function empty(title, words, ...actions) {
    return h(
        'div',
        { class: 'empty' },
        h('h2', null, title),
        h('p', null, words),
        actions.length ? h('p', { class: 'actions' }, actions) : null,
    );
}
