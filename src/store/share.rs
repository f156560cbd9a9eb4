//! Memory that all streams in flight share evenly: the more there are, the less each may gather.
//!
//! Invariant: the shares of those at work together stay within what was given, but for a floor below
//! which work would not pay.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The smallest share, in bytes.
const FLOOR: usize = 256 << 10;

/// Memory, and how many share it.
pub struct Shares {
    bytes: usize,
    at_work_max: usize,
    streams: Arc<AtomicUsize>,
}

/// One stream's share.
pub struct Share {
    bytes: usize,
    at_work_max: usize,
    streams: Arc<AtomicUsize>,
}

impl Shares {
    /// Shares of `bytes` altogether, where no more than `at_work_max` streams are at work at once; the
    /// others wait and hold nothing.
    pub fn new(bytes: usize, at_work_max: usize) -> Shares {
        Shares { bytes, at_work_max, streams: Arc::default() }
    }

    /// One more stream.
    pub fn join(&self) -> Share {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Share { bytes: self.bytes, at_work_max: self.at_work_max, streams: self.streams.clone() }
    }
}

impl Share {
    /// What this stream may gather now, in bytes.
    pub fn bytes(&self) -> usize {
        let at_work = self.streams.load(Ordering::Relaxed).min(self.at_work_max).max(1);
        (self.bytes / at_work).max(FLOOR)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p5_streams_share_evenly_down_to_a_floor() {
        let shares = Shares::new(8 << 20, 1000);
        let one = shares.join();
        assert_eq!(one.bytes(), 8 << 20);
        let two = shares.join();
        assert_eq!((one.bytes(), two.bytes()), (4 << 20, 4 << 20));
        let many: Vec<Share> = (0..1000).map(|_| shares.join()).collect();
        assert_eq!(one.bytes(), FLOOR);
        drop(many);
        assert_eq!(one.bytes(), 4 << 20);
    }

    #[test]
    fn streams_that_wait_take_no_share() {
        let shares = Shares::new(8 << 20, 4);
        let all: Vec<Share> = (0..100).map(|_| shares.join()).collect();
        assert!(all.iter().all(|share| share.bytes() == 2 << 20));
    }
}
