//! The bytes of an image, wherever they lie, and bounded reading of its structures.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::probe::Format;
use super::refusal::{Code, Error, Refusal};

/// Bytes of tables that may be named beyond those that a file has room for: a few that share one are no harm.
const SHARED_BYTES_MAX: u64 = 8 << 20;

/// Bytes of a source that follow each other and are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// How many; at least one.
    pub bytes: u64,
    /// Whether they are known, without being read, to be zeros.
    pub is_zero: bool,
}

/// Bytes that can be read in any order.
pub trait Source: Send + Sync {
    /// How many there are.
    fn size_bytes(&self) -> u64;

    /// Fills `out` with the bytes from `at` on. The range lies within the source.
    ///
    /// # Errors
    /// When the bytes cannot be had.
    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()>;

    /// Fills `out` as [`Source::read_exact_at`] does, with what is in memory; `false`, and anything in `out`, where that is not all.
    /// Waits for nothing.
    fn read_near_at(&self, _at: u64, _out: &mut [u8]) -> bool {
        false
    }

    /// The `bytes` from `at` on, which lie within the source, in pieces that follow each other: as they lie in memory, where
    /// they do.
    ///
    /// # Errors
    /// When they cannot be had.
    fn pieces_at(&self, at: u64, bytes: usize) -> io::Result<Vec<Bytes>> {
        let mut read = vec![0; bytes];
        self.read_exact_at(at, &mut read)?;
        Ok(vec![read.into()])
    }

    /// What begins at byte `at`, which lies within the source. Where nothing is known of the bytes, they are no zeros.
    fn stretch_at(&self, at: u64) -> Stretch {
        Stretch { bytes: self.size_bytes().saturating_sub(at), is_zero: false }
    }

    /// Where byte `at` lies in what is stored, where it lies there as it is.
    fn origin_at(&self, _at: u64) -> Option<u64> {
        None
    }

    /// What comes out of the deflate stream (RFC 1951) that begins at byte `at`, where the source knows that without
    /// decoding it.
    ///
    /// # Errors
    /// When the bytes cannot be had.
    fn unpacked_at(&self, _at: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn size_bytes(&self) -> u64 {
        (**self).size_bytes()
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(at, out)
    }

    fn read_near_at(&self, at: u64, out: &mut [u8]) -> bool {
        (**self).read_near_at(at, out)
    }

    fn pieces_at(&self, at: u64, bytes: usize) -> io::Result<Vec<Bytes>> {
        (**self).pieces_at(at, bytes)
    }

    fn stretch_at(&self, at: u64) -> Stretch {
        (**self).stretch_at(at)
    }

    fn origin_at(&self, at: u64) -> Option<u64> {
        (**self).origin_at(at)
    }

    fn unpacked_at(&self, at: u64) -> io::Result<Option<Vec<u8>>> {
        (**self).unpacked_at(at)
    }
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn size_bytes(&self) -> u64 {
        (**self).size_bytes()
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(at, out)
    }

    fn read_near_at(&self, at: u64, out: &mut [u8]) -> bool {
        (**self).read_near_at(at, out)
    }

    fn pieces_at(&self, at: u64, bytes: usize) -> io::Result<Vec<Bytes>> {
        (**self).pieces_at(at, bytes)
    }

    fn stretch_at(&self, at: u64) -> Stretch {
        (**self).stretch_at(at)
    }

    fn origin_at(&self, at: u64) -> Option<u64> {
        (**self).origin_at(at)
    }

    fn unpacked_at(&self, at: u64) -> io::Result<Option<Vec<u8>>> {
        (**self).unpacked_at(at)
    }
}

impl Source for Vec<u8> {
    fn size_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_near_at(&self, at: u64, out: &mut [u8]) -> bool {
        self.read_exact_at(at, out).is_ok()
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(at).ok();
        let found = start.and_then(|start| self.get(start..start.checked_add(out.len())?));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Reads structures of one format, each of which has to lie within the source.
pub(super) struct Structures<'s> {
    source: &'s dyn Source,
    format: Format,
}

impl<'s> Structures<'s> {
    pub(super) fn new(source: &'s dyn Source, format: Format) -> Structures<'s> {
        Structures { source, format }
    }

    /// A refusal of this format.
    pub(super) fn refuse(&self, code: Code, field: &'static str, why: impl Into<String>) -> Error {
        Refusal::new(self.format, code, field, why).into()
    }

    /// Refuses unless these bytes are there.
    pub(super) fn expect_inside(&self, field: &'static str, at: u64, bytes: u64) -> Result<(), Error> {
        let size = self.source.size_bytes();
        if at.checked_add(bytes).is_some_and(|end| end <= size) {
            return Ok(());
        }
        let why = format!("it takes {bytes} bytes from byte {at} on, but the file has {size}");
        Err(self.refuse(Code::CutShort, field, why))
    }

    /// Refuses so many tables of so many bytes each where the file has no room for them: each is gone through once for every entry
    /// that names it, so that time follows from the file's size only where few share one (requirement B7).
    pub(super) fn expect_room(&self, field: &'static str, tables: u64, bytes_each: u64) -> Result<(), Error> {
        let size = self.source.size_bytes();
        if tables.saturating_mul(bytes_each) <= size.saturating_add(SHARED_BYTES_MAX) {
            return Ok(());
        }
        let why = format!("{tables} tables of {bytes_each} bytes are named, and the file has {size}");
        Err(self.refuse(Code::BadTable, field, why))
    }

    /// The structure of this many bytes.
    pub(super) fn bytes(&self, field: &'static str, at: u64, bytes: usize) -> Result<Vec<u8>, Error> {
        self.expect_inside(field, at, bytes as u64)?;
        let mut found = vec![0; bytes];
        self.source.read_exact_at(at, &mut found)?;
        Ok(found)
    }

    /// A table of this many bytes, which are not more than `most`.
    pub(super) fn table(
        &self,
        field: &'static str,
        at: u64,
        bytes: u64,
        most: u64,
    ) -> Result<Vec<u8>, Error> {
        if bytes > most {
            let why = format!("it has {bytes} bytes, and {most} are the most that are kept in memory");
            return Err(self.refuse(Code::OverBudget, field, why));
        }
        let bytes =
            usize::try_from(bytes).map_err(|_| self.refuse(Code::OverBudget, field, "it is too large"))?;
        self.bytes(field, at, bytes)
    }
}
