//! Walking several runs of index rows as one, in either direction, reading only what is taken.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::order::Direction;
use crate::catalog::error::Error;

/// One run's keys, in the walk's direction.
pub(super) type Keys = Box<dyn Iterator<Item = Result<Vec<u8>, Error>>>;

/// The merged runs. Yields what follows each run's prefix, in order.
pub(super) struct Walk {
    runs: Vec<Keys>,
    heads: BinaryHeap<Head>,
    direction: Direction,
}

/// The next key of a run.
struct Head {
    key: Vec<u8>,
    prefix_bytes: usize,
    run: usize,
    direction: Direction,
}

impl Head {
    fn rank(&self) -> &[u8] {
        &self.key[self.prefix_bytes..]
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        // The heap gives its largest first.
        self.direction.apply(self.rank().cmp(other.rank())).reverse()
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl Walk {
    pub(super) fn new(direction: Direction) -> Walk {
        Walk { runs: Vec::new(), heads: BinaryHeap::new(), direction }
    }

    /// Adds a run whose keys all start with the same `prefix_bytes` bytes.
    pub(super) fn add(&mut self, prefix_bytes: usize, keys: Keys) -> Result<(), Error> {
        self.runs.push(keys);
        self.advance(self.runs.len() - 1, prefix_bytes)
    }

    fn advance(&mut self, run: usize, prefix_bytes: usize) -> Result<(), Error> {
        if let Some(key) = self.runs[run].next() {
            self.heads.push(Head { key: key?, prefix_bytes, run, direction: self.direction });
        }
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut head = self.heads.pop()?;
        if let Err(error) = self.advance(head.run, head.prefix_bytes) {
            return Some(Err(error));
        }
        Some(Ok(head.key.split_off(head.prefix_bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_merge_by_what_follows_their_prefixes() {
        for direction in [Direction::Ascending, Direction::Descending] {
            let mut walk = Walk::new(direction);
            for (prefix, mut ranks) in [("zz", vec![1u8, 4]), ("a", vec![]), ("b", vec![2, 3, 5])] {
                if direction == Direction::Descending {
                    ranks.reverse();
                }
                let keys: Vec<_> =
                    ranks.iter().map(|rank| Ok([prefix.as_bytes(), &[*rank]].concat())).collect();
                walk.add(prefix.len(), Box::new(keys.into_iter())).unwrap();
            }
            let mut ranks: Vec<u8> = walk.map(|rank| rank.unwrap()[0]).collect();
            if direction == Direction::Descending {
                ranks.reverse();
            }
            assert_eq!(ranks, [1, 2, 3, 4, 5]);
        }
    }
}
