//! Streams of the store, as readers of disk formats take them.

use std::io;

use bytes::Bytes;

use crate::disk::{self, Source, Stretch};
use crate::model::ByteRange;
use crate::service::{Error, ErrorKind};
use crate::store::{self, Reader};

/// A stream of the store.
#[derive(Clone)]
pub(super) struct Stored(pub(super) Reader);

impl Source for Stored {
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(at, out).map_err(io::Error::other)
    }

    fn read_near_at(&self, at: u64, out: &mut [u8]) -> bool {
        self.0.read_near(at, out)
    }

    fn pieces_at(&self, at: u64, bytes: usize) -> io::Result<Vec<Bytes>> {
        let range = ByteRange { start: at, end: at.saturating_add(bytes as u64) };
        self.0.pieces_at(range).map_err(io::Error::other)
    }

    fn stretch_at(&self, at: u64) -> Stretch {
        let (bytes, is_zero) = self.0.stretch_at(at);
        Stretch { bytes, is_zero }
    }

    fn origin_at(&self, at: u64) -> Option<u64> {
        Some(at)
    }

    fn unpacked_at(&self, at: u64) -> io::Result<Option<Vec<u8>>> {
        self.0.unpacked_at(at).map_err(io::Error::other)
    }
}

/// What a reader of a disk format says, as a use case says it.
pub(super) fn refusal(error: disk::Error) -> Error {
    match error {
        disk::Error::Refused(refusal) => {
            Error::new(ErrorKind::UnsupportedContent, format!("the content is refused: {refusal}"))
        }
        disk::Error::Source(error) => match error.downcast::<store::Error>() {
            Ok(error) => error.into(),
            Err(error) => {
                Error::new(ErrorKind::Internal, format!("the image's data cannot be read: {error}"))
            }
        },
    }
}
