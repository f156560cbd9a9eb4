"""VHD: differencing disks, footers that lie, and tables that are not in order (section 3.4).

Source: Microsoft's Virtual Hard Disk Image Format Specification.
"""

from made import CANARY_PATH, SECTOR, Case, be, pattern, put

BLOCK = 2048
HEADER_AT, TABLE_AT, FIRST_AT = 512, 1536, 2048
EACH = SECTOR + BLOCK
BLOCKS = 4
NONE = (1 << 64) - 1
HOLE = 0xffffffff


def sealed(structure, at):
    """With its checksum at this place made right."""
    blank = put(structure, (at, bytes(4)))
    return put(structure, (at, be(~sum(blank) & 0xffffffff, 4)))


def footer(kind=3, size=BLOCKS * BLOCK, header_at=HEADER_AT, creator=b'win ', *more):
    """A footer, of a maker that tells its size plainly."""
    return sealed(put(
        bytes(512), (0, b'conectix' + be(2, 4) + be(0x10000, 4) + be(header_at, 8)), (28, creator),
        (40, be(size, 8) * 2), (60, be(kind, 4)), *more), 64)


def dynamic(foot=None, head=(), table=()):
    """Blocks one and three of four are there, the third first."""
    foot = foot or footer()
    header = sealed(put(
        bytes(1024), (0, b'cxsparse' + be(NONE, 8) + be(TABLE_AT, 8) + be(0x10000, 4) + be(BLOCKS, 4) + be(BLOCK, 4)),
        *head), 36)
    entries = {0: FIRST_AT + EACH, 2: FIRST_AT, **dict(table)}
    words = [be(entries[number] // SECTOR if number in entries else HOLE, 4) for number in range(128)]
    image = put(bytes(FIRST_AT + 2 * EACH), (0, foot), (HEADER_AT, header), (TABLE_AT, b''.join(words)))
    for at, seed in ((FIRST_AT, 2), (FIRST_AT + EACH, 1)):
        image = put(image, (at, b'\xff' * 512), (at + 512, pattern(BLOCK, seed)))
    return image + foot


def good():
    """A dynamic disk."""
    return dynamic()


def fixed(size=BLOCKS * BLOCK, **fields):
    """A fixed disk that says it has this size."""
    return pattern(BLOCKS * BLOCK) + footer(2, size, NONE, **fields)


def cases():
    """Files that must be refused when they arrive."""
    def case(name, data, code, says=()):
        return Case(f'vhd {name}', 'vhd', data, code, says)

    other = 'needs-another-file'
    locator = be(int.from_bytes(b'W2ru', 'big'), 4) + be(512, 4) + be(len(CANARY_PATH) * 2, 4) + bytes(4) + be(512, 8)
    unsealed = footer()
    return [
        case('differencing', dynamic(footer(4)), other),
        case('a parent locator', dynamic(head=[(576, locator)]), other),
        case('a parent', dynamic(head=[(40, pattern(16))]), other),
        *[case(f'type {kind}', dynamic(footer(kind)), 'unsupported') for kind in (0, 1, 5)],
        case('a checksum of another footer', dynamic(put(unsealed, (64, bytes([unsealed[64] ^ 1])))), 'bad-checksum'),
        case('a checksum of another header', put(dynamic(), (HEADER_AT + 100, b'\1')), 'bad-checksum'),
        case('another format version', dynamic(sealed(put(unsealed, (12, be(0x20000, 4))), 64)), 'unsupported'),
        case('copies that disagree', footer(3, 123456) + dynamic()[512:], 'disagreement'),
        case('no copy at the start', bytes(512) + dynamic()[512:], 'disagreement'),
        case('bytes behind the footer', dynamic() + b'x' * 1024, 'cut-short'),
        case('cut', dynamic()[:-700], 'cut-short'),
        case('another cookie of the header', dynamic(head=[(0, b'cxspurse')]), 'bad-field'),
        case('a header past the end', dynamic(footer(header_at=1 << 40)), 'cut-short'),
        *[case(f'blocks of {size}', dynamic(head=[(32, be(size, 4))]), 'bad-field') for size in (0, 256, 12288)],
        case('a table that is too small', dynamic(head=[(28, be(2, 4))]), 'bad-table'),
        case('a table past the end', dynamic(head=[(16, be(1 << 40, 8))]), 'cut-short'),
        case('blocks that overlap', dynamic(table=[(1, FIRST_AT + 512)]), 'bad-table'),
        case('a block twice', dynamic(table=[(1, FIRST_AT)]), 'bad-table'),
        case('a block in the header', dynamic(table=[(1, HEADER_AT)]), 'bad-table'),
        case('a block past the end', dynamic(table=[(1, 1 << 30)]), 'bad-table'),
        case('a disk without bounds', dynamic(footer(size=1 << 60)), 'over-budget'),
        case('a table without bounds', dynamic(footer(size=1 << 42), head=[(28, be(1 << 31, 4))]), 'over-budget'),
        case('sizes that disagree', dynamic(footer(3, 1 << 40, HEADER_AT, b'xxxx', (56, be(100, 2) + b'\x10\x3f'))),
             'disagreement'),
        case('fixed, longer than its file', fixed(1 << 30), 'cut-short'),
        case('fixed, differencing', pattern(BLOCK) + footer(4, BLOCK, NONE), other),
    ]
