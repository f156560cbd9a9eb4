"""qcow2: every field that must not be believed (section 3.2 of the requirements).

Source: QEMU's docs/interop/qcow2.rst.
"""

import zlib

from made import CANARY_NAME, CANARY_PATH, Case, be, foreign, pattern, put

BITS = 9
CLUSTER = 1 << BITS
L1_AT, L2_AT, DATA_AT = CLUSTER, 2 * CLUSTER, 3 * CLUSTER
SIZE = 16 * CLUSTER
INCOMPATIBLE = 72
COPIED = 1 << 63
COMPRESSED = 1 << 62


def good(bits=BITS, version=3, size=None):
    """A disk of sixteen clusters: three are data, the others are not there."""
    cluster = 1 << bits
    image = put(
        bytes(6 * cluster),
        (0, b'QFI\xfb' + be(version, 4)), (20, be(bits, 4)), (24, be(size or 16 * cluster, 8)),
        (36, be(1, 4)), (40, be(cluster, 8)),
        (cluster, be(2 * cluster | COPIED, 8)), (3 * cluster, pattern(3 * cluster)),
    )
    if version == 3:
        image = put(image, (96, be(4, 4) + be(104, 4)))
    for number in range(3):
        image = put(image, (2 * cluster + number * 8, be((3 + number) * cluster | COPIED, 8)))
    return image


