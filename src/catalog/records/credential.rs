//! A credential's record. What it says is sealed in it.

use serde::{Deserialize, Serialize};

use crate::db::codec::Record;
use crate::model::access_key::RootName;
use crate::model::credential::{Credential, SealedBlob};
use crate::model::{ProjectId, UserId};

/// A credential without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRecord {
    user: String,
    project: Option<String>,
    kind: String,
    root: RootName,
    salt: [u8; 32],
    sealed: Vec<u8>,
}

impl Record for CredentialRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "credential";
}

impl CredentialRecord {
    pub fn of(credential: &Credential) -> CredentialRecord {
        CredentialRecord {
            user: credential.user.0.clone(),
            project: credential.project.as_ref().map(|project| project.0.clone()),
            kind: credential.kind.clone(),
            root: credential.blob.root,
            salt: credential.blob.salt,
            sealed: credential.blob.bytes.clone(),
        }
    }

    pub fn into_credential(self, id: String) -> Credential {
        Credential {
            id,
            user: UserId(self.user),
            project: self.project.map(ProjectId),
            kind: self.kind,
            blob: SealedBlob { root: self.root, salt: self.salt, bytes: self.sealed },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_form_is_golden() {
        let credential = Credential {
            id: "i".into(),
            user: "u".into(),
            project: Some("p".into()),
            kind: "k".into(),
            blob: SealedBlob { root: [1; 8], salt: [2; 32], bytes: vec![3] },
        };
        let bytes = encode(&CredentialRecord::of(&credential));
        let one = "0100000000000000";
        let (root, salt) = ("01".repeat(8), "02".repeat(32));
        assert_eq!(hex::encode(&bytes), format!("01{one}7501{one}70{one}6b{root}{salt}{one}03"));
        assert_eq!(decode::<CredentialRecord>(&bytes).unwrap().into_credential("i".into()), credential);
    }
}
