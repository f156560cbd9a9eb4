"""Wrappers that cannot be undone, or should not be (B9): cut, followed by something, bombs, and what they hide.

For a box that unwraps what is imported.
"""

import gzip
import lzma

import qcow2
from made import CANARY_PATH, Case, le, pattern

INSIDE = ('wrapper cannot be undone',)
BOMB = ('taken for a bomb',)


def gz(data):
    """In a gzip member."""
    return gzip.compress(data, 6, mtime=0)


def zst_frame(size_of_zeros):
    """A frame of Zstandard (RFC 8878) whose blocks repeat one byte."""
    window = 10 << 3  # 1 MiB
    blocks, left = [], size_of_zeros
    while left:
        size = min(left, 128 << 10)
        left -= size
        blocks.append(le(size << 3 | 1 << 1 | (left == 0), 3) + b'\0')
    return b'\x28\xb5\x2f\xfd' + bytes([0, window]) + b''.join(blocks)


def far_back():
    """A frame that asks its reader to remember 2 GiB."""
    return b'\x28\xb5\x2f\xfd' + bytes([0, 21 << 3]) + le(4 << 3 | 1 << 1 | 1, 3) + b'\0'


def far_back_xz():
    """A stream that asks its reader to remember 1 GiB."""
    filters = [{'id': lzma.FILTER_LZMA2, 'preset': 0, 'dict_size': 1 << 30, 'mf': lzma.MF_HC3, 'mode': lzma.MODE_FAST}]
    return lzma.compress(b'x' * 100, filters=filters)


def cases():
    """Files that must be refused once they are unwrapped."""
    data = pattern(50000)
    outside = qcow2.backing(CANARY_PATH)

    def raw(name, wrapped, says=INSIDE):
        return Case(f'wrapper: {name}', 'raw', wrapped, '', says)

    return [
        raw('gz cut', gz(data)[:-9]), raw('gz with more behind it', gz(data) + b'garbage that is no member'),
        raw('gz of other bytes', gz(data)[:-8] + bytes(8)),
        raw('xz cut', lzma.compress(data)[:-9]), raw('xz with more behind it', lzma.compress(data) + b'garbage'),
        raw('xz that looks far back', far_back_xz()),
        raw('zst cut', zst_frame(1 << 20)[:-3]), raw('zst that looks far back', far_back()),
        raw('zst bomb', zst_frame(1 << 30) * 64, BOMB),
        *[Case(f'wrapper: {name} around a qcow2', 'qcow2', wrap(outside), 'needs-another-file')
          for name, wrap in (('gz', gz), ('xz', lzma.compress))],
        Case('wrapper: gz in gz', 'qcow2', gz(gz(qcow2.good())), '', ('the content looks like gzip',)),
    ]
