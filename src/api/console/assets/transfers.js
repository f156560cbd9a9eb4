// Uploads and downloads that are under way, whatever page is shown. Owns the list of them at the foot of the page,
// their buttons and what is said of them. Knows not how bytes move: upload.js and download.js do.

import { button, fill, h, link, text } from './dom.js';
import { noteDefect, speak } from './notices.js';
import { session } from './session.js';
import { bytes, duration } from './words.js';

const region = document.getElementById('transfers');
const transfers = new Set();

/** Whether a transfer would be lost with the page. */
export function underWay() {
    return [...transfers].some((transfer) => !transfer.over);
}

/**
 * Lets those go on that stopped because the session had ended, if the same user is back in the same project. Of
 * others' nothing stays: not even the name of an image.
 */
export function goOn() {
    for (const transfer of transfers) {
        if (session.user.id !== transfer.user || session.project.id !== transfer.project) transfer.drop();
        else if (transfer.waits === 'session') transfer.wake();
    }
}

/** Ends all, and forgets them. What an upload brought so far stays with the server for a while. */
export function dropAll() {
    transfers.forEach((transfer) => transfer.drop());
}

/** The image's transfer that is under way, if there is one. */
export function transferOf(image) {
    return [...transfers].find((transfer) => transfer.image === image && !transfer.over);
}

/**
 * A transfer: what it moves, how far it is, and whether it runs, waits or is over. `work(transfer)` moves the bytes; it
 * tells of them with `moved`, asks for `rest` between tries, and ends by returning or throwing.
 */
export class Transfer {
    constructor({ image, name, verb, total, work, cancelled }) {
        Object.assign(this, {
            image,
            name,
            verb,
            total,
            cancelled,
            done: 0,
            said: 0,
            over: false,
            waits: null,
            note: '',
            paused: false,
            stop: new AbortController(),
        });
        this.user = session.user.id;
        this.project = session.project.id;
        this.marks = [];
        this.bar = h('progress', { max: Math.max(1, total), value: 0, 'aria-label': `${verb} ${name}` });
        this.line = h('p', { class: 'hint' });
        this.buttons = h('span', { class: 'actions' });
        this.box = h(
            'div',
            { class: 'transfer' },
            h('div', null, h('strong', null, verb, ' ', link(text(name), `#/images/${image}`)), this.bar, this.line),
            this.buttons,
        );
        transfers.add(this);
        region.hidden = false;
        region.append(this.box);
        this.draw();
        speak(`${verb} of ${name} begins`);
        this.outcome = this.run(work);
    }

    async run(work) {
        try {
            await work(this);
            if (!this.over) this.end('Done', 'good');
            return true;
        } catch (error) {
            if (error.name === 'AbortError') return false;
            noteDefect(error);
            this.fail(error.message);
            return false;
        }
    }

    /** Tells how many bytes are where they should be. */
    moved(done) {
        const now = performance.now();
        this.done = done;
        this.marks.push([now, done]);
        while (this.marks.length > 2 && now - this.marks[0][0] > 10_000) this.marks.shift();
        const quarter = this.total ? Math.floor((done / this.total) * 4) : 0;
        if (quarter > this.said && quarter < 4) {
            this.said = quarter;
            speak(`${this.verb} of ${this.name}: ${quarter * 25} percent`);
        }
        this.draw();
    }

    /** Waits: for so many seconds, until the session is back, or until a person says to go on. */
    rest(why, note, seconds) {
        Object.assign(this, { waits: why, note });
        this.marks = [];
        this.draw();
        return new Promise((resolve, reject) => {
            const timer = seconds === undefined ? null : setTimeout(() => this.wake(), seconds * 1000);
            this.wake = () => {
                clearTimeout(timer);
                Object.assign(this, { waits: null, note: '' });
                this.draw();
                resolve();
            };
            this.stop.signal.addEventListener(
                'abort',
                () => {
                    clearTimeout(timer);
                    reject(new DOMException('ended', 'AbortError'));
                },
                { once: true },
            );
        });
    }

    /** Ends a rest. */
    wake() {}

    /** It will not go on. */
    fail(words) {
        this.end(words, 'bad');
        this.stop.abort();
    }

    end(words, tone) {
        Object.assign(this, { over: true, note: words, tone, waits: null });
        if (tone === 'good') this.done = this.total;
        speak(`${this.verb} of ${this.name}: ${words}`);
        this.draw();
    }

    async cancel() {
        this.stop.abort();
        this.end('Cancelled', 'off');
        await this.cancelled?.();
    }

    /** Ends it without a word, and forgets it. */
    drop() {
        this.over = true;
        this.stop.abort();
        this.remove();
    }

    remove() {
        transfers.delete(this);
        this.box.remove();
        region.hidden = transfers.size === 0;
    }

    draw() {
        this.bar.value = this.total ? this.done : Number(this.over);
        const parts = [`${bytes(this.done)} of ${bytes(this.total)}`];
        const [first, last] = [this.marks[0], this.marks.at(-1)];
        if (!this.over && !this.waits && first && last[0] - first[0] > 500) {
            const speed = ((last[1] - first[1]) * 1000) / (last[0] - first[0]);
            parts.push(`${bytes(Math.round(speed))}/s`);
            if (speed > 0) parts.push(`${duration((this.total - this.done) / speed)} left`);
        }
        if (this.note) parts.push(this.note);
        fill(this.line, parts.join(' · '));
        this.box.className = `transfer ${this.tone ?? (this.waits ? 'wait' : '')}`;
        this.drawButtons();
    }

    /** Buttons are made anew only when others are due, so that none goes away under a pointer. */
    drawButtons() {
        const due = this.over ? 'over' : (this.waits ?? (this.paused ? 'pausing' : 'runs'));
        if (due === this.due) return;
        this.due = due;
        if (due === 'over') {
            fill(
                this.buttons,
                button('Dismiss', () => this.remove(), { class: 'quiet' }),
            );
            return;
        }
        const first = {
            runs: () =>
                button('Pause', () => {
                    this.paused = true;
                    this.onPause?.();
                    this.drawButtons();
                }),
            pausing: () => null,
            paused: () =>
                button('Go on', () => {
                    this.paused = false;
                    this.wake();
                }),
            network: () => button('Try now', () => this.wake()),
            session: () => null,
        }[due];
        fill(
            this.buttons,
            first?.(),
            button('Cancel', () => this.cancel(), { class: 'quiet' }),
        );
    }
}
