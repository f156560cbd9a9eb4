//! What is read to be sent, and why it could not be: to the way to the box that is a body that broke off, whatever the reason.
//!
//! Invariant: of a file exactly what it had when its sending began is sent, or its sending fails.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::super::failure::{Failure, Remedy, Status};
use super::import::READ_BYTES;
use crate::disk::{Source, Stretch};

/// What is sent: it can be read again from any place.
#[derive(Clone)]
pub enum Data {
    /// A file.
    File(PathBuf),
    /// A disk that tells its holes, and what it is called.
    Disk(String, Arc<dyn Source>),
}

/// The length that a file has, where it is another than when its sending began.
#[derive(Debug)]
pub(super) struct Resized {
    was: u64,
    is: u64,
}

/// Why what is sent could not be read, once it could not.
#[derive(Clone, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<Failure>>>);

impl Data {
    /// The bytes from `offset` up to `end`, which is where all of it ends. What goes wrong is told to `trouble` first.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) async fn pieces(
        &self,
        offset: u64,
        end: u64,
        trouble: &Trouble,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, Failure> {
        match self {
            Data::File(path) => {
                let failed = |e: io::Error| Failure::file(path, &e);
                let mut file = File::open(path).await.map_err(failed)?;
                file.seek(io::SeekFrom::Start(offset)).await.map_err(failed)?;
                Ok(trouble.watch(path.display().to_string(), of_file(file, offset, end)))
            }
            Data::Disk(name, disk) => Ok(trouble.watch(name.clone(), of_disk(disk.clone(), offset, end))),
        }
    }
}

impl Resized {
    /// As an error of whoever reads.
    pub(super) fn error(was: u64, is: u64) -> io::Error {
        io::Error::other(Resized { was, is })
    }

    fn is_cause_of(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|cause| cause.is::<Resized>())
    }
}

impl fmt::Display for Resized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resized { was, is } = self;
        let how = if is < was { "shorter" } else { "longer" };
        write!(f, "became {how} while it was read ({was} -> {is} bytes)")
    }
}

impl std::error::Error for Resized {}

impl Trouble {
    /// The same bytes; that they cannot be read is remembered, with what they are of.
    pub(super) fn watch(
        &self,
        name: String,
        pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> BoxStream<'static, io::Result<Bytes>> {
        let this = self.clone();
        pieces.inspect_err(move |error| this.note(&name, error)).boxed()
    }

    /// What became of sending them, with the failure to read them in the place of what that was on the way.
    pub(super) fn explain<T>(&self, sent: Result<T, Failure>) -> Result<T, Failure> {
        sent.map_err(|failure| match failure.status {
            Status::Interrupted => failure,
            _ => self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(failure),
        })
    }

    fn note(&self, name: &str, error: &io::Error) {
        // What has arrived of another file is of no use.
        let remedy = if Resized::is_cause_of(error) { Remedy::None } else { Remedy::Repair };
        let failure = Failure::failed(format!("{name}: {error}")).with(remedy);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }
}

/// A file's bytes from `at`, where it stands, up to `end`.
fn of_file(file: File, at: u64, end: u64) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold((file, at), move |(mut file, at)| async move {
        if at == end {
            return Ok(None);
        }
        let most = (end - at).min(READ_BYTES as u64) as usize;
        let mut piece = BytesMut::with_capacity(most);
        let read = (&mut file).take(most as u64).read_buf(&mut piece).await;
        let read = read.map_err(|e| placed(at, most, e))?;
        // Its last bytes are told nobody before it is known to end with them.
        if read == 0 || at + read as u64 == end {
            expect_length(&file, end).await?;
        }
        if read == 0 {
            return Err(placed(at, most, io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Some((piece.freeze(), (file, at + read as u64))))
    })
}

async fn expect_length(file: &File, was: u64) -> io::Result<()> {
    let is = file.metadata().await?.len();
    if is == was { Ok(()) } else { Err(Resized::error(was, is)) }
}

/// A disk's bytes from `offset` up to `end`.
fn of_disk(disk: Arc<dyn Source>, offset: u64, end: u64) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let starts = stream::iter((offset..end).step_by(READ_BYTES));
    let read = move |at: u64| {
        let (disk, bytes) = (disk.clone(), (end - at).min(READ_BYTES as u64) as usize);
        async move {
            let read = tokio::task::spawn_blocking(move || piece(&*disk, at, bytes)).await;
            read.unwrap_or_else(|died| Err(io::Error::other(died)))
        }
    };
    // One is read while the one before travels.
    starts.map(read).buffered(2)
}

