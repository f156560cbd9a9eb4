//! The superblock of ext2, ext3 and ext4: sizes, counts, and which features are used.
//!
//! Invariant: the file system lies in its part, and every divisor is one.

use crate::disk::fields::Fields;
use crate::disk::inside::fault::Fault;
use crate::disk::inside::part::Part;

const AT: u64 = 1024;
const BYTES: usize = 1024;
const MAGIC: u16 = 0xef53;
/// Blocks are of 1 KiB, doubled so often: 64 KiB are the most.
const BLOCK_DOUBLINGS_MAX: u32 = 6;
const INODE_BYTES_OLD: u64 = 128;
const DESCRIPTOR_BYTES_OLD: u64 = 32;
const HAS_ERRORS: u16 = 0x2;
const JOURNAL_WAITS: u32 = 0x4;
const IS_64_BIT: u32 = 0x80;
/// Features that change where things lie, and are read: types in directories, a journal that waits, extents, 64 bits,
/// protection against double mounts, flexible groups, values in inodes of their own, a seed of sums, large directories,
/// content in inodes and encryption of single directories (refused where they are met), names that are compared without case.
const KNOWN: u32 = 0x2
    | JOURNAL_WAITS
    | 0x40
    | IS_64_BIT
    | 0x100
    | 0x200
    | 0x400
    | 0x2000
    | 0x4000
    | 0x8000
    | 0x1_0000
    | 0x2_0000;

/// What the superblock says.
pub(super) struct Superblock {
    pub(super) block_bytes: u64,
    pub(super) blocks: u64,
    pub(super) free_blocks: u64,
    pub(super) inode_bytes: u64,
    pub(super) inodes: u32,
    pub(super) inodes_per_group: u32,
    pub(super) descriptor_bytes: u64,
    /// The block that descriptors of groups begin in.
    pub(super) descriptors_block: u64,
    pub(super) is_64_bit: bool,
    /// Whether changes wait in the journal.
    pub(super) journal_waits: bool,
    /// Whether its driver found errors in it.
    pub(super) has_errors: bool,
}

impl Superblock {
    /// Reads it, and compares it with the part that it lies in.
    pub(super) fn read(part: &Part) -> Result<Superblock, Fault> {
        let bytes = part.bytes(AT, BYTES)?;
        let fields = Fields(&bytes);
        if fields.le16(0x38) != MAGIC {
            return Err(Fault::broken("its superblock has no mark"));
        }
        let incompatible = fields.le32(0x60);
        let unknown = incompatible & !KNOWN;
        if unknown != 0 {
            return Err(Fault::Unsupported(format!("ext4 with the features {unknown:#x}")));
        }
        let doublings = fields.le32(0x18);
        if doublings > BLOCK_DOUBLINGS_MAX {
            return Err(Fault::broken("its blocks are too large"));
        }
        let is_64_bit = incompatible & IS_64_BIT != 0;
        let high = |at: usize| if is_64_bit { u64::from(fields.le32(at)) << 32 } else { 0 };
        let is_old = fields.le32(0x4c) == 0;
        let superblock = Superblock {
            block_bytes: 1024 << doublings,
            blocks: high(0x150) | u64::from(fields.le32(0x4)),
            free_blocks: high(0x158) | u64::from(fields.le32(0xc)),
            inode_bytes: if is_old { INODE_BYTES_OLD } else { fields.le16(0x58).into() },
            inodes: fields.le32(0),
            inodes_per_group: fields.le32(0x28),
            descriptor_bytes: if is_64_bit { fields.le16(0xfe).into() } else { DESCRIPTOR_BYTES_OLD },
            // After the superblock's own, whatever is said to be the first block of data.
            descriptors_block: (AT >> (10 + doublings)) + 1,
            is_64_bit,
            journal_waits: incompatible & JOURNAL_WAITS != 0,
            has_errors: fields.le16(0x3a) & HAS_ERRORS != 0,
        };
        superblock.expect_sound(part)?;
        Ok(superblock)
    }

    fn expect_sound(&self, part: &Part) -> Result<(), Fault> {
        let bytes = self.blocks.checked_mul(self.block_bytes);
        if bytes.is_none_or(|bytes| bytes > part.size_bytes()) {
            return Err(Fault::broken("it is larger than what it lies in"));
        }
        if self.inodes_per_group == 0
            || !(INODE_BYTES_OLD..=self.block_bytes).contains(&self.inode_bytes)
            || !self.inode_bytes.is_power_of_two()
        {
            return Err(Fault::broken("its inodes are of no possible size or number"));
        }
        let least = if self.is_64_bit { 2 * DESCRIPTOR_BYTES_OLD } else { DESCRIPTOR_BYTES_OLD };
        if !(least..=1024).contains(&self.descriptor_bytes) || !self.descriptor_bytes.is_power_of_two() {
            return Err(Fault::broken("its groups' descriptors are of no possible size"));
        }
        Ok(())
    }
}
