// The form for what is said of an image, for new ones and for changes. Owns how its controls become a record.

import { button, choice, field, h, plain, tick } from './dom.js';
import { FIELDS, descriptionKey, properties } from './images.js';
import { may } from './session.js';
import { description } from './words.js';

/** Properties that have a control of their own. */
const CONTROLS = [
    '__description',
    'description',
    '__os_type',
    '__os_version',
    'tintype_family',
    'tintype_deprecated',
    '__system__cmkid',
    'tintype_key',
];

/** The form's controls: `shown` to put on a page, `read` for what they say, as fields and properties. */
export function recordForm(image) {
    const isNew = !image.id;
    const name = h('input', { value: image.name ?? '', maxlength: 255 });
    const says = h('textarea', { rows: 2, maxlength: 1024, value: description(image) });
    const visible = choice(visibilities(image), image.visibility);
    const isProtected = h('input', { type: 'checkbox', checked: image.protected ?? false });
    const hidden = h('input', { type: 'checkbox', checked: image.os_hidden ?? false });
    const disk = h('input', { type: 'number', min: 0, max: 2147483647, value: image.min_disk ?? 0 });
    const memory = h('input', { type: 'number', min: 0, max: 2147483647, value: image.min_ram ?? 0 });
    const type = choice(systems(image.__os_type), image.__os_type);
    const version = h('input', {
        value: image.__os_version ?? '',
        maxlength: 255,
        placeholder: 'Debian GNU/Linux 12 64bit',
    });
    const family = h('input', { value: image.tintype_family ?? '', maxlength: 255 });
    const deprecated = h('input', { value: image.tintype_deprecated ?? '', maxlength: 255 });
    const tags = tagList(image.tags ?? []);
    const rows = propertyList(properties(image, CONTROLS));

    const read = () => {
        const record = {
            name: name.value,
            visibility: visible.value,
            protected: isProtected.checked,
            os_hidden: hidden.checked,
            min_disk: Number(disk.value),
            min_ram: Number(memory.value),
            tags: tags.read(),
        };
        if (!isNew && image.name === null && !record.name) delete record.name;
        const written = rows.read();
        for (const [key] of properties(image, CONTROLS)) if (!(key in written)) record[key] = null;
        Object.assign(record, written);
        const own = [
            [descriptionKey(image), says],
            ['__os_type', type],
            ['__os_version', version],
            ['tintype_family', family],
            ['tintype_deprecated', deprecated],
        ];
        for (const [key, control] of own) {
            const value = control.value.trim();
            if (value) record[key] = value;
            else if (key in image) record[key] = null;
        }
        return record;
    };
    const shown = [
        h(
            'div',
            { class: 'pair' },
            field('Name', name),
            field('Visibility', visible, 'Shared images can be offered to projects; a private one to nobody.'),
        ),
        field('Description', says),
        h('div', { class: 'pair' }, field('Operating system', type), field('Its version', version)),
        h('div', { class: 'pair' }, field('Disk needed, in GiB', disk), field('Memory needed, in MiB', memory)),
        h(
            'div',
            { class: 'pair' },
            field('Family', family, 'Images of a family succeed each other: family:NAME is the latest of them.'),
            field('Deprecated', deprecated, 'Why it is no longer to be chosen, or what to use instead. Empty: it is.'),
        ),
        field('Tags', tags.shown, 'Press Enter after each.'),
        h(
            'div',
            { class: 'ticks' },
            tick('Protected from being deleted', isProtected),
            tick('Hidden from lists', hidden),
        ),
        h('fieldset', null, h('legend', null, 'Other properties'), rows.shown),
    ];
    return { shown, read, name };
}

function visibilities(image) {
    const all = [
        ['private', 'Private: this project'],
        ['shared', 'Shared: this project, and those it is offered to'],
        ['community', 'Community: everyone who knows of it'],
        ['public', 'Public: everyone'],
    ];
    return all.filter(
        ([value]) => value !== 'public' || image.visibility === 'public' || may('tintype:images:publish'),
    );
}

function systems(told) {
    const known = [
        ['', 'Not said'],
        ['Linux', 'Linux'],
        ['Windows', 'Windows'],
        ['Other', 'Other'],
    ];
    return told && !known.some(([value]) => value === told) ? [...known, [told, told]] : known;
}

/** A set of tags that are put in one by one. */
function tagList(given) {
    const held = new Set(given);
    const list = h('ul', { class: 'tags' });
    const entry = h('input', { maxlength: 255, on: { keydown } });
    const shown = h('div', { class: 'tag-list' }, list, entry);
    // The label belongs to where one writes.
    Object.defineProperty(shown, 'id', {
        get: () => entry.id,
        set: (id) => {
            entry.id = id;
        },
    });
    shown.setAttribute = (name, value) => entry.setAttribute(name, value);
    function keydown(event) {
        if (event.key !== 'Enter') return;
        event.preventDefault();
        take();
    }
    function take() {
        const tag = entry.value.trim();
        entry.value = '';
        if (tag) held.add(tag);
        draw();
    }
    function draw() {
        list.replaceChildren(
            ...[...held].map((tag) =>
                h(
                    'li',
                    null,
                    plain(tag),
                    button(
                        '×',
                        () => {
                            held.delete(tag);
                            draw();
                            entry.focus();
                        },
                        { 'aria-label': `Take off the tag ${plain(tag)}` },
                    ),
                ),
            ),
        );
    }
    draw();
    return {
        shown,
        read: () => {
            take();
            return [...held].sort();
        },
    };
}

/** Names and values in rows. */
function propertyList(given) {
    const list = h('div', { class: 'property-rows' });
    const rows = [];
    const add = ([key, value] = ['', '']) => {
        const [name, content] = [
            h('input', {
                value: key,
                maxlength: 255,
                'aria-label': 'Name of the property',
                spellcheck: 'false',
                autocapitalize: 'none',
            }),
            h('input', { value, maxlength: 65535, 'aria-label': 'Value of the property', spellcheck: 'false' }),
        ];
        const row = {
            name,
            content,
            box: h(
                'div',
                { class: 'property-row' },
                name,
                content,
                button(
                    'Remove',
                    () => {
                        row.box.remove();
                        rows.splice(rows.indexOf(row), 1);
                    },
                    { class: 'quiet' },
                ),
            ),
        };
        rows.push(row);
        list.append(row.box);
        return row;
    };
    given.forEach(add);
    const shown = [list, button('Add a property', () => add().name.focus())];
    const read = () => {
        const written = {};
        for (const { name, content } of rows) {
            const key = name.value.trim();
            if (!key && !content.value) continue;
            if (!key) throw new Error('A property needs a name.');
            if (FIELDS.has(key) || CONTROLS.includes(key) || key in written)
                throw new Error(`“${key}” has a place of its own in this form, or is there twice.`);
            written[key] = content.value;
        }
        return written;
    };
    return { shown, read };
}
