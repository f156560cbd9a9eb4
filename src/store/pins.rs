//! What must not be reclaimed now: packs that a stream in flight or an open reader uses, objects
//! whose row is not committed yet, and objects that somebody reads.
//!
//! Invariants: a pack is either pinned or condemned, never both, and a condemned pack stays so. A
//! pack is enclosed only while nobody has it pinned; from then on it can be pinned for the chunks
//! that stay, so that no stream comes to rely on one that goes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use roaring::RoaringBitmap;

/// The box's pins.
#[derive(Clone, Default)]
pub struct Pins(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    packs: HashMap<u64, usize>,
    /// How many of these pins are of somebody who waits.
    waited_for: usize,
    condemned: HashSet<u64>,
    /// Packs that are about to lose chunks: the ordinals that stay.
    enclosed: HashMap<u64, RoaringBitmap>,
    /// Objects that are being written, each with the key it is sealed with until its row is there.
    objects: HashMap<[u8; 16], Option<KeyUse>>,
    /// Readers of each object.
    leases: HashMap<[u8; 16], usize>,
    /// For each mark under way: packs whose pin ended, since it may not have seen their manifest.
    marks: HashMap<u64, HashSet<u64>>,
    next_mark: u64,
}

/// A key domain, and which of its keys.
pub type KeyUse = (u32, u32);

/// Packs and objects held by one stream or reader.
pub struct Held {
    pins: Pins,
    packs: BTreeSet<u64>,
    objects: Vec<[u8; 16]>,
    /// Whether nobody waits for whoever holds them.
    is_upkeep: bool,
}

/// While it exists, packs whose pins end count as used.
pub struct Mark {
    pins: Pins,
    number: u64,
}

/// A pack that will lose chunks. Streams may use those that stay.
pub struct Enclosed {
    pins: Pins,
    pack: u64,
}

/// Keeps an object from being deleted.
pub struct Lease {
    pins: Pins,
    object: [u8; 16],
}

impl Pins {
    /// Starts holding nothing.
    pub fn hold(&self) -> Held {
        Held { pins: self.clone(), packs: BTreeSet::new(), objects: Vec::new(), is_upkeep: false }
    }

    /// Begins a mark. Streams that are published after its snapshot end their pins after this.
    pub fn mark(&self) -> Mark {
        let mut state = self.lock();
        let number = state.next_mark;
        state.next_mark += 1;
        state.marks.insert(number, HashSet::new());
        drop(state);
        Mark { pins: self.clone(), number }
    }

    /// Keeps an object from being deleted. Whoever learned its name from a row looks at the row
    /// again: only an object that a row names after this is sure to stay.
    pub fn lease(&self, object: [u8; 16]) -> Lease {
        *self.lock().leases.entry(object).or_default() += 1;
        Lease { pins: self.clone(), object }
    }

    /// Whether somebody reads this object.
    pub fn is_leased(&self, object: &[u8; 16]) -> bool {
        self.lock().leases.contains_key(object)
    }

    /// How many streams and readers hold a pack.
    pub fn holders(&self, pack: u64) -> usize {
        self.lock().packs.get(&pack).copied().unwrap_or(0)
    }

    /// Whether a stream in flight is writing this object.
    pub fn is_writing(&self, object: &[u8; 16]) -> bool {
        self.lock().objects.contains_key(object)
    }

    /// Whether something is being written under a key that no row tells of yet.
    pub fn is_key_in_use(&self, key: KeyUse) -> bool {
        self.lock().objects.values().any(|used| *used == Some(key))
    }

    /// The key domains in which something is being written.
    pub fn domains_in_use(&self) -> BTreeSet<u32> {
        self.lock().objects.values().flatten().map(|(domain, _)| *domain).collect()
    }

    /// An object has its row: whoever looks for what its key sealed finds it there.
    pub fn has_row(&self, object: &[u8; 16]) {
        if let Some(key) = self.lock().objects.get_mut(object) {
            *key = None;
        }
    }

    /// The packs that streams and readers hold, those included that have no row yet.
    pub fn packs(&self) -> Vec<u64> {
        self.lock().packs.keys().copied().collect()
    }

    /// Whether a stream or a reader is under way that somebody waits for.
    pub fn is_busy(&self) -> bool {
        self.lock().waited_for > 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether nobody has used the pack since the mark began.
    fn is_free(&self, mark: u64, pack: u64) -> bool {
        let released = self.marks.get(&mark).is_some_and(|released| released.contains(&pack));
        !released && !self.packs.contains_key(&pack) && !self.condemned.contains(&pack)
    }
}

impl Mark {
    /// Takes those of `candidates` that nobody uses out of use for good.
    pub fn condemn(&self, candidates: Vec<u64>) -> Vec<u64> {
        let mut state = self.pins.lock();
        let mut dead = candidates;
        dead.retain(|pack| state.is_free(self.number, *pack));
        state.condemned.extend(&dead);
        dead
    }

    /// Whether nobody has used the pack since the mark began.
    pub fn is_free(&self, pack: u64) -> bool {
        self.pins.lock().is_free(self.number, pack)
    }

