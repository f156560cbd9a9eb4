//! A stretch of a guest's disk: all of it, or a partition.
//!
//! Invariant: no read leaves the stretch, and each is counted.

use std::sync::Arc;

use super::effort::Effort;
use super::fault::Fault;
use crate::disk::Source;

/// A stretch of a disk. A clone is the same.
#[derive(Clone)]
pub struct Part {
    disk: Arc<dyn Source>,
    at: u64,
    bytes: u64,
    effort: Arc<Effort>,
}

impl Part {
    /// The whole disk, read within this effort.
    pub fn whole(disk: Arc<dyn Source>, effort: Arc<Effort>) -> Part {
        let bytes = disk.size_bytes();
        Part { disk, at: 0, bytes, effort }
    }

    /// A stretch of it; `None` where that does not lie inside.
    pub fn stretch(&self, at: u64, bytes: u64) -> Option<Part> {
        let end = at.checked_add(bytes)?;
        (end <= self.bytes).then(|| Part { at: self.at + at, bytes, ..self.clone() })
    }

    /// How long it is.
    pub fn size_bytes(&self) -> u64 {
        self.bytes
    }

    /// What may be spent on it.
    pub fn effort(&self) -> &Effort {
        &self.effort
    }

    /// Fills `out` from byte `at` on.
    ///
    /// # Errors
    /// When the range does not lie inside, too much has been read, or the bytes cannot be had.
    pub fn read(&self, at: u64, out: &mut [u8]) -> Result<(), Fault> {
        let count = out.len() as u64;
        if at.checked_add(count).is_none_or(|end| end > self.bytes) {
            let size = self.bytes;
            return Err(Fault::broken(format!("{count} bytes at byte {at} do not lie in its {size} bytes")));
        }
        self.effort.read(count)?;
        Ok(self.disk.read_exact_at(self.at + at, out)?)
    }

    /// The `count` bytes from byte `at` on. The caller bounds the count.
    ///
    /// # Errors
    /// As [`Part::read`].
    pub(super) fn bytes(&self, at: u64, count: usize) -> Result<Vec<u8>, Fault> {
        let mut found = vec![0; count];
        self.read(at, &mut found)?;
        Ok(found)
    }

    /// As [`Part::bytes`], where they lie inside.
    pub(super) fn bytes_if_inside(&self, at: u64, count: usize) -> Result<Option<Vec<u8>>, Fault> {
        match at.checked_add(count as u64) {
            Some(end) if end <= self.bytes => self.bytes(at, count).map(Some),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::disk::inside::Allowance;

    /// A disk of these bytes, with the usual allowance.
    pub(in super::super) fn disk(bytes: Vec<u8>) -> Part {
        Part::whole(Arc::new(bytes), Arc::new(Effort::new(Allowance::LOOK)))
    }

    #[test]
    fn a_stretch_is_read_within_its_bounds() {
        let part = disk((0..100).collect()).stretch(10, 20).unwrap();
        assert_eq!(part.bytes(0, 3).unwrap(), [10, 11, 12]);
        assert_eq!(part.stretch(5, 15).unwrap().bytes(14, 1).unwrap(), [29]);
        assert!(part.bytes(19, 2).is_err());
        assert!(part.bytes(u64::MAX, 2).is_err());
        assert!(part.stretch(1, 20).is_none());
        assert_eq!(part.bytes_if_inside(19, 2).unwrap(), None);
    }
}
