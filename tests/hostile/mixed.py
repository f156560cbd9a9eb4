"""Files that are two things at once, and files that say they are something else (S6, S7)."""

import io
import zipfile

import iso
import qcow2
import vhd
import vmdk
from made import CANARY_PATH, Case, put

LOOKS = ('but the content looks like',)
DENIED = ('which disk_format denies',)


def mbr(image):
    """With a partition table over its first sector's end."""
    return put(image, (446, b'\x80\0\0\0\x83\0\0\0\1\0\0\0\1\0\0\0'), (510, b'\x55\xaa'))


def with_zip(image):
    """With an archive at its end, which readers of archives find from there."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w') as archive:
        archive.writestr('x', b'x')
    return image + packed.getvalue()


def cases():
    """Files that must be refused when they arrive."""
    outside = qcow2.backing(CANARY_PATH)
    flat = vmdk.disguises()['plain']
    made = [
        ('qcow2 with a partition table', 'qcow2', mbr(qcow2.good(12)), LOOKS),
        ('qcow2 with the footer of a VHD', 'qcow2', qcow2.good() + vhd.footer(2, 1024), LOOKS),
        ('qcow2 before a disc', 'iso', put(iso.image(), (0, qcow2.good())), LOOKS),
        ('a disc behind a qcow2', 'qcow2', put(iso.image(), (0, qcow2.good())), LOOKS),
        ('VMDK before a disc', 'iso', put(iso.image(), (0, vmdk.good())), LOOKS),
        ('VMDK text before a disc', 'iso', put(iso.image(), (0, flat)), LOOKS),
        ('VMDK with the footer of a VHD', 'vmdk', vmdk.good() + vhd.footer(2, 1024), LOOKS),
        ('VHD that begins as a qcow2', 'vhd', put(vhd.fixed(), (0, outside[:512])), LOOKS),
        *[(f'{claim} that is a qcow2', claim, outside, LOOKS) for claim in ('vmdk', 'vhd', 'vhdx', 'vdi', 'iso')],
        *[(f'{claim} that is text', claim, flat, LOOKS) for claim in ('qcow2', 'vhd', 'vhdx', 'vdi', 'iso')],
        *[(f'{claim} that is a qcow2', claim, outside, DENIED) for claim in ('ami', 'ari', 'aki', 'ploop')],
        *[(f'{claim} that is text', claim, flat, DENIED) for claim in ('ami', 'ploop')],
        ('qcow2 that is nothing', 'qcow2', b'x' * 5000, LOOKS),
    ]
    containers = {claim: claim for claim in ('ami', 'ari', 'aki')}
    return [
        Case(f'polyglot: {name}', claim, data, '', says, containers.get(claim, 'bare')) for name, claim, data, says in made
    ]
