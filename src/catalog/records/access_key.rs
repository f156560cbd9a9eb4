//! An access key's record. Its secret is nowhere: it follows from a root and the row's key.

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::Record;
use crate::model::access_key::RootName;
use crate::model::{AccessId, AccessKey, ProjectId, UserId};

/// An access key without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRecord {
    user: String,
    project: String,
    enabled: bool,
    description: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_day: Option<i64>,
    root: RootName,
}

impl Record for AccessKeyRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "access key";
}

impl AccessKeyRecord {
    pub fn of(key: &AccessKey) -> AccessKeyRecord {
        AccessKeyRecord {
            user: key.user.0.clone(),
            project: key.project.0.clone(),
            enabled: key.enabled,
            description: key.description.clone(),
            created_at: key.created_at.0,
            expires_at: key.expires_at.map(|time| time.0),
            last_used_day: key.last_used_day,
            root: key.root,
        }
    }

    pub fn into_key(self, access: AccessId) -> AccessKey {
        AccessKey {
            access,
            user: UserId(self.user),
            project: ProjectId(self.project),
            enabled: self.enabled,
            description: self.description,
            created_at: Time(self.created_at),
            expires_at: self.expires_at.map(Time),
            last_used_day: self.last_used_day,
            root: self.root,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_form_is_golden() {
        let key = AccessKey {
            access: AccessId("A".into()),
            user: "u".into(),
            project: "p".into(),
            enabled: true,
            description: Some("d".into()),
            created_at: Time(1),
            expires_at: Some(Time(-1)),
            last_used_day: Some(2),
            root: [7; 8],
        };
        let bytes = encode(&AccessKeyRecord::of(&key));
        let one = "0100000000000000";
        assert_eq!(
            hex::encode(&bytes),
            format!("01{one}75{one}700101{one}64{one}01ffffffffffffffff010200000000000000{}", "07".repeat(8))
        );
        assert_eq!(decode::<AccessKeyRecord>(&bytes).unwrap().into_key(AccessId("A".into())), key);
    }
}
