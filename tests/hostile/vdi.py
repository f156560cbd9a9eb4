"""VDI: disks that are what changed since another, and maps that are not in order (section 3.6).

Source: the header as VirtualBox 1.1 files have it.
"""

import array

from made import Case, le, pattern, put

BLOCK, BLOCKS = 1024, 5
MAP_AT, DATA_AT = 512, 1024
SIZE = BLOCKS * BLOCK - BLOCK // 2
HOLE, ZEROS = 0xffffffff, 0xfffffffe


def image(entries=(1, 2, HOLE, ZEROS, 0), *more):
    """A disk of five blocks, three of them there."""
    made = put(
        bytes(DATA_AT), (0, b'<<< some disk image >>>\n'), (64, le(0xbeda107f, 4) + le(0x10001, 4) + le(0x190, 4) + le(1, 4)),
        (340, le(MAP_AT, 4) + le(DATA_AT, 4)), (360, le(512, 4)), (368, le(SIZE, 8) + le(BLOCK, 4)), (384, le(BLOCKS, 4)),
        (MAP_AT, b''.join(le(entry, 4) for entry in entries)))
    return put(made + pattern(3 * BLOCK), *more)


def good():
    """A disk in order."""
    return image()


def cases():
    """Files that must be refused when they arrive."""
    def case(name, data, code, says=()):
        return Case(f'vdi {name}', 'vdi', data, code, says)

    def field(at, number, size=4):
        return image((1, 2, HOLE, ZEROS, 0), (at, le(number, size)))

    other = 'needs-another-file'
    return [
        case('undo', field(76, 3), other),
        case('differencing', field(76, 4), other),
        case('a parent', field(440, 1), other),
        case('a link', field(424, 1), other),
        case('type 9', field(76, 9), 'unsupported'),
        case('version 1.0', field(68, 0x10000), 'unsupported'),
        *[case(f'a header of {length}', field(72, length), 'bad-field') for length in (0, 513)],
        *[case(f'blocks of {size}', field(376, size), 'bad-field') for size in (0, 256, 4095)],
        case('sectors of 4096', field(360, 4096), 'unsupported'),
        case('data of its own in blocks', field(380, 8), 'unsupported'),
        case('a disk without bounds', field(368, 1 << 60, 8), 'over-budget'),
        case('fewer blocks than the disk', field(384, 4), 'bad-table'),
        case('a map past the end', field(340, 1 << 30), 'cut-short'),
        case('a map in the header', field(340, 256), 'bad-table'),
        case('data in the map', field(344, MAP_AT + 4), 'bad-table'),
        case('a block twice', image((1, 1, HOLE, ZEROS, 0)), 'bad-table'),
        case('a block past the end', image((1, 9, HOLE, ZEROS, 0)), 'bad-table'),
        case('a block far past the end', image((1, ZEROS - 1, HOLE, ZEROS, 0)), 'bad-table'),
        case('a map without bounds', image((), (368, le(1 << 40, 8)), (376, le(512, 4)), (384, le(1 << 31, 4))),
             'over-budget'),
        case('cut', image()[:1500], 'bad-table'),
    ]


def mapped(entries):
    """A disk of blocks of 512 bytes with this map, and nothing after it."""
    map_bytes = 4 * len(entries)
    made = image((), (344, le(DATA_AT + map_bytes, 4)), (368, le(len(entries) * 512, 8)), (376, le(512, 4)), (384, le(len(entries), 4)))
    return made[:MAP_AT] + entries.tobytes() + bytes(DATA_AT)


def largest_map(map_bytes=32 << 20):
    """A disk whose map is the largest that is read, and names a block that is not there."""
    return mapped(array.array('I', range(map_bytes // 4)))


def largest_hole(map_bytes=32 << 20):
    """A disk in order whose map is the largest that is read, and says that there is nothing."""
    return mapped(array.array('I', [HOLE]) * (map_bytes // 4))
