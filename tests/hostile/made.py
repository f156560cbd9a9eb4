"""What makers of images share: numbers at places, bytes that look like data, and sums.

A maker returns whole files as bytes. Nothing here knows what refuses them.
"""

import dataclasses

SECTOR = 512
# What a hostile image names. The run plants files with these names, and looks whether anybody opened them.
CANARY_NAME = 'canary-of-the-hostile-corpus'
CANARY_PATH = f'/var/tmp/{CANARY_NAME}'


@dataclasses.dataclass(frozen=True)
class Case:
    """A file that must be refused, and how.

    `claim` is the disk format that its sender declares, `code` the word that the refusal has in brackets. What is told by
    the first and last bytes alone has a sentence in its place, one of `says`.
    """

    name: str
    claim: str
    data: bytes
    code: str = ''
    says: tuple = ()
    container: str = 'bare'

    def is_said(self, text):
        """Whether a refusal is this one."""
        return (bool(self.code) and f'({self.code})' in text) or any(sentence in text for sentence in self.says)


def foreign(name):
    """What is said of a format that is recognised, and not read: of what is claimed, and of a file in a bucket."""
    return (f'looks like {name}: that is not read here', f'the file is {name}, which is not read here')


def le(number, size):
    """A number, its lowest byte first."""
    return number.to_bytes(size, 'little')


def be(number, size):
    """A number, its highest byte first."""
    return number.to_bytes(size, 'big')


def put(data, *places):
    """The bytes with others written over them: pairs of a place and what stands there; they grow where needed."""
    data = bytearray(data)
    for at, written in places:
        if len(data) < at + len(written):
            data.extend(bytes(at + len(written) - len(data)))
        data[at:at + len(written)] = written
    return bytes(data)


def pattern(size, seed=1):
    """Bytes that differ from place to place, always the same."""
    state, made = seed * 0x9e3779b97f4a7c15 % (1 << 64) | 1, bytearray()
    while len(made) < size:
        state ^= state << 13 & (1 << 64) - 1
        state ^= state >> 7
        state ^= state << 17 & (1 << 64) - 1
        made += state.to_bytes(8, 'little')
    return bytes(made[:size])


def crc_table():
    """The table of CRC-32C, a byte at a time."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    """CRC-32C (Castagnoli), as VHDX has it."""
    crc = 0xffffffff
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ crc >> 8
    return crc ^ 0xffffffff
