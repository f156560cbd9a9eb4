// The list of images: its pages, many at once, and the list as a file. Owns which images are ticked.

import { button, fill, h, link, plain, table, text } from './dom.js';
import { csv } from './csv.js';
import { save } from './download.js';
import { filterOf, filters, nothing, sorted } from './image-filters.js';
import { CSV_HEAD, csvRow, listed, remove } from './images.js';
import { act, confirm, notice, speak, told } from './notices.js';
import { may, mayOn, session } from './session.js';
import { areThereDeleted } from './view-deleted.js';
import * as words from './words.js';

/** Images of a page. */
const ROWS = 25;

/** Shows the list that the address asks for. */
export async function showImages(main, { signal, search }) {
    const filter = filterOf(search);
    const found = listed(filter, signal);
    const [deleted] = await Promise.all([areThereDeleted(signal), found.reach(ROWS + 1)]);
    const ticked = new Map();
    let from = 0;

    const list = h('div');
    const many = h('div', { class: 'many' });
    fill(
        main,
        h(
            'div',
            { class: 'head' },
            h('h1', { tabindex: -1 }, 'Images'),
            h(
                'p',
                { class: 'actions' },
                deleted ? link('Deleted images', '#/images/deleted', { class: 'button' }) : null,
                button('Export list as CSV', (event) => exportList(event.target, filter, signal)),
                may('ims:images:create') && may('ims:images:upload')
                    ? link('New image', '#/images/new', { class: 'button primary' })
                    : null,
            ),
        ),
        filters(filter),
        many,
        list,
    );
    draw();

    function draw() {
        const rows = found.rows.slice(from, from + ROWS);
        if (!rows.length) {
            fill(list, nothing(filter));
            return;
        }
        fill(list, table('Images', columns(filter, rows), rows.map(row)), pager());
        drawMany();
    }

    function columns(asked, rows) {
        const all = h('input', {
            type: 'checkbox',
            'aria-label': 'Tick all on this page',
            checked: rows.every((one) => ticked.has(one.id)),
            on: {
                change: (event) => {
                    rows.forEach((one) => tick(one, event.target.checked));
                    draw();
                    // What is drawn anew keeps the focus where it was.
                    list.querySelector('th input').focus();
                },
            },
        });
        return [
            { head: all, class: 'tickbox' },
            sorted('Name', 'name', asked),
            sorted('Status', 'status', asked),
            { head: 'OS', label: 'OS', class: 'system' },
            { ...sorted('Size', 'size', asked), class: 'number' },
            { head: 'Virtual size', label: 'Virtual size', class: 'number' },
            { head: 'Disk', label: 'Disk', class: 'number' },
            { head: 'Visibility', label: 'Visibility' },
            { head: 'Encryption', label: 'Encryption' },
            sorted('Created', 'created_at', asked),
        ];
    }

    function row(one) {
        const says = words.description(one);
        const box = h('input', {
            type: 'checkbox',
            checked: ticked.has(one.id),
            'aria-label': `Tick ${plain(one.name || one.id)}`,
            on: {
                change: (event) => {
                    tick(one, event.target.checked);
                    drawMany();
                },
            },
        });
        return {
            cells: [
                box,
                h(
                    'div',
                    { class: 'name' },
                    link(text(one.name || one.id), `#/images/${one.id}`),
                    says ? h('small', { class: 'more clip' }, text(says)) : null,
                ),
                words.statusMark(one.status),
                [text(words.systemWord(one)), h('small', { class: 'more' }, words.typeWord(one))],
                words.bytes(one.size),
                words.bytes(one.virtual_size),
                words.diskWord(one),
                [
                    words.visibilityWord(one.visibility),
                    one.owner === session.project.id ? null : h('small', { class: 'more' }, 'another project’s'),
                ],
                words.encryptionWord(one),
                words.moment(one.created_at),
            ],
        };
    }

    function tick(one, on) {
        if (on) ticked.set(one.id, one);
        else ticked.delete(one.id);
    }

    function drawMany() {
        const deletable = [...ticked.values()].filter((one) => mayOn(one, 'ims:images:delete'));
        fill(
            many,
            ticked.size
                ? [
                      h('span', { role: 'status' }, `${ticked.size} ticked`),
                      deletable.length
                          ? button(`Delete ${deletable.length}…`, () => deleteMany(deletable), { class: 'danger' })
                          : h('span', { class: 'hint' }, 'None of these is yours to delete.'),
                      button(
                          'Untick all',
                          () => {
                              ticked.clear();
                              draw();
                          },
                          { class: 'quiet' },
                      ),
                  ]
                : null,
        );
    }

    function pager() {
        const shown = found.rows.slice(from, from + ROWS).length;
        const total = found.done ? ` of ${words.count(found.rows.length)}` : '';
        const turn = async (event, by) => {
            const words = event.target.textContent;
            await act(event.target, () => found.reach(from + by + ROWS + 1), 'The next page cannot be read');
            if (found.rows.length > from + by) from = Math.max(0, from + by);
            draw();
            const again = [...list.querySelectorAll('.pager button')];
            (
                again.find((one) => one.textContent === words && !one.disabled) ?? again.find((one) => !one.disabled)
            )?.focus();
            speak(`Images ${from + 1} to ${from + found.rows.slice(from, from + ROWS).length}`);
        };
        return h(
            'nav',
            { class: 'pager', 'aria-label': 'Pages' },
            h('span', null, `${from + 1}–${from + shown}${total}`),
            button('Previous', (event) => turn(event, -ROWS), { disabled: from === 0 }),
            button('Next', (event) => turn(event, ROWS), { disabled: found.done && found.rows.length <= from + ROWS }),
        );
    }

    async function deleteMany(chosen) {
        const outcome = await confirm({
            title: `Delete ${chosen.length} image${chosen.length === 1 ? '' : 's'}?`,
            content: [
                h(
                    'ul',
                    { class: 'names' },
                    chosen.map((one) =>
                        h('li', null, text(one.name || one.id), ' ', h('small', { class: 'id' }, one.id)),
                    ),
                ),
                h('p', null, 'Their data cannot be had again, unless this server retains deleted images.'),
            ],
            action: `Delete ${chosen.length}`,
            submit: () => deleteEach(chosen),
        });
        if (!outcome) return;
        const { gone, kept } = outcome;
        if (gone.length) notice(`${gone.length} image${gone.length === 1 ? '' : 's'} deleted.`);
        kept.forEach(([one, error]) => notice([text(one.name || one.id), ` was not deleted: ${told(error)}`], 'bad'));
        found.rows = found.rows.filter((one) => !gone.includes(one.id));
        gone.forEach((id) => ticked.delete(id));
        await act(null, () => found.reach(from + ROWS + 1));
        if (from >= found.rows.length) from = Math.max(0, from - ROWS);
        drawMany();
        draw();
    }
}

async function deleteEach(chosen) {
    const [gone, kept] = [[], []];
    for (const one of chosen) {
        try {
            await remove(one.id);
            gone.push(one.id);
        } catch (error) {
            if (error.status === 401) throw error;
            kept.push([one, error]);
        }
    }
    return { gone, kept };
}

async function exportList(pressed, filter, signal) {
    await act(
        pressed,
        async () => {
            const all = await listed(filter, signal).reach(Infinity);
            const rows = [CSV_HEAD, ...all.map((one) => csvRow(one, words))];
            save(
                new Blob([csv(rows)], { type: 'text/csv;charset=utf-8' }),
                `images-${new Date().toISOString().slice(0, 10)}.csv`,
            );
            notice(`${words.count(all.length)} image${all.length === 1 ? '' : 's'} written to the file.`);
        },
        'The list cannot be exported',
    );
}
