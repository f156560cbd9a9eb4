//! Blocks of objects as files: `OBJECT-NUMBER`, the object's hash and the block's number in hex. A
//! file is the block's bytes and a sum of them and of its name.
//!
//! Invariants: a file that is not what its name and sum say is a miss, and goes; files beyond the
//! bound go, those used longest ago first; a disk that is full or fails only ends the keeping for
//! [`PAUSE`]. Nothing is synced: what a power cut tears fails its sum.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::Xxh3;

use super::lru::{Lru, Name};
use crate::objects::native::{failed, free_bytes};
use crate::objects::traffic::Count;
use crate::objects::{CacheTraffic, Error, ObjectKey};

/// Bytes of a block. Several make one request where several are missing; more would cost random
/// reads, and memory while they last.
pub(super) const BLOCK_BYTES: usize = 256 << 10;
/// How long nothing is kept after the disk failed or ran full.
const PAUSE: Duration = Duration::from_secs(30);
/// Bytes of a sum.
const SUM_BYTES: usize = 16;
/// What files are called that are being written.
const UNFINISHED: &str = "new-";

#[derive(Debug)]
pub(super) struct Blocks {
    folder: PathBuf,
    bytes_max: u64,
    reserve_bytes: u64,
    state: Mutex<State>,
    number: AtomicU64,
    hits: Count,
    misses: Count,
    hit_bytes: Count,
}

#[derive(Debug, Default)]
struct State {
    lru: Lru,
    /// Counts objects forgotten: what was fetched before one may be of it, and is not kept.
    generation: u64,
    paused_until: Option<Instant>,
}

