//! What is kept of pieces that were read or decoded: one bound for all containers that share it.
//!
//! Invariant: a piece is found only by the container that it was kept for. Must not know what a piece is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::refusal::Error;

/// The size of a piece that the cache is laid out for. Most are of 64 KiB; but it divides its room among shards of 32 such pieces, and
/// keeps nothing that is larger than a shard's: the largest unit of a container must find room in one.
const LAID_OUT_BYTES: u64 = 160 << 10;

/// Tables and decoded units of containers in memory, up to a number of bytes. A clone is the same.
#[derive(Clone)]
pub struct Pieces(Arc<Shared>);

struct Shared {
    cache: Cache<(u64, u64), Arc<Vec<u8>>, ByLength>,
    containers: AtomicU64,
}

/// A piece weighs its bytes.
#[derive(Clone)]
struct ByLength;

impl Weighter<(u64, u64), Arc<Vec<u8>>> for ByLength {
    fn weight(&self, _: &(u64, u64), piece: &Arc<Vec<u8>>) -> u64 {
        piece.len() as u64
    }
}

impl Pieces {
    /// Room for this many bytes of them. A piece that is larger is made each time it is asked for.
    pub fn new(bytes: u64) -> Pieces {
        let usual = usize::try_from(bytes / LAID_OUT_BYTES).unwrap_or(usize::MAX).max(1);
        let cache = Cache::with_weighter(usual, bytes.max(1), ByLength);
        Pieces(Arc::new(Shared { cache, containers: AtomicU64::new(0) }))
    }

    /// Those of one more container.
    pub(super) fn of_one(&self) -> Kept {
        let container = self.0.containers.fetch_add(1, Ordering::Relaxed);
        Kept { shared: self.0.clone(), container }
    }
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces").field("bytes", &self.0.cache.weight()).finish_non_exhaustive()
    }
}

/// How far a look at a container goes for what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// To memory alone: nothing is waited for.
    Memory,
    /// To the container's bytes, wherever they are.
    Medium,
}

impl Reach {
    /// Refuses where something has to be read that is not kept.
    pub(super) fn expect_medium(self) -> Result<(), Error> {
        match self {
            Reach::Medium => Ok(()),
            Reach::Memory => Err(io::Error::from(io::ErrorKind::WouldBlock).into()),
        }
    }
}

/// Pieces of one container, by where they begin in it.
pub(super) struct Kept {
    shared: Arc<Shared>,
    container: u64,
}

impl Kept {
    /// The piece that begins there, if it is kept; otherwise made, as far as the reach goes.
    ///
    /// # Errors
    /// As [`Kept::get_or_make`]; `WouldBlock` where the reach does not go that far.
    pub(super) fn get(
        &self,
        at: u64,
        reach: Reach,
        make: impl FnOnce() -> Result<Vec<u8>, Error>,
    ) -> Result<Arc<Vec<u8>>, Error> {
        match self.find(at) {
            Some(piece) => Ok(piece),
            None => reach.expect_medium().and_then(|()| self.get_or_make(at, make)),
        }
    }

    /// The piece that begins there, if it is kept.
    pub(super) fn find(&self, at: u64) -> Option<Arc<Vec<u8>>> {
        self.shared.cache.get(&(self.container, at))
    }

    /// The piece that begins there, made unless it is kept. Whoever asks for it meanwhile waits for the same one.
    ///
    /// # Errors
    /// What making it fails with.
    pub(super) fn get_or_make(
        &self,
        at: u64,
        make: impl FnOnce() -> Result<Vec<u8>, Error>,
    ) -> Result<Arc<Vec<u8>>, Error> {
        self.shared.cache.get_or_insert_with(&(self.container, at), || make().map(Arc::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_made_once_and_found_by_its_own_container_alone() {
        let pieces = Pieces::new(1 << 20);
        let (one, other) = (pieces.of_one(), pieces.of_one());
        let unwanted = || panic!("it was made already");
        assert_eq!(*one.get_or_make(7, || Ok(vec![1])).unwrap(), [1]);
        assert_eq!(*one.get_or_make(7, unwanted).unwrap(), [1]);
        assert_eq!(*other.get_or_make(7, || Ok(vec![2])).unwrap(), [2]);
    }

    #[test]
    fn b3_all_containers_share_one_bound() {
        let pieces = Pieces::new(1 << 20);
        for _ in 0..8 {
            let kept = pieces.of_one();
            (0..64).for_each(|at| drop(kept.get_or_make(at, || Ok(vec![0; 64 << 10])).unwrap()));
        }
        assert!(pieces.0.cache.weight() <= 1 << 20);
        // The largest unit there is finds room, however many shards there are.
        let (wide, mut made) = (Pieces::new(64 << 20).of_one(), 0);
        for _ in 0..2 {
            let unit = wide.get_or_make(0, || {
                made += 1;
                Ok(vec![0; 4 << 20])
            });
            assert_eq!(unit.unwrap().len(), 4 << 20);
        }
        assert_eq!(made, 1);
        // What is larger than all room is made, and not kept.
        let large = pieces.of_one();
        assert_eq!(large.get_or_make(0, || Ok(vec![0; 2 << 20])).unwrap().len(), 2 << 20);
        assert!(pieces.0.cache.weight() <= 1 << 20);
    }
}
