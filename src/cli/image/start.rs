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

    /// What its owner should hear before it becomes a raw disk: that no guest finds its disk there.
    pub(super) fn remark_on_raw(&self) -> Option<String> {
        use Format::{Gzip, Luks, Xz, Zstd};
        let looks = |format: &Format| format.is_wrapper() || format.is_disk_container() || *format == Luks;
        let found = self.0.formats().into_iter().find(looks)?;
        let (is, instead) = match found {
            Gzip | Xz | Zstd => {
                ("compressed", "unpack it first, or import it through the server with imports.decompress")
            }
            found if found.is_wrapper() => ("packed", "unpack it first"),
            Luks => ("encrypted", "--disk-format luks says that it is meant so"),
            found if found.is_foreign() => ("a container", "convert it first, where you trust it"),
            _ => ("a container", "--disk-format says what it is"),
        };
        Some(format!("looks like {is} ({}), and is kept as it is, as a raw disk; {instead}", found.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_guest_finds_its_disk_in_is_remarked_on() {
        let remark = |head: &[u8]| {
            let mut probe = Probe::default();
            probe.push(head);
            Start(probe).remark_on_raw()
        };
        for (head, is, instead) in [
            (&b"\x1f\x8b\x08"[..], "compressed (gzip)", "imports.decompress"),
            (b"\xfd7zXZ\0", "compressed (xz)", "imports.decompress"),
            (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "imports.decompress"),
            (b"PK\x03\x04", "packed (zip)", "unpack it"),
            (b"LUKS\xba\xbe", "encrypted (luks)", "--disk-format luks"),
            (b"WithoutFreeSpace", "a container (parallels)", "convert it"),
            (b"QFI\xfb\0\0\0\x03", "a container (qcow2)", "--disk-format"),
        ] {
            let said = remark(head).unwrap();
            assert!(said.starts_with(&format!("looks like {is}, and is kept as it is")), "{said}");
            assert!(said.contains(instead), "{said}");
        }
        let mut disk = vec![0; 1024];
        disk[512..520].copy_from_slice(b"EFI PART");
        assert_eq!(remark(&disk), None);
    }

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
