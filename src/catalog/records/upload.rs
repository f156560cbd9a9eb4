//! Records of uploads in parts.

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::Record;
use crate::model::upload::{Checkpoint, PartialUpload};
use crate::model::{ContentId, ImageId, ProjectId};

/// An upload in parts; the image is the row's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    token: [u8; 16],
    owner: Option<String>,
    declared_bytes: Option<u64>,
    received_bytes: u64,
    blake3: [u8; 32],
    checkpoint: Option<([u8; 16], Vec<u8>)>,
    complete: bool,
    created_at: i64,
    expires_at: i64,
}

impl Record for UploadRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "upload";
}

impl UploadRecord {
    pub fn of(upload: &PartialUpload) -> UploadRecord {
        UploadRecord {
            token: upload.token,
            owner: upload.owner.as_ref().map(|owner| owner.0.clone()),
            declared_bytes: upload.declared_bytes,
            received_bytes: upload.received_bytes,
            blake3: upload.blake3,
            checkpoint: upload.checkpoint.as_ref().map(|kept| (kept.content.0, kept.progress.clone())),
            complete: upload.complete,
            created_at: upload.created_at.0,
            expires_at: upload.expires_at.0,
        }
    }

    pub fn into_upload(self, image: ImageId) -> PartialUpload {
        let checkpoint =
            self.checkpoint.map(|(content, progress)| Checkpoint { content: ContentId(content), progress });
        PartialUpload {
            image,
            token: self.token,
            owner: self.owner.map(ProjectId),
            declared_bytes: self.declared_bytes,
            received_bytes: self.received_bytes,
            blake3: self.blake3,
            checkpoint,
            complete: self.complete,
            created_at: Time(self.created_at),
            expires_at: Time(self.expires_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_upload_form_is_golden() {
        let image = ImageId(uuid::Uuid::from_bytes([7; 16]));
        let upload = PartialUpload {
            image,
            token: [1; 16],
            owner: Some("o".into()),
            declared_bytes: Some(2),
            received_bytes: 3,
            blake3: [4; 32],
            checkpoint: Some(Checkpoint { content: ContentId([5; 16]), progress: vec![6] }),
            complete: false,
            created_at: Time(8),
            expires_at: Time(9),
        };
        let bytes = encode(&UploadRecord::of(&upload));
        let golden = [
            "01",
            &"01".repeat(16),
            "0101000000000000006f",
            "010200000000000000",
            "0300000000000000",
            &"04".repeat(32),
            "01",
            &"05".repeat(16),
            "010000000000000006",
            "00",
            "0800000000000000",
            "0900000000000000",
        ];
        assert_eq!(hex::encode(&bytes), golden.concat());
        assert_eq!(decode::<UploadRecord>(&bytes).unwrap().into_upload(image), upload);
    }
}
