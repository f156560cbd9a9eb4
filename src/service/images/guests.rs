//! The disks that guests see of stored images, open for reading at any place: what exports, NBD and inspection work on.
//!
//! Invariants: whoever opens a disk may read the image's data; all who have the same data open share one disk, its tables
//! and what was decoded of it; tables of all open disks together stay within a bound, and what opening takes does too. Must not
//! know who reads.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;

use super::looking_turns::Looks;
use super::stored::{Stored, refusal};
use crate::disk::ova::{Archive, Disk};
use crate::disk::probe::Format;
use crate::disk::{self, Budgets, Extent, Guest, Place, Raw, Source, Stretch, View};
use crate::model::{ContentId, Image, ImageId};
use crate::service::{Actor, Error, ErrorKind, Service};
use crate::store::{Reader, Spot};

/// The property that says which disk of a machine's archive is read: its number, from 1.
pub const DISK_PROPERTY: &str = "tintype_disk";

/// An image's disk, and the record as it was when it was opened.
pub struct OpenDisk {
    /// The record.
    pub image: Image,
    /// The disk.
    pub disk: Arc<GuestDisk>,
}

/// A guest's disk that is open for reading.
pub struct GuestDisk {
    content: ContentId,
    read_as: ReadAs,
    view: View<Box<dyn Guest>>,
    reader: Reader,
}

/// What data is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ReadAs {
    /// The container; `None` where the data is the disk.
    container: Option<Format>,
    /// Which disk of an archive, from 1; `None` where the record does not say.
    disk: Option<NonZeroUsize>,
}

/// What is known of a stretch of a disk without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spotted {
    /// How many bytes; at least one.
    pub(super) bytes: u64,
    /// What.
    pub(super) what: What,
}

/// Where a stretch of a disk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Nowhere: it is zeros.
    Zeros,
    /// At this spot of what is stored.
    At(Spot),
    /// In something that it comes out of.
    Unknown,
}

/// The disks that are open. A clone is the same.
#[derive(Clone)]
pub struct Guests {
    open: Arc<Mutex<HashMap<Key, Weak<GuestDisk>>>>,
    openings: Arc<Looks>,
}

impl Default for Guests {
    fn default() -> Guests {
        Guests { open: Arc::default(), openings: Arc::new(Looks::of_openings()) }
    }
}

/// The data, and what it is read as.
type Key = (ContentId, ReadAs);

impl GuestDisk {
    /// The stream that it is read from: equal ones have equal bytes.
    pub fn content(&self) -> ContentId {
        self.content
    }

    /// The container that the data is; `None` where the data is the disk itself.
    pub fn container(&self) -> Option<Format> {
        self.read_as.container
    }

    /// What its data is read as.
    pub(super) fn read_as(&self) -> ReadAs {
        self.read_as
    }

    /// Its size.
    pub fn size_bytes(&self) -> u64 {
        self.view.guest().size_bytes()
    }

    /// What begins at byte `at`, which lies before its end. Neighbours may be alike. Blocks on the medium.
    ///
    /// # Errors
    /// `UnsupportedContent` where the container is not in order; what the store refuses with.
    pub fn extent_at(&self, at: u64) -> Result<Extent, Error> {
        self.view.extent_at(at).map_err(refusal)
    }

    /// Memory that its tables take.
    fn kept_bytes(&self) -> u64 {
        self.view.guest().kept_bytes()
    }

    /// What is stored for it.
    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Where the bytes from `at` on lie, which is before the end; nobody looks further than `wanted` bytes for that.
    pub(super) fn spot_at(&self, at: u64, wanted: u64) -> Result<Spotted, Error> {
        let run = self.view.guest().run_at(at, wanted).map_err(refusal)?;
        let (what, bytes) = match run.place {
            Place::Zeros => (What::Zeros, run.bytes),
            Place::Plain(from) => match self.origin_of(from) {
                Some((spot, bytes)) => (What::At(spot), bytes.min(run.bytes)),
                None => (What::Unknown, run.bytes),
            },
            Place::Packed { unit, skip } => {
                let at = unit.deflate_at().and_then(|at| self.view.guest().source().origin_at(at));
                let spot = at.and_then(|at| self.reader.spot_of_unit(at));
                (spot.map_or(What::Unknown, |spot| What::At(spot.plus(skip))), run.bytes)
            }
        };
        Ok(Spotted { bytes, what })
    }

    fn origin_of(&self, at: u64) -> Option<(Spot, u64)> {
        self.reader.spot_at(self.view.guest().source().origin_at(at)?)
    }

