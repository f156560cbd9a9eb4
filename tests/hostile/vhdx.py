"""VHDX: parents, logs that lie, and regions, metadata and blocks that are not in order (section 3.5).

Source: MS-VHDX.
"""

import functools
import uuid

from made import CRC_TABLE, Case, crc32c, le, pattern, put

MIB = 1 << 20
HEADERS_AT, REGIONS_AT = (64 << 10, 128 << 10), (192 << 10, 256 << 10)
LOG_AT, METADATA_AT, BAT_AT, DATA_AT = MIB, 2 * MIB, 3 * MIB, 4 * MIB
SIZE = 3 * MIB + 4096
BAT, METADATA = '2dc27766-f623-4200-9d64-115e9bfd4a08', '8b7ca206-4790-4b9a-b8fe-575f050f886e'
UNKNOWN = '11111111-2222-3333-4444-555555555555'
LOCATOR = 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c'
PARAMETERS, DISK_SIZE = 'caa16737-fa36-4d43-b3b6-33f0aa44e76b', '2fa54224-cd1b-4876-b211-5dbed83bf4b8'
DISK_ID = 'beca12ab-b2e6-4523-93ef-c309e000c746'
LOGICAL, PHYSICAL = '8141bf1d-a96f-4709-ba47-f233a8faab5f', 'cda348c7-445d-4471-9cc9-e9885251c556'
PRESENT = 6
LOG_NAME = pattern(16, 77)


def named(text):
    """A name as the format has it."""
    return uuid.UUID(text).bytes_le


def sealed(structure):
    """With its checksum made right."""
    blank = put(structure, (4, bytes(4)))
    return put(structure, (4, le(crc32c(blank), 4)))


def header(sequence=7, name=bytes(16), *more):
    """A header; with a name, its log is to be replayed."""
    return sealed(put(
        bytes(4096), (0, b'head'), (8, le(sequence, 8)), (48, name), (66, le(1, 2) + le(MIB, 4) + le(LOG_AT, 8)), *more))


@functools.cache
def regions(*entries):
    """A table of regions: name, place, length, whether a reader must know it."""
    table = put(bytes(64 << 10), (0, b'regi'), (8, le(len(entries), 4)))
    for number, (name, at, size, required) in enumerate(entries):
        table = put(table, (16 + number * 32, named(name) + le(at, 8) + le(size, 4) + le(required, 4)))
    return sealed(table)


USUAL = (BAT, BAT_AT, MIB, 1), (METADATA, METADATA_AT, MIB, 1)
ITEMS = {
    PARAMETERS: le(MIB, 4) + le(0, 4), DISK_SIZE: le(SIZE, 8), DISK_ID: pattern(16, 3),
    LOGICAL: le(512, 4), PHYSICAL: le(4096, 4),
}
USUAL_BLOCKS = {0: DATA_AT | PRESENT, 1: 0, 2: 2, 3: DATA_AT + MIB | PRESENT}


def metadata(items):
    """The region that says what the disk is: pairs of names and values."""
    table, values = put(bytes(64 << 10), (0, b'metadata'), (10, le(len(items), 2))), b''
    for number, (name, value) in enumerate(items):
        at = (64 << 10) + len(values)
        table = put(table, (32 + number * 32, named(name) + le(at, 4) + le(len(value), 4) + le(4, 4)))
        values += value
    return table + values


def image(headers=None, places=USUAL, items=None, blocks=None, log=b''):
    """A disk of four blocks, of which the first and the last are there."""
    headers = headers or (header(7), header(6))
    table = regions(*places)
    made = put(
        bytes(DATA_AT + 2 * MIB), (0, b'vhdxfile'), *zip(HEADERS_AT, headers), *[(at, table) for at in REGIONS_AT],
        (METADATA_AT, metadata(list(ITEMS.items()) if items is None else items)),
        (DATA_AT, pattern(MIB, 1)), (DATA_AT + MIB, pattern(4096, 2)), (LOG_AT, log))
    words = {**USUAL_BLOCKS, **(blocks or {})}
    return put(made, *[(BAT_AT + number * 8, le(word, 8)) for number, word in words.items()])


def good():
    """A disk in order."""
    return image()


def with_item(name, value):
    """One item is another."""
    return image(items=list({**ITEMS, name: value}.items()))


def log_entry(sequence=5, tail=0, zeros=((DATA_AT, 8192),), flushed=DATA_AT + 2 * MIB, last=DATA_AT + 2 * MIB, *more):
    """An entry that writes zeros."""
    entry = put(
        bytes(4096), (0, b'loge'), (8, le(4096, 4) + le(tail, 4) + le(sequence, 8) + le(len(zeros), 4)),
        (32, LOG_NAME), (48, le(flushed, 8) + le(last, 8)))
    for number, (at, size) in enumerate(zeros):
        entry = put(entry, (64 + number * 32, b'zero' + bytes(4) + le(size, 8) + le(at, 8) + le(sequence, 8)))
    return sealed(put(entry, *more))


def logged(log, *more):
    """A disk whose log is to be replayed."""
    return image((header(7, LOG_NAME, *more), header(6)), log=log)


