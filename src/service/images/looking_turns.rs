//! Turns to look into containers, by the memory that a look may take: what all of them take together is bounded.
//!
//! Invariants: whoever came first goes first, so that small ones do not keep a large one waiting for ever; a look that takes more
//! than all there is has it alone. Must not know what is looked at.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Memory of all looks at data that arrives, in bytes.
const MEMORY_BYTES: u64 = 192 << 20;
/// Most that one look takes: a log that is replayed, what it changes, and a table.
const LOOK_BYTES_MAX: u64 = 160 << 20;
/// What a look takes for each byte of its file, whose tables all lie in it: each, and what it is compared with.
const BYTES_PER_BYTE: u64 = 2;

/// Memory for looks, and who waits for it.
#[derive(Debug)]
pub struct Looks {
    memory_bytes: u64,
    queue: Mutex<Queue>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    taken_bytes: u64,
    /// The number that the next one to come gets.
    next: u64,
    /// The number that goes next.
    first: u64,
}

/// A look's memory, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Look<'l> {
    looks: &'l Looks,
    bytes: u64,
}

/// Those of data that arrives.
impl Default for Looks {
    fn default() -> Looks {
        Looks::within(MEMORY_BYTES)
    }
}

impl Looks {
    fn within(memory_bytes: u64) -> Looks {
        Looks { memory_bytes, queue: Mutex::default(), moved: Condvar::new() }
    }

    /// Those that open disks for reading, beside the others: they are short, and wait for nobody who goes over all of a disk.
    pub(super) fn of_openings() -> Looks {
        Looks::within(LOOK_BYTES_MAX)
    }

    /// Waits until there is room to look into a container of this many bytes.
    pub(super) fn turn(&self, file_bytes: u64) -> Look<'_> {
        let bytes = file_bytes.saturating_mul(BYTES_PER_BYTE).min(LOOK_BYTES_MAX);
        let mut queue = self.queue();
        let number = queue.next;
        queue.next += 1;
        let waits = |queue: &mut Queue| {
            let fits = queue.taken_bytes == 0 || queue.taken_bytes + bytes <= self.memory_bytes;
            queue.first != number || !fits
        };
        queue = self.moved.wait_while(queue, waits).unwrap_or_else(PoisonError::into_inner);
        queue.first += 1;
        queue.taken_bytes += bytes;
        // The next one may fit beside it.
        self.moved.notify_all();
        Look { looks: self, bytes }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.looks.queue().taken_bytes -= self.bytes;
        self.looks.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn b3_looks_together_take_no_more_than_there_is() {
        let (looks, taken, most) = (Looks::default(), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for file_bytes in [1, 70 << 20, 5 << 20, u64::MAX, 20 << 20, 3, 100 << 20, 8 << 20] {
                let (looks, taken, most) = (&looks, &taken, &most);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let look = looks.turn(file_bytes);
                        most.fetch_max(
                            taken.fetch_add(look.bytes, Ordering::SeqCst) + look.bytes,
                            Ordering::SeqCst,
                        );
                        std::thread::yield_now();
                        taken.fetch_sub(look.bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        let most = most.into_inner();
        assert!((LOOK_BYTES_MAX..=MEMORY_BYTES).contains(&most), "{most}");
        assert_eq!(looks.queue().taken_bytes, 0);
    }
}
