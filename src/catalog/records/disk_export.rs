//! The record of a disk that is open to whoever has its name. The name's hash is the row's key.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::Time;
use crate::db::codec::Record;
use crate::model::{DiskExport, ExportHash, ImageId, Opener, ProjectId, UserId};

/// An export without its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskExportRecord {
    image: [u8; 16],
    user: Option<String>,
    project: String,
    opened_at: i64,
    expires_at: i64,
    is_writable: bool,
    capture: Option<String>,
}

impl Record for DiskExportRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "disk export";
}

impl DiskExportRecord {
    pub fn of(export: &DiskExport) -> DiskExportRecord {
        DiskExportRecord {
            image: *export.image.bytes(),
            user: export.opener.user.as_ref().map(|user| user.0.clone()),
            project: export.opener.project.0.clone(),
            opened_at: export.opened_at.0,
            expires_at: export.expires_at.0,
            is_writable: export.is_writable,
            capture: export.capture.clone(),
        }
    }

    pub fn into_export(self, hash: ExportHash) -> DiskExport {
        DiskExport {
            hash,
            image: ImageId(Uuid::from_bytes(self.image)),
            opener: Opener { user: self.user.map(UserId), project: ProjectId(self.project) },
            opened_at: Time(self.opened_at),
            expires_at: Time(self.expires_at),
            is_writable: self.is_writable,
            capture: self.capture,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_form_is_golden() {
        let export = DiskExport {
            hash: [9; 32],
            image: ImageId(Uuid::from_bytes([7; 16])),
            opener: Opener { user: Some("u".into()), project: "p".into() },
            opened_at: Time(1),
            expires_at: Time(-1),
            is_writable: true,
            capture: Some("c".into()),
        };
        let bytes = encode(&DiskExportRecord::of(&export));
        let one = "0100000000000000";
        let image = "07".repeat(16);
        let times = format!("{one}ffffffffffffffff");
        assert_eq!(hex::encode(&bytes), format!("01{image}01{one}75{one}70{times}0101{one}63"));
        let read = decode::<DiskExportRecord>(&bytes).unwrap().into_export([9; 32]);
        assert_eq!((read.id(), read), ("09".repeat(8), export));
    }
}