    /// Fills `out` with its bytes from `at` on. Blocks on the medium.
    ///
    /// # Errors
    /// As [`GuestDisk::extent_at`]; when the range does not lie on the disk.
    pub fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), Error> {
        self.view.read_at(at, out).map_err(refusal)
    }

    /// The same as far as memory has it: `false`, and anything in `out`, where it has not all. Waits for nothing.
    pub fn read_near(&self, at: u64, out: &mut [u8]) -> bool {
        self.view.read_near(at, out)
    }

    /// What [`GuestDisk::extent_at`] tells, where that needs nothing that is not in memory.
    pub fn extent_near(&self, at: u64) -> Option<Extent> {
        self.view.extent_near(at)
    }

    /// Its `bytes` from `at` on, in pieces as they lie in memory where they do. Blocks on the medium.
    ///
    /// # Errors
    /// As [`GuestDisk::read_at`].
    pub fn pieces_at(&self, at: u64, bytes: usize) -> Result<Vec<Bytes>, Error> {
        self.view.pieces_at(at, bytes).map_err(refusal)
    }
}

/// Its bytes as readers of what lies on a disk take them.
impl Source for GuestDisk {
    fn size_bytes(&self) -> u64 {
        GuestDisk::size_bytes(self)
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.view.read_at(at, out).map_err(|error| match error {
            disk::Error::Source(error) => error,
            refused => io::Error::other(refused),
        })
    }

    fn stretch_at(&self, at: u64) -> Stretch {
        match self.view.extent_at(at) {
            Ok(extent) => Stretch { bytes: extent.bytes, is_zero: extent.is_zero },
            // Reading it tells what is wrong.
            Err(_) => Stretch { bytes: GuestDisk::size_bytes(self).saturating_sub(at), is_zero: false },
        }
    }
}

impl Service {
    /// Opens the disk that a guest sees of an image. Blocks on the medium.
    ///
    /// # Errors
    /// As [`Service::download_image`]; `Conflict` while there is no data; `UnsupportedContent` where the data is wrapped in
    /// something that is no disk; `Unavailable` while too many large disks are open.
    pub fn open_disk(&self, actor: &Actor, id: &ImageId) -> Result<OpenDisk, Error> {
        let download = self.download_image(actor, id)?;
        // Before the data: where it is none, that is what to say.
        ReadAs::of(&download.image)?;
        let Some(reader) = download.reader else {
            return Err(Error::conflict(format!("image {id} has no data")));
        };
        let disk = self.guest_disk(&download.image, reader)?;
        Ok(OpenDisk { image: download.image, disk })
    }

    /// The disk of an image whose data this is. Blocks on the medium.
    ///
    /// # Errors
    /// As [`Service::open_disk`].
    pub(super) fn guest_disk(&self, image: &Image, reader: Reader) -> Result<Arc<GuestDisk>, Error> {
        self.guests.get(reader, ReadAs::of(image)?, &self.rules.disks)
    }
}

impl Guests {
    /// The disk of a stream: the one that is open, or another.
    fn get(&self, reader: Reader, read_as: ReadAs, budgets: &Budgets) -> Result<Arc<GuestDisk>, Error> {
        // Records may call equal data by different formats.
        let key = (reader.content(), read_as);
        if let Some(disk) = self.find(&key) {
            return Ok(disk);
        }
        // A raw disk takes nothing; opening others may take far more than they do afterwards.
        let _turn = read_as.container.is_some().then(|| self.openings.turn(reader.size_bytes()));
        // Who was before may have opened it.
        if let Some(disk) = self.find(&key) {
            return Ok(disk);
        }
        let disk = Arc::new(GuestDisk::new(reader, read_as, budgets)?);
        let mut open = self.open();
        if let Some(disk) = open.get(&key).and_then(Weak::upgrade) {
            return Ok(disk);
        }
        open.retain(|_, disk| disk.strong_count() > 0);
        let others = open.values().filter_map(Weak::upgrade).map(|disk| disk.kept_bytes());
        expect_room(others, disk.kept_bytes(), budgets.open_bytes_max)?;
        open.insert(key, Arc::downgrade(&disk));
        Ok(disk)
    }

