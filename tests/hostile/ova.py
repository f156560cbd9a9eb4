"""OVA: archives whose names, descriptor, manifest or disk lead elsewhere (section 3.8)."""

import hashlib
import io
import tarfile

import qcow2
import vmdk
from made import CANARY_NAME, CANARY_PATH, Case, put

XML = '''<?xml version="1.0"?>{doctype}
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
 <References><File ovf:id="file1" ovf:href="{href}"{of_file}/></References>
 <DiskSection><Info>disks</Info><Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="20480"{of_disk}/>{disks}</DiskSection>
</Envelope>
'''


def descriptor(href='disk.vmdk', of_file='', of_disk='', disks='', doctype=''):
    """A descriptor of one disk."""
    return XML.format(href=href, of_file=of_file, of_disk=of_disk, disks=disks, doctype=doctype).encode()


def member(name, data=b'', kind=tarfile.REGTYPE, link=''):
    """One member, as `archive` takes it."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data) if kind == tarfile.REGTYPE else 0
    return info, data


def archive(*members):
    """These members, in order."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w', format=tarfile.USTAR_FORMAT) as made:
        for info, data in members:
            made.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def machine(text=None, disk=None, name='disk.vmdk', more=()):
    """A machine with one disk."""
    return archive(member('machine.ovf', text or descriptor()), member(name, vmdk.stream() if disk is None else disk), *more)


def good():
    """An archive in order."""
    return machine()


def manifest(digest):
    """A manifest that says this of the disk."""
    told = hashlib.sha256(descriptor()).hexdigest()
    return member('machine.mf', f'SHA256(machine.ovf)= {told}\nSHA256(disk.vmdk)= {digest}\n'.encode())


def cases():
    """Files that must be refused when they arrive."""
    def case(name, data, code, says=(), claim='vmdk'):
        return Case(f'ova {name}', claim, data, code, says, 'ova')

    other = 'needs-another-file'
    entities = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    outside = f'<!DOCTYPE x SYSTEM "file://{CANARY_PATH}">'
    by_address = descriptor('http://127.0.0.1:80/disk.vmdk')
    hidden = by_address.replace(b'<File ', b'<File xmlns:x="urn:x" x:href="disk.vmdk" ')
    flat = vmdk.good(vmdk.text('monolithicFlat', f'RW 1 FLAT "{CANARY_PATH}" 0'))
    first = member('machine.ovf', descriptor())
    disk = member('disk.vmdk', vmdk.stream())
    digest = hashlib.sha256(vmdk.stream()).hexdigest()
    wrong = ('0' if digest[0] != '0' else '1') + digest[1:]
    return [
        case('a name that leads out', archive(first, member(f'../{CANARY_NAME}', b'x'), disk), 'bad-field'),
        case('a name from the root', archive(first, member(CANARY_PATH, b'x'), disk), 'bad-field'),
        case('a name in a folder', archive(first, member('a/b', b'x'), disk), 'bad-field'),
        *[case(f'a member of kind {kind!r}', archive(first, member('disk.vmdk', b'', kind, CANARY_PATH)), 'unsupported')
          for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)],
        case('two members of one name', archive(first, disk, disk), 'bad-field'),
        case('no descriptor', archive(disk), 'bad-field', ('looks like tar',)),
        case('a descriptor behind the disk', archive(disk, first), 'bad-field', ('looks like tar',)),
        case('entities', machine(descriptor(doctype=entities)), 'unsupported', ('DTD', 'bad-field')),
        case('an entity of a file', machine(descriptor(doctype=outside)), 'unsupported', ('DTD', 'bad-field')),
        case('a disk by address', machine(by_address), other),
        case('a disk by address behind an attribute of another prefix', machine(hidden), 'bad-field'),
        case('a disk by path', machine(descriptor(CANARY_PATH)), other),
        case('a disk that is missing', machine(descriptor('none.vmdk')), other),
        case('a parent', machine(descriptor(of_disk=' ovf:parentRef="disk0"')), other),
        case('a disk in pieces', machine(descriptor(of_file=' ovf:chunkSize="1000"')), 'unsupported'),
        case('a disk compressed once more', machine(descriptor(of_file=' ovf:compression="gzip"')), 'unsupported'),
        case('two disks in one file', machine(descriptor(disks='<Disk ovf:diskId="d2" ovf:fileRef="file1" ovf:capacity="1"/>')), 'bad-field'),
        case('a manifest of another disk', machine(more=[manifest(wrong)]), 'bad-checksum'),
        case('a disk that is flat', machine(disk=flat), 'unsupported'),
        case('a disk that is text', machine(disk=vmdk.disguises()['plain']), 'cut-short'),
        case('a disk with a backing file', machine(descriptor('disk.qcow2'), qcow2.backing(CANARY_PATH), 'disk.qcow2'),
             other, claim='qcow2'),
        case('a checksum of another header', put(good(), (100, b'9')), 'bad-checksum'),
        case('bytes behind its end', good() + b'x' * 1024, 'bad-field'),
        case('cut', good()[:-len(vmdk.stream()) // 2 - 10240], 'cut-short', ('bad-field',)),
    ]