def cases():
    """Files that must be refused when they arrive."""
    def case(name, data, code, says=()):
        return Case(f'vhdx {name}', 'vhdx', data, code, says)

    other = 'needs-another-file'
    without = [pair for pair in ITEMS.items() if pair[0] != LOGICAL]
    broken = bytes(4096)
    bat, facts = USUAL
    torn = put(log_entry(), (200, b'\1'))
    return [
        case('has a parent', with_item(PARAMETERS, le(MIB, 4) + le(2, 4)), other),
        case('a parent locator', image(items=[*ITEMS.items(), (LOCATOR, bytes(20))]), other),
        case('a block that is partly in the parent', image(blocks={0: DATA_AT | 7}), other),
        case('no whole header', image((broken, broken)), 'bad-checksum'),
        case('headers that disagree', image((header(7), header(7, pattern(16)))), 'disagreement'),
        case('version 2', image((header(7, bytes(16), (66, le(2, 2))), header(6))), 'unsupported'),
        case('no whole table of regions', put(good(), *[(at + 100, b'\1') for at in REGIONS_AT]), 'bad-checksum'),
        case('an unknown region that is needed', image(places=(*USUAL, (UNKNOWN, 5 * MIB, MIB, 1))), 'unsupported'),
        case('regions that overlap', image(places=(bat, (METADATA, BAT_AT, MIB, 1))), 'bad-table'),
        case('a region over the headers', image(places=(bat, (METADATA, 0, MIB, 1))), 'bad-table'),
        case('a region off the grid', image(places=(bat, (METADATA, METADATA_AT + 4096, MIB, 1))), 'bad-table'),
        case('a region past the end', image(places=(bat, (METADATA, 64 * MIB, MIB, 1))), 'cut-short'),
        case('a region past all numbers', image(places=(bat, (METADATA, (1 << 64) - MIB, MIB, 1))), 'cut-short'),
        case('a region twice', image(places=(bat, facts, bat)), 'bad-table'),
        case('no metadata', image(places=(bat,)), 'bad-table'),
        case('an item is missing', image(items=without), 'bad-field'),
        case('an item twice', image(items=[*ITEMS.items(), (LOGICAL, le(512, 4))]), 'bad-table'),
        case('an unknown item that is needed', image(items=[*ITEMS.items(), (UNKNOWN, bytes(8))]), 'unsupported'),
        *[case(f'blocks of {size}', with_item(PARAMETERS, le(size, 4) + le(0, 4)), 'bad-field')
          for size in (0, 4096, 3 << 20, 1 << 29)],
        case('sectors of 1024', with_item(LOGICAL, le(1024, 4)), 'bad-field'),
        case('a disk of half a sector', with_item(DISK_SIZE, le(SIZE + 1, 8)), 'bad-field'),
        case('a disk without bounds', with_item(DISK_SIZE, le((1 << 64) - 512, 8)), 'over-budget'),
        case('a table that is too small', with_item(DISK_SIZE, le(1 << 40, 8)), 'bad-table'),
        case('a block in no state', image(blocks={0: DATA_AT | 5}), 'bad-table'),
        case('a block in the header', image(blocks={0: PRESENT}), 'bad-table'),
        case('a block past the end', image(blocks={0: 1 << 40 | PRESENT}), 'cut-short'),
        case('a log without an entry', logged(b''), 'bad-field'),
        case('a log of a torn entry alone', logged(torn), 'bad-field'),
        case('a log of another file', logged(put(log_entry(), (32, pattern(16, 9)))), 'bad-field'),
        case('a log that began elsewhere', logged(log_entry(tail=8192)), 'bad-field'),
        case('a log of a longer file', logged(log_entry(flushed=1 << 40)), 'cut-short'),
        case('a log that writes past the end', logged(log_entry(zeros=((1 << 50, 4096),))), 'bad-field'),
        case('a log with a descriptor of another entry', logged(log_entry(5, 0, (), DATA_AT, DATA_AT, (24, le(1, 4)))),
             'bad-field'),
        case('a log with descriptors without number',
             logged(log_entry(5, 0, (), DATA_AT, DATA_AT, (24, le(0xffffffff, 4)))), 'bad-field'),
        case('a log off the grid', logged(log_entry(), (72, le(4096, 8))), 'bad-field'),
        case('a log past the end', logged(log_entry(), (72, le(1 << 40, 8))), 'cut-short'),
        case('a log of another version', logged(log_entry(), (64, le(1, 2))), 'unsupported'),
        case('a log of entries in entries', nested_log(), 'cut-short'),
        case('cut', good()[:300000], 'cut-short'),
    ]


def nested_log(log_bytes=4 * MIB):
    """A log each of whose sectors begins an entry that reaches to its end: kept whole, they are far more than the file."""
    log_at, steps, log, sum_of_rest = DATA_AT + 2 * MIB, crc_steps(), [], 0
    for place in reversed(range(0, log_bytes, 4096)):
        entry = put(bytes(4096), (0, b'loge'), (8, le(log_bytes - place, 4) + le(place, 4) + le(2 * place + 1, 8)),
                    (32, LOG_NAME), (48, le(1 << 40, 8) * 2))
        following = len(log)
        entry = put(entry, (4, le(crc_behind(steps, crc32c(entry), following) ^ sum_of_rest, 4)))
        sum_of_rest ^= crc_behind(steps, crc32c(entry), following)
        log.append(entry)
    more = (68, le(log_bytes, 4) + le(log_at, 8))
    return put(logged(b'', more), (log_at, b''.join(reversed(log))))


def crc_steps():
    """What one, two, four... sectors behind them make of each bit of a CRC-32C."""
    def applied(columns, crc):
        made = 0
        for bit, column in enumerate(columns):
            if crc >> bit & 1:
                made ^= column
        return made

    step = [CRC_TABLE[1 << bit & 0xff] ^ (1 << bit) >> 8 for bit in range(32)]
    for _ in range(12):
        step = [applied(step, column) for column in step]
    steps = []
    for _ in range(12):
        steps.append(step)
        step = [applied(step, column) for column in step]
    return steps


def crc_behind(steps, crc, sectors):
    """The part that a CRC has in that of its bytes and so many sectors more."""
    for power, columns in enumerate(steps):
        if sectors >> power & 1:
            made = 0
            for bit, column in enumerate(columns):
                if crc >> bit & 1:
                    made ^= column
            crc = made
    return crc
