//! Looks into the containers of disks, once their data is durable and before an image becomes active with it.
//!
//! While data arrives, [`super::screen`] tells its format by its start and end. What only the tables inside say is looked up
//! here: that every part of the disk lies in the file, and how large it is. Invariant: a container that is not in order
//! becomes no image's data; all looks together take no more memory than there is for them. Must not know how the data came.

use super::guests;
use super::stored::{Stored, refusal};
use super::verdicts::{Known, Seen};
use crate::disk::ova::Archive;
use crate::disk::probe::Format;
use crate::disk::{self, Budgets, Guest, Iso, Note, NoteCode, Passed, Passing, Source, Survey};
use crate::service::{Error, ErrorKind, Service};
use crate::store::{Reach, Reader, Receipt};

/// Decoded bytes for each byte of a container from which on its owner is told (requirement B5).
const RATIO_TOLD: u64 = 200;

/// The size of a guest's disk, where there is one, and what is worth knowing.
type Looked = (Option<u64>, Vec<Note>);

/// What a stream is by its start and end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Judged {
    /// Size of the guest's disk, where that is known without looking further.
    pub(super) virtual_size: Option<u64>,
    /// The container that is to be looked into.
    pub(super) container: Option<Format>,
    /// What the disk in an archive must be; `None` where it may be anything that is read.
    pub(super) inner: Option<Inner>,
    /// The disk in an archive that the image's record chooses.
    pub(super) choice: Option<String>,
    /// What went past of the container that a look needs not read again.
    pub(super) passing: Option<Passing>,
    /// What was seen; `None` where there was nothing.
    pub(super) seen: Option<Seen>,
}

/// What an image's record says of a disk in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inner {
    /// It is a container of this format.
    Is(Format),
    /// It is raw.
    Raw,
    /// It is something that is no disk of a machine.
    Other,
}

impl Inner {
    /// What a `disk_format` says.
    pub(super) fn of(disk_format: &str) -> Inner {
        let known = [Format::Qcow2, Format::Vmdk, Format::Vhd, Format::Vhdx, Format::Vdi];
        match known.into_iter().find(|format| format.as_str() == disk_format) {
            Some(format) => Inner::Is(format),
            None if disk_format == "raw" => Inner::Raw,
            None => Inner::Other,
        }
    }
}

impl Judged {
    /// One of which nothing else is known.
    pub(super) fn of(seen: Seen) -> Judged {
        Judged { seen: Some(seen), ..Judged::default() }
    }

    /// Whether the stored data has to be read to tell all.
    fn wants_a_look(&self) -> bool {
        self.container.is_some() || self.seen.as_ref().is_some_and(Seen::wants_more)
    }
}

