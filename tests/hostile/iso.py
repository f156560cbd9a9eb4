"""Discs: ISO 9660 and UDF that say they are larger than they are, or are something else besides (section 3.7)."""

from made import Case, le, put

BLOCK = 2048


def image(blocks=19, kinds=(1, 255), identifier=b'CD001'):
    """A disc of so many blocks, with descriptors of these kinds."""
    made = bytes(16 * BLOCK)
    for kind in kinds:
        made += put(bytes(BLOCK), (0, bytes([kind]) + identifier + b'\1'), (40, b'HOSTILE'.ljust(32)), (80, le(blocks, 4)),
                    (128, le(BLOCK, 2)))
    return made + bytes(BLOCK)


def good():
    """A disc in order."""
    return image()


def cases():
    """Files that must be refused when they arrive."""
    def case(name, data, code, says=()):
        return Case(f'iso {name}', 'iso', data, code, says)

    return [
        case('cut short', image(4096), 'cut-short'),
        case('larger than everything', image(0xffffffff), 'cut-short'),
        case('no primary descriptor', image(kinds=(0, 255)), 'bad-field'),
        case('a sequence of UDF without its begin', image(kinds=(0,), identifier=b'NSR02'), 'bad-field'),
        case('cut in its descriptors', image()[:16 * BLOCK + 20], 'bad-field'),
    ]
