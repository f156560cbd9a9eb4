//! Disk formats: pure, bounded reading of what images are made of.
//!
//! Invariant: nothing here opens, allocates by what the input says, or panics on any input; a
//! name found inside an image is never followed. Must not know where the bytes come from.

pub mod probe;
pub mod wrapping;
