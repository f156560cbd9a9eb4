//! Directories: their blocks one after the other. Those with an index read the same way: it lies in what looks like
//! entries that were deleted.

use super::{Ext, Inode};
use crate::disk::fields::Fields;
use crate::disk::inside::fault::Fault;

/// A larger directory is not looked through.
const DIRECTORY_BYTES_MAX: u64 = 64 << 20;
const ENTRY_BYTES_MIN: usize = 8;

impl Ext {
    /// Visits what is in a directory, its own entries for itself and its parent too, until `visit` says no.
    pub(super) fn each_entry(
        &self,
        directory: &Inode,
        visit: &mut dyn FnMut(u32, &[u8]) -> bool,
    ) -> Result<(), Fault> {
        if directory.size_bytes > DIRECTORY_BYTES_MAX {
            return Err(Fault::TooLarge("a directory is too large"));
        }
        let block_bytes = self.superblock.block_bytes;
        let mut block = vec![0; block_bytes as usize];
        let mut at = 0;
        while at < directory.size_bytes {
            self.read_mapped(directory, at, &mut block)?;
            if !self.each_of_block(&block, visit)? {
                return Ok(());
            }
            at += block_bytes;
        }
        Ok(())
    }

    fn each_of_block(&self, block: &[u8], visit: &mut dyn FnMut(u32, &[u8]) -> bool) -> Result<bool, Fault> {
        let mut at = 0;
        while at + ENTRY_BYTES_MIN <= block.len() {
            self.part.effort().steps(1)?;
            let fields = Fields(block.get(at..).unwrap_or_default());
            let (inode, length) = (fields.le32(0), usize::from(fields.le16(4)));
            // A block of 64 KiB is longer than the field can say.
            let length = if length == 0xffff || length == 0 { block.len() - at } else { length };
            let name_bytes = usize::from(fields.bytes(6, 1).first().copied().unwrap_or_default());
            if length < ENTRY_BYTES_MIN + name_bytes || at + length > block.len() {
                return Err(Fault::broken("a directory has an entry of no possible length"));
            }
            if inode != 0 && !visit(inode, fields.bytes(8, name_bytes)) {
                return Ok(false);
            }
            at += length;
        }
        Ok(true)
    }
}
