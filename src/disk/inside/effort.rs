//! How much may be read of a disk, and done about it, before a look at it ends.
//!
//! Invariant: all that is read of a disk through one [`Effort`], and all steps of loops whose length the disk decides, are
//! counted; what is spent is never given back but by [`Effort::renew`]. Time follows from it, as each read and step is
//! bounded by itself.

use std::sync::atomic::{AtomicU64, Ordering};

use super::fault::Fault;

/// How much a look may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Reads of the disk.
    pub reads: u64,
    /// Bytes of the disk.
    pub bytes: u64,
    /// Steps: entries of directories, links of chains, nodes of trees.
    pub steps: u64,
}

impl Allowance {
    /// For a look at a whole disk: what distributions install takes a hundredth of it.
    pub const LOOK: Allowance = Allowance { reads: 20_000, bytes: 512 << 20, steps: 2_000_000 };
    /// For finding one file, or reading a piece of it.
    pub const PIECE: Allowance = Allowance { reads: 8_000, bytes: 64 << 20, steps: 400_000 };
}

/// What is left of an allowance.
#[derive(Debug)]
pub struct Effort {
    reads: AtomicU64,
    bytes: AtomicU64,
    steps: AtomicU64,
}

impl Effort {
    /// All of it.
    pub fn new(allowance: Allowance) -> Effort {
        Effort {
            reads: AtomicU64::new(allowance.reads),
            bytes: AtomicU64::new(allowance.bytes),
            steps: AtomicU64::new(allowance.steps),
        }
    }

    /// Sets what is left: for the next of several requests on one open disk.
    pub fn renew(&self, allowance: Allowance) {
        self.reads.store(allowance.reads, Ordering::Relaxed);
        self.bytes.store(allowance.bytes, Ordering::Relaxed);
        self.steps.store(allowance.steps, Ordering::Relaxed);
    }

    /// One read of so many bytes.
    pub(super) fn read(&self, bytes: u64) -> Result<(), Fault> {
        take(&self.reads, 1, "it has been read too often")?;
        take(&self.bytes, bytes, "too much of it has been read")
    }

    /// So many steps.
    pub(super) fn steps(&self, steps: u64) -> Result<(), Fault> {
        take(&self.steps, steps, "there is too much of it")
    }
}

fn take(left: &AtomicU64, amount: u64, what: &'static str) -> Result<(), Fault> {
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(amount));
    taken.map(drop).map_err(|_| Fault::TooMuch(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_gone_until_it_is_renewed() {
        let allowance = Allowance { reads: 2, bytes: 10, steps: 1 };
        let effort = Effort::new(allowance);
        effort.read(4).unwrap();
        assert!(matches!(effort.read(7), Err(Fault::TooMuch(_))));
        assert!(matches!(effort.read(1), Err(Fault::TooMuch(_))));
        effort.steps(1).unwrap();
        assert!(effort.steps(1).is_err());
        effort.renew(allowance);
        effort.read(10).unwrap();
    }
}
