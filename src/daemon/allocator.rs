//! Has the system's allocator give large blocks back as soon as they are free. Left to itself, glibc's
//! takes every large block that was freed for a sign to keep such blocks, and a server then holds for ever
//! what its busiest moment took.
//!
//! Invariant: a process that was told so once is not started anew, so this cannot go round in circles.
//! glibc reads it from the environment only, before `main`; elsewhere the variable means nothing.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Size from which blocks are the kernel's to give and take, in bytes; fixed by being set. See
/// mallopt(3), `M_MMAP_THRESHOLD`.
const TUNABLE: &str = "MALLOC_MMAP_THRESHOLD_";
/// Above what a connection buffers, below the frames and batches of transfers.
const THRESHOLD_BYTES: &str = "131072";

/// Starts the same program again in this process, with the allocator told, unless it was. Nothing must
/// have been opened yet.
///
/// # Errors
/// When that cannot be done: the process may go on, and keeps more memory than it needs.
pub fn tell() -> std::io::Result<()> {
    if cfg!(not(target_env = "gnu")) || env::var_os(TUNABLE).is_some() {
        return Ok(());
    }
    let mut command = Command::new(env::current_exe()?);
    let mut arguments = env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    Err(command.args(arguments).env(TUNABLE, THRESHOLD_BYTES).exec())
}
