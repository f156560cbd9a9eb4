// What the console tells beside the page: notices, questions, and words for those who listen to it. Owns the
// regions for them. Every failure that a person should hear of ends here or in a view, with the server's words.

import { button, fill, h } from './dom.js';

const region = () => document.getElementById('notices');

/** Says something without showing it. */
export function speak(words) {
    fill(document.getElementById('spoken'), words);
}

/** Shows a notice: `good` goes away by itself, or with the next; `bad` stays until it is dismissed. */
export function notice(words, tone = 'good') {
    const shown = h('div', { class: `notice ${tone}`, role: tone === 'bad' ? 'alert' : 'status' }, h('p', null, words));
    shown.append(button('Dismiss', () => shown.remove(), { class: 'quiet' }));
    region()
        .querySelectorAll('.good')
        .forEach((earlier) => earlier.remove());
    region().append(shown);
    if (tone !== 'bad') setTimeout(() => shown.remove(), 6000);
    return shown;
}

/** Takes all notices away. */
export function clearNotices() {
    fill(region());
}

/** Notes a failure that is a mistake of the console's own, for whoever looks into the browser's log. */
export function noteDefect(error) {
    if (!('status' in error) && error.constructor !== Error) console.error(error);
}

/** A failure, in words. */
export function told(error) {
    const code = error.code ? ` (${error.code})` : '';
    return `${error.message}${code}`;
}

/** Shows what went wrong. A view that was left has nothing to tell, and neither has a session that ended. */
export function failed(error, what) {
    if (error.name === 'AbortError' || error.status === 401) return;
    noteDefect(error);
    notice(what ? `${what}: ${told(error)}` : told(error), 'bad');
}

/** A failure in the place of what could not be shown. */
export function failure(error, again) {
    const help = error.request
        ? h('p', { class: 'hint' }, `Request ${error.request}: the server’s log has more.`)
        : null;
    return h(
        'div',
        { class: 'notice bad inline', role: 'alert' },
        h('p', null, told(error)),
        help,
        again ? button('Try again', again) : null,
    );
}

/** Runs what a button began. The button waits, and a failure is told. */
export async function act(pressed, work, what) {
    if (pressed) pressed.disabled = true;
    try {
        return await work();
    } catch (error) {
        failed(error, what);
        return undefined;
    } finally {
        if (pressed) pressed.disabled = false;
    }
}

/**
 * A dialog. `content` are its elements; `submit` is what its main button does: the dialog closes when that succeeds, and
 * shows the failure when not. Resolves to what `submit` gave, or to null when it was dismissed.
 */
export function dialog({ title, content, action, danger, submit, dismiss = 'Cancel' }) {
    return new Promise((resolve) => {
        let outcome = null;
        const trouble = h('div', { role: 'alert' });
        const main = action ? h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, action) : null;
        const form = h(
            'form',
            { novalidate: false, on: { submit: onSubmit } },
            h('h2', { id: 'dialog-title' }, title),
            content,
            trouble,
            h(
                'p',
                { class: 'actions' },
                main,
                button(dismiss, () => box.close(), { class: main ? null : 'primary' }),
            ),
        );
        const box = h('dialog', { 'aria-labelledby': 'dialog-title', on: { close: onClose } }, form);
        async function onSubmit(event) {
            event.preventDefault();
            if (main) main.disabled = true;
            try {
                outcome = (await submit?.()) ?? true;
                box.close();
            } catch (error) {
                if (error.status === 401) box.close();
                else fill(trouble, failure(error));
            } finally {
                if (main) main.disabled = false;
            }
        }
        function onClose() {
            box.remove();
            resolve(outcome);
        }
        document.body.append(box);
        box.showModal();
    });
}

/** Asks before something that cannot be taken back. */
export function confirm({ title, content, action, submit }) {
    return dialog({ title, content, action, danger: true, submit });
}

/** Closes what is open when the page goes. */
export function closeDialogs() {
    document.querySelectorAll('dialog').forEach((box) => box.close());
}

/** Puts a text on the clipboard, also where the page came without TLS. */
export async function copy(value, pressed, shown) {
    try {
        if (navigator.clipboard) {
            await navigator.clipboard.writeText(value);
        } else {
            shown.select();
            if (!document.execCommand('copy')) throw new Error('refused');
        }
        fill(pressed, 'Copied');
        speak('Copied');
    } catch {
        shown.select();
        notice('The browser does not let pages copy here. The text is marked: copy it with the keyboard.', 'bad');
    }
}
