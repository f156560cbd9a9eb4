//! Reading the same bytes from another copy of a stream, where the first cannot be read.
//!
//! Invariant: what comes from another copy was verified as all that is read is; a stretch is of one copy. Must not
//! know why a stream has copies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::plan::Batch;
use super::{BATCH_BYTES, Reader};
use crate::model::{ByteRange, ContentId};
use crate::store::{Error, Store};

/// Other streams of the same bytes.
#[derive(Default)]
pub struct Others {
    contents: Vec<ContentId>,
    /// Whether the log has been told that they are needed.
    told: AtomicBool,
}

impl Others {
    /// Whether one of them may have what this failure is about.
    pub fn may_help(&self, error: &Error) -> bool {
        !self.contents.is_empty() && may_be_elsewhere(error)
    }
}

impl Store {
    /// Opens the first of several streams of the same bytes that opens, and lies where somebody answers; what cannot be
    /// read of it is read from the others. Blocks on the medium.
    ///
    /// # Errors
    /// That of the first stream when none opens, as [`Store::reader`] has it; [`Error::Away`] for one at a place that
    /// does not answer.
    pub fn reader_of(&self, copies: &[ContentId]) -> Result<Reader, Error> {
        let mut refused = None;
        for content in copies {
            match self.reader(content).and_then(|reader| self.expect_answer(&reader).map(|()| reader)) {
                Ok(reader) => {
                    let contents = copies.iter().copied().filter(|other| other != content).collect();
                    return Ok(Reader {
                        others: Arc::new(Others { contents, ..Others::default() }),
                        ..reader
                    });
                }
                Err(error) if may_be_elsewhere(&error) => drop(refused.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or(Error::Broken))
    }

    /// Refuses a stream at a place that is known not to answer: whoever asks is to hear it before the first byte. (Of the
    /// home, memory and the cache may have what is asked for.)
    fn expect_answer(&self, reader: &Reader) -> Result<(), Error> {
        match self.place_of_stream(reader.manifest())? {
            Some(place) if !place.is_home() => self.expect_answering(place),
            _ => Ok(()),
        }
    }
}

impl Reader {
    /// The bytes of a batch that was planned for this stream. Blocks on the medium.
    ///
    /// # Errors
    /// [`Error::Damaged`], or the medium's failure, of this stream, where no other has them either.
    pub(super) fn fetch(&self, batch: &Batch) -> Result<Vec<Bytes>, Error> {
        match self.store.fetch(&batch.parts) {
            Err(error) if may_be_elsewhere(&error) => {
                self.fetch_elsewhere(ByteRange { start: batch.start, end: batch.end }, error)
            }
            fetched => fetched,
        }
    }

    fn fetch_elsewhere(&self, range: ByteRange, error: Error) -> Result<Vec<Bytes>, Error> {
        for content in &self.others.contents {
            match self.store.reader(content).and_then(|other| other.pieces(range)) {
                Ok(pieces) => {
                    if !self.others.told.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, "a copy of an image's data cannot be read; another copy is");
                    }
                    return Ok(pieces);
                }
                Err(other) => {
                    tracing::debug!(%other, "another copy of an image's data cannot be read either")
                }
            }
        }
        Err(error)
    }

    /// The bytes of a range of this stream alone.
    fn pieces(&self, mut range: ByteRange) -> Result<Vec<Bytes>, Error> {
        let mut pieces = Vec::new();
        while !range.is_empty() {
            let batch = self.layout.plan(range, BATCH_BYTES)?;
            pieces.extend(self.store.fetch(&batch.parts)?);
            range.start = batch.end;
        }
        Ok(pieces)
    }
}

/// Whether another copy may have what this one has not.
fn may_be_elsewhere(error: &Error) -> bool {
    error.is_unreadable() || error.is_absence()
}
