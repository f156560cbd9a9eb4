//! Decides, while an upload streams by, whether its content is what it claims and harms nobody.
//!
//! Invariant: nothing becomes active without having passed here. Only bare containers, and those of the three Amazon formats, which
//! are none, are looked into; `raw` takes any bytes, as the Image API has it: what they look like is noted.

use super::guests::DISK_PROPERTY;
use super::looking::{Inner, Judged};
use super::stored;
use super::verdicts::Seen;
use crate::disk::Passing;
use crate::disk::probe::{Format, Probe};
use crate::model::Image;
use crate::service::{Error, ErrorKind};

/// What to do with a disk in a format that is recognised, and not read.
const CONVERT: &str = ": that is not read here; convert it to raw or qcow2 first (qemu-img convert), where you trust it, as it may \
                       name other files";

/// A screening in progress.
pub(super) struct Screen {
    claim: Claim,
    must_match: bool,
    probe: Probe,
    head_judged: bool,
    /// What a look at a VMDK needs not read again; `None` of anything else.
    passing: Option<Passing>,
    /// The disk of a machine that the record chooses.
    choice: Option<String>,
    /// Whether nothing is looked at.
    is_blind: bool,
}

/// What the record says of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// Wrapped in a container that is not looked into.
    Unseen,
    /// Any bytes.
    Raw,
    /// A format with a magic of its own.
    Is(Format),
    /// An archive of a machine, whose disk is in this format; `None` where the record does not say.
    Machine(Option<Inner>),
    /// A format without one: whatever is no known disk container.
    Opaque,
}

impl Screen {
    pub(super) fn new(image: &Image, must_match: bool) -> Screen {
        let claim = Claim::of(image.container_format.as_deref(), image.disk_format.as_deref());
        let passing = (claim == Claim::Is(Format::Vmdk)).then(Passing::default);
        let choice = image.properties.get(DISK_PROPERTY).cloned();
        Screen { passing, choice, ..Screen::of(claim, must_match) }
    }

    fn of(claim: Claim, must_match: bool) -> Screen {
        let (probe, passing, choice) = (Probe::default(), None, None);
        Screen { claim, must_match, probe, head_judged: false, passing, choice, is_blind: false }
    }

    /// A screening that looks at nothing, of what is no image's yet.
    pub(super) fn blind() -> Screen {
        Screen { head_judged: true, is_blind: true, ..Screen::of(Claim::Unseen, false) }
    }

    /// Says that only the start and the end of what came before are shown.
    pub(super) fn sees_parts(&mut self) {
        self.passing = None;
    }

