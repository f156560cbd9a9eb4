"""VMDK: text that leads to other files, in every disguise, and sparse disks that are not in order (section 3.3, S8, S21).

Source: VMware's Virtual Disk Format 5.0.
"""

import zlib

from made import CANARY_NAME, CANARY_PATH, SECTOR, Case, foreign, le, pattern, put

GRAIN = 8 * SECTOR
TEXT_AT, DIRECTORY_AT, TABLE_AT = SECTOR, 2048, 2560
DATA_AT = TABLE_AT + 2048
GRAINS = 5
SECTORS = GRAINS * GRAIN // SECTOR
AT_END = (1 << 64) - 1


def text(kind='monolithicSparse', extents=None, parent='ffffffff', more=''):
    """A descriptor."""
    extents = f'RW {SECTORS} SPARSE "x.vmdk"' if extents is None else extents
    return (f'# Disk DescriptorFile\nversion=1\nCID=00000001\nparentCID={parent}\ncreateType="{kind}"\n\n'
            f'# Extent description\n{extents}\n\nddb.adapterType = "ide"\n{more}')


def header(flags=0b101, directory_at=DIRECTORY_AT // SECTOR, algorithm=0, text_sectors=2, capacity=SECTORS):
    """The header of a sparse extent."""
    return put(
        bytes(SECTOR), (0, b'KDMV' + le(1, 4) + le(flags, 4)), (12, le(capacity, 8) + le(GRAIN // SECTOR, 8)),
        (28, le(TEXT_AT // SECTOR, 8) + le(text_sectors, 8) + le(512, 4)), (56, le(directory_at, 8)),
        (64, le(9, 8)), (73, b'\n \r\n' + le(algorithm, 2)),
    )


def good(descriptor=None, **fields):
    """Two grains, zeros, a hole, and a grain."""
    image = put(header(**fields), (TEXT_AT, (descriptor or text()).encode()), (DIRECTORY_AT, le(TABLE_AT // SECTOR, 4)))
    sector = DATA_AT // SECTOR
    entries = [sector, sector + 8, 1, 0, sector + 16]
    return put(image, (TABLE_AT, b''.join(le(entry, 4) for entry in entries)), (DATA_AT, pattern(3 * GRAIN)))


def stream(grain=None, marker=None):
    """Compressed grains, the tables behind them, and the header's copy at the end."""
    flags = 0x30001
    packed = zlib.compress(pattern(GRAIN)) if grain is None else grain
    image = put(header(flags, AT_END, 1), (TEXT_AT, text('streamOptimized').encode()), (1536, b''))
    image += bytes(1536 - len(image))
    image += (le(0, 8) + le(len(packed), 4) if marker is None else marker) + packed
    image += bytes(-len(image) % SECTOR)
    table_at = len(image)
    image += le(1536 // SECTOR, 4) + bytes(2044)
    directory_at = len(image)
    image += le(table_at // SECTOR, 4) + bytes(508)
    image += le(1, 8) + le(0, 4) + le(3, 4) + bytes(496)
    image += put(header(flags, directory_at // SECTOR, 1), (TEXT_AT, b''))
    return image + bytes(SECTOR)


def bomb(size):
    """So many bytes that are one table of grains, again and again."""
    tables = size // (512 * GRAIN)
    at = DATA_AT + GRAIN
    at += -at % SECTOR
    image = put(good(capacity=size // SECTOR, directory_at=at // SECTOR), (at, le(TABLE_AT // SECTOR, 4) * tables))
    return put(image, (TABLE_AT, b''.join(le(DATA_AT // SECTOR + number % 8, 4) for number in range(512))))


def field(at, number, size=4):
    """One field of the header is another."""
    return put(good(), (at, le(number, size)))


def ending(from_end, written):
    """A stream whose end is another."""
    image = stream()
    return put(image, (len(image) - from_end, written))


def disguises():
    """A descriptor that is nothing but text, as eyes and machines may miss it."""
    plain = text('monolithicFlat', f'RW 1 FLAT "{CANARY_PATH}" 0')
    return {
        'plain': plain.encode(),
        'relative': text('monolithicFlat', f'RW 1 FLAT "../{CANARY_NAME}" 0').encode(),
        'NULs behind': plain.encode() + bytes(4096),
        'NULs before': bytes(512) + plain.encode(),
        'many NULs before': bytes(60000) + plain.encode(),
        'a byte order mark': b'\xef\xbb\xbf' + plain.encode(),
        'CRLF': plain.replace('\n', '\r\n').encode(),
        'blanks before': b'\n\n \t\r\n' + plain.encode(),
        'a comment before': b'# made by hand\n\n' + plain.encode(),
        'another comment than the banner': plain.replace('Disk DescriptorFile', 'made by hand').replace('\n', '\r\n').encode(),
        'no banner': plain.split('\n', 1)[1].encode(),
        'capitals': plain.upper().encode(),
        'small letters': plain.lower().encode(),
        'a zero extent': text('custom', 'RW 1 ZERO').encode(),
        'a VMFS extent': text('vmfs', f'RW 1 VMFS "{CANARY_PATH}"').encode(),
        'a raw device': text('vmfsRaw', 'RW 1 VMFSRDM "/dev/sda"').encode(),
        'two files': text('twoGbMaxExtentSparse', 'RW 1 SPARSE "a-s001.vmdk"\nRW 1 SPARSE "a-s002.vmdk"').encode(),
        'a parent': text('monolithicSparse', None, '12345678', f'parentFileNameHint="{CANARY_PATH}"\n').encode(),
    }


def cases():
    """Files that must be refused when they arrive."""
    def case(name, data, code, says=()):
        return Case(f'vmdk {name}', 'vmdk', data, code, says)

    other = 'needs-another-file'
    flat = f'RW {SECTORS} FLAT "{CANARY_PATH}" 0'
    cid = dict(parent='12345678')
    entry = TABLE_AT
    cut = stream()
    return [
        *[case(f'text, {name}', data, other) for name, data in disguises().items()],
        *[case(f'inside {kind}', good(text(kind)), 'unsupported')
          for kind in ('monolithicFlat', 'twoGbMaxExtentFlat', 'twoGbMaxExtentSparse', 'vmfs', 'vmfsSparse',
                       'vmfsRDM', 'fullDevice', 'partitionedDevice', 'custom', 'seSparse')],
        case('inside, no kind', good(text().replace('createType', '#')), 'unsupported'),
        case('inside, a flat extent', good(text(extents=flat)), other),
        case('inside, a name with a separator', good(text(extents=f'RW 1 SPARSE "{CANARY_PATH}"')), other),
        case('inside, two extents', good(text(extents='RW 1 SPARSE "a"\nRW 1 SPARSE "b"')), other),
        case('inside, no extent', good(text(extents='')), other),
        case('inside, a parent', good(text(**cid)), other),
        case('inside, the hint of a parent', good(text(more='parentFileNameHint="base"\n')), other),
        case('inside, a tracked change', good(text(more='changeTrackPath="x"\n')), 'unsupported'),
        case('inside, no ASCII', good(text(more='\u00e9\n')), 'bad-field'),
        case('inside, lines without number', put(
            good(text_sectors=80), (36, le(80, 8)), (28, le(DATA_AT // SECTOR + 24, 8)),
            (DATA_AT + 24 * SECTOR, text().encode() + b'#\n' * 10001 + bytes(40000))), 'over-budget'),
        case('no descriptor', field(28, 0, 8), 'bad-field'),
        case('a descriptor past the end', field(28, 1 << 40, 8), 'bad-field'),
        case('a descriptor without bounds', field(36, 1 << 30, 8), 'over-budget'),
        *[case(f'version {number}', field(4, number), 'unsupported') for number in (0, 4)],
        *[case(f'grains of {number}', field(20, number, 8), 'bad-field') for number in (0, 4, 9, 4096)],
        case('tables of 256', field(44, 256), 'unsupported'),
        case('changed by a transfer', put(good(), (73, b'\n \n\n')), 'bad-field'),
        case('a directory in the header', field(56, 0, 8), 'bad-table'),
        case('a directory past the end', field(56, 1 << 30, 8), 'cut-short'),
        case('a directory past all numbers', field(56, AT_END - 1, 8), 'bad-field'),
        case('a table past the end', put(good(), (DIRECTORY_AT, le(1 << 30, 4))), 'cut-short'),
        case('a grain past the end', put(good(), (entry, le(1 << 30, 4))), 'cut-short'),
        case('zeros without the flag', good(flags=1), 'bad-table'),
        case('compressed without an algorithm', good(flags=0x30001), 'bad-field'),
        case('an algorithm without compression', good(algorithm=1), 'bad-field'),
        case('compressed without markers', good(flags=0x10001, algorithm=1), 'unsupported'),
        case('a disk without bounds', field(12, AT_END, 8), 'bad-field'),
        case('a disk above the limit', field(12, 1 << 40, 8), 'over-budget'),
        case('a bomb', bomb(1 << 33), 'over-budget'),
        case('a bomb of more tables than there is room for', bomb(1 << 40), 'bad-table'),
        case('a stream without its marker', ending(1536, b'\2'), 'cut-short'),
        case('a stream without its end', ending(512, b'\1'), 'cut-short'),
        case('a footer of another grain', ending(1024 - 20, le(16, 8)), 'disagreement'),
        case('a footer with another descriptor', ending(1024 - 28, le(9, 8)), 'disagreement'),
        case('a footer with a footer', ending(1024 - 56, b'\xff' * 8), 'bad-field'),
        case('a grain of another place', stream(marker=le(8, 8) + le(100, 4)), 'bad-table'),
        case('a grain of no bytes', stream(marker=bytes(12)), 'bad-field'),
        case('a grain above the limit', stream(marker=le(0, 8) + le(0xffffffff, 4)), 'bad-field'),
        case('a grain past the end', stream(marker=le(0, 8) + le(1 << 21, 4)), 'cut-short'),
        case('a stream that breaks off', cut[:len(cut) // 2], 'cut-short'),
        case('COWD', put(bytes(4096), (0, b'COWD' + le(1, 4))), 'unsupported', foreign('cowd')),
        case('seSparse', put(bytes(4096), (0, le(0xcafebabe, 8))), 'unsupported', foreign('sesparse')),
    ]


def late():
    """Files whose tables are in order, and whose compressed data is not."""
    return [
        Case('vmdk compressed data of another size', 'vmdk', stream(zlib.compress(bytes(GRAIN - 1))), 'bad-data'),
        Case('vmdk compressed data that is too much', 'vmdk', stream(zlib.compress(bytes(1 << 20))), 'bad-data'),
        Case('vmdk compressed data that is none', 'vmdk', stream(b'\xff' * 100), 'bad-data'),
    ]
