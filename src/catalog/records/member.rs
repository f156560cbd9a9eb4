//! Records of members: projects that an image is shared with.

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::{Record, Unreadable};
use crate::model::image::{Member, MemberStatus};
use crate::model::{ImageId, ProjectId};

/// A member without its image and project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    status: u8,
    created_at: i64,
    updated_at: i64,
}

impl Record for MemberRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "member";
}

impl MemberRecord {
    pub fn of(member: &Member) -> MemberRecord {
        MemberRecord {
            status: status_code(member.status),
            created_at: member.created_at.0,
            updated_at: member.updated_at.0,
        }
    }

    /// # Errors
    /// [`Unreadable`] when the status is none this release knows.
    pub fn into_member(self, image: ImageId, project: ProjectId) -> Result<Member, Unreadable> {
        let status = [MemberStatus::Pending, MemberStatus::Accepted, MemberStatus::Rejected]
            .into_iter()
            .find(|status| status_code(*status) == self.status)
            .ok_or_else(|| Unreadable {
                name: MemberRecord::NAME,
                reason: format!("status {} is unknown", self.status),
            })?;
        Ok(Member {
            image,
            project,
            status,
            created_at: Time(self.created_at),
            updated_at: Time(self.updated_at),
        })
    }
}

/// The number that stands for a status, in records and in index keys.
pub fn status_code(status: MemberStatus) -> u8 {
    match status {
        MemberStatus::Pending => 0,
        MemberStatus::Accepted => 1,
        MemberStatus::Rejected => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_member_form_is_golden() {
        let member = Member {
            image: ImageId(uuid::Uuid::from_bytes([7; 16])),
            project: "p".into(),
            status: MemberStatus::Accepted,
            created_at: Time(1),
            updated_at: Time(-1),
        };
        let bytes = encode(&MemberRecord::of(&member));
        assert_eq!(hex::encode(&bytes), "01010100000000000000ffffffffffffffff");
        let record = decode::<MemberRecord>(&bytes).unwrap();
        assert_eq!(record.into_member(member.image, member.project.clone()).unwrap(), member);
    }

    #[test]
    fn an_unknown_status_is_refused() {
        let record = MemberRecord { status: 3, created_at: 0, updated_at: 0 };
        assert!(record.into_member(ImageId(uuid::Uuid::nil()), "p".into()).is_err());
    }
}
