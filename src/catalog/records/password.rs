//! The record of what is known of a password beside its hash.

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::Record;
use crate::model::identity::PasswordHash;
use crate::model::password::PasswordLife;

/// A password's life. No `Debug`: it holds hashes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordLifeRecord {
    changed_at: i64,
    must_change: bool,
    before: Vec<String>,
}

impl Record for PasswordLifeRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "password life";
}

impl From<&PasswordLife> for PasswordLifeRecord {
    fn from(life: &PasswordLife) -> PasswordLifeRecord {
        PasswordLifeRecord {
            changed_at: life.changed_at.0,
            must_change: life.must_change,
            before: life.before.iter().map(|hash| hash.0.clone()).collect(),
        }
    }
}

impl From<PasswordLifeRecord> for PasswordLife {
    fn from(record: PasswordLifeRecord) -> PasswordLife {
        PasswordLife {
            changed_at: Time(record.changed_at),
            must_change: record.must_change,
            before: record.before.into_iter().map(PasswordHash).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_form_is_golden() {
        let life =
            PasswordLife { changed_at: Time(1), must_change: true, before: vec![PasswordHash("h".into())] };
        let bytes = encode(&PasswordLifeRecord::from(&life));
        let one = "0100000000000000";
        assert_eq!(hex::encode(&bytes), format!("01{one}01{one}{one}68"));
        assert_eq!(PasswordLife::from(decode::<PasswordLifeRecord>(&bytes).unwrap()), life);
    }
}
