//! Parts of large objects while they are gathered: on local disk, as there may be more uploads than
//! memory has room for parts.
//!
//! Invariant: parts on disk stay within the bound, and a part that was begun has room for all of
//! itself, so those that were begun can always be finished. Files have no name: they go with the
//! process, however it ends. Nothing here is durable and nothing needs to be. Memory for parts on
//! their way is used again, as allocators keep much of what large buffers leave behind.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::BucketOptions;
use crate::objects::Error;
use crate::objects::native::{failed, free_bytes};

/// Bytes of a part that stay in memory; what is no larger never touches the disk.
const MEMORY_BYTES: usize = 256 << 10;

/// A folder for parts. Cheap to share.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    /// Parts there is room for.
    room: Arc<Semaphore>,
    part_bytes: usize,
    reserve_bytes: u64,
    number: AtomicU64,
    buffers: Arc<Buffers>,
}

/// Memory of parts that have been sent.
#[derive(Debug)]
struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
    kept_max: usize,
}

/// A buffer that goes back when the last who reads it lets go.
struct Lent {
    bytes: Vec<u8>,
    buffers: Arc<Buffers>,
}

/// A part being gathered.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// What is not on disk yet.
    memory: Vec<u8>,
    disk: Option<OnDisk>,
    bytes: usize,
}

#[derive(Debug)]
struct OnDisk {
    file: File,
    path: PathBuf,
    _room: OwnedSemaphorePermit,
}

impl Spool {
    /// Takes a folder, and makes it where it is missing.
    pub(super) fn open(folder: &Path, options: &BucketOptions) -> Result<Spool, Error> {
        let BucketOptions { spool_bytes: bytes, part_bytes, reserve_bytes, sending_bytes, .. } = *options;
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        // A kill between making a file and taking its name away leaves an empty one.
        for entry in fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            remove(&path)?;
        }
        let parts = usize::try_from(bytes / part_bytes as u64).unwrap_or(usize::MAX);
        let buffers = Buffers { free: Mutex::default(), kept_max: (sending_bytes / part_bytes).max(1) };
        let buffers = Arc::new(buffers);
        let room = Arc::new(Semaphore::new(parts.clamp(1, Semaphore::MAX_PERMITS)));
        Ok(Spool {
            folder: folder.to_owned(),
            room,
            part_bytes,
            reserve_bytes,
            number: AtomicU64::new(0),
            buffers,
        })
    }

    /// Adds to a part; gives back what it has no room for, as it is full then. Waits for `patience`
    /// at most where other parts take all the disk there is.
    pub(super) async fn fill<'a>(
        &self,
        part: &mut Part,
        bytes: &'a [u8],
        patience: Duration,
    ) -> Result<&'a [u8], Error> {
        let (now, later) = bytes.split_at(bytes.len().min(self.part_bytes - part.bytes));
        if part.memory.len() + now.len() > MEMORY_BYTES {
            if part.disk.is_none() {
                part.disk = Some(self.place(patience).await?);
            }
            part.spill(now)?;
        } else {
            part.memory.extend_from_slice(now);
        }
        part.bytes += now.len();
        Ok(later)
    }

    /// Whether a part can take no more.
    pub(super) fn is_full(&self, part: &Part) -> bool {
        part.bytes == self.part_bytes
    }

    async fn place(&self, patience: Duration) -> Result<OnDisk, Error> {
        let room = timeout(patience, self.room.clone().acquire_owned()).await;
        let Ok(Ok(room)) = room else {
            let waited = patience.as_secs();
            return Err(Error::Unavailable(format!(
                "uploads to the bucket found no room in its spool for {waited} s; raise bucket.spool_bytes"
            )));
        };
        let free = free_bytes(&self.folder)?;
        if free < self.reserve_bytes.saturating_add(self.part_bytes as u64) {
            let reserve = self.reserve_bytes;
            return Err(Error::Full(format!(
                "{free} bytes are left on the disk of the bucket's spool, the last {reserve} of which are kept"
            )));
        }
        let path = self.folder.join(self.number.fetch_add(1, Ordering::Relaxed).to_string());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed(&path))?;
        remove(&path)?;
        Ok(OnDisk { file, path, _room: room })
    }
}

