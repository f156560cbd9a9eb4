//! Which blocks a cache holds, and in which order they were used. Pure.
//!
//! Invariant: the sum of all sizes is what is said to be held, and stays within the bound but for
//! the one block added last.

use std::collections::BTreeMap;

/// An object's hash, and the number of one of its blocks.
pub(super) type Name = (u128, u64);

#[derive(Debug, Default)]
pub(super) struct Lru {
    blocks: BTreeMap<Name, Block>,
    /// Names by their last use.
    order: BTreeMap<u64, Name>,
    uses: u64,
    held_bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    bytes: u64,
    used: u64,
}

impl Lru {
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    pub(super) fn has(&self, name: &Name) -> bool {
        self.blocks.contains_key(name)
    }

    /// Whether it is there; then it is the one used last.
    pub(super) fn touch(&mut self, name: &Name) -> bool {
        self.uses += 1;
        let Some(block) = self.blocks.get_mut(name) else { return false };
        self.order.remove(&block.used);
        block.used = self.uses;
        self.order.insert(self.uses, *name);
        true
    }

    /// Adds a block as the one used last.
    pub(super) fn add(&mut self, name: Name, bytes: u64) {
        self.remove(&name);
        self.uses += 1;
        self.blocks.insert(name, Block { bytes, used: self.uses });
        self.order.insert(self.uses, name);
        self.held_bytes += bytes;
    }

    /// Takes a block out; whether it was there.
    pub(super) fn remove(&mut self, name: &Name) -> bool {
        let Some(block) = self.blocks.remove(name) else { return false };
        self.order.remove(&block.used);
        self.held_bytes -= block.bytes;
        true
    }

    /// Takes out all blocks of an object.
    pub(super) fn remove_object(&mut self, object: u128) -> Vec<Name> {
        let names: Vec<Name> =
            self.blocks.range((object, 0)..=(object, u64::MAX)).map(|(name, _)| *name).collect();
        for name in &names {
            self.remove(name);
        }
        names
    }

    /// Takes out those used longest ago, until no more than `bytes` are held.
    pub(super) fn shrink(&mut self, bytes: u64) -> Vec<Name> {
        let mut out = Vec::new();
        while self.held_bytes > bytes {
            let Some((_, name)) = self.order.first_key_value() else { break };
            let name = *name;
            self.remove(&name);
            out.push(name);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut lru = Lru::default();
        for number in 0..4 {
            lru.add((1, number), 10);
        }
        assert!(lru.touch(&(1, 0)) && !lru.touch(&(2, 0)));
        assert_eq!(lru.shrink(20), [(1, 1), (1, 2)]);
        assert_eq!(lru.held_bytes(), 20);
        assert!(lru.has(&(1, 0)) && lru.has(&(1, 3)));
    }

    #[test]
    fn an_object_goes_with_all_its_blocks_and_no_others() {
        let mut lru = Lru::default();
        for name in [(1, 0), (2, 0), (2, u64::MAX), (3, 0)] {
            lru.add(name, 10);
        }
        assert_eq!(lru.remove_object(2), [(2, 0), (2, u64::MAX)]);
        assert_eq!(lru.held_bytes(), 20);
        assert_eq!(lru.shrink(0).len(), 2);
        assert_eq!((lru.held_bytes(), lru.order.len(), lru.blocks.len()), (0, 0, 0));
    }

    #[test]
    fn a_block_that_is_added_again_counts_once() {
        let mut lru = Lru::default();
        lru.add((1, 0), 10);
        lru.add((1, 0), 7);
        assert_eq!((lru.held_bytes(), lru.order.len()), (7, 1));
    }
}
