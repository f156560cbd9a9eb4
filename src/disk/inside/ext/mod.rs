//! ext2, ext3 and ext4, read only.
//!
//! Source: Documentation/filesystems/ext4 of Linux. Own code, as the one maintained reader (`ext4-view` 1.0) takes
//! preallocated extents for data, which gives what was deleted before out as a file's content and shifts all after it, and makes room by
//! what links and superblocks say. Invariants: a block is read only where it lies in the file system; blocks that were
//! allocated and never written read as zeros; trees and chains end after a bounded number of nodes. A journal that waits to
//! be applied is not applied: [`Remark::JournalWaits`] says so.

mod directory;
mod inode;
mod map;
mod recent;
mod superblock;
#[cfg(test)]
mod tests;

pub(super) use inode::Inode;

use super::fault::Fault;
use super::part::Part;
use super::tree::{FileSystem, LINK_BYTES_MAX, Listing, Node, Remark, Spot, Usage};
use recent::Recent;
use superblock::Superblock;

/// The inode of the topmost directory.
const ROOT: u32 = 2;

/// An opened file system.
pub(super) struct Ext {
    part: Part,
    superblock: Superblock,
    tables: Recent,
}

impl Ext {
    /// Opens what lies in a part.
    pub(super) fn open(part: Part) -> Result<Ext, Fault> {
        let superblock = Superblock::read(&part)?;
        let ext = Ext { part, superblock, tables: Recent::default() };
        ext.inode(ROOT)?;
        Ok(ext)
    }

    /// A part of a block.
    fn block(&self, block: u64, skip: u64, out: &mut [u8]) -> Result<(), Fault> {
        if block >= self.superblock.blocks {
            return Err(Fault::broken(format!("block {block} does not lie in the file system")));
        }
        self.part.read(block * self.superblock.block_bytes + skip, out)
    }

    /// A part of a block of a table, which is kept for whoever asks for another part of it.
    fn of_table(&self, block: u64, skip: u64, out: &mut [u8]) -> Result<(), Fault> {
        let kept = self.tables.get_or_read(block, || self.whole_block(block))?;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let found = skip.checked_add(out.len()).and_then(|end| kept.get(skip..end));
        out.copy_from_slice(found.ok_or_else(|| Fault::broken("an entry of a table leaves its block"))?);
        Ok(())
    }

    /// A whole block.
    fn whole_block(&self, block: u64) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; self.superblock.block_bytes as usize];
        self.block(block, 0, &mut bytes)?;
        Ok(bytes)
    }

    fn node(&self, number: u32) -> Result<Node, Fault> {
        self.inode(number).map(Inode::into_node)
    }
}

fn inode_of(node: &Node) -> Result<&Inode, Fault> {
    match &node.spot {
        Spot::Ext(inode) => Ok(inode),
        _ => Err(Fault::broken("it is of another file system")),
    }
}

impl FileSystem for Ext {
    fn usage(&self) -> Result<Usage, Fault> {
        let superblock = &self.superblock;
        let mut remarks = Vec::new();
        if superblock.journal_waits {
            remarks.push(Remark::JournalWaits);
        }
        if superblock.has_errors {
            remarks.push(Remark::HasErrors);
        }
        Ok(Usage {
            size_bytes: superblock.blocks.checked_mul(superblock.block_bytes),
            free_bytes: superblock.free_blocks.checked_mul(superblock.block_bytes),
            remarks,
        })
    }

    fn root(&self) -> Result<Node, Fault> {
        self.node(ROOT)
    }

    /// A name that is no UTF-8 is found by what it is listed as, unless something else is called just that.
    fn child(&self, directory: &Node, name: &str) -> Result<Option<Node>, Fault> {
        let may_be_no_text = name.contains(char::REPLACEMENT_CHARACTER);
        let (mut wanted, mut listed) = (None, None);
        self.each_entry(inode_of(directory)?, &mut |number, found| {
            if found == name.as_bytes() {
                wanted = Some(number);
            } else if may_be_no_text && listed.is_none() && String::from_utf8_lossy(found) == name {
                listed = Some(number);
            }
            wanted.is_none()
        })?;
        wanted.or(listed).map(|number| self.node(number)).transpose()
    }

    fn list(&self, directory: &Node, entries_max: usize) -> Result<Listing, Fault> {
        let mut found = Vec::new();
        let mut is_cut = false;
        self.each_entry(inode_of(directory)?, &mut |number, name| {
            is_cut = found.len() >= entries_max;
            if !is_cut && name != b"." && name != b".." {
                found.push((String::from_utf8_lossy(name).into_owned(), number));
            }
            !is_cut
        })?;
        // In the order in which their inodes lie.
        found.sort_by_key(|(_, number)| *number);
        let mut listing = Listing { entries: Vec::new(), is_cut };
        for (name, number) in found {
            listing.entries.push(super::tree::Entry { name, node: self.node(number)? });
        }
        Ok(listing)
    }

    fn link(&self, link: &Node) -> Result<String, Fault> {
        let inode = inode_of(link)?;
        let target = match inode.short_link() {
            Some(target) => target.to_vec(),
            None => {
                let mut target = vec![0; link.size_bytes.min(LINK_BYTES_MAX) as usize];
                self.read_mapped(inode, 0, &mut target)?;
                target
            }
        };
        String::from_utf8(target).map_err(|_| Fault::Unsupported("a link that is no text".into()))
    }

    fn read(&self, file: &Node, at: u64, out: &mut [u8]) -> Result<(), Fault> {
        self.read_mapped(inode_of(file)?, at, out)
    }
}
