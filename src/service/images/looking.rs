//! Looks into the containers of disks, once their data is durable and before an image becomes active with it.
//!
//! While data arrives, [`super::screen`] tells its format by its start and end. What only the tables inside say is looked up
//! here: that every part of the disk lies in the file, and how large it is. Invariant: a container that is not in order
//! becomes no image's data; all looks together take no more memory than there is for them. Must not know how the data came.

use super::stored::{Stored, refusal};
use crate::disk::probe::Format;
use crate::disk::{self, Budgets, Iso, Source};
use crate::service::{Error, Service};
use crate::store::{Reach, Reader, Receipt};

/// What a stream is by its start and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Judged {
    /// Size of the guest's disk, where that is known without looking further.
    pub(super) virtual_size: Option<u64>,
    /// The container that is to be looked into.
    pub(super) container: Option<Format>,
}

impl Service {
    /// Looks into what is to become an image's data; gives the size of the guest's disk, where it is known. Blocks on the
    /// medium.
    ///
    /// # Errors
    /// `UnsupportedContent` with what is not in order; what the store refuses with.
    pub(super) fn look_into(&self, judged: Judged, receipt: &Receipt) -> Result<Option<u64>, Error> {
        if judged.container.is_none() {
            return Ok(judged.virtual_size);
        }
        let looked = self.store.inspect(receipt).map_err(Error::from);
        let looked = looked.and_then(|reader| self.look_through(judged, reader));
        if looked.is_err() {
            // Its manifest has no row to be found by.
            self.litter.left(Reach::Everything);
        }
        looked
    }

    /// The same of a stream that is kept.
    ///
    /// # Errors
    /// As [`Service::look_into`].
    pub(super) fn look_through(&self, judged: Judged, reader: Reader) -> Result<Option<u64>, Error> {
        let Some(format) = judged.container else { return Ok(judged.virtual_size) };
        let _turn = self.looks.turn(reader.size_bytes());
        look(format, Stored(reader), &self.rules.disks).map_err(refusal)
    }
}

fn look(format: Format, source: Stored, budgets: &Budgets) -> Result<Option<u64>, disk::Error> {
    if format == Format::Iso {
        return Ok(Iso::open(&source)?.volume_bytes);
    }
    let file_bytes = source.size_bytes();
    let Some(guest) = disk::open(format, source, budgets)? else { return Ok(None) };
    disk::survey(&*guest, file_bytes, format, budgets)?;
    Ok(Some(guest.size_bytes()))
}

#[cfg(test)]
#[path = "looking_tests.rs"]
pub(super) mod tests;
