//! What must not be reclaimed now: packs that a stream in flight or an open reader uses, and
//! objects whose row is not committed yet.
//!
//! Invariant: a pack is either pinned or condemned, never both; a condemned pack stays so.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The box's pins.
#[derive(Clone, Default)]
pub struct Pins(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    packs: HashMap<u64, usize>,
    condemned: HashSet<u64>,
    objects: HashSet<[u8; 16]>,
    // While a mark runs: packs whose pin ended, since the mark may not have seen their manifest.
    released: Option<HashSet<u64>>,
}

/// Packs and objects held by one stream or reader.
pub struct Held {
    pins: Pins,
    packs: BTreeSet<u64>,
    objects: Vec<[u8; 16]>,
}

impl Pins {
    /// Starts holding nothing.
    pub fn hold(&self) -> Held {
        Held { pins: self.clone(), packs: BTreeSet::new(), objects: Vec::new() }
    }

    /// From here on, packs whose pins end count as used until [`Pins::condemn`].
    pub fn begin_mark(&self) {
        self.lock().released = Some(HashSet::new());
    }

    /// Takes those of `candidates` that nobody uses out of use for good, and ends the mark.
    pub fn condemn(&self, candidates: Vec<u64>) -> Vec<u64> {
        let mut state = self.lock();
        let released = state.released.take().unwrap_or_default();
        let dead: Vec<u64> = candidates
            .into_iter()
            .filter(|pack| !state.packs.contains_key(pack) && !released.contains(pack))
            .collect();
        state.condemned.extend(&dead);
        dead
    }

    /// Whether a stream in flight is writing this object.
    pub fn is_writing(&self, object: &[u8; 16]) -> bool {
        self.lock().objects.contains(object)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Holds a pack; `false` when it is being reclaimed.
    pub fn pack(&mut self, pack: u64) -> bool {
        if self.packs.contains(&pack) {
            return true;
        }
        let mut state = self.pins.lock();
        if state.condemned.contains(&pack) {
            return false;
        }
        *state.packs.entry(pack).or_default() += 1;
        drop(state);
        self.packs.insert(pack);
        true
    }

    /// Holds an object that is being written.
    pub fn object(&mut self, id: [u8; 16]) {
        self.pins.lock().objects.insert(id);
        self.objects.push(id);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.pins.lock();
        for pack in &self.packs {
            if let Some(count) = state.packs.get_mut(pack) {
                *count -= 1;
                if *count == 0 {
                    state.packs.remove(pack);
                }
            }
            if let Some(released) = &mut state.released {
                released.insert(*pack);
            }
        }
        for object in &self.objects {
            state.objects.remove(object);
        }
    }
}
