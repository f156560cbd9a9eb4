// The console's words: what states, sizes and times are called. Owns no data and changes nothing.

import { h } from './dom.js';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** A number of bytes for people. */
export function bytes(count) {
    if (count === null || count === undefined) return '–';
    let [value, unit] = [Number(count), 0];
    while (value >= 1024 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
    const digits = unit === 0 || value >= 100 ? 0 : 1;
    return `${value.toLocaleString('en', { minimumFractionDigits: 0, maximumFractionDigits: digits })} ${UNITS[unit]}`;
}

/** A count for people. */
export function count(value) {
    return Number(value).toLocaleString('en');
}

/** A moment, in this browser's time, with the exact one behind it. */
export function moment(iso) {
    if (!iso) return '–';
    const date = new Date(iso);
    if (Number.isNaN(date.getTime())) return String(iso);
    const two = (value) => String(value).padStart(2, '0');
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    return h(
        'time',
        { datetime: iso, title: iso, class: 'nowrap' },
        `${day} ${two(date.getHours())}:${two(date.getMinutes())}`,
    );
}

/** How long something takes. */
export function duration(seconds) {
    if (!Number.isFinite(seconds)) return '';
    if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    return `${(seconds / 3600).toFixed(1)} h`;
}

// Word, more of it, tone.
const STATUS = {
    queued: ['Creating', 'no data yet', 'wait'],
    saving: ['Creating', 'data is arriving', 'wait'],
    active: ['Normal', '', 'good'],
    deactivated: ['Frozen', 'deactivated', 'off'],
    killed: ['Error', 'its data did not arrive', 'bad'],
};

/** The states that an image can be looked for by. */
export const STATUSES = [
    ['', 'Any status'],
    ['active', 'Normal'],
    ['saving', 'Creating, data is arriving'],
    ['queued', 'Creating, no data yet'],
    ['deactivated', 'Frozen'],
    ['killed', 'Error'],
];

/** An image's state in one word. */
export function statusWord(status) {
    return STATUS[status]?.[0] ?? status;
}

/** An image's state as a mark. */
export function statusMark(status) {
    const [word, more, tone] = STATUS[status] ?? [status, '', 'off'];
    return [mark(word, tone), more ? h('small', { class: 'more' }, more) : null];
}

/** A word with a tone. */
export function mark(word, tone) {
    return h('span', { class: `mark ${tone}` }, word);
}

const VISIBILITY = { private: 'Private', shared: 'Shared', community: 'Community', public: 'Public' };

/** Who sees an image. */
export function visibilityWord(visibility) {
    return VISIBILITY[visibility] ?? visibility;
}

/** What an image is for. */
export function typeWord(image) {
    const kinds = { FusionCompute: 'System disk', Ironic: 'Bare metal', DataImage: 'Data disk', IsoImage: 'ISO' };
    const told = kinds[image.virtual_env_type];
    if (told) return image.__whole_image === 'true' ? 'Whole machine' : told;
    return image.disk_format === 'iso' ? 'ISO' : 'System disk';
}

/** The operating system that an image says it has. */
export function systemWord(image) {
    return (
        image.__os_version ||
        (image.os_distro && [image.os_distro, image.os_version].filter(Boolean).join(' ')) ||
        image.__os_type ||
        '–'
    );
}

/** What an image's data is sealed with, as far as its record tells. */
export function encryptionWord(image) {
    if (image.__system__cmkid) return 'Custom key';
    if (image.tintype_key === 'own') return 'Own key';
    if (image.tintype_key) return 'Project key';
    return 'Box default';
}

/** The disk that an image wants. */
export function diskWord(image) {
    return image.min_disk ? `${image.min_disk} GiB` : '–';
}

/** What an image says of itself. */
export function description(image) {
    return image.__description || image.description || '';
}

const JOBS = {
    import: 'Import',
    export: 'Export',
    copy: 'Copy',
    group: 'Import of several disks',
    reclaim: 'Giving space back',
    reseal: 'Sealing anew',
    'add-members': 'Sharing',
    'update-members': 'Answering shares',
    'delete-members': 'Taking shares back',
};

/** What a job does. */
export function jobWord(kind) {
    return JOBS[kind] ?? kind;
}

const JOB_STATES = {
    queued: ['Waiting', 'wait'],
    running: ['Running', 'wait'],
    succeeded: ['Done', 'good'],
    failed: ['Failed', 'bad'],
    cancelled: ['Cancelled', 'off'],
    interrupted: ['Interrupted', 'off'],
};

/** A job's state as a mark. */
export function jobMark(job) {
    const [word, tone] = JOB_STATES[job.state] ?? [job.state, 'off'];
    return mark(job.paused ? 'Paused' : word, tone);
}
