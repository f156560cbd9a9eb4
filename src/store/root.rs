//! BLAKE3 of a whole stream, in a form that can be put down and taken up again.
//!
//! Owns the tree above subtrees that are complete. Invariant: what is kept of the bytes before
//! [`Root::settled`] is chaining values, one for each bit of their number; the bytes after it are at
//! most one group, and whoever takes a stream up again has to give them once more. Where cores are idle,
//! large pieces are hashed on several of them.

use std::sync::{Mutex, PoisonError};

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::spare;

/// The smallest subtree: what the widest machines hash at once.
pub const GROUP: usize = 16 << 10;
/// The largest that is hashed at once: what one thread does while others do theirs.
const SUBTREE_MAX: u64 = 128 << 10;
/// Bytes from which on others are asked to help: they need some microseconds to begin.
const SHARED_MIN: usize = 512 << 10;

/// The hash of a stream so far.
#[derive(Clone, Default)]
pub struct Root {
    /// Complete subtrees, the largest first.
    subtrees: Vec<ChainingValue>,
    /// Bytes in them.
    settled: u64,
    /// The bytes after them: a group is complete only once something follows it, as the last one is
    /// hashed in another way.
    tail: Vec<u8>,
}

impl Root {
    /// Takes a stream up again whose first `settled` bytes have these subtrees; what follows them is
    /// to be given again. `None` when the two contradict each other.
    pub fn resume(settled: u64, subtrees: Vec<ChainingValue>) -> Option<Root> {
        let fits = settled.is_multiple_of(GROUP as u64) && subtrees.len() == settled.count_ones() as usize;
        fits.then_some(Root { subtrees, settled, tail: Vec::new() })
    }

    /// Bytes whose hash stands in the subtrees.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// The complete subtrees.
    pub fn subtrees(&self) -> &[ChainingValue] {
        &self.subtrees
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut data: &[u8]) {
        if !self.tail.is_empty() {
            let (now, later) = data.split_at(data.len().min(GROUP - self.tail.len()));
            self.tail.extend_from_slice(now);
            data = later;
            if data.is_empty() {
                return;
            }
            let tail = std::mem::take(&mut self.tail);
            self.settle(hash((self.settled, &tail)), GROUP);
            self.tail = tail;
            self.tail.clear();
        }
        let (mut subtrees, mut at) = (Vec::new(), self.settled);
        while data.len() > GROUP {
            let (subtree, later) = data.split_at(next_subtree(at, data.len()));
            subtrees.push((at, subtree));
            at += subtree.len() as u64;
            data = later;
        }
        for (value, (_, subtree)) in hash_all(&subtrees).into_iter().zip(subtrees) {
            self.settle(value, subtree.len());
        }
        self.tail.extend_from_slice(data);
    }

    /// Adds a complete subtree, and joins those that it completes.
    fn settle(&mut self, mut value: ChainingValue, bytes: usize) {
        let mut size = bytes as u64;
        while self.settled & size != 0 {
            let Some(left) = self.subtrees.pop() else { break };
            value = merge_subtrees_non_root(&left, &value, Mode::Hash);
            size *= 2;
        }
        self.subtrees.push(value);
        self.settled += bytes as u64;
    }

    /// The hash of all bytes so far.
    pub fn finalize(&self) -> [u8; 32] {
        let Some((first, others)) = self.subtrees.split_first() else {
            return *blake3::hash(&self.tail).as_bytes();
        };
        let mut right = Hasher::new().set_input_offset(self.settled).update(&self.tail).finalize_non_root();
        for left in others.iter().rev() {
            right = merge_subtrees_non_root(left, &right, Mode::Hash);
        }
        *merge_subtrees_root(first, &right, Mode::Hash).as_bytes()
    }
}

/// The largest subtree that can begin at `at` and leaves something of `available` bytes.
fn next_subtree(at: u64, available: usize) -> usize {
    let most = ((available - 1) as u64).min(SUBTREE_MAX);
    1 << at.trailing_zeros().min(most.ilog2())
}

/// The chaining value of a subtree that begins at this place of the stream.
fn hash((at, bytes): (u64, &[u8])) -> ChainingValue {
    Hasher::new().set_input_offset(at).update(bytes).finalize_non_root()
}

/// The chaining values of subtrees, in their order.
fn hash_all(subtrees: &[(u64, &[u8])]) -> Vec<ChainingValue> {
    let bytes: usize = subtrees.iter().map(|(_, bytes)| bytes.len()).sum();
    if bytes < SHARED_MIN {
        return subtrees.iter().copied().map(hash).collect();
    }
    let mut values = vec![ChainingValue::default(); subtrees.len()];
    let left = Mutex::new(values.iter_mut().zip(subtrees));
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    spare::share(|| {
        while let Some((value, subtree)) = next() {
            *value = hash(*subtree);
        }
    });
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        Hasher::new().finalize_xof().fill(&mut out);
        out
    }

    #[test]
    fn p1_the_root_is_blake3_however_the_bytes_arrive() {
        let data = noise(2 * SHARED_MIN + 5 * GROUP + 77);
        for length in [0, 1, 1023, 1024, 1025, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP, 3 * GROUP, data.len()]
        {
            for piece in [1000, GROUP - 1, GROUP, GROUP + 1, 4 * GROUP, SHARED_MIN, data.len()] {
                let mut root = Root::default();
                data[..length].chunks(piece).for_each(|piece| root.update(piece));
                let wanted = *blake3::hash(&data[..length]).as_bytes();
                assert_eq!(root.finalize(), wanted, "{length} bytes in pieces of {piece}");
            }
        }
    }

    #[test]
    fn p1_a_root_taken_up_again_needs_only_the_bytes_after_its_subtrees() {
        let data = noise(1 << 20);
        for offset in [0, 1, GROUP, GROUP + 1, 7 * GROUP, 7 * GROUP + 5, 8 * GROUP, data.len()] {
            let mut before = Root::default();
            data[..offset].chunks(3000).for_each(|piece| before.update(piece));
            let mut after = Root::resume(before.settled(), before.subtrees().to_vec()).unwrap();
            assert!(offset as u64 - after.settled() <= GROUP as u64);
            after.update(&data[after.settled() as usize..offset]);
            assert_eq!(after.finalize(), *blake3::hash(&data[..offset]).as_bytes());
            after.update(&data[offset..]);
            assert_eq!(after.finalize(), *blake3::hash(&data).as_bytes(), "from {offset}");
        }
    }

    #[test]
    fn subtrees_that_do_not_fit_their_length_are_refused() {
        assert!(Root::resume(GROUP as u64, Vec::new()).is_none());
        assert!(Root::resume(1, vec![[0; 32]]).is_none());
        assert!(Root::resume(3 * GROUP as u64, vec![[0; 32]; 2]).is_some());
    }
}
