//! Records of groups and policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::Record;
use crate::model::identity::Group;
use crate::model::policy::Policy;
use crate::model::{DomainId, GroupId, PolicyId};

/// A group without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    domain: String,
    name: String,
    description: Option<String>,
    extra: BTreeMap<String, String>,
}

impl Record for GroupRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "group";
}

impl GroupRecord {
    pub fn of(group: &Group) -> GroupRecord {
        GroupRecord {
            domain: group.domain.0.clone(),
            name: group.name.clone(),
            description: group.description.clone(),
            extra: group.extra.clone(),
        }
    }

    pub fn into_group(self, id: GroupId) -> Group {
        Group {
            id,
            domain: DomainId(self.domain),
            name: self.name,
            description: self.description,
            extra: self.extra,
        }
    }
}

/// A policy without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    name: String,
    description: Option<String>,
    document: String,
    revision: u64,
    created_at: i64,
    updated_at: i64,
}

impl Record for PolicyRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "policy";
}

impl PolicyRecord {
    pub fn of(policy: &Policy) -> PolicyRecord {
        PolicyRecord {
            name: policy.name.clone(),
            description: policy.description.clone(),
            document: policy.document.clone(),
            revision: policy.revision,
            created_at: policy.created_at.0,
            updated_at: policy.updated_at.0,
        }
    }

    pub fn into_policy(self, id: PolicyId) -> Policy {
        Policy {
            id,
            name: self.name,
            description: self.description,
            document: self.document,
            revision: self.revision,
            created_at: Time(self.created_at),
            updated_at: Time(self.updated_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    const ONE: &str = "0100000000000000";

    #[test]
    fn the_group_form_is_golden() {
        let group = Group {
            id: "g".into(),
            domain: "d".into(),
            name: "n".into(),
            description: Some("x".into()),
            extra: [("k".to_owned(), "1".to_owned())].into(),
        };
        let bytes = encode(&GroupRecord::of(&group));
        assert_eq!(hex::encode(&bytes), format!("01{ONE}64{ONE}6e01{ONE}78{ONE}{ONE}6b{ONE}31"));
        assert_eq!(decode::<GroupRecord>(&bytes).unwrap().into_group("g".into()), group);
    }

    #[test]
    fn the_policy_form_is_golden() {
        let policy = Policy {
            id: "p".into(),
            name: "n".into(),
            description: None,
            document: "{}".into(),
            revision: 2,
            created_at: Time(1),
            updated_at: Time(-1),
        };
        let bytes = encode(&PolicyRecord::of(&policy));
        let (two, minus) = ("0200000000000000", "ff".repeat(8));
        assert_eq!(hex::encode(&bytes), format!("01{ONE}6e00{two}7b7d{two}{ONE}{minus}"));
        assert_eq!(decode::<PolicyRecord>(&bytes).unwrap().into_policy("p".into()), policy);
    }
}
