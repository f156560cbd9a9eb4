//! An archive whose members, description and disk were found in order as far as they were looked at.

use super::descriptor::Descriptor;
use super::manifest;
use super::tar::{self, Member};
use super::window::Window;
use crate::disk::budgets::Budgets;
use crate::disk::containers;
use crate::disk::guest::Guest;
use crate::disk::notes::{Note, NoteCode};
use crate::disk::probe::{Format, Probe};
use crate::disk::raw::Raw;
use crate::disk::refusal::{Code, Error, Refusal};
use crate::disk::source::{Source, Structures};

/// Lines of a text (requirement B8).
const LINES_MAX: usize = 10_000;
/// Disks that are told of by their names.
const LISTED_MAX: usize = 8;
const DESCRIPTOR: &str = ".ovf";
const MANIFEST: &str = ".mf";

/// A machine's archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    members: Vec<Member>,
    descriptor: Member,
    manifest: Option<Member>,
    /// One at least.
    disks: Vec<Disk>,
}

/// A disk of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    file: Member,
    format: Option<Format>,
}

impl Archive {
    /// Reads the members' headers and the description, and finds the disks.
    ///
    /// # Errors
    /// A refusal, or what reading fails with.
    pub fn read(source: &dyn Source, budgets: &Budgets) -> Result<Archive, Error> {
        let members = tar::members(source)?;
        let ending = |ending: &'static str| members.iter().filter(move |member| has_ending(member, ending));
        let descriptor = match members.first() {
            Some(first) if has_ending(first, DESCRIPTOR) && ending(DESCRIPTOR).count() == 1 => first.clone(),
            _ => return Err(refuse(Code::BadField, "descriptor", "one, and the first member, must be it")),
        };
        let manifest = match (ending(MANIFEST).next(), ending(MANIFEST).nth(1)) {
            (_, Some(_)) => return Err(refuse(Code::BadField, "manifest", "there are two")),
            (one, None) => one.cloned(),
        };
        let text = text(source, "descriptor", &descriptor, budgets)?;
        let described = Descriptor::read(&text).map_err(|(code, field, why)| refuse(code, field, &why))?;
        let disk = |file: Member| Ok(Disk { format: format(source, &file)?, file });
        let disks = files(&described, &members)?.into_iter().map(disk).collect::<Result<_, Error>>()?;
        Ok(Archive { members, descriptor, manifest, disks })
    }

    /// Its disks, in the order in which the description has them: one at least.
    pub fn disks(&self) -> &[Disk] {
        &self.disks
    }

    /// Its disks by their numbers, from 1, and names; of many, the first.
    pub fn listed(&self) -> String {
        let named = |(at, disk): (usize, &Disk)| format!("{} {}", at + 1, disk.name());
        let mut listed: Vec<String> = self.disks.iter().enumerate().take(LISTED_MAX).map(named).collect();
        if self.disks.len() > LISTED_MAX {
            listed.push(format!("up to {}", self.disks.len()));
        }
        listed.join(", ")
    }

    /// Compares the members with the manifest, where there is one. Reads all of them.
    ///
    /// # Errors
    /// As [`Archive::read`].
    pub fn verify(&self, source: &dyn Source, budgets: &Budgets) -> Result<Note, Error> {
        let Some(manifest) = &self.manifest else { return Ok(Note::new(NoteCode::NoManifest, "manifest")) };
        let text = text(source, "manifest", manifest, budgets)?;
        let disks = self.disks.iter().map(Disk::name);
        let must: Vec<&str> = [self.descriptor.name.as_str()].into_iter().chain(disks).collect();
        manifest::compare(&text, &self.members, &must, source)?
            .map_err(|(code, field, why)| refuse(code, field, &why))?;
        Ok(Note::new(NoteCode::ManifestVerified, "manifest"))
    }
}

impl Disk {
    /// The name of the member that it lies in.
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// The container that it lies in; `None` where it is raw.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Bytes of the file that it lies in.
    pub fn file_bytes(&self) -> u64 {
        self.file.bytes
    }

