//! What data is by its own first and last bytes, before it goes up.
//!
//! Invariant: every byte that is looked at goes up all the same. What the bytes say counts where nobody says what the data is; the box
//! compares them with that again, and refuses what is not in order.

use std::io;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::capture::Local;
use crate::disk::probe::{Format, HEAD_BYTES, Probe};

/// What goes up.
pub(super) type Data = Box<dyn AsyncRead + Send + Unpin>;

/// The start of some data, and its end where that can be looked at before.
pub(super) struct Start(Probe);

impl Start {
    /// Of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of_file(path: &Path) -> io::Result<Start> {
        Ok(Start(Probe::of(&Local::open(path)?)?))
    }

    /// Of what can be read once; gives it back whole.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn of_stream(mut stream: Data) -> io::Result<(Start, Data)> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        (&mut stream).take(HEAD_BYTES as u64).read_to_end(&mut head).await?;
        let mut probe = Probe::default();
        probe.push(&head);
        Ok((Start(probe), Box::new(io::Cursor::new(head).chain(stream))))
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.head().is_empty()
    }

    /// The container that it is, where it is one that is stored as such, and nothing else beside.
    pub(super) fn container(&self) -> Option<Format> {
        use Format::{Iso, Luks, Ova, Qcow2, Vdi, Vhd, Vhdx, Vmdk};
        let found = self.0.formats().into_iter().filter(|format| !format.is_partition_table());
        let found: Vec<Format> = found.collect();
        match found.as_slice() {
            [one @ (Iso | Luks | Ova | Qcow2 | Vdi | Vhd | Vhdx | Vmdk)] => Some(*one),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_and_a_stream_are_told_by_their_bytes_and_lose_none() {
        let mut qcow2 = b"QFI\xfb\0\0\0\x03".to_vec();
        qcow2.resize(200_000, 7);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.img");
        std::fs::write(&path, &qcow2).unwrap();
        assert_eq!(Start::of_file(&path).unwrap().container(), Some(Format::Qcow2));
        let (start, mut data) = Start::of_stream(Box::new(io::Cursor::new(qcow2.clone()))).await.unwrap();
        assert_eq!((start.container(), start.is_empty()), (Some(Format::Qcow2), false));
        let mut read = Vec::new();
        data.read_to_end(&mut read).await.unwrap();
        assert!(read == qcow2);
        // A fixed VHD is told by its end alone.
        let vhd = [&vec![0; 100_000][..], b"conectix", &[0; 504]].concat();
        std::fs::write(&path, &vhd).unwrap();
        assert_eq!(Start::of_file(&path).unwrap().container(), Some(Format::Vhd));
        std::fs::write(&path, b"").unwrap();
        let start = Start::of_file(&path).unwrap();
        assert_eq!((start.container(), start.is_empty()), (None, true));
    }
}
