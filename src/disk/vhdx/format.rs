//! Names and sums of VHDX that its reader and its writer share.
//!
//! Source: MS-VHDX 2.2 and 2.6.

use crc_fast::{CrcAlgorithm, Digest};
use uuid::{Uuid, uuid};

/// The region of the table of blocks.
pub(in crate::disk) const BAT: Uuid = uuid!("2dc27766-f623-4200-9d64-115e9bfd4a08");
/// The region of the metadata.
pub(in crate::disk) const METADATA: Uuid = uuid!("8b7ca206-4790-4b9a-b8fe-575f050f886e");
/// Items of the metadata: the size of blocks, and whether there is a parent.
pub(in crate::disk) const FILE_PARAMETERS: Uuid = uuid!("caa16737-fa36-4d43-b3b6-33f0aa44e76b");
/// How large the disk is.
pub(in crate::disk) const DISK_SIZE: Uuid = uuid!("2fa54224-cd1b-4876-b211-5dbed83bf4b8");
/// What the disk calls itself.
pub(in crate::disk) const DISK_ID: Uuid = uuid!("beca12ab-b2e6-4523-93ef-c309e000c746");
/// Bytes of a sector as the guest sees it.
pub(in crate::disk) const LOGICAL_SECTOR: Uuid = uuid!("8141bf1d-a96f-4709-ba47-f233a8faab5f");
/// Bytes of a sector as it lies there.
pub(in crate::disk) const PHYSICAL_SECTOR: Uuid = uuid!("cda348c7-445d-4471-9cc9-e9885251c556");

/// CRC-32C of a structure whose checksum, at `at`, counts as zeros.
pub(in crate::disk) fn checksum(bytes: &[u8], at: usize) -> u32 {
    let (before, rest) = bytes.split_at(at.min(bytes.len()));
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for part in [before, &[0; 4], rest.get(4..).unwrap_or_default()] {
        digest.update(part);
    }
    // Of an algorithm of 32 bits.
    digest.finalize() as u32
}
