//! What stands before the grains of a streamOptimized VMDK: the header and the descriptor.
//!
//! Source: VMware's Virtual Disk Format 5.0. All numbers are little-endian; a sector has 512 bytes.

use super::structure::Structure;
use super::{Blocks, Names, UNIT_BYTES};

pub(super) const SECTOR: u64 = 512;
/// Sectors before the first grain.
pub(super) const FRONT_SECTORS: u64 = 128;
/// Grains that a table tells of.
pub(super) const TABLE_ENTRIES: u64 = 512;
const DESCRIPTOR_AT: u64 = 1;
const DESCRIPTOR_SECTORS: u64 = 20;
const VERSION: u32 = 3;
/// Line ends can be checked; grains are compressed; markers tell what is what.
const FLAGS: u32 = 1 << 0 | 1 << 16 | 1 << 17;
const DEFLATE: u16 = 1;
/// Where the directory is of a stream, as its first header has it: the one at the end knows.
const AT_END: u64 = u64::MAX;
const HEADS: u64 = 255;
const TRACK: u64 = 63;

/// A header that tells where the directory is, in sectors; `None` in the one that begins the file.
pub(super) fn header(disk: &Blocks, directory_at: Option<u64>) -> Structure {
    let mut header = Structure::new(SECTOR);
    header.put(0, b"KDMV");
    header.put(4, &VERSION.to_le_bytes());
    header.put(8, &FLAGS.to_le_bytes());
    for (at, number) in [
        (12, disk.disk_bytes() / SECTOR),
        (20, UNIT_BYTES / SECTOR),
        (28, DESCRIPTOR_AT),
        (36, DESCRIPTOR_SECTORS),
        (56, directory_at.unwrap_or(AT_END)),
        (64, FRONT_SECTORS),
    ] {
        header.put(at, &number.to_le_bytes());
    }
    header.put(44, &(TABLE_ENTRIES as u32).to_le_bytes());
    header.put(73, b"\n \r\n");
    header.put(77, &DEFLATE.to_le_bytes());
    header
}

/// Everything before the first grain.
pub(super) fn front(disk: &Blocks, names: &Names) -> Structure {
    let mut front = Structure::new(FRONT_SECTORS * SECTOR);
    front.put(0, header(disk, None).bytes());
    front.put(DESCRIPTOR_AT * SECTOR, descriptor(disk, names).as_bytes());
    front
}

fn descriptor(disk: &Blocks, names: &Names) -> String {
    let sectors = disk.disk_bytes() / SECTOR;
    format!(
        "# Disk DescriptorFile\nversion=1\nCID={cid:08x}\nparentCID=ffffffff\n\
         createType=\"streamOptimized\"\n\n# Extent description\nRW {sectors} SPARSE \"disk.vmdk\"\n\n\
         # The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\nddb.adapterType = \"lsilogic\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"{HEADS}\"\n\
         ddb.geometry.sectors = \"{TRACK}\"\nddb.uuid.image = \"{uuid}\"\n",
        cid = names.number("vmdk"),
        cylinders = sectors.div_ceil(HEADS * TRACK),
        uuid = names.uuid("vmdk"),
    )
}