    /// Takes chunks that the mark did not find live out of use, where nobody uses their pack.
    pub fn enclose(&self, pack: u64, live: RoaringBitmap) -> Option<Enclosed> {
        let mut state = self.pins.lock();
        if !state.is_free(self.number, pack) || state.enclosed.contains_key(&pack) {
            return None;
        }
        state.enclosed.insert(pack, live);
        drop(state);
        Some(Enclosed { pins: self.pins.clone(), pack })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.pins.lock().marks.remove(&self.number);
    }
}

impl Drop for Enclosed {
    fn drop(&mut self) {
        self.pins.lock().enclosed.remove(&self.pack);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.pins.lock();
        if let Some(count) = state.leases.get_mut(&self.object) {
            *count -= 1;
            if *count == 0 {
                state.leases.remove(&self.object);
            }
        }
    }
}

impl Held {
    /// Holds a pack; `false` when it is being reclaimed.
    pub fn pack(&mut self, pack: u64) -> bool {
        let pins = self.pins.clone();
        let mut state = pins.lock();
        self.pin(&mut state, pack)
    }

    /// Holds a pack for one of its chunks; `false` when that is being reclaimed.
    pub fn chunk(&mut self, pack: u64, ordinal: u32) -> bool {
        self.run(pack, ordinal, 1)
    }

    /// Holds a pack for some of its chunks; `false` when one of them is being reclaimed.
    pub fn run(&mut self, pack: u64, first: u32, count: u32) -> bool {
        let pins = self.pins.clone();
        let mut state = pins.lock();
        let chunks = first..first.saturating_add(count);
        if state.enclosed.get(&pack).is_some_and(|live| !live.contains_range(chunks)) {
            return false;
        }
        self.pin(&mut state, pack)
    }

    fn pin(&mut self, state: &mut State, pack: u64) -> bool {
        if self.packs.contains(&pack) {
            return true;
        }
        if state.condemned.contains(&pack) {
            return false;
        }
        *state.packs.entry(pack).or_default() += 1;
        state.waited_for += usize::from(!self.is_upkeep);
        self.packs.insert(pack);
        true
    }

    /// Nobody waits for whoever holds these: the box does not count as busy because of them.
    pub fn for_upkeep(&mut self) {
        let mut state = self.pins.lock();
        if !std::mem::replace(&mut self.is_upkeep, true) {
            state.waited_for -= self.packs.len();
        }
    }

    /// Holds an object that is being written.
    pub fn object(&mut self, id: [u8; 16]) {
        self.pins.lock().objects.insert(id, None);
        self.objects.push(id);
    }

    /// Holds an object that is being written, and with it the key that seals it.
    pub fn sealed_object(&mut self, id: [u8; 16], key: KeyUse) {
        self.pins.lock().objects.insert(id, Some(key));
        self.objects.push(id);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.pins.lock();
        if !self.is_upkeep {
            state.waited_for -= self.packs.len();
        }
        for pack in &self.packs {
            if let Some(count) = state.packs.get_mut(pack) {
                *count -= 1;
                if *count == 0 {
                    state.packs.remove(pack);
                }
            }
        }
        for released in state.marks.values_mut() {
            released.extend(&self.packs);
        }
        for object in &self.objects {
            state.objects.remove(object);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(ordinals: &[u32]) -> RoaringBitmap {
        ordinals.iter().copied().collect()
    }

    #[test]
    fn p6_what_is_pinned_or_was_since_the_mark_began_is_neither_condemned_nor_enclosed() {
        let pins = Pins::default();
        let (mut before, mut since, mut still) = (pins.hold(), pins.hold(), pins.hold());
        assert!(before.pack(1) && since.pack(2) && still.pack(3));
        drop(before);
        let mark = pins.mark();
        drop(since);
        assert!(mark.enclose(2, live(&[0])).is_none() && mark.enclose(3, live(&[0])).is_none());
        assert_eq!(mark.condemn(vec![1, 2, 3, 4]), [1, 4]);
        assert!(!still.pack(1) && !still.chunk(4, 0) && still.pack(2));
        assert!(mark.enclose(1, live(&[0])).is_none());
    }

    #[test]
    fn p6_an_enclosed_pack_is_used_for_chunks_that_stay_alone() {
        let pins = Pins::default();
        let enclosed = pins.mark().enclose(1, live(&[5])).unwrap();
        let mut held = pins.hold();
        assert!(!held.chunk(1, 4));
        assert!(!pins.is_busy());
        assert!(held.chunk(1, 5) && !held.chunk(1, 4) && !held.run(1, 5, 2));
        assert!(pins.is_busy());
        drop(enclosed);
        assert!(held.chunk(1, 4) && held.run(1, 4, 2));
    }

    #[test]
    fn upkeep_does_not_make_the_box_busy() {
        let pins = Pins::default();
        let (mut upkeep, mut client) = (pins.hold(), pins.hold());
        assert!(upkeep.pack(1) && pins.is_busy());
        upkeep.for_upkeep();
        assert!(upkeep.pack(2) && !pins.is_busy());
        assert!(client.pack(1) && pins.is_busy());
        drop(client);
        assert!(!pins.is_busy() && pins.packs().len() == 2);
        drop(upkeep);
        assert!(!pins.is_busy() && pins.packs().is_empty());
    }

    #[test]
    fn one_mark_does_not_end_anothers_protection() {
        let pins = Pins::default();
        let mut held = pins.hold();
        assert!(held.pack(1));
        let long = pins.mark();
        drop(held);
        let short = pins.mark();
        assert!(long.condemn(vec![1]).is_empty());
        assert_eq!(short.condemn(vec![1]), [1]);
    }

    #[test]
    fn a_lease_lasts_as_long_as_its_last_holder() {
        let pins = Pins::default();
        let (one, two) = (pins.lease([1; 16]), pins.lease([1; 16]));
        drop(one);
        assert!(pins.is_leased(&[1; 16]));
        drop(two);
        assert!(!pins.is_leased(&[1; 16]));
    }
}
