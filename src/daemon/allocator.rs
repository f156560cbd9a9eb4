//! Has the system's allocator give large blocks back as soon as they are free, and keep few pools of small ones. Left to
//! itself, glibc's takes every large block that was freed for a sign to keep such blocks, and a server then holds for ever
//! what its busiest moment took; and its threads get eight pools for each processor, none of which uses what another has free.
//!
//! Invariant: a process that was told so once is not started anew, so this cannot go round in circles.
//! glibc reads it from the environment only, before `main`; elsewhere the variable means nothing.

use std::env;
use std::ops::RangeInclusive;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

/// Size from which blocks are the kernel's to give and take, in bytes; fixed by being set. See
/// mallopt(3), `M_MMAP_THRESHOLD`.
const THRESHOLD: &str = "MALLOC_MMAP_THRESHOLD_";
/// The least and the most of it: above what a connection buffers under the same ceiling, below the frames and batches of transfers.
const THRESHOLD_BYTES: RangeInclusive<u64> = 64 << 10..=128 << 10;
/// It is one byte in so many of the memory ceiling: each block that is the kernel's costs a request to it, which small boxes have to
/// pay.
const THRESHOLD_SHARE: u64 = 1024;
/// How many pools there may be: one for each processor, as more threads than that do not run at once. See mallopt(3),
/// `M_ARENA_MAX`.
const POOLS_MAX: &str = "MALLOC_ARENA_MAX";

/// Starts the same program again in this process, with the allocator told what nobody has told it yet. Nothing must
/// have been opened before.
///
/// # Errors
/// When that cannot be done: the process may go on, and keeps more memory than it needs.
pub fn tell(ceiling_bytes: u64) -> std::io::Result<()> {
    let is_told = |name| env::var_os(name).is_some();
    if cfg!(not(target_env = "gnu")) || (is_told(THRESHOLD) && is_told(POOLS_MAX)) {
        return Ok(());
    }
    let mut command = Command::new(env::current_exe()?);
    let mut arguments = env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    if !is_told(THRESHOLD) {
        let bytes = (ceiling_bytes / THRESHOLD_SHARE).clamp(*THRESHOLD_BYTES.start(), *THRESHOLD_BYTES.end());
        command.env(THRESHOLD, bytes.to_string());
    }
    if !is_told(POOLS_MAX) {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        command.env(POOLS_MAX, processors.to_string());
    }
    Err(command.exec())
}
