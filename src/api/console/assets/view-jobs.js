// Long work: what waits, runs and ended, in bytes. Owns how often the list is looked at anew.

import { ask, get, query } from './api.js';
import { button, empty, fill, h, link, table, text } from './dom.js';
import { importDialog } from './exchange.js';
import { act, notice, speak, told } from './notices.js';
import { may, session } from './session.js';
import { bytes, duration, jobMark, jobWord, moment } from './words.js';

const ROWS = 50;
const LOOK_MS = 2000;
const REST_MS = 15_000;
const OPEN = ['queued', 'running'];

/** Shows the list, and looks again as long as the page is open. */
export async function showJobs(main, { signal }) {
    let wanted = ROWS;
    let shown = new Map();
    let timer = null;
    const list = h('div');
    const trouble = h('div', { role: 'status' });
    const imports = may('ims:serverImages:create')
        ? button('Import from a bucket…', begin, { class: 'primary' })
        : null;
    await look();
    fill(
        main,
        h('div', { class: 'head' }, h('h1', { tabindex: -1 }, 'Jobs'), h('p', { class: 'actions' }, imports)),
        trouble,
        list,
    );
    wait();

    async function begin() {
        if (await importDialog()) {
            notice('The import has begun.');
            await again();
            wait();
        }
    }

    async function look() {
        const { jobs } = await get(`/tintype/v1/jobs${query({ limit: wanted })}`, signal);
        draw(jobs);
    }

    async function again() {
        try {
            await look();
            fill(trouble);
        } catch (error) {
            if (signal.aborted || error.status === 401) return;
            fill(trouble, h('p', { class: 'notice inline wait' }, `The list is not up to date: ${told(error)}`));
        }
    }

    function wait() {
        clearTimeout(timer);
        if (signal.aborted) return;
        const open = [...shown.values()].some((job) => OPEN.includes(job.state));
        timer = setTimeout(
            async () => {
                if (signal.aborted) return;
                if (!document.hidden) await again();
                wait();
            },
            open ? LOOK_MS : REST_MS,
        );
    }

    function draw(jobs) {
        for (const job of jobs) {
            const before = shown.get(job.id);
            if (before && OPEN.includes(before.state) && !OPEN.includes(job.state))
                speak(`${jobWord(job.kind)}: ${job.state}`);
        }
        shown = new Map(jobs.map((job) => [job.id, job]));
        // Where the focus is, it stays: a list that is drawn anew must not throw people out of it.
        const held = document.activeElement?.dataset?.hold;
        const columns = [
            { head: 'Job', label: 'Job' },
            { head: 'State', label: 'State' },
            { head: 'Progress', label: 'Progress' },
            { head: 'Image', label: 'Image' },
            { head: 'Asked', label: 'Asked' },
            { head: h('span', { class: 'unseen' }, 'Actions'), class: 'end' },
        ];
        if (!jobs.length) {
            fill(
                list,
                empty(
                    'No jobs',
                    'Imports, exports, copies and shares with many at once are jobs. They show here as soon as there are some.',
                ),
            );
            return;
        }
        fill(
            list,
            table('Jobs', columns, jobs.map(row)),
            jobs.length === wanted && wanted < 1000
                ? h(
                      'p',
                      { class: 'actions' },
                      button('More', (event) => {
                          wanted = Math.min(1000, wanted + ROWS);
                          act(event.target, look);
                      }),
                  )
                : null,
        );
        if (held) list.querySelector(`[data-hold="${CSS.escape(held)}"]`)?.focus();
    }

    function row(job) {
        const place = job.from ?? job.to;
        const manages = may('ims:jobs:manage') && (job.project === session.project.id || may('tintype:jobs:accessAll'));
        const change = (words, method, way, done) =>
            button(
                words,
                (event) =>
                    act(event.target, async () => {
                        await ask(method, `/tintype/v1/jobs/${job.id}${way}`);
                        speak(done);
                        await again();
                        wait();
                    }),
                {
                    class: 'quiet',
                    'data-hold': `${words} ${job.id}`,
                    'aria-label': `${words} ${jobWord(job.kind)} ${job.id.slice(0, 8)}`,
                },
            );
        return {
            attributes: { 'data-job': job.id },
            cells: [
                [
                    h('strong', null, jobWord(job.kind)),
                    place ? h('small', { class: 'more' }, job.from ? 'from ' : 'to ', text(place)) : null,
                    h('small', { class: 'more id' }, job.id.slice(0, 8)),
                ],
                [
                    jobMark(job),
                    job.error
                        ? h(
                              'small',
                              { class: 'more wrong' },
                              text(job.error),
                              job.error_code ? ` (${job.error_code})` : '',
                          )
                        : null,
                ],
                progress(job),
                job.images
                    .slice(0, 3)
                    .map((image) =>
                        h('div', null, link(image.slice(0, 8), `#/images/${image}`, { class: 'id', title: image })),
                    ),
                [
                    moment(job.created_at),
                    job.finished_at && job.started_at
                        ? h(
                              'small',
                              { class: 'more' },
                              `took ${duration((Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000)}`,
                          )
                        : null,
                ],
                manages
                    ? h(
                          'span',
                          { class: 'actions' },
                          OPEN.includes(job.state) ? change('Cancel', 'DELETE', '', 'It ends at its next step') : null,
                          ['failed', 'cancelled', 'interrupted'].includes(job.state) &&
                              (job.from || job.to || job.source)
                              ? change('Retry', 'POST', '/retry', 'It begins anew')
                              : null,
                      )
                    : null,
            ],
        };
    }
}

function progress(job) {
    if (!OPEN.includes(job.state))
        return job.total_bytes ? bytes(job.state === 'succeeded' ? job.total_bytes : job.done_bytes) : '–';
    const known = job.total_bytes > 0;
    const bar = h(
        'progress',
        known
            ? { max: job.total_bytes, value: job.done_bytes, 'aria-label': 'Progress' }
            : { 'aria-label': 'Progress' },
    );
    const rate = job.rate_bytes_s ? ` · ${bytes(job.rate_bytes_s)}/s` : '';
    return [
        bar,
        h(
            'small',
            { class: 'more' },
            known ? `${bytes(job.done_bytes)} of ${bytes(job.total_bytes)}${rate}` : job.phase || 'waits',
        ),
    ];
}
