//! A frame's bytes in memory, and which of its chunks were compared with their names.
//!
//! Invariant: bytes leave only by way of a comparison, made now or noted before; so a small read
//! costs the comparison of what it wants, and a frame that stays in memory is compared once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// One bit of a word for a chunk.
const BITS: usize = u64::BITS as usize;

/// A decompressed frame. Cheap to share.
#[derive(Clone)]
pub struct OpenFrame {
    raw: Bytes,
    /// What `raw` takes, which may be more than it has.
    room_bytes: usize,
    proven: Arc<[AtomicU64]>,
}

impl OpenFrame {
    /// A frame of `chunks` chunks, none of them compared yet, that lies in a room of so many bytes.
    pub fn new(raw: Bytes, room_bytes: usize, chunks: usize) -> OpenFrame {
        OpenFrame { raw, room_bytes, proven: (0..chunks.div_ceil(BITS)).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Memory it takes, in bytes, about.
    pub fn weight(&self) -> usize {
        self.room_bytes + self.proven.len() * size_of::<AtomicU64>() + 96
    }

    /// Compares those chunks that reach into the bytes `from..to`, unless that was done, and gives these
    /// bytes. `chunks` are the frame's, as length and name, in order.
    ///
    /// # Errors
    /// The place in `chunks` of the first that is changed.
    pub fn prove<'c>(
        &self,
        (from, to): (usize, usize),
        chunks: impl Iterator<Item = (u32, &'c [u8; 32])>,
    ) -> Result<Bytes, usize> {
        let mut start = 0;
        for (place, (length, name)) in chunks.enumerate() {
            if start >= to {
                break;
            }
            let end = start + length as usize;
            if end > from && !self.is_proven(place) {
                let chunk = self.raw.get(start..end).ok_or(place)?;
                if blake3::hash(chunk).as_bytes() != name {
                    return Err(place);
                }
                self.note(place);
            }
            start = end;
        }
        Ok(self.raw.slice(from..to))
    }

    fn is_proven(&self, place: usize) -> bool {
        let word = self.proven.get(place / BITS).map_or(0, |word| word.load(Ordering::Relaxed));
        word & (1 << (place % BITS)) != 0
    }

    /// The bytes never change, so whoever sees the bit sees bytes that were compared.
    fn note(&self, place: usize) {
        if let Some(word) = self.proven.get(place / BITS) {
            word.fetch_or(1 << (place % BITS), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [u32; 4] = [10, 20, 30, 40];

    fn names(raw: &[u8]) -> Vec<[u8; 32]> {
        let mut rest = raw;
        let name = |length: &u32| {
            let (chunk, after) = rest.split_at(*length as usize);
            rest = after;
            *blake3::hash(chunk).as_bytes()
        };
        LENGTHS.iter().map(name).collect()
    }

    #[test]
    fn p3_only_what_was_compared_leaves_a_frame() {
        let raw: Vec<u8> = (0..100).collect();
        let mut names = names(&raw);
        names[2] = [0; 32];
        let frame = OpenFrame::new(Bytes::from(raw.clone()), 100, LENGTHS.len());
        let chunks = || LENGTHS.into_iter().zip(&names);
        assert_eq!(frame.prove((5, 30), chunks()).unwrap()[..], raw[5..30]);
        assert_eq!(frame.prove((60, 100), chunks()).unwrap()[..], raw[60..]);
        // Each of these has a byte at least of the third chunk.
        for range in [(0, 31), (30, 31), (59, 60), (59, 100), (0, 100)] {
            assert_eq!(frame.prove(range, chunks()).unwrap_err(), 2);
        }
    }

    #[test]
    fn a_chunk_is_compared_once() {
        let raw: Vec<u8> = (0..100).collect();
        let names = names(&raw);
        let frame = OpenFrame::new(Bytes::from(raw), 100, LENGTHS.len());
        frame.prove((0, 15), LENGTHS.into_iter().zip(&names)).unwrap();
        assert!(frame.is_proven(0) && frame.is_proven(1) && !frame.is_proven(2));
        // Other names now: what was compared is not looked at again.
        let wrong = [[0; 32]; 4];
        assert!(frame.prove((0, 30), LENGTHS.into_iter().zip(&wrong)).is_ok());
        assert!(frame.prove((0, 31), LENGTHS.into_iter().zip(&wrong)).is_err());
    }
}
