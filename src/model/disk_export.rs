//! Disks that are open, block by block, to whoever has a name for them. The name itself is nowhere: its hash is.

use crate::base::Time;
use crate::model::{ImageId, ProjectId, UserId};

/// The BLAKE3 hash of an export's name.
pub type ExportHash = [u8; 32];

/// Bytes of the hash that people call an export by.
const ID_BYTES: usize = 8;

/// An image's disk under a secret name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskExport {
    /// The name's hash.
    pub hash: ExportHash,
    /// The image.
    pub image: ImageId,
    /// Whose rights it has.
    pub opener: Opener,
    /// When it was opened.
    pub opened_at: Time,
    /// From when on nobody connects to it any more.
    pub expires_at: Time,
    /// Whether each connection may write to a copy of its own.
    pub is_writable: bool,
    /// The name of the image that is made of what a connection wrote; without one that is thrown away.
    pub capture: Option<String>,
}

/// Who opened an export.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opener {
    /// The user; `None` is the local administrator.
    pub user: Option<UserId>,
    /// Where.
    pub project: ProjectId,
}

impl DiskExport {
    /// What people call it by. It follows from the hash, and leads to no name.
    pub fn id(&self) -> String {
        export_id(&self.hash)
    }
}

/// What people call the export by whose name has this hash.
pub fn export_id(hash: &ExportHash) -> String {
    hash.iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text looks like what people call an export by. No name of one does: those are longer.
pub fn is_export_id(text: &str) -> bool {
    text.len() == 2 * ID_BYTES && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_told_from_a_name() {
        assert!(is_export_id(&export_id(&[0xa5; 32])));
        for other in ["", "00ff", "00FF00FF00FF00FF", "00ff00ff00ff00f-", "fPSM4oLksZYHsjRGsggyjcmnwc68HAAZ"]
        {
            assert!(!is_export_id(other), "{other}");
        }
    }
}
