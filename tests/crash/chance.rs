//! Everything a run draws from: seeded dice, seeded randomness for the product, and a clock that
//! steps when told. The same seed gives the same draws, whatever the machine.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use tintype::base::{Clock, Entropy, Time};

/// Seeded dice (splitmix64), for decisions of the test.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice for this seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }

    /// Heads, once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// Bytes that only this label gives: data that does not compress and repeats nowhere.
pub fn noise(label: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&label.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

/// Lines of text that only this label gives.
pub fn lines(label: u64, bytes: usize) -> Vec<u8> {
    let line = |number: u64| format!("line {number} of {label}, {}\n", number * number % 7919);
    (0..).flat_map(|number| line(number).into_bytes()).take(bytes).collect()
}

/// The product's randomness, seeded.
pub struct SeededEntropy(Mutex<blake3::OutputReader>);

impl SeededEntropy {
    /// Draws that follow from `seed`.
    pub fn new(seed: u64) -> SeededEntropy {
        let reader = blake3::Hasher::new_derive_key("tintype crash suite entropy")
            .update(&seed.to_le_bytes())
            .finalize_xof();
        SeededEntropy(Mutex::new(reader))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        self.0.lock().unwrap().fill(out);
    }
}

/// A clock that moves a microsecond each time it is read, and further, or back, when told.
pub struct SteppedClock(AtomicI64);

impl SteppedClock {
    /// Starts at this moment.
    pub fn new(micros: i64) -> SteppedClock {
        SteppedClock(AtomicI64::new(micros))
    }

    /// Moves on, or back.
    pub fn step_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * Time::SECOND, Ordering::Relaxed);
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1, Ordering::Relaxed))
    }
}
