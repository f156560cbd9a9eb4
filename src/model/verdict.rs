//! What was found out about an image's data when it arrived. It is never found out again: whoever reads the data later relies
//! on it.

/// What an image's data is, and what is worth knowing of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// What the data is by its bytes: a container of a disk, a table of partitions or a file system that it begins with, or
    /// `raw` for bytes that nothing is known of.
    pub format: String,
    /// The version of what looked at it.
    pub reader: u16,
    /// What is worth knowing, in the order in which it was found.
    pub findings: Vec<Finding>,
}

/// One thing that is worth knowing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Finding {
    /// What, in a word that never changes its meaning.
    pub code: String,
    /// Which field or structure says so, by the name that the format's specification has for it.
    pub field: String,
    /// How much, or which.
    pub value: Option<String>,
}

impl Finding {
    /// On one line: `internal-snapshots=3`.
    pub fn in_short(&self) -> String {
        match &self.value {
            Some(value) => format!("{}={value}", self.code),
            None => self.code.clone(),
        }
    }
}