impl Buffers {
    /// An empty one.
    fn lend(self: &Arc<Buffers>) -> Lent {
        let bytes = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Lent { bytes, buffers: self.clone() }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut free = self.buffers.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.buffers.kept_max {
            self.bytes.clear();
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl Spool {
    /// A part's bytes, all in memory, and nothing of it on disk any more.
    pub(super) fn take(&self, part: &mut Part) -> Result<Bytes, Error> {
        let Part { memory, disk, bytes } = std::mem::take(part);
        let Some(mut disk) = disk else { return Ok(memory.into()) };
        let mut lent = self.buffers.lend();
        let all = &mut lent.bytes;
        all.reserve_exact(bytes);
        disk.file.rewind().and_then(|()| disk.file.read_to_end(all)).map_err(failed(&disk.path))?;
        all.extend_from_slice(&memory);
        if all.len() != bytes {
            let lost = io::Error::other(format!("{} bytes came back, {bytes} were written", all.len()));
            return Err(failed(&disk.path)(lost));
        }
        Ok(Bytes::from_owner(lent))
    }
}

impl Part {
    /// Whether taking it costs more memory than it has now.
    pub(super) fn is_on_disk(&self) -> bool {
        self.disk.is_some()
    }

    fn spill(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        disk.file
            .write_all(&self.memory)
            .and_then(|()| disk.file.write_all(bytes))
            .map_err(failed(&disk.path))?;
        self.memory.clear();
        Ok(())
    }
}

/// Takes a name away, unless somebody who came upon it has.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    fn open(folder: &tempfile::TempDir, spool_bytes: u64) -> Result<Spool, Error> {
        let options =
            BucketOptions { spool_bytes, part_bytes: 1 << 20, reserve_bytes: 0, ..BucketOptions::default() };
        Spool::open(folder.path(), &options)
    }

    async fn fill(spool: &Spool, part: &mut Part, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            bytes = spool.fill(part, &bytes[..bytes.len().min(100_000)], PATIENCE).await.map(|later| {
                assert!(later.is_empty());
                &bytes[bytes.len().min(100_000)..]
            })?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_part_comes_back_as_it_went_in_wherever_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(&folder, 2 << 20).unwrap();
        for length in [0, 10, MEMORY_BYTES, MEMORY_BYTES + 1, 1 << 20] {
            let bytes: Vec<u8> = (0..length).map(|at| ((at * 7) >> 3) as u8).collect();
            let mut part = Part::default();
            fill(&spool, &mut part, &bytes).await.unwrap();
            assert_eq!(part.is_on_disk(), length > MEMORY_BYTES);
            assert_eq!(spool.is_full(&part), length == 1 << 20);
            assert!(part.memory.len() <= MEMORY_BYTES);
            assert!(spool.take(&mut part).unwrap() == bytes, "{length}");
        }
        assert_eq!(spool.room.available_permits(), 2);
        assert_eq!(spool.buffers.free.lock().unwrap().len(), 1, "one after the other took the same memory");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a file kept its name");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(&folder, 1 << 20).unwrap();
        let mut part = Part::default();
        let bytes = vec![1; (1 << 20) + 5];
        assert_eq!(spool.fill(&mut part, &bytes, PATIENCE).await.unwrap().len(), 5);
        assert!(spool.is_full(&part));
    }

    #[tokio::test]
    async fn p5_more_parts_than_the_disk_may_hold_wait_and_then_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(&folder, 1 << 20).unwrap();
        let (mut one, mut two) = (Part::default(), Part::default());
        let bytes = vec![1; MEMORY_BYTES + 1];
        fill(&spool, &mut one, &bytes).await.unwrap();
        let full = fill(&spool, &mut two, &bytes).await.unwrap_err();
        assert!(full.to_string().contains("bucket.spool_bytes"), "{full}");
        spool.take(&mut one).unwrap();
        fill(&spool, &mut two, &bytes[..1]).await.unwrap();
    }

    #[tokio::test]
    async fn a_disk_that_runs_full_is_told_from_a_bucket_that_is_down() {
        let folder = tempfile::tempdir().unwrap();
        let options = BucketOptions { reserve_bytes: 1 << 60, ..BucketOptions::default() };
        let spool = Spool::open(folder.path(), &options).unwrap();
        let full = fill(&spool, &mut Part::default(), &vec![1; MEMORY_BYTES + 1]).await;
        assert!(matches!(full, Err(Error::Full(_))), "{full:?}");
        assert_eq!(fill(&spool, &mut Part::default(), b"small").await, Ok(()));
    }

    #[tokio::test]
    async fn a_file_that_a_kill_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("0"), b"").unwrap();
        let spool = open(&folder, 1 << 20).unwrap();
        fill(&spool, &mut Part::default(), &vec![1; MEMORY_BYTES + 1]).await.unwrap();
    }
}
