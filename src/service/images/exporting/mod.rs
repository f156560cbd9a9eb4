//! Images in any form: the file that an image's disk would be in another format, made as it is read.
//!
//! [`layouts`] keeps what such files are made of, [`filling`] makes stretches of them, [`flow`] has that done ahead of whoever
//! reads, [`measuring`] packs a disk to learn how long its units get, and [`in_one_pass`] hands out what nobody knows the length
//! of. Invariants: whoever gets one may read the image's data; no job, no scratch file, and what is held for all readers together
//! is bounded; equal tags mean equal bytes. Must not know which protocol asks.

mod filling;
mod flow;
mod in_one_pass;
mod layouts;
mod measuring;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;

use self::filling::Filling;
use self::flow::{Crew, Work};
pub use self::layouts::ExportRules;
use self::layouts::{Kept, Layouts, Made};
use super::guests::{GuestDisk, OpenDisk};
use super::upload::in_background;
use crate::disk::writing::{self, Form, Names, Packed};
use crate::model::{ByteRange, Image, ImageId};
use crate::service::{Actor, Error, ErrorKind, Service};

/// What all exports of a service share.
#[derive(Clone)]
pub struct Exports {
    layouts: Layouts,
    crew: Crew,
}

impl Exports {
    pub(in crate::service) fn new(rules: &ExportRules, store: crate::store::Store) -> Exports {
        Exports { layouts: Layouts::new(rules), crew: Crew::new(rules, store) }
    }
}

/// An image's disk as a file in a form.
pub struct Export {
    /// The record, as it was when the data was opened.
    pub image: Image,
    /// The form.
    pub form: Form,
    disk: Arc<GuestDisk>,
    kept: Arc<Kept>,
    names: Names,
    exports: Exports,
}

impl Service {
    /// Opens an image's disk, and finds what a file of it in a form would be. Of a form that is
    /// [compressed](Form::is_compressed) nothing is packed yet.
    ///
    /// # Errors
    /// As [`Service::open_disk`]; `Invalid` where the form has no such disks; `Unavailable` while there is no memory for one
    /// more layout.
    pub async fn open_export(&self, actor: &Actor, id: &ImageId, form: Form) -> Result<Export, Error> {
        // Held by nobody for longer than it takes to open the disk, or to find that it cannot be reached.
        let turn = self.store.turn().await?;
        let (service, actor, id) = (self.clone(), actor.clone(), *id);
        let OpenDisk { image, disk } = in_background(move || {
            let opened = service.open_disk(&actor, &id);
            // Not before, when whoever asked has left.
            drop(turn);
            opened
        })
        .await?;
        self.export_of(image, disk, form).await
    }

    /// The same of a disk that is open.
    ///
    /// # Errors
    /// As [`Service::open_export`].
    pub(super) async fn export_of(
        &self,
        image: Image,
        disk: Arc<GuestDisk>,
        form: Form,
    ) -> Result<Export, Error> {
        let names = Names::new(seed(&image, &disk));
        let exports = self.exports.clone();
        let kept = exports.layouts.of(&disk, form, &names, &exports.crew).await?;
        Ok(Export { image, form, disk, kept, names, exports })
    }
}

/// What names in the file follow from: the data, and what it is read as.
fn seed(image: &Image, disk: &GuestDisk) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    match &image.digests {
        Some(digests) => hash.update(&digests.blake3),
        None => hash.update(&disk.content().0),
    };
    hash.update(disk.read_as().words().as_bytes());
    hash.finalize().into()
}

impl Export {
    /// Its entity tag, without quotes: another one when any byte is another.
    pub fn tag(&self) -> String {
        let mut hash = blake3::Hasher::new_keyed(&self.kept.digest);
        hash.update(&seed(&self.image, &self.disk));
        hash.update(self.form.as_str().as_bytes());
        hash.update(&writing::VERSION.to_le_bytes());
        let tag = hash.finalize();
        hex::encode(&tag.as_bytes()[..16])
    }

    /// Its length in bytes, where that is known by now.
    pub fn size_bytes(&self) -> Option<u64> {
        match &self.kept.made {
            Made::File(layout) => Some(layout.size_bytes()),
            Made::Shape(_) => None,
        }
    }

    /// Packs the whole disk once, where that is what it takes to know the file's length, and each place in it. `step` hears of
    /// bytes done and in all, and can end it.
    ///
    /// # Errors
    /// As [`Service::open_export`]; when the disk cannot be read; `Conflict` when `step` ended it.
    pub async fn measure(
        &mut self,
        step: impl FnMut(u64, u64) -> ControlFlow<()> + Send,
    ) -> Result<(), Error> {
        let Made::Shape(blocks) = &self.kept.made else { return Ok(()) };
        let as_ = packed_as(self.form);
        let packing = measuring::Measuring { disk: self.disk.clone(), blocks: blocks.clone(), as_ };
        let layouts = self.exports.layouts.clone();
        self.kept = layouts.measured(&packing, self.form, &self.names, &self.exports.crew, step).await?;
        Ok(())
    }

    /// The bytes of a range of it, in order. Of one whose length is not known, all of them, packed on the way; nothing where the
    /// form's tables come before its data, so that it must be [measured](Export::measure) first.
    ///
    /// # Errors
    /// `Invalid` for such a form.
    pub fn stream(&self, range: ByteRange) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let crew = self.exports.crew.clone();
        match &self.kept.made {
            Made::File(_) => Ok(flow::bytes(crew, self.filling(), range)),
            Made::Shape(blocks) if self.form == Form::Vmdk => {
                let packing = measuring::Packing {
                    disk: self.disk.clone(),
                    blocks: blocks.clone(),
                    as_: Packed::Grain,
                };
                in_one_pass::stream(crew, packing, &self.names, &self.exports.layouts, self.kept.clone())
            }
            Made::Shape(_) => {
                Err(Error::new(ErrorKind::Internal, "the length of its parts must be known first"))
            }
        }
    }

    /// Fills `out` with the bytes from `at` on, of one whose length is known. Blocks on the medium.
    ///
    /// # Errors
    /// When the disk cannot be read, or the range does not lie in the file.
    pub(super) fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), Error> {
        let end = at.checked_add(out.len() as u64).filter(|end| Some(*end) <= self.size_bytes());
        let Some(end) = end else {
            return Err(Error::invalid("a read goes past the end of the file"));
        };
        let mut rest = out;
        for piece in self.filling().make(ByteRange { start: at, end })? {
            let (now, later) = std::mem::take(&mut rest).split_at_mut(piece.len());
            now.copy_from_slice(&piece);
            rest = later;
        }
        Ok(())
    }

    fn filling(&self) -> Filling {
        Filling { disk: self.disk.clone(), kept: self.kept.clone() }
    }
}

/// How units of a compressed form are packed.
fn packed_as(form: Form) -> Packed {
    if form == Form::Vmdk { Packed::Grain } else { Packed::Cluster }
}
