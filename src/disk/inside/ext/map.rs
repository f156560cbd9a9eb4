//! Which block of the disk has which block of a file: trees of extents, and the older lists of blocks.
//!
//! Invariant: a node of a tree is one level below its parent, so that no way down is longer than the format's; what lies
//! past the blocks of the file system is refused where it is read.

use super::{Ext, Inode};
use crate::disk::fields::Fields;
use crate::disk::inside::fault::Fault;

const NODE_MAGIC: u16 = 0xf30a;
const DEPTH_MAX: u16 = 5;
const ENTRY_BYTES: usize = 12;
/// An extent whose length is larger was allocated and never written: it reads as zeros.
const WRITTEN_MAX: u16 = 0x8000;
const DIRECT: u64 = 12;
const NUMBER_BYTES: u64 = 4;

/// Blocks of a file that follow each other.
struct Run {
    /// Where they begin on the disk; `None` where they read as zeros.
    block: Option<u64>,
    /// How many, from the one that was asked for on; at least one.
    blocks: u64,
}

impl Ext {
    /// Fills `out` with the content that an inode's map leads to, from byte `at` on.
    pub(super) fn read_mapped(&self, inode: &Inode, mut at: u64, mut out: &mut [u8]) -> Result<(), Fault> {
        inode.expect_mapped()?;
        let block_bytes = self.superblock.block_bytes;
        while !out.is_empty() {
            self.part.effort().steps(1)?;
            let run = self.run(inode, at / block_bytes)?;
            let skip = at % block_bytes;
            let there = run.blocks.saturating_mul(block_bytes) - skip;
            let here = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
            let (now, later) = std::mem::take(&mut out).split_at_mut(here);
            match run.block {
                None => now.fill(0),
                Some(block) => {
                    let last = block.checked_add((skip + here as u64).div_ceil(block_bytes));
                    if last.is_none_or(|last| last > self.superblock.blocks) {
                        return Err(Fault::broken("a file's map leads out of the file system"));
                    }
                    self.part.read(block * block_bytes + skip, now)?;
                }
            }
            at += here as u64;
            out = later;
        }
        Ok(())
    }

    fn run(&self, inode: &Inode, block: u64) -> Result<Run, Fault> {
        if inode.has_extents() { self.run_of_extents(inode, block) } else { self.run_of_list(inode, block) }
    }

    fn run_of_extents(&self, inode: &Inode, wanted: u64) -> Result<Run, Fault> {
        let mut node = inode.map.to_vec();
        let mut depth = header(&node)?.1;
        // Where the next extent to the right begins: a hole ends there.
        let mut bound = u64::MAX;
        loop {
            self.part.effort().steps(1)?;
            let (entries, _) = header(&node)?;
            let starts = |index: usize| u64::from(Fields(&node).le32((index + 1) * ENTRY_BYTES));
            let after = (0..entries).position(|index| starts(index) > wanted).unwrap_or(entries);
            if after < entries {
                bound = bound.min(starts(after));
            }
            let hole = Run { block: None, blocks: bound.saturating_sub(wanted).max(1) };
            let Some(index) = after.checked_sub(1) else { return Ok(hole) };
            let at = (index + 1) * ENTRY_BYTES;
            let fields = Fields(&node);
            if depth == 0 {
                let length = fields.le16(at + 4);
                let is_written = length <= WRITTEN_MAX;
                let length = u64::from(if is_written { length } else { length - WRITTEN_MAX });
                let Some(left) = (starts(index) + length).checked_sub(wanted).filter(|left| *left > 0) else {
                    return Ok(hole);
                };
                let start = u64::from(fields.le16(at + 6)) << 32 | u64::from(fields.le32(at + 8));
                let block = is_written.then(|| start + (wanted - starts(index)));
                return Ok(Run { block, blocks: left });
            }
            let child = u64::from(fields.le16(at + 8)) << 32 | u64::from(fields.le32(at + 4));
            node = self.whole_block(child)?;
            depth -= 1;
            if header(&node)?.1 != depth {
                return Err(Fault::broken("a tree of extents has a node at the wrong level"));
            }
        }
    }

    /// The lists of ext2: twelve blocks in the inode, and three trees of lists of rising depth.
    fn run_of_list(&self, inode: &Inode, wanted: u64) -> Result<Run, Fault> {
        let per_block = self.superblock.block_bytes / NUMBER_BYTES;
        let number =
            |bytes: &[u8], index: u64| u64::from(Fields(bytes).le32((index * NUMBER_BYTES) as usize));
        let one = |block: u64| Run { block: (block != 0).then_some(block), blocks: 1 };
        if wanted < DIRECT {
            return Ok(one(number(&inode.map, wanted)));
        }
        let mut left = wanted - DIRECT;
        let mut covers = per_block;
        for root in DIRECT..DIRECT + 3 {
            if left >= covers {
                left -= covers;
                covers *= per_block;
                continue;
            }
            let mut block = number(&inode.map, root);
            while block != 0 && covers > 1 {
                self.part.effort().steps(1)?;
                covers /= per_block;
                let mut entry = [0; NUMBER_BYTES as usize];
                self.block(block, (left / covers) * NUMBER_BYTES, &mut entry)?;
                block = number(&entry, 0);
                left %= covers;
            }
            // A hole of a whole list reads block by block.
            return Ok(one(block));
        }
        Err(Fault::broken("a file is longer than its map can be"))
    }
}

/// How many entries a node of a tree has, and how many levels are below it.
fn header(node: &[u8]) -> Result<(usize, u16), Fault> {
    let fields = Fields(node);
    let (entries, depth) = (usize::from(fields.le16(2)), fields.le16(6));
    if fields.le16(0) != NODE_MAGIC || depth > DEPTH_MAX || (entries + 1) * ENTRY_BYTES > node.len() {
        return Err(Fault::broken("a tree of extents has a node that is none"));
    }
    Ok((entries, depth))
}