/// Bytes of a disk, of which holes are not read, but for the last byte of all: there it shows whether the disk is as long as it was.
fn piece(disk: &dyn Source, at: u64, bytes: usize) -> io::Result<Bytes> {
    let mut piece = vec![0; bytes];
    let mut done = 0;
    while done < bytes {
        let from = at + done as u64;
        let Stretch { bytes: alike, is_zero } = disk.stretch_at(from);
        let here = usize::try_from(alike).unwrap_or(usize::MAX).clamp(1, bytes - done);
        if !is_zero {
            let read = disk.read_exact_at(from, &mut piece[done..done + here]);
            read.map_err(|e| placed(from, here, e))?;
        }
        done += here;
        if is_zero && from + here as u64 == disk.size_bytes() {
            disk.read_exact_at(disk.size_bytes() - 1, &mut piece[bytes - 1..])
                .map_err(|e| placed(disk.size_bytes() - 1, 1, e))?;
        }
    }
    Ok(piece.into())
}

/// A failure to read, with what was to be read; where a file has another length, that says enough.
fn placed(at: u64, bytes: usize, cause: io::Error) -> io::Error {
    match Resized::is_cause_of(&cause) {
        true => cause,
        false => io::Error::new(cause.kind(), format!("reading {bytes} bytes at {at}: {cause}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk whose holes cannot be read, but for its last byte.
    struct Holed;

    impl Source for Holed {
        fn size_bytes(&self) -> u64 {
            3 << 20
        }

        fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
            match at {
                0x2f_ffff => out.fill(0),
                _ => {
                    assert!(at >= 1000 && at + out.len() as u64 <= 2 << 20);
                    out.fill(7);
                }
            }
            Ok(())
        }

        fn stretch_at(&self, at: u64) -> Stretch {
            match at {
                0..1000 => Stretch { bytes: 1000 - at, is_zero: true },
                1000..0x20_0000 => Stretch { bytes: (2 << 20) - at, is_zero: false },
                _ => Stretch { bytes: (3 << 20) - at, is_zero: true },
            }
        }
    }

    /// All from `offset` on, or what is said of it.
    async fn sent(data: &Data, offset: u64, end: u64) -> Result<Vec<u8>, Failure> {
        let trouble = Trouble::default();
        let pieces = data.pieces(offset, end, &trouble).await?;
        let pieces: Result<Vec<Bytes>, _> = pieces.try_collect().await;
        trouble.explain(pieces.map(|pieces| pieces.concat()).map_err(|_| Failure::failed("broken")))
    }

    #[tokio::test]
    async fn holes_of_a_disk_are_sent_and_not_read() {
        let data = Data::Disk("holed".into(), Arc::new(Holed));
        for offset in [0u64, 1, 1000, 1_500_000, 3 << 20] {
            let mut expected = vec![0; 3 << 20];
            expected[1000..2 << 20].fill(7);
            let sent = sent(&data, offset, 3 << 20).await.unwrap();
            assert!(sent == expected[offset as usize..], "{offset}");
        }
    }

    #[tokio::test]
    async fn a_file_is_sent_as_long_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let bytes: Vec<u8> = (0..3_000_001u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let data = Data::File(path.clone());
        for offset in [0, 1, 1 << 20, 3_000_000, 3_000_001] {
            assert!(sent(&data, offset, 3_000_001).await.unwrap() == bytes[offset as usize..], "{offset}");
        }
        for (was, how) in [(3_000_002, "shorter"), (4 << 20, "shorter"), (3_000_000, "longer")] {
            let failure = sent(&data, 0, was).await.unwrap_err();
            let said = format!("{}: became {how} while it was read ({was} -> 3000001 bytes)", path.display());
            assert_eq!((failure.message, failure.remedy), (said, Remedy::None));
        }
    }
}