impl Service {
    /// Looks into what is to become an image's data; gives what is known of it then. Blocks on the medium.
    ///
    /// # Errors
    /// `UnsupportedContent` with what is not in order, or what the operator refuses; what the store refuses with.
    pub(super) fn look_into(&self, judged: Judged, receipt: &Receipt) -> Result<Known, Error> {
        if !judged.wants_a_look() {
            return self.judgement(judged);
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
    pub(super) fn look_through(&self, mut judged: Judged, reader: Reader) -> Result<Known, Error> {
        if let Some(format) = judged.container {
            let source = Stored(reader);
            let (virtual_size, notes) = match format {
                Format::Ova => self.look_into_archive(&source, judged.inner, judged.choice.as_deref())?,
                _ => {
                    let _turn = self.looks.turn(source.size_bytes());
                    let source = Passed::new(source, judged.passing.take().unwrap_or_default());
                    look(format, &source, &self.rules.disks).map_err(refusal)?
                }
            };
            judged.virtual_size = virtual_size;
            if let Some(seen) = &mut judged.seen {
                seen.add(notes);
            }
        } else if let Some(seen) = judged.seen.as_mut().filter(|seen| seen.wants_more()) {
            seen.read_more(&Stored(reader))?;
        }
        self.judgement(judged)
    }

    fn judgement(&self, judged: Judged) -> Result<Known, Error> {
        let verdict = judged.seen.map(|seen| seen.settled(self.rules.disk_policy)).transpose()?;
        Ok(Known { virtual_size: judged.virtual_size, verdict })
    }

    /// What [`look`] tells, of the disks in an archive, whose members are compared with the manifest before. The size is
    /// that of all together.
    fn look_into_archive(
        &self,
        source: &Stored,
        wanted: Option<Inner>,
        choice: Option<&str>,
    ) -> Result<Looked, Error> {
        let budgets = &self.rules.disks;
        let archive = Archive::read(source, budgets).map_err(refusal)?;
        if let Some(choice) = choice {
            guests::expect_has(&archive, choice)?;
        }
        let mut notes = Vec::new();
        for disk in archive.disks() {
            let (found, name) = match disk.format() {
                Some(format) => (Inner::Is(format), format.as_str()),
                None => (Inner::Raw, "raw"),
            };
            if wanted.is_some_and(|wanted| wanted != found) {
                let file = disk.name();
                let message =
                    format!("the disk {file} in the archive is {name}, which disk_format denies; correct it");
                return Err(Error::new(ErrorKind::UnsupportedContent, message));
            }
            add(&mut notes, Note::with(NoteCode::InnerFormat, "Disk fileRef", name));
        }
        if archive.disks().len() > 1 {
            notes.push(Note::with(NoteCode::SeveralDisks, "DiskSection", archive.disks().len()));
        }
        let looked = || {
            notes.push(archive.verify(source, budgets)?);
            let mut size_bytes = 0_u64;
            for disk in archive.disks() {
                // Not before: comparing takes long, and no memory.
                let _turn = self.looks.turn(disk.file_bytes());
                let guest = disk.open(source.clone(), budgets)?;
                let format = disk.format().unwrap_or(Format::Ova);
                let found = survey(&*guest, disk.file_bytes(), format, budgets)?;
                found.into_iter().for_each(|note| add(&mut notes, note));
                size_bytes = size_bytes.saturating_add(guest.size_bytes());
            }
            Ok((Some(size_bytes), notes))
        };
        looked().map_err(refusal)
    }
}

/// Adds what is not said already.
fn add(notes: &mut Vec<Note>, note: Note) {
    if !notes.contains(&note) {
        notes.push(note);
    }
}

/// The size of the disk in a container, where it has one, and what is worth knowing.
fn look(format: Format, source: &Passed<Stored>, budgets: &Budgets) -> Result<Looked, disk::Error> {
    if format == Format::Iso {
        let iso = Iso::open(source)?;
        return Ok((iso.volume_bytes, iso.notes()));
    }
    let file_bytes = source.size_bytes();
    let Some(guest) = disk::open(format, source.clone(), budgets)? else { return Ok((None, Vec::new())) };
    let notes = survey(&*guest, file_bytes, format, budgets)?;
    Ok((Some(guest.size_bytes()), notes))
}

/// Goes over all of a disk that lies in `file_bytes`; says what is worth knowing.
fn survey(
    guest: &dyn Guest,
    file_bytes: u64,
    format: Format,
    budgets: &Budgets,
) -> Result<Vec<Note>, disk::Error> {
    let survey = disk::survey(guest, file_bytes, format, budgets)?;
    let mut notes = guest.notes();
    notes.extend(ratio(&survey, file_bytes));
    Ok(notes)
}

/// That far more comes out of a container than it has bytes.
fn ratio(survey: &Survey, file_bytes: u64) -> Option<Note> {
    let ratio = survey.plain_bytes.saturating_add(survey.packed_bytes) / file_bytes.max(1);
    (ratio >= RATIO_TOLD).then(|| Note::with(NoteCode::HighRatio, "data", ratio))
}

#[cfg(test)]
#[path = "looking_tests.rs"]
pub(super) mod tests;