    /// Opens it. `source` is the archive.
    ///
    /// # Errors
    /// A refusal of its format, or what reading fails with.
    pub fn open<S: Source + 'static>(&self, source: S, budgets: &Budgets) -> Result<Box<dyn Guest>, Error> {
        let window = Window::new(source, self.file.at, self.file.bytes);
        match self.format {
            None => Ok(Box::new(Raw::new(window))),
            Some(format) => containers::open(format, window, budgets)?
                .ok_or_else(|| refuse(Code::Unsupported, "Disk fileRef", "its format is not read here")),
        }
    }
}

fn has_ending(member: &Member, ending: &str) -> bool {
    let at = member.name.len().checked_sub(ending.len());
    at.and_then(|at| member.name.get(at..)).is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// The text of a member, within the budget of texts (requirement B8).
fn text(
    source: &dyn Source,
    field: &'static str,
    member: &Member,
    budgets: &Budgets,
) -> Result<Vec<u8>, Error> {
    let file = Structures::new(source, Format::Ova);
    let text = file.table(field, member.at, member.bytes, budgets.text_bytes_max)?;
    if text.iter().filter(|byte| **byte == b'\n').count() > LINES_MAX {
        return Err(refuse(Code::OverBudget, field, &format!("it has more than {LINES_MAX} lines")));
    }
    Ok(text)
}

/// The members that the machine's disks lie in. Those that begin as empty ones lie nowhere.
fn files(described: &Descriptor, members: &[Member]) -> Result<Vec<Member>, Error> {
    for (_, href) in &described.files {
        if !tar::is_flat(href) {
            let why = "it leads out of the archive";
            return Err(refuse(Code::NeedsAnotherFile, "File href", why));
        }
        if !members.iter().any(|member| member.name == *href) {
            return Err(refuse(Code::NeedsAnotherFile, "File href", "the archive has no such member"));
        }
    }
    let mut found = Vec::<Member>::new();
    for file in described.disks.iter().flatten() {
        let href = described.files.iter().find(|(id, _)| id == file).map(|(_, href)| href);
        let member = href.and_then(|href| members.iter().find(|member| member.name == *href));
        let member = member.ok_or_else(|| refuse(Code::BadField, "Disk fileRef", "no file has this id"))?;
        if found.contains(member) {
            return Err(refuse(Code::BadField, "Disk fileRef", "two disks lie in the same file"));
        }
        found.push(member.clone());
    }
    match (found.is_empty(), described.disks.is_empty()) {
        (false, _) => Ok(found),
        (true, true) => Err(refuse(Code::Unsupported, "DiskSection", "there is no disk")),
        (true, false) => Err(refuse(Code::Unsupported, "Disk fileRef", "the disk is an empty one")),
    }
}

/// What the disk is by its start and end, as any image is (requirements S6 and S7).
fn format(source: &dyn Source, disk: &Member) -> Result<Option<Format>, Error> {
    let found = Probe::of(&Window::new(source, disk.at, disk.bytes))?.formats();
    let containers: Vec<Format> =
        found.iter().copied().filter(|format| !format.is_partition_table()).collect();
    let wrong = |why: String| Err(refuse(Code::Unsupported, "Disk fileRef", &why));
    match containers.as_slice() {
        [] => Ok(None),
        [format] if found.len() > 1 && *format != Format::Vhd => {
            wrong(format!("it looks like {} and like a partitioned disk", format.as_str()))
        }
        [Format::Qcow2 | Format::Vmdk | Format::Vhd | Format::Vhdx | Format::Vdi] => {
            Ok(containers.first().copied())
        }
        several => {
            let names: Vec<&str> = several.iter().map(|format| format.as_str()).collect();
            wrong(format!("it looks like {}, which is not read as a disk of a machine", names.join(" and ")))
        }
    }
}

fn refuse(code: Code, field: &'static str, why: &str) -> Error {
    Refusal::new(Format::Ova, code, field, why).into()
}
