//! What would make a reader open another file, told by the first bytes alone: before the whole data is there, and of data that
//! is not looked into.
//!
//! Invariant: what is not seen to be safe is refused.

use super::{Format, Probe, SECTOR};
use crate::disk::refusal::{Code, Refusal};

/// The kinds of VMDK that hold their own data.
const WHOLE: [&str; 2] = ["monolithicSparse", "streamOptimized"];
/// Kinds that do not, or that are no file of a hosted disk: those that have a name.
const OTHERS: [&str; 13] = [
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
    "fullDevice",
    "partitionedDevice",
    "vmfs",
    "vmfsSparse",
    "vmfsThin",
    "vmfsRaw",
    "vmfsRDM",
    "vmfsRDMP",
    "seSparse",
    "custom",
];

impl Probe {
    /// Why reading this as `format` could lead out of the stream, or cannot work at all.
    pub fn hazard(&self, format: Format) -> Option<Refusal> {
        let found = match format {
            Format::Qcow2 => self.qcow2_hazard(),
            Format::Vmdk => self.vmdk_hazard(),
            _ => None,
        };
        found.map(|(code, field, why)| Refusal::new(format, code, field, why))
    }

    fn qcow2_hazard(&self) -> Option<(Code, &'static str, String)> {
        const EXTERNAL_DATA: u64 = 1 << 2;
        let short = || Some((Code::CutShort, "header", "the file ends in it".to_owned()));
        let (Some(version), Some(backing)) = (self.be32(4), self.be64(8)) else { return short() };
        if !matches!(version, 2 | 3) {
            return Some((Code::Unsupported, "version", format!("it is {version}, neither 2 nor 3")));
        }
        if backing != 0 {
            let why = format!("it is {backing}: the disk is what changed since another file, which it names");
            return Some((Code::NeedsAnotherFile, "backing_file_offset", why));
        }
        if version == 3 {
            match self.be64(72) {
                Some(features) if features & EXTERNAL_DATA == 0 => {}
                Some(_) => {
                    let why = "its data is in another file".to_owned();
                    return Some((Code::NeedsAnotherFile, "incompatible_features", why));
                }
                None => return short(),
            }
        }
        let why = || "one names a file for the data".to_owned();
        self.has_external_data_extension(version)
            .then(|| (Code::NeedsAnotherFile, "header extensions", why()))
    }

    fn has_external_data_extension(&self, version: u32) -> bool {
        const END: u32 = 0;
        const EXTERNAL_DATA_NAME: u32 = 0x4441_5441;
        let mut at = if version == 2 { 72 } else { self.be32(100).unwrap_or(104) as usize };
        while let (Some(kind), Some(length)) = (self.be32(at), self.be32(at.saturating_add(4))) {
            match kind {
                END => return false,
                EXTERNAL_DATA_NAME => return true,
                _ => at = at.saturating_add(8).saturating_add((length as usize).next_multiple_of(8)),
            }
        }
        false
    }

    fn vmdk_hazard(&self) -> Option<(Code, &'static str, String)> {
        if !self.starts(b"KDMV") {
            let why = match kind(&self.head, &OTHERS) {
                Some(kind) => {
                    format!("it is a text alone, of the kind {kind}: the disk is in the files that it names")
                }
                None => "it is a text alone: the disk is in the files that it names".to_owned(),
            };
            return Some((Code::NeedsAnotherFile, "descriptor", why));
        }
        let place = self.le64(28).zip(self.le64(36)).and_then(|(sector, sectors)| {
            let start = usize::try_from(sector).ok()?.checked_mul(SECTOR)?;
            let length = usize::try_from(sectors).ok()?.checked_mul(SECTOR)?;
            (start > 0).then_some(start..start.checked_add(length)?.min(self.head.len()))
        });
        let Some(place) = place else {
            return Some((Code::BadField, "descriptorOffset", "there is no descriptor".to_owned()));
        };
        let Some(text) = self.head.get(place.clone()) else {
            let why =
                format!("byte {} is not among the first {}, where it belongs", place.start, self.head.len());
            return Some((Code::BadField, "descriptorOffset", why));
        };
        if kind(text, &WHOLE).is_some() {
            return None;
        }
        let instead = "neither monolithicSparse nor streamOptimized";
        let why = kind(text, &OTHERS)
            .map_or_else(|| format!("it is {instead}"), |kind| format!("it is {kind}, {instead}"));
        Some((Code::Unsupported, "createType", why))
    }
}

/// Which of these kinds a descriptor says that it is of, however it is written.
fn kind(descriptor: &[u8], kinds: &[&'static str]) -> Option<&'static str> {
    let text: Vec<u8> =
        descriptor.iter().filter(|b| !b.is_ascii_whitespace()).map(u8::to_ascii_lowercase).collect();
    let is_said = |kind: &&&str| {
        let said = format!("createtype=\"{}\"", kind.to_ascii_lowercase());
        text.windows(said.len()).any(|window| window == said.as_bytes())
    };
    kinds.iter().find(is_said).copied()
}
