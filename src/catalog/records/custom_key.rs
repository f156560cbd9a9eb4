//! A custom key's record. Its material is nowhere here: it is in the key ring.

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::Record;
use crate::model::ProjectId;
use crate::model::custom_key::{CustomKey, KeyId, KeyState};

/// A custom key without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomKeyRecord {
    project: String,
    alias: String,
    description: Option<String>,
    state: State,
    created_at: i64,
    grants: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Enabled,
    Disabled,
    PendingDeletion(i64),
    Deleted(i64),
}

impl Record for CustomKeyRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "custom key";
}

impl CustomKeyRecord {
    pub fn of(key: &CustomKey) -> CustomKeyRecord {
        CustomKeyRecord {
            project: key.project.0.clone(),
            alias: key.alias.clone(),
            description: key.description.clone(),
            state: match key.state {
                KeyState::Enabled => State::Enabled,
                KeyState::Disabled => State::Disabled,
                KeyState::PendingDeletion(due) => State::PendingDeletion(due.0),
                KeyState::Deleted(at) => State::Deleted(at.0),
            },
            created_at: key.created_at.0,
            grants: key.grants.iter().map(|project| project.0.clone()).collect(),
        }
    }

    pub fn into_key(self, id: KeyId) -> CustomKey {
        CustomKey {
            id,
            project: ProjectId(self.project),
            alias: self.alias,
            description: self.description,
            state: match self.state {
                State::Enabled => KeyState::Enabled,
                State::Disabled => KeyState::Disabled,
                State::PendingDeletion(due) => KeyState::PendingDeletion(Time(due)),
                State::Deleted(at) => KeyState::Deleted(Time(at)),
            },
            created_at: Time(self.created_at),
            grants: self.grants.into_iter().map(ProjectId).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_form_is_golden() {
        let key = CustomKey {
            id: KeyId(uuid::Uuid::nil()),
            project: "p".into(),
            alias: "a".into(),
            description: Some("d".into()),
            state: KeyState::PendingDeletion(Time(-1)),
            created_at: Time(1),
            grants: ["g".into()].into(),
        };
        let bytes = encode(&CustomKeyRecord::of(&key));
        let one = "0100000000000000";
        assert_eq!(
            hex::encode(&bytes),
            format!("01{one}70{one}6101{one}6402000000ffffffffffffffff{one}{one}{one}67")
        );
        assert_eq!(decode::<CustomKeyRecord>(&bytes).unwrap().into_key(key.id), key);
        for state in [KeyState::Enabled, KeyState::Disabled, KeyState::Deleted(Time(7))] {
            let key = CustomKey { state, ..key.clone() };
            assert_eq!(CustomKeyRecord::of(&key).into_key(key.id), key);
        }
    }
}
