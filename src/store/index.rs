//! Which chunks are known: footers in bounded memory, found through hooks and locality.
//!
//! A sampled name (a hook) leads to the pack that has it; the pack's footer then answers for its
//! neighbours. The index may miss a duplicate; it never invents one. Nothing here grows with the
//! store.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::pack::Pack;
use super::realm::Realm;

/// A name is a hook when its first byte is below this: one in 64.
const HOOK_LIMIT: u8 = 4;

/// The smallest names of a group are hooks too.
const SMALLEST: usize = 16;

/// Whether every pack with this name is found by it.
fn is_hook(name: &[u8; 32]) -> bool {
    name[0] < HOOK_LIMIT
}

/// The names by which a group of chunks is looked up, and a pack found: the sampled ones and the
/// smallest few, so that a small pack is found too.
pub fn hooks<'a>(names: impl Iterator<Item = &'a [u8; 32]>) -> HashSet<[u8; 32]> {
    let mut sorted: Vec<&[u8; 32]> = names.collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
        .iter()
        .enumerate()
        .filter(|(rank, name)| *rank < SMALLEST || is_hook(name))
        .map(|(_, n)| **n)
        .collect()
}

/// Footers in memory, least recently used first to go.
pub struct Index {
    bytes_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    packs: HashMap<u64, (Arc<Pack>, Realm, u64)>,
    by_age: BTreeMap<u64, u64>,
    chunks: HashMap<u64, (u64, u32)>,
    bytes: usize,
    ticks: u64,
}

impl Index {
    /// An empty index of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Index {
        Index { bytes_max, inner: Mutex::default() }
    }

    /// The pack, when its footer is in memory.
    pub fn pack(&self, number: u64) -> Option<Arc<Pack>> {
        self.lock().touch(number)
    }

    /// Keeps a pack's footer, letting older ones go; of one pack the newest generation counts.
    pub fn insert(&self, realm: Realm, pack: Arc<Pack>) {
        let mut inner = self.lock();
        match inner.packs.get(&pack.number) {
            Some((held, ..)) if held.generation() >= pack.generation() => return,
            Some(_) => inner.forget(pack.number),
            None => {}
        }
        inner.ticks += 1;
        let tick = inner.ticks;
        // The table of names costs about as much again as the footer.
        inner.bytes += pack.weight() * 2;
        for (ordinal, name) in pack.chunks() {
            inner.chunks.insert(short(realm, name), (pack.number, ordinal));
        }
        inner.by_age.insert(tick, pack.number);
        inner.packs.insert(pack.number, (pack, realm, tick));
        while inner.bytes > self.bytes_max && inner.packs.len() > 1 {
            let Some((_, oldest)) = inner.by_age.pop_first() else { break };
            inner.forget(oldest);
        }
    }

    /// Memory that all footers take now, in bytes.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Lets go of a pack that was reclaimed.
    pub fn remove(&self, number: u64) {
        self.lock().forget(number);
    }

    /// Whether memory still has this name there.
    pub fn has(&self, (number, ordinal): (u64, u32), name: &[u8; 32]) -> bool {
        self.lock().packs.get(&number).is_some_and(|(pack, ..)| pack.name(ordinal) == Some(name))
    }

    /// Lets go of every pack of a key domain.
    pub fn forget_domain(&self, domain: u32) {
        let mut inner = self.lock();
        let of_domain = inner.packs.iter().filter(|(_, (_, realm, _))| realm.domain == domain);
        for number in of_domain.map(|(number, _)| *number).collect::<Vec<_>>() {
            inner.forget(number);
        }
    }

    /// Where a chunk is, as far as memory knows.
    pub fn find(&self, realm: Realm, name: &[u8; 32]) -> Option<(u64, u32)> {
        let inner = self.lock();
        let (number, ordinal) = *inner.chunks.get(&short(realm, name))?;
        let (pack, found, _) = inner.packs.get(&number)?;
        (*found == realm && pack.name(ordinal) == Some(name)).then_some((number, ordinal))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn touch(&mut self, number: u64) -> Option<Arc<Pack>> {
        self.ticks += 1;
        let (pack, _, tick) = self.packs.get_mut(&number)?;
        self.by_age.remove(tick);
        *tick = self.ticks;
        self.by_age.insert(self.ticks, number);
        Some(pack.clone())
    }

    fn forget(&mut self, number: u64) {
        if let Some((pack, realm, tick)) = self.packs.remove(&number) {
            self.by_age.remove(&tick);
            self.bytes = self.bytes.saturating_sub(pack.weight() * 2);
            for (_, name) in pack.chunks() {
                let short = short(realm, name);
                if self.chunks.get(&short).is_some_and(|(held, _)| *held == number) {
                    self.chunks.remove(&short);
                }
            }
        }
    }
}

/// Eight bytes of a name, past those that make it a hook, that differ by realm. The whole name is
/// compared on a hit, and the realm.
pub(super) fn short(realm: Realm, name: &[u8; 32]) -> u64 {
    name[8..16].iter().fold(0, |number, byte| number << 8 | u64::from(*byte)) ^ realm.tag()
}
