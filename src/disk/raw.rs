//! A disk without a container: each byte of the file is one of the guest's.

use super::guest::{Guest, Place, Run};
use super::notes::Note;
use super::refusal::Error;
use super::source::Source;

/// A raw disk.
pub struct Raw<S>(S);

impl<S: Source> Raw<S> {
    /// Any bytes are one.
    pub fn new(source: S) -> Raw<S> {
        Raw(source)
    }
}

impl<S: Source> Guest for Raw<S> {
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }

    fn run_at(&self, at: u64, _: u64) -> Result<Run, Error> {
        let stretch = self.0.stretch_at(at);
        let place = if stretch.is_zero { Place::Zeros } else { Place::Plain(at) };
        Ok(Run { bytes: stretch.bytes, place })
    }

    fn run_near(&self, at: u64, wanted: u64) -> Option<Run> {
        // All that leads there is in memory.
        self.run_at(at, wanted).ok()
    }

    fn kept_bytes(&self) -> u64 {
        0
    }

    fn source(&self) -> &dyn Source {
        &self.0
    }

    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }
}