impl Blocks {
    /// Opens a folder, and makes it where it is missing. Costs a look at each file.
    pub(super) fn open(folder: &Path, bytes_max: u64, reserve_bytes: u64) -> Result<Blocks, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        let blocks = Blocks {
            folder: folder.to_owned(),
            bytes_max,
            reserve_bytes,
            state: Mutex::default(),
            number: AtomicU64::new(0),
            hits: Count::default(),
            misses: Count::default(),
            hit_bytes: Count::default(),
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed(folder))? {
            let entry = entry.map_err(failed(folder))?;
            let metadata = entry.metadata().map_err(failed(&entry.path()))?;
            match entry.file_name().to_str().and_then(parse) {
                Some(name) => found.push((metadata.modified().ok(), name, metadata.len())),
                // Half written, or nothing of ours: this folder is the cache's alone.
                None if metadata.is_file() => remove(&entry.path()),
                None => {}
            }
        }
        // Nobody noted uses; the time of writing is the next best.
        found.sort_unstable();
        let mut state = blocks.lock();
        for (_, name, bytes) in found {
            state.lru.add(name, bytes);
        }
        blocks.shrink(&mut state);
        drop(state);
        Ok(blocks)
    }

    /// A block, if it is here.
    pub(super) fn get(&self, key: &ObjectKey, number: u64) -> Option<Vec<u8>> {
        let name = (object(key), number);
        let block = if self.lock().lru.touch(&name) { self.load(name) } else { None };
        match &block {
            Some(block) => {
                self.hits.add(1);
                self.hit_bytes.add(block.len() as u64);
            }
            None => self.misses.add(1),
        }
        block
    }

    fn load(&self, name: Name) -> Option<Vec<u8>> {
        let path = self.path(name);
        let mut bytes = fs::read(&path).ok();
        let whole = bytes.as_mut().is_some_and(|bytes| {
            let Some(length) = bytes.len().checked_sub(SUM_BYTES) else { return false };
            let told = bytes.split_off(length);
            sum(name, bytes)[..] == told[..]
        });
        if !whole {
            tracing::warn!(path = %path.display(), "a block of the cache was lost or changed; it comes from the bucket");
            self.lock().lru.remove(&name);
            remove(&path);
            return None;
        }
        bytes
    }

    /// The first of these blocks that is not here, with those after it that are not either.
    pub(super) fn first_missing(&self, key: &ObjectKey, numbers: Range<u64>) -> Option<Range<u64>> {
        let (object, state) = (object(key), self.lock());
        let is_missing = |number: &u64| !state.lru.has(&(object, *number));
        let start = numbers.clone().find(is_missing)?;
        let end = (start..numbers.end).take_while(is_missing).last().map_or(start, |last| last + 1);
        Some(start..end)
    }

    /// Lets go of what is beyond a bound; how many blocks of how many bytes went.
    pub(super) fn shrink_to(&self, bytes_max: u64) -> (u64, u64) {
        let mut state = self.lock();
        let before = state.lru.held_bytes();
        let gone = state.lru.shrink(bytes_max);
        gone.iter().for_each(|name| remove(&self.path(*name)));
        (gone.len() as u64, before - state.lru.held_bytes())
    }

    /// The most that it may hold, in bytes.
    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Whether a block seems to be here.
    pub(super) fn has(&self, key: &ObjectKey, number: u64) -> bool {
        self.lock().lru.has(&(object(key), number))
    }

    /// To be asked before what is to be kept is fetched.
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Keeps a block, where that is possible.
    pub(super) fn keep(&self, key: &ObjectKey, number: u64, bytes: &[u8], generation: u64) {
        let name = (object(key), number);
        if self.lock().paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let temporary =
            self.folder.join(format!("{UNFINISHED}{}", self.number.fetch_add(1, Ordering::Relaxed)));
        if let Err(error) = self.write(&temporary, name, bytes) {
            remove(&temporary);
            tracing::warn!(%error, "nothing is added to the cache for a while");
            self.lock().paused_until = Some(Instant::now() + PAUSE);
            return;
        }
        let mut state = self.lock();
        if state.generation != generation {
            remove(&temporary);
            return;
        }
        match fs::rename(&temporary, self.path(name)) {
            Ok(()) => state.lru.add(name, (bytes.len() + SUM_BYTES) as u64),
            Err(_) => remove(&temporary),
        }
        self.shrink(&mut state);
    }

    fn write(&self, path: &Path, name: Name, bytes: &[u8]) -> Result<(), Error> {
        if free_bytes(&self.folder)? < self.reserve_bytes {
            let reserve = self.reserve_bytes;
            return Err(Error::Full(format!("the last {reserve} bytes of the cache's disk are kept free")));
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.write_all(&sum(name, bytes))))
            .map_err(failed(path))
    }

    /// Lets go of all blocks of an object.
    pub(super) fn forget(&self, key: &ObjectKey) {
        let mut state = self.lock();
        state.generation += 1;
        for name in state.lru.remove_object(object(key)) {
            remove(&self.path(name));
        }
    }

    /// What it did and holds.
    pub(super) fn traffic(&self) -> CacheTraffic {
        CacheTraffic {
            hits: self.hits.read(),
            misses: self.misses.read(),
            hit_bytes: self.hit_bytes.read(),
            held_bytes: self.lock().lru.held_bytes(),
        }
    }

    fn shrink(&self, state: &mut State) {
        for name in state.lru.shrink(self.bytes_max) {
            remove(&self.path(name));
        }
    }

    fn path(&self, (object, number): Name) -> PathBuf {
        self.folder.join(format!("{object:032x}-{number:x}"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A cache: whatever a panic left in it is a hit or a miss.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(name: &str) -> Option<Name> {
    let (object, number) = name.split_once('-')?;
    let of_object = (object.len() == 32).then(|| u128::from_str_radix(object, 16).ok())??;
    Some((of_object, u64::from_str_radix(number, 16).ok()?))
}

/// What files call an object by: names are longer than file names may be.
fn object(key: &ObjectKey) -> u128 {
    let hash = blake3::hash(key.as_str().as_bytes());
    hash.as_bytes()[..16].iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

fn sum((object, number): Name, bytes: &[u8]) -> [u8; SUM_BYTES] {
    let mut hasher = Xxh3::new();
    hasher.update(&object.to_le_bytes());
    hasher.update(&number.to_le_bytes());
    hasher.update(bytes);
    hasher.digest128().to_le_bytes()
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "a file of the cache stays");
    }
}
