//! A file in pieces, of which holes are zeros that nothing reads.
//!
//! Invariant: the pieces in order are the file's bytes, whatever the file system says of its holes.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use bytes::Bytes;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Bytes at once.
const PIECE: usize = 1 << 20;
static ZEROS: [u8; PIECE] = [0; PIECE];

/// A file, as far as it was taken.
pub struct Pieces {
    file: File,
    size: u64,
    at: u64,
    /// Up to where the file has data from `at` on; a hole is open where that is not ahead.
    data_end: u64,
    /// Up to where the hole goes.
    hole_end: u64,
}

impl Pieces {
    /// All of a file.
    pub fn open(path: &Path) -> io::Result<Pieces> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Pieces { file, size, at: 0, data_end: 0, hole_end: 0 })
    }

    /// The next bytes; `None` at the end.
    pub fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        if self.at >= self.size {
            return Ok(None);
        }
        if self.at >= self.data_end.max(self.hole_end) {
            self.look()?;
        }
        let is_hole = self.at < self.hole_end;
        let end = if is_hole { self.hole_end } else { self.data_end };
        let bytes = (end - self.at).min(PIECE as u64) as usize;
        let piece = if is_hole {
            Bytes::from_static(&ZEROS[..bytes])
        } else {
            let mut piece = Vec::with_capacity(bytes);
            (&self.file).take(bytes as u64).read_to_end(&mut piece)?;
            if piece.len() < bytes {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            piece.into()
        };
        self.at += bytes as u64;
        Ok(Some(piece))
    }

    /// Finds out what comes next, and how far it goes.
    fn look(&mut self) -> io::Result<()> {
        let data = match seek(&self.file, SeekFrom::Data(self.at)) {
            Ok(data) => data.min(self.size),
            // No data behind here.
            Err(Errno::NXIO) => self.size,
            // The file system knows no holes.
            Err(Errno::INVAL) => self.at,
            Err(error) => return Err(error.into()),
        };
        if data > self.at {
            self.hole_end = data;
            return Ok(());
        }
        self.data_end = match seek(&self.file, SeekFrom::Hole(self.at)) {
            Ok(hole) => hole.min(self.size),
            Err(Errno::INVAL | Errno::NXIO) => self.size,
            Err(error) => return Err(error.into()),
        };
        if self.data_end <= self.at {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        seek(&self.file, SeekFrom::Start(self.at))?;
        Ok(())
    }
}