def deflate(data):
    """A stream without a frame, as a compressed cluster has it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    return packer.compress(data) + packer.flush()


def packed(bits, at, size):
    """The entry of a cluster that lies compressed in `size` bytes from `at` on."""
    shift = 62 - (bits - 8)
    sectors = (at % 512 + size + 511) // 512 - 1
    return be(COMPRESSED | sectors << shift | at, 8)


def with_packed(data, entry_at=None):
    """Its first cluster is compressed: these bytes are what there is of it."""
    at = 6 * CLUSTER
    return put(good() + bytes(CLUSTER), (at, data), (L2_AT, packed(BITS, entry_at or at, len(data))))


def backing(name, version=3):
    """It names another file as what lies beneath."""
    name = name.encode()
    return put(good(version=version), (8, be(200, 8) + be(len(name), 4)), (200, name))


def extension(kind, data=b'', length=None):
    """It has one extension more."""
    return put(good(), (104, be(kind, 4) + be(len(data) if length is None else length, 4) + data))


def extended(entry, bitmap, bits=14):
    """Clusters of subclusters, the first with this entry."""
    cluster = 1 << bits
    image = put(good(bits), (INCOMPATIBLE, be(1 << 4, 8)))
    return put(image, (2 * cluster, bytes(48)), (2 * cluster, entry + be(bitmap, 8)))


def bomb():
    """Fifty gigabytes that are one compressed cluster of zeros, again and again."""
    bits, tables = 16, 100
    cluster = 1 << bits
    data = deflate(bytes(cluster))
    image = put(good(bits, size=tables * cluster * cluster // 8), (36, be(tables, 4)))[:3 * cluster]
    image = put(image, (cluster, be(2 * cluster, 8) * tables), (3 * cluster, data))
    return put(image, (2 * cluster, packed(bits, 3 * cluster, len(data)) * (cluster // 8)))


def many_runs():
    """A disk in as many pieces as its tables have room for: every other cluster is there."""
    tables = (1 << 20) // 8
    image = put(good(size=tables * 64 * CLUSTER), (36, be(tables, 4)), (40, be(4 * CLUSTER, 8)))[:4 * CLUSTER]
    image = put(image, (4 * CLUSTER, be(L2_AT, 8) * tables))
    return put(image, (L2_AT, (be(DATA_AT, 8) + be(0, 8)) * 32))


def field(at, number, size=4):
    """One field of the header is another."""
    return put(good(), (at, be(number, size)))


def l1(entry):
    """The entry of the first level is another."""
    return put(good(), (L1_AT, be(entry, 8)))


def l2(entry):
    """The first entry of the second level is another."""
    return put(good(), (L2_AT, be(entry, 8)))


def cases():
    """Files that must be refused when they arrive."""
    def case(name, data, code, says=()):
        return Case(f'qcow2 {name}', 'qcow2', data, code, says)

    other = 'needs-another-file'
    version = foreign('qcow1')
    return [
        case('backing file, absolute', backing(CANARY_PATH), other),
        case('backing file, relative', backing(f'../{CANARY_NAME}'), other),
        case('backing file, json:', backing('json:{"driver": "file", "filename": "%s"}' % CANARY_PATH), other),
        case('backing file, nbd:', backing('nbd:127.0.0.1:10809:exportname=x'), other),
        case('backing file, http:', backing('http://127.0.0.1:80/x'), other),
        case('backing file, version 2', backing(CANARY_PATH, 2), other),
        case('external data, the bit alone', field(INCOMPATIBLE, 4, 8), other),
        case('external data, the extension alone', extension(0x44415441, CANARY_PATH.encode()), other),
        case('AES', field(32, 1), 'encrypted'),
        case('LUKS', field(32, 2), 'encrypted'),
        case('encryption extension alone', extension(0x0537be77, bytes(16)), 'encrypted'),
        case('corrupt bit', field(INCOMPATIBLE, 2, 8), 'marked-corrupt'),
        *[case(f'unknown bit {bit}', field(INCOMPATIBLE, 1 << bit, 8), 'unsupported') for bit in (5, 17, 63)],
        *[case(f'version {number}', field(4, number), 'unsupported', version) for number in (0, 1, 4)],
        *[case(f'cluster_bits {bits}', field(20, bits), 'bad-field') for bits in (0, 8, 22, 255)],
        *[case(f'header_length {length}', field(100, length), 'bad-field') for length in (0, 103, 108, 520)],
        case('header_length past everything', field(100, 0xfffffff8), 'bad-field'),
        case('extension past the first cluster', extension(0x12345678, length=4096), 'bad-field'),
        case('extension past everything', extension(0x12345678, length=0xffffffff), 'bad-field'),
        case('two extensions about bitmaps', extension(0x23852875, bytes(24) + be(0x23852875, 4) + be(24, 4), 24),
             'bad-field'),
        case('l1 too small', field(24, 1 << 30, 8), 'bad-field'),
        case('l1 misaligned', field(40, 520, 8), 'bad-table'),
        case('l1 in the header', field(40, 0, 8), 'bad-table'),
        case('l1 past the end', field(40, 1 << 40, 8), 'cut-short'),
        case('l1 longer than the file', field(36, 0xffffffff), 'cut-short'),
        case('l1 entry with reserved bits', l1(L2_AT | 1 << 56), 'bad-table'),
        case('l1 entry past the end', l1(1 << 40), 'bad-table'),
        case('l1 entry into a cluster', put(good(12), (1 << 12, be((2 << 12) + 512, 8))), 'bad-table'),
        case('l1 entry to the first level itself', l1(L1_AT), 'bad-table'),
        case('l2 entry with reserved bits', l2(DATA_AT | 1 << 57), 'bad-table'),
        case('l2 entry past the end', l2(1 << 50), 'bad-table'),
        case('l2 entry into a cluster', put(good(12), (2 << 12, be((3 << 12) + 512, 8))), 'bad-table'),
        case('l2 entry to the first level', l2(L1_AT), 'bad-table'),
        case('compressed cluster past the end', with_packed(deflate(bytes(CLUSTER)), 1 << 40), 'bad-table'),
        case('compression type without its bit', put(field(100, 112), (104, b'\1')), 'bad-field'),
        case('compression bit without a type', put(field(100, 112), (INCOMPATIBLE, be(8, 8))), 'bad-field'),
        case('unknown compression type', put(field(100, 112), (INCOMPATIBLE, be(8, 8)), (104, b'\2')), 'unsupported'),
        case('subclusters below a sector', field(INCOMPATIBLE, 16, 8), 'bad-field'),
        case('subcluster that is data and zeros', extended(be(3 << 14, 8), 1 << 32 | 1), 'bad-table'),
        case('subclusters of no cluster', extended(be(0, 8), 1), 'bad-table'),
        case('subclusters of a compressed cluster', extended(packed(14, 3 << 14, 100), 1), 'bad-table'),
        case('snapshots out of bounds', put(good(), (60, be(1, 4) + be(1 << 40, 8))), 'cut-short'),
        case('snapshots without number', put(good(), (60, be(0xffffffff, 4) + be(DATA_AT, 8))), 'bad-field'),
        case('a disk without bounds', field(24, 1 << 63, 8), 'over-budget'),
        case('a bomb', bomb(), 'over-budget'),
        case('a disk in pieces without number', many_runs(), 'bad-table'),
        *[case(f'cut at byte {at}', good()[:at], 'cut-short') for at in (10, 71, 90, 103)],
        case('cut behind its first table', good()[:600], 'bad-table'),
        case('zero flag in version 2', put(good(version=2), (L2_AT, be(1, 8))), 'bad-table'),
    ]


def late():
    """Files whose tables are in order, and whose compressed data is not: no reader gets a disk of them."""
    return [
        Case('qcow2 compressed data of another size', 'qcow2', with_packed(deflate(bytes(CLUSTER - 1))), 'bad-data'),
        Case('qcow2 compressed data that is too much', 'qcow2', with_packed(deflate(bytes(1 << 20))), 'bad-data'),
        Case('qcow2 compressed data that is none', 'qcow2', with_packed(b'\xff' * 100), 'bad-data'),
    ]