    fn find(&self, key: &Key) -> Option<Arc<GuestDisk>> {
        self.open().get(key)?.upgrade()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Key, Weak<GuestDisk>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GuestDisk {
    fn new(reader: Reader, read_as: ReadAs, budgets: &Budgets) -> Result<GuestDisk, Error> {
        let content = reader.content();
        let source = Stored(reader.clone());
        let guest: Box<dyn Guest> = match read_as.container {
            None => Box::new(Raw::new(source)),
            Some(Format::Ova) => of_machine(source, read_as.disk, budgets)?,
            Some(format) => {
                let opened = disk::open(format, source, budgets).map_err(refusal)?;
                opened.ok_or_else(|| no_disk(format.as_str()))?
            }
        };
        Ok(GuestDisk { content, read_as, view: View::new(guest, budgets), reader })
    }
}

/// Refuses tables that there is no memory for beside those of the other open disks. Those that are larger than all the memory there
/// is have a place beside it, one disk at a time: they keep no small one out.
fn expect_room(others: impl Iterator<Item = u64>, own_bytes: u64, bytes_max: u64) -> Result<(), Error> {
    let (outsize, small): (Vec<u64>, Vec<u64>) = others.partition(|bytes| *bytes > bytes_max);
    let fits = match own_bytes > bytes_max {
        true => outsize.is_empty(),
        false => own_bytes == 0 || small.iter().sum::<u64>() + own_bytes <= bytes_max,
    };
    if fits {
        return Ok(());
    }
    let count = outsize.len() + small.len();
    let message = format!("{count} disks are open, and there is no memory for the tables of one more now");
    Err(Error::new(ErrorKind::Unavailable, message))
}

/// The disk of a machine's archive that is chosen, or that is alone.
fn of_machine(
    source: Stored,
    chosen: Option<NonZeroUsize>,
    budgets: &Budgets,
) -> Result<Box<dyn Guest>, Error> {
    let archive = Archive::read(&source, budgets).map_err(refusal)?;
    let disk = match (chosen, archive.disks()) {
        (None, [only]) => only,
        (None, several) => {
            let message = format!(
                "the machine has {} disks ({}): set the image's property {DISK_PROPERTY} to the number of the one to be read",
                several.len(),
                archive.listed()
            );
            return Err(Error::new(ErrorKind::UnsupportedContent, message));
        }
        (Some(number), _) => numbered(&archive, number)?,
    };
    disk.open(source, budgets).map_err(refusal)
}

/// Refuses a choice that a machine's archive does not have.
///
/// # Errors
/// `Invalid`, with the disks that there are.
pub(super) fn expect_has(archive: &Archive, choice: &str) -> Result<(), Error> {
    numbered(archive, number_of(choice)?).map(drop)
}

fn numbered(archive: &Archive, number: NonZeroUsize) -> Result<&Disk, Error> {
    let there = archive.disks();
    there.get(number.get() - 1).ok_or_else(|| {
        let (count, listed) = (there.len(), archive.listed());
        Error::invalid(format!("{DISK_PROPERTY} is {number}, and the machine has {count} disks ({listed})"))
    })
}

fn number_of(choice: &str) -> Result<NonZeroUsize, Error> {
    choice.parse().map_err(|_| {
        Error::invalid(format!("{DISK_PROPERTY} is \"{choice}\", not the number of a disk, from 1"))
    })
}

impl ReadAs {
    /// What an image's data is read as, by its record, which the data was compared with when it came.
    ///
    /// # Errors
    /// `UnsupportedContent` where that is no disk; `Invalid` where the record chooses none that there can be.
    pub(super) fn of(image: &Image) -> Result<ReadAs, Error> {
        let container = container_of(image)?;
        let chosen = image.properties.get(DISK_PROPERTY).filter(|_| container == Some(Format::Ova));
        Ok(ReadAs { container, disk: chosen.map(|choice| number_of(choice)).transpose()? })
    }

    /// What tells it from all others, for what is made of it.
    pub(super) fn words(self) -> String {
        let container = self.container.map_or("raw", |format| format.as_str());
        self.disk.map_or(container.to_owned(), |number| format!("{container} {number}"))
    }
}

/// What wraps the disk of an image.
fn container_of(image: &Image) -> Result<Option<Format>, Error> {
    match image.container_format.as_deref() {
        Some("bare") => {}
        Some("ova") => return Ok(Some(Format::Ova)),
        other => return Err(no_disk(other.unwrap_or("of no container format"))),
    }
    Ok(match image.disk_format.as_deref() {
        Some("qcow2") => Some(Format::Qcow2),
        Some("vmdk") => Some(Format::Vmdk),
        Some("vhd") => Some(Format::Vhd),
        Some("vhdx") => Some(Format::Vhdx),
        Some("vdi") => Some(Format::Vdi),
        Some("raw" | "iso" | "ami" | "ari" | "aki") | None => None,
        Some(other) => return Err(no_disk(other)),
    })
}

fn no_disk(what: &str) -> Error {
    let message = format!(
        "the data is {what}, which is not read as a disk: that is possible where container_format is ova, or it is bare and \
         disk_format raw, iso, qcow2, vmdk, vhd, vhdx or vdi"
    );
    Error::new(ErrorKind::UnsupportedContent, message)
}

#[cfg(test)]
#[path = "guests_tests.rs"]
pub(super) mod tests;
