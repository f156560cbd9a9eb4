//! What is put on record of an image's data when it arrives, and what an operator refuses though it is in order.
//!
//! Invariant: a verdict is made once, of the very bytes that became the image's; it stays with them as long as they do. Must
//! not know how the data came, nor how it is shown.

use super::stored::refusal;
use crate::disk::probe::{Ends, Format, Probe};
use crate::disk::{self, Note, NoteCode, Source, advise};
use crate::model::{Finding, Image, Verdict};
use crate::service::{Error, ErrorKind};

/// The version of all that looks at data. It is counted up when anything tells other than before.
pub const READER: u16 = 3;
/// What data is called that nothing is known of: a raw disk, or anything else.
const RAW: &str = "raw";
const UNKNOWN: &str = "unknown";
/// The field of what data looks like beside what its record says: the bytes themselves, and none of the record.
const CONTENT: &str = "content";

/// The property that the Image API shows the format by.
pub const FORMAT_PROPERTY: &str = "tintype_format";
/// The property that it shows findings by, as words with commas between them.
pub const FINDINGS_PROPERTY: &str = "tintype_findings";

/// Whether a property's name is one that verdicts are shown by, so that nobody may set it.
pub fn is_of_verdict(name: &str) -> bool {
    name == FORMAT_PROPERTY || name == FINDINGS_PROPERTY
}

/// What an operator refuses, though it is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskPolicy {
    /// A qcow2 with snapshots inside.
    pub refuse_snapshots: bool,
    /// A raw disk without a partition table.
    pub require_partition_table: bool,
    /// A raw disk that looks like a container of another format.
    pub refuse_raw_containers: bool,
}

impl DiskPolicy {
    /// # Errors
    /// `UnsupportedContent`, by the name of the setting.
    fn check(self, notes: &[Note]) -> Result<(), Error> {
        let refused = [
            (self.refuse_snapshots, NoteCode::InternalSnapshots, "disks.refuse_snapshots"),
            (self.require_partition_table, NoteCode::NoPartitionTable, "disks.require_partition_table"),
            (self.refuse_raw_containers, NoteCode::LooksLikeContainer, "disks.refuse_raw_containers"),
        ];
        for (is_refused, code, setting) in refused {
            if is_refused && let Some(note) = notes.iter().find(|note| note.code == code) {
                let value = note.value.as_deref().map(|value| format!(" {value}")).unwrap_or_default();
                let message = format!(
                    "the content is refused: {}{value}: {} ({}); {setting} says so",
                    note.field,
                    code.meaning(),
                    code.as_str()
                );
                return Err(Error::new(ErrorKind::UnsupportedContent, message));
            }
        }
        Ok(())
    }
}

/// What is seen of data before it is looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// What it is.
    pub(super) format: &'static str,
    notes: Vec<Note>,
    /// Whether the ends of a raw disk do not tell all about its table.
    wants_more: bool,
}

/// What is known of data that may become an image's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Known {
    /// Size of the guest's disk.
    pub(super) virtual_size: Option<u64>,
    /// What was found out; `None` of data that is none.
    pub(super) verdict: Option<Verdict>,
}

impl Known {
    /// The same as of another image with the same data.
    pub(super) fn of(image: &Image) -> Known {
        Known { virtual_size: image.virtual_size_bytes, verdict: image.verdict.clone() }
    }
}

impl Seen {
    /// Data that is not looked into, as this field of the record wants it.
    pub(super) fn kept_as_it_is(probe: &Probe, field: &'static str) -> Seen {
        let format = by_start(probe).first().map_or(UNKNOWN, |format| format.as_str());
        Seen { format, notes: vec![Note::new(NoteCode::NotLookedInto, field)], wants_more: false }
    }

    /// A container whose start and end are those of its format, and of what may go with it.
    pub(super) fn container(probe: &Probe, format: Format, found: &[Format]) -> Seen {
        let table = found.iter().find(|found| found.is_partition_table());
        let notes = match (format, table, probe.luks_version()) {
            (Format::Iso, Some(table), _) => {
                vec![Note::with(NoteCode::Hybrid, "system area", table.as_str())]
            }
            (Format::Luks, _, Some(version)) => vec![Note::with(NoteCode::Encrypted, "version", version)],
            _ => Vec::new(),
        };
        Seen { format: format.as_str(), notes, wants_more: false }
    }

    /// A raw disk of `size_bytes`, whatever it looks like.
    pub(super) fn raw(probe: &Probe, found: &[Format], size_bytes: u64) -> Seen {
        let first = by_start(probe).into_iter().next();
        let mut notes = Vec::new();
        let others = found.iter().filter(|found| !found.is_partition_table());
        for other in others {
            if other.is_disk_container() {
                notes.push(Note::with(NoteCode::LooksLikeContainer, CONTENT, other.as_str()));
            } else if Some(*other) != first {
                notes.push(Note::with(NoteCode::AlsoLooksLike, CONTENT, other.as_str()));
            }
        }
        if let Some(first) = first {
            if !found.iter().any(|found| found.is_partition_table()) {
                notes.push(Note::new(NoteCode::NoPartitionTable, "master boot record"));
            }
            return Seen { format: first.as_str(), notes, wants_more: false };
        }
        let mut seen = Seen { format: RAW, notes, wants_more: false };
        match advise(&probe.ends(size_bytes)) {
            Ok(advice) => seen.take(advice),
            Err(error) if Ends::is_not_kept(&error) => seen.wants_more = true,
            // Nothing else can fail: the ends are in memory.
            Err(_) => seen.wants_more = true,
        }
        seen
    }

    /// Whether the stored data has to be read to tell all.
    pub(super) fn wants_more(&self) -> bool {
        self.wants_more
    }

    /// Reads of a raw disk what its ends do not tell.
    pub(super) fn read_more(&mut self, disk: &dyn Source) -> Result<(), Error> {
        let advice = advise(disk).map_err(|error| refusal(disk::Error::Source(error)))?;
        self.take(advice);
        self.wants_more = false;
        Ok(())
    }

    /// Adds what readers of the format say.
    pub(super) fn add(&mut self, notes: impl IntoIterator<Item = Note>) {
        self.notes.extend(notes);
    }

    /// The verdict, where the operator does not refuse such data.
    pub(super) fn settled(self, policy: DiskPolicy) -> Result<Verdict, Error> {
        policy.check(&self.notes)?;
        Ok(Verdict { format: self.format.to_owned(), reader: READER, findings: self.findings() })
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let finding = |note: &Note| Finding {
            code: note.code.as_str().to_owned(),
            field: note.field.to_owned(),
            value: note.value.clone(),
        };
        self.notes.iter().map(finding).collect()
    }

    fn take(&mut self, advice: disk::Advice) {
        self.format = advice.kind.unwrap_or(RAW);
        self.notes.extend(advice.notes);
    }
}

/// What data begins as, but for what divides it.
fn by_start(probe: &Probe) -> Vec<Format> {
    let mut found = probe.formats_by_start();
    found.retain(|format| !format.is_partition_table());
    found
}