    /// Takes the next bytes; refuses as soon as the start gives reason to.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.is_blind {
            return Ok(());
        }
        self.probe.push(bytes);
        if let Some(passing) = &mut self.passing {
            passing.push(bytes);
        }
        // A fixed VHD is told by its end alone.
        if !self.head_judged && self.probe.head_is_complete() && self.claim != Claim::Is(Format::Vhd) {
            self.head_judged = true;
            self.judge(&self.probe.formats_by_start())?;
        }
        Ok(())
    }

    /// Judges the whole stream of `size` bytes.
    pub(super) fn finish(self, size: u64) -> Result<Judged, Error> {
        // Nova registers machines whose disks are volumes as images of no bytes, and calls those qcow2.
        if size == 0 || self.is_blind {
            return Ok(Judged::default());
        }
        let found = self.probe.formats();
        self.judge(&found)?;
        Ok(match self.claim {
            Claim::Unseen => Judged::of(Seen::kept_as_it_is(&self.probe, "container_format")),
            Claim::Opaque => Judged::of(Seen::kept_as_it_is(&self.probe, "disk_format")),
            Claim::Raw => {
                Judged { virtual_size: Some(size), ..Judged::of(Seen::raw(&self.probe, &found, size)) }
            }
            Claim::Machine(inner) if found.contains(&Format::Ova) => {
                let seen = Seen::container(&self.probe, Format::Ova, &found);
                let inner = inner.filter(|_| self.must_match);
                Judged { container: Some(Format::Ova), inner, choice: self.choice, ..Judged::of(seen) }
            }
            Claim::Machine(_) => Judged::of(Seen::kept_as_it_is(&self.probe, "container_format")),
            Claim::Is(format) if found.contains(&format) => {
                let seen = Seen::container(&self.probe, format, &found);
                Judged { container: Some(format), passing: self.passing, ..Judged::of(seen) }
            }
            // What is not compared with what it is said to be.
            Claim::Is(_) => Judged::of(Seen::kept_as_it_is(&self.probe, "disk_format")),
        })
    }

    fn judge(&self, found: &[Format]) -> Result<(), Error> {
        match self.claim {
            Claim::Unseen | Claim::Raw => return Ok(()),
            Claim::Is(claimed) if self.must_match => expect_only("disk_format", claimed, found)?,
            Claim::Machine(_) if self.must_match => expect_only("container_format", Format::Ova, found)?,
            Claim::Opaque if self.must_match => {
                if let Some(format) = found.iter().find(|format| format.is_disk_container()) {
                    let instead = if format.is_foreign() { CONVERT } else { "" };
                    let name = format.as_str();
                    return Err(refusal(format!("the content is {name}, which disk_format denies{instead}")));
                }
            }
            Claim::Is(_) | Claim::Machine(_) | Claim::Opaque => {}
        }
        match found.iter().find_map(|format| self.probe.hazard(*format)) {
            Some(hazard) => Err(stored::refusal(hazard.into())),
            None => Ok(()),
        }
    }
}

impl Claim {
    fn of(container: Option<&str>, disk: Option<&str>) -> Claim {
        match (container, disk) {
            (Some("bare"), Some("raw")) => Claim::Raw,
            (Some("bare"), Some("qcow2")) => Claim::Is(Format::Qcow2),
            (Some("bare"), Some("vmdk")) => Claim::Is(Format::Vmdk),
            (Some("bare"), Some("vhd")) => Claim::Is(Format::Vhd),
            (Some("bare"), Some("vhdx")) => Claim::Is(Format::Vhdx),
            (Some("bare"), Some("vdi")) => Claim::Is(Format::Vdi),
            (Some("bare"), Some("iso")) => Claim::Is(Format::Iso),
            (Some("bare"), Some("luks")) => Claim::Is(Format::Luks),
            (Some("bare"), _) => Claim::Opaque,
            (Some("ova"), disk) => Claim::Machine(disk.map(Inner::of)),
            // Parts of a machine that lie there as they are.
            (Some("ami"), Some("ami")) | (Some("ari"), Some("ari")) | (Some("aki"), Some("aki")) => {
                Claim::Opaque
            }
            _ => Claim::Unseen,
        }
    }
}

/// Refuses content that is anything else than what this field of the record claims.
fn expect_only(field: &str, claimed: Format, found: &[Format]) -> Result<(), Error> {
    // An ISO that also boots from a stick carries a partition table, and a fixed VHD begins with its guest's;
    // nothing else may.
    let may_be_partitioned = matches!(claimed, Format::Iso | Format::Vhd);
    let fits = |format: &Format| *format == claimed || (may_be_partitioned && format.is_partition_table());
    if found.contains(&claimed) && found.iter().all(fits) {
        return Ok(());
    }
    let names: Vec<_> = found.iter().map(|format| format.as_str()).collect();
    let names = if names.is_empty() { "nothing known".to_owned() } else { names.join(" and ") };
    let instead = match found.iter().any(|format| format.is_foreign()) {
        true => CONVERT,
        false => &format!("; correct {field} or the file"),
    };
    let claimed = claimed.as_str();
    Err(refusal(format!("{field} is {claimed}, but the content looks like {names}{instead}")))
}

fn refusal(message: String) -> Error {
    Error::new(ErrorKind::UnsupportedContent, message)
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
