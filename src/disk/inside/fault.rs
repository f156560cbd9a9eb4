//! Why something on a guest's disk is not read.

use std::io;

/// What is in the way.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Structures contradict each other, or the disk they lie on.
    #[error("it is not in order: {0}")]
    Broken(String),
    /// The format is in order as far as is known, but uses what is not read here.
    #[error("it is not read here: {0}")]
    Unsupported(String),
    /// This one thing is larger, or leads further, than anything that is looked through; others beside it may be read.
    #[error("it is more than is looked through: {0}")]
    TooLarge(&'static str),
    /// Going on would take more than the caller allows.
    #[error("looking further would take more than is allowed: {0}")]
    TooMuch(&'static str),
    /// The disk's bytes could not be had.
    #[error("its bytes cannot be read: {0}")]
    Source(#[from] io::Error),
}

impl Fault {
    /// Structures that are not in order.
    pub(super) fn broken(why: impl Into<String>) -> Fault {
        Fault::Broken(why.into())
    }
}
