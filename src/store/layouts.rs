//! Layouts in memory: those of streams read lately, and those that readers use.
//!
//! Invariants: large ones take no more together than they were given, but for one that is larger alone;
//! all readers of a stream share one. Small ones are not counted: a reader costs more than they do.
//! Must not know where manifests come from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Error;
use super::manifest::Manifest;
use super::read::Layout;

/// Layouts that are expected in memory at once; their bytes are bounded apart from that.
const EXPECTED: usize = 64;
/// What layouts are counted in, in bytes; one that has less is small.
const UNIT_BYTES: u64 = 64 << 10;

/// As many of the largest that are made on purpose find room at once.
const LARGEST_AT_ONCE: u64 = 4;

/// A manifest's object, whose layout it is.
type ObjectId = [u8; 16];

/// The layouts.
pub struct Layouts {
    /// Those read lately.
    lately: Cache<ObjectId, Arc<Layout>, Weight>,
    /// Large ones that somebody uses, cached or not.
    used: Mutex<HashMap<ObjectId, Weak<Layout>>>,
    /// Held while a large one is made, which takes more than it takes afterwards.
    making: Mutex<()>,
    room: Arc<Semaphore>,
    room_units: u32,
}

/// The room that a large layout takes, for as long as it is there.
pub type Room = OwnedSemaphorePermit;

#[derive(Clone)]
struct Weight;

impl Weighter<ObjectId, Arc<Layout>> for Weight {
    fn weight(&self, _: &ObjectId, layout: &Arc<Layout>) -> u64 {
        layout.weight()
    }
}

impl Layouts {
    /// No layouts: of those read lately `lately_bytes` stay in memory, and all large ones together take
    /// no more than `bytes`.
    pub fn new(lately_bytes: u64, bytes: u64) -> Layouts {
        let room_units = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        Layouts {
            lately: Cache::with_weighter(EXPECTED, lately_bytes, Weight),
            used: Mutex::default(),
            making: Mutex::default(),
            room: Arc::new(Semaphore::new(room_units as usize)),
            room_units,
        }
    }

    /// The layout of the manifest in `object`, which has so many bytes: from memory, or as `read` gives it.
    ///
    /// # Errors
    /// What `read` says, or [`Error::Crowded`] when there is no room for it now.
    pub fn get(
        &self,
        object: &ObjectId,
        object_bytes: u64,
        read: impl FnOnce() -> Result<Manifest, Error>,
    ) -> Result<Arc<Layout>, Error> {
        if Layout::most(object_bytes) < UNIT_BYTES {
            return self.lately.get_or_insert_with(object, || Ok(Arc::new(Layout::new(read()?))));
        }
        if let Some(layout) = self.find(object) {
            return Ok(layout);
        }
        let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layout) = self.find(object) {
            return Ok(layout);
        }
        let room = self.room_for(Layout::most(object_bytes))?;
        let layout = Arc::new(Layout::new(read()?).within(room));
        let mut used = self.used();
        used.retain(|_, layout| layout.strong_count() > 0);
        used.insert(*object, Arc::downgrade(&layout));
        drop(used);
        self.lately.insert(*object, layout.clone());
        Ok(layout)
    }

    /// What one may take so that several as large can be in use at once, in bytes.
    pub fn share(&self) -> u64 {
        u64::from(self.room_units) * UNIT_BYTES / LARGEST_AT_ONCE
    }

    /// Forgets all that nobody uses.
    pub fn clear(&self) {
        self.lately.clear();
    }

    fn find(&self, object: &ObjectId) -> Option<Arc<Layout>> {
        self.lately.get(object).or_else(|| self.used().get(object)?.upgrade())
    }

    fn used(&self) -> MutexGuard<'_, HashMap<ObjectId, Weak<Layout>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room_for(&self, bytes: u64) -> Result<Room, Error> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.room_units);
        let take = || self.room.clone().try_acquire_many_owned(units).ok();
        let taken = take().or_else(|| {
            // What nobody uses makes room.
            self.clear();
            take()
        });
        taken.ok_or(Error::Crowded)
    }
}

#[cfg(test)]
mod tests {
    use super::super::cutter::choose;
    use super::super::manifest::Extent;
    use super::*;
    use crate::db::codec;
    use crate::model::Digests;

    /// A manifest of so many pieces, every second of which is a hole, and its bytes.
    fn fragmented(pieces: u64) -> (Manifest, u64) {
        let piece = |number| match number % 2 {
            0 => Extent::Run { bytes: 4096, pack: number, first: 1, count: 1 },
            _ => Extent::Zeros { bytes: 4096 },
        };
        let manifest: Manifest = Manifest {
            content: [0; 16],
            size_bytes: pieces * 4096,
            digests: (&Digests { md5: None, secure: None, blake3: [0; 32] }).into(),
            cutter: choose(&[]),
            extents: (0..pieces).map(piece).collect(),
            record: Vec::new(),
            recipe: None,
        };
        // As it is when it was read.
        let bytes = codec::encode(&manifest);
        (codec::decode(&bytes).unwrap(), bytes.len() as u64)
    }

    #[test]
    fn p5_a_layout_takes_40_bytes_a_piece_and_no_more_than_is_reckoned_with() {
        for pieces in [1, 7, 5000, 100_000] {
            let (manifest, bytes) = fragmented(pieces);
            let layout = Layout::new(manifest);
            assert!(layout.weight() >= pieces * 40 && layout.weight() < pieces * 40 + 1024);
            assert!(layout.weight() <= Layout::most(bytes), "{pieces} pieces");
        }
    }

    #[test]
    fn p5_large_layouts_share_what_they_were_given() {
        let (manifest, bytes) = fragmented(10_000);
        let layouts = Layouts::new(1 << 20, 2 * (Layout::most(bytes) + UNIT_BYTES));
        let get = |object: u8| layouts.get(&[object; 16], bytes, || Ok(manifest.clone()));
        let (first, second) = (get(1).unwrap(), get(2).unwrap());
        assert!(matches!(get(3), Err(Error::Crowded)));
        // All readers of a stream share one, cached or not.
        layouts.clear();
        let again = layouts.get(&[1; 16], bytes, || panic!("it is in memory")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        drop((first, again));
        drop(second);
        // What is only cached makes room.
        drop(get(3).unwrap());
        for object in 4..9 {
            drop(get(object).unwrap());
        }
    }

    #[test]
    fn one_that_is_larger_than_all_room_is_read_alone() {
        let (manifest, bytes) = fragmented(10_000);
        let layouts = Layouts::new(1, 2 * UNIT_BYTES);
        let get = |object: u8| layouts.get(&[object; 16], bytes, || Ok(manifest.clone()));
        let first = get(1).unwrap();
        assert!(matches!(get(2), Err(Error::Crowded)));
        let (small, small_bytes) = fragmented(10);
        layouts.get(&[3; 16], small_bytes, || Ok(small)).unwrap();
        drop(first);
        get(2).unwrap();
    }

    #[test]
    fn one_that_cannot_be_read_takes_no_room() {
        let (manifest, bytes) = fragmented(10_000);
        let layouts = Layouts::new(1, Layout::most(bytes));
        let failed = layouts.get(&[1; 16], bytes, || Err(Error::Unavailable("unplugged".into())));
        assert!(matches!(failed, Err(Error::Unavailable(_))));
        layouts.get(&[2; 16], bytes, || Ok(manifest)).unwrap();
    }
}
