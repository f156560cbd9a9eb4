//! The blocks of tables that were read last: inodes that are asked for together lie together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::inside::fault::Fault;

/// Blocks that are kept, of 64 KiB at most.
const KEPT_MAX: usize = 8;

/// Blocks by number, the latest in front.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>);

impl Recent {
    /// The block: the one that is kept, or as it is read.
    pub(super) fn get_or_read(
        &self,
        number: u64,
        read: impl FnOnce() -> Result<Vec<u8>, Fault>,
    ) -> Result<Arc<Vec<u8>>, Fault> {
        if let Some((_, block)) = self.kept().iter().find(|(known, _)| *known == number) {
            return Ok(block.clone());
        }
        let block = Arc::new(read()?);
        let mut kept = self.kept();
        kept.push_front((number, block.clone()));
        kept.truncate(KEPT_MAX);
        Ok(block)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<(u64, Arc<Vec<u8>>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
