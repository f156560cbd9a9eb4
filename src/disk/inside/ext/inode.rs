//! Inodes: what a file is, how large, and the root of its map.
//!
//! Source: Documentation/filesystems/ext4/inodes.rst of Linux.

use super::Ext;
use crate::disk::fields::{Fields, array};
use crate::disk::inside::fault::Fault;
use crate::disk::inside::tree::{Node, NodeKind, Spot};

/// Bytes of an inode that its map, or a short link, is written in.
pub(super) const MAP_BYTES: usize = 60;
/// Bytes of an inode that are read of it, where it has so many: those of old ones, and of others the times' further bits.
const READ_BYTES: u64 = 0x8c;
/// Where a larger inode says how many bytes of it are used from here on.
const EXTRA_AT: usize = 0x80;
const MODIFIED_EXTRA_AT: usize = 0x88;
/// The bits of a time's second half that count 2^32 seconds each; the others are of its nanoseconds.
const EPOCH: u32 = 0b11;
const HAS_EXTENTS: u32 = 0x8_0000;
const IS_INLINE: u32 = 0x1000_0000;
const IS_ENCRYPTED: u32 = 0x800;

/// An inode, as far as reading needs it.
#[derive(Debug, Clone)]
pub(in super::super) struct Inode {
    pub(super) mode: u16,
    pub(super) size_bytes: u64,
    /// When its content changed, in seconds since 1970.
    pub(super) modified_s: i64,
    pub(super) flags: u32,
    pub(super) map: [u8; MAP_BYTES],
}

impl Ext {
    /// An inode by its number.
    pub(super) fn inode(&self, number: u32) -> Result<Inode, Fault> {
        let superblock = &self.superblock;
        let index = number.checked_sub(1).filter(|_| number <= superblock.inodes);
        let index = index.ok_or_else(|| Fault::broken(format!("there is no inode {number}")))?;
        let (group, within) = (index / superblock.inodes_per_group, index % superblock.inodes_per_group);
        let descriptor_at = u64::from(group) * superblock.descriptor_bytes;
        let mut descriptor = vec![0; superblock.descriptor_bytes as usize];
        let block = superblock.descriptors_block + descriptor_at / superblock.block_bytes;
        self.of_table(block, descriptor_at % superblock.block_bytes, &mut descriptor)?;
        let fields = Fields(&descriptor);
        let high = if superblock.is_64_bit { u64::from(fields.le32(0x28)) << 32 } else { 0 };
        let table = high | u64::from(fields.le32(8));
        let at = u64::from(within) * superblock.inode_bytes;
        let block = table.saturating_add(at / superblock.block_bytes);
        let mut bytes = vec![0; superblock.inode_bytes.min(READ_BYTES) as usize];
        self.of_table(block, at % superblock.block_bytes, &mut bytes)?;
        Ok(Inode::of(&bytes))
    }
}

impl Inode {
    fn of(bytes: &[u8]) -> Inode {
        let fields = Fields(bytes);
        Inode {
            mode: fields.le16(0),
            size_bytes: u64::from(fields.le32(0x6c)) << 32 | u64::from(fields.le32(0x4)),
            modified_s: modified_s(bytes),
            flags: fields.le32(0x20),
            map: array(bytes, 0x28).unwrap_or([0; MAP_BYTES]),
        }
    }

    /// The same, as every file system tells it.
    pub(super) fn into_node(self) -> Node {
        let kind = match self.mode >> 12 {
            0x8 => NodeKind::File,
            0x4 => NodeKind::Directory,
            0xa => NodeKind::Link,
            _ => NodeKind::Other,
        };
        Node {
            kind,
            size_bytes: self.size_bytes,
            mode: Some(self.mode & 0o7777),
            modified_s: Some(self.modified_s),
            spot: Spot::Ext(Box::new(self)),
        }
    }

    /// Whether its map is a tree of extents.
    pub(super) fn has_extents(&self) -> bool {
        self.flags & HAS_EXTENTS != 0
    }

    /// Refuses one whose content is not where its map says.
    pub(super) fn expect_mapped(&self) -> Result<(), Fault> {
        if self.flags & IS_ENCRYPTED != 0 {
            return Err(Fault::Unsupported("an encrypted file or directory".into()));
        }
        if self.flags & IS_INLINE != 0 {
            return Err(Fault::Unsupported("a file whose content lies in its inode".into()));
        }
        Ok(())
    }

    /// The target of a link that stands in the inode itself.
    pub(super) fn short_link(&self) -> Option<&[u8]> {
        let size = usize::try_from(self.size_bytes).ok()?;
        self.map.get(..size).filter(|target| target.len() < MAP_BYTES && self.flags & HAS_EXTENTS == 0)
    }
}

/// When the content of an inode's file changed: its time is signed, and begins later by what its second half says.
fn modified_s(inode: &[u8]) -> i64 {
    let fields = Fields(inode);
    let has_extra = inode.len() > EXTRA_AT
        && EXTRA_AT + usize::from(fields.le16(EXTRA_AT)) >= MODIFIED_EXTRA_AT + size_of::<u32>();
    let epoch = if has_extra { fields.le32(MODIFIED_EXTRA_AT) & EPOCH } else { 0 };
    i64::from(fields.le32(0x10).cast_signed()) + (i64::from(epoch) << 32)
}
