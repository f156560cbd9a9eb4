//! Why a disk image is not read: a code that stays, the field at fault, and what to do.
//!
//! Invariant: no text names a path, or repeats what stands in the image but for numbers.

use std::fmt;

use super::probe::Format;

/// What is wrong, in a word that stays the same from version to version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// A structure, or what it points to, reaches past the end of the file.
    CutShort,
    /// A field has a value that the format does not have.
    BadField,
    /// A checksum is not that of what it covers.
    BadChecksum,
    /// Two copies of the same structure say different things.
    Disagreement,
    /// A table points where it may not: out of bounds, off the grid, or twice at the same place.
    BadTable,
    /// Compressed data does not make what it should.
    BadData,
    /// A version, feature or kind of the format that is not read here.
    Unsupported,
    /// The disk's data is only complete with another file's.
    NeedsAnotherFile,
    /// What it holds is encrypted by the format itself.
    Encrypted,
    /// Whoever wrote it marked it as corrupt.
    MarkedCorrupt,
    /// More than a budget allows.
    OverBudget,
}

impl Code {
    /// Every code.
    pub const ALL: [Code; 11] = [
        Code::CutShort,
        Code::BadField,
        Code::BadChecksum,
        Code::Disagreement,
        Code::BadTable,
        Code::BadData,
        Code::Unsupported,
        Code::NeedsAnotherFile,
        Code::Encrypted,
        Code::MarkedCorrupt,
        Code::OverBudget,
    ];

    /// How it is written in records and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::CutShort => "cut-short",
            Code::BadField => "bad-field",
            Code::BadChecksum => "bad-checksum",
            Code::Disagreement => "disagreement",
            Code::BadTable => "bad-table",
            Code::BadData => "bad-data",
            Code::Unsupported => "unsupported",
            Code::NeedsAnotherFile => "needs-another-file",
            Code::Encrypted => "encrypted",
            Code::MarkedCorrupt => "marked-corrupt",
            Code::OverBudget => "over-budget",
        }
    }

    /// What who has such an image can do.
    fn remedy(self) -> &'static str {
        match self {
            Code::CutShort => "send the whole file again",
            Code::BadField | Code::BadChecksum | Code::Disagreement | Code::BadTable | Code::BadData => {
                "check it where it was made, and make it anew (qemu-img convert)"
            }
            Code::Unsupported => "convert it to raw or to a plain qcow2 first (qemu-img convert)",
            Code::NeedsAnotherFile => {
                "ask its maker for one whole file; making one (qemu-img convert) reads whatever files it names, so do that \
                 only where you trust it"
            }
            Code::Encrypted => "decrypt it first, or keep it as an image of the format luks",
            Code::MarkedCorrupt => "repair it first (qemu-img check -r all)",
            Code::OverBudget => "an operator can raise the limit",
        }
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of which format it was read as.
    pub format: Format,
    /// What is wrong.
    pub code: Code,
    /// Which field or structure is at fault, by the name that the format's specification has for it.
    pub field: &'static str,
    /// What it is, and what it should be.
    pub why: String,
}

impl Refusal {
    /// One of these.
    pub fn new(format: Format, code: Code, field: &'static str, why: impl Into<String>) -> Refusal {
        Refusal { format, code, field, why: why.into() }
    }
}

/// What to do with an archive that is not in order.
const EXPORT_AGAIN: &str = "export the machine anew, or take its disks out (tar -xf) and import each";

/// What to do with a VMDK of another kind.
const EXPORT_WHOLE: &str = "export the disk anew where it was made, as monolithicSparse or streamOptimized";

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { format, code, field, why } = self;
        let remedy = match (format, code) {
            (_, Code::CutShort | Code::OverBudget) => code.remedy(),
            // No tool for disks mends an archive.
            (Format::Ova, _) => EXPORT_AGAIN,
            // Converting it here would read the files that other kinds name.
            (Format::Vmdk, Code::Unsupported) => EXPORT_WHOLE,
            _ => code.remedy(),
        };
        write!(f, "{} {field}: {why} ({}); {remedy}", format.as_str(), code.as_str())
    }
}

impl std::error::Error for Refusal {}

/// Why reading a disk did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image is at fault.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its bytes could not be had.
    #[error("the image's bytes cannot be read: {0}")]
    Source(#[from] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_is_wrong_where_and_what_to_do() {
        let refusal =
            Refusal::new(Format::Qcow2, Code::NeedsAnotherFile, "backing_file_offset", "it is 1024");
        assert_eq!(
            refusal.to_string(),
            "qcow2 backing_file_offset: it is 1024 (needs-another-file); ask its maker for one whole file; making one \
             (qemu-img convert) reads whatever files it names, so do that only where you trust it"
        );
        let kind = Refusal::new(Format::Vmdk, Code::Unsupported, "createType", "it is vmfs");
        assert!(kind.to_string().ends_with(
            "(unsupported); export the disk anew where it was made, as monolithicSparse or streamOptimized"
        ));
    }

    #[test]
    fn codes_are_words_that_differ() {
        let words: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
    }
}
