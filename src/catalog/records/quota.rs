//! Records of limits, of what is used, and of what is reserved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::db::codec::{Record, Unreadable};
use crate::model::ProjectId;
use crate::model::quota::{Limit, LimitOf, ProjectLimit, RegisteredLimit, Resource, Usage};

/// A limit of all projects, without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredLimitRecord {
    resource: u8,
    regional: bool,
    limit: i64,
    description: Option<String>,
}

impl Record for RegisteredLimitRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "registered limit";
}

impl RegisteredLimitRecord {
    pub fn of(limit: &RegisteredLimit) -> RegisteredLimitRecord {
        RegisteredLimitRecord {
            resource: resource_code(limit.of.resource),
            regional: limit.of.regional,
            limit: limit.limit.number(),
            description: limit.description.clone(),
        }
    }

    /// # Errors
    /// [`Unreadable`] when the resource or the number is none this release knows.
    pub fn into_limit(self, id: &str) -> Result<RegisteredLimit, Unreadable> {
        Ok(RegisteredLimit {
            id: id.to_owned(),
            of: of::<Self>(self.resource, self.regional)?,
            limit: limit::<Self>(self.limit)?,
            description: self.description,
        })
    }
}

/// A limit of one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectLimitRecord {
    project: String,
    resource: u8,
    regional: bool,
    limit: i64,
    description: Option<String>,
}

impl Record for ProjectLimitRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "limit";
}

impl ProjectLimitRecord {
    pub fn of(limit: &ProjectLimit) -> ProjectLimitRecord {
        ProjectLimitRecord {
            project: limit.project.0.clone(),
            resource: resource_code(limit.of.resource),
            regional: limit.of.regional,
            limit: limit.limit.number(),
            description: limit.description.clone(),
        }
    }

    /// # Errors
    /// As [`RegisteredLimitRecord::into_limit`].
    pub fn into_limit(self) -> Result<ProjectLimit, Unreadable> {
        Ok(ProjectLimit {
            project: ProjectId(self.project),
            of: of::<Self>(self.resource, self.regional)?,
            limit: limit::<Self>(self.limit)?,
            description: self.description,
        })
    }
}

/// What a project uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    images: u64,
    killed: u64,
    uploading: u64,
    image_bytes: u64,
    deleted_images: u64,
    deleted_image_bytes: u64,
    reserved_bytes: u64,
}

impl Record for UsageRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "usage";
}

impl From<Usage> for UsageRecord {
    fn from(usage: Usage) -> UsageRecord {
        UsageRecord {
            images: usage.images,
            killed: usage.killed,
            uploading: usage.uploading,
            image_bytes: usage.image_bytes,
            deleted_images: usage.deleted_images,
            deleted_image_bytes: usage.deleted_image_bytes,
            reserved_bytes: usage.reserved_bytes,
        }
    }
}

impl From<UsageRecord> for Usage {
    fn from(record: UsageRecord) -> Usage {
        Usage {
            images: record.images,
            killed: record.killed,
            uploading: record.uploading,
            image_bytes: record.image_bytes,
            deleted_images: record.deleted_images,
            deleted_image_bytes: record.deleted_image_bytes,
            reserved_bytes: record.reserved_bytes,
        }
    }
}

/// What is reserved for an image's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationRecord {
    pub bytes: u64,
}

impl Record for ReservationRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "reservation";
}

/// What the Keystone of a cloud told of limits, of a project or of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldLimitsRecord {
    limits: Vec<(u8, i64)>,
}

impl Record for ToldLimitsRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "told limits";
}

impl ToldLimitsRecord {
    pub fn of(limits: &BTreeMap<Resource, Limit>) -> ToldLimitsRecord {
        let code = |(resource, limit): (&Resource, &Limit)| (resource_code(*resource), limit.number());
        ToldLimitsRecord { limits: limits.iter().map(code).collect() }
    }

    /// # Errors
    /// [`Unreadable`] when a resource or a number is none this release knows.
    pub fn into_limits(self) -> Result<BTreeMap<Resource, Limit>, Unreadable> {
        let read = |(code, number)| Ok((of::<Self>(code, false)?.resource, limit::<Self>(number)?));
        self.limits.into_iter().map(read).collect()
    }
}

fn resource_code(resource: Resource) -> u8 {
    match resource {
        Resource::ImageCountTotal => 0,
        Resource::ImageSizeTotal => 1,
        Resource::ImageStageTotal => 2,
        Resource::ImageCountUploading => 3,
    }
}

fn of<R: Record>(code: u8, regional: bool) -> Result<LimitOf, Unreadable> {
    let resource = Resource::ALL.into_iter().find(|resource| resource_code(*resource) == code);
    let unknown = || Unreadable { name: R::NAME, reason: format!("resource {code} is unknown") };
    Ok(LimitOf { resource: resource.ok_or_else(unknown)?, regional })
}

fn limit<R: Record>(number: i64) -> Result<Limit, Unreadable> {
    let wrong = || Unreadable { name: R::NAME, reason: format!("{number} is no limit") };
    Limit::of_number(number).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn what_was_told_is_golden() {
        let limits: BTreeMap<Resource, Limit> =
            [(Resource::ImageSizeTotal, Limit::AtMost(5)), (Resource::ImageCountTotal, Limit::Unlimited)]
                .into();
        let bytes = encode(&ToldLimitsRecord::of(&limits));
        let form = ["01", "0200000000000000", "00", "ffffffffffffffff", "01", "0500000000000000"];
        assert_eq!(hex::encode(&bytes), form.concat());
        assert_eq!(decode::<ToldLimitsRecord>(&bytes).unwrap().into_limits().unwrap(), limits);
        assert!(ToldLimitsRecord { limits: vec![(9, 1)] }.into_limits().is_err());
    }

    #[test]
    fn the_forms_are_golden() {
        let of = LimitOf { resource: Resource::ImageStageTotal, regional: true };
        let registered =
            RegisteredLimit { id: "i".into(), of, limit: Limit::Unlimited, description: Some("d".into()) };
        let bytes = encode(&RegisteredLimitRecord::of(&registered));
        assert_eq!(hex::encode(&bytes), "010201ffffffffffffffff01010000000000000064");
        assert_eq!(decode::<RegisteredLimitRecord>(&bytes).unwrap().into_limit("i").unwrap(), registered);

        let of = LimitOf { resource: Resource::ImageSizeTotal, regional: false };
        let own = ProjectLimit { project: "p".into(), of, limit: Limit::AtMost(7), description: None };
        let bytes = encode(&ProjectLimitRecord::of(&own));
        assert_eq!(hex::encode(&bytes), "010100000000000000700100070000000000000000");
        assert_eq!(decode::<ProjectLimitRecord>(&bytes).unwrap().into_limit().unwrap(), own);

        let usage = Usage {
            images: 1,
            killed: 2,
            uploading: 3,
            image_bytes: 4,
            deleted_images: 5,
            deleted_image_bytes: 6,
            reserved_bytes: 7,
        };
        let bytes = encode(&UsageRecord::from(usage));
        let numbers = (1..=7).map(|n| format!("0{n}00000000000000")).collect::<String>();
        assert_eq!(hex::encode(&bytes), format!("01{numbers}"));
        assert_eq!(Usage::from(decode::<UsageRecord>(&bytes).unwrap()), usage);
        assert_eq!(hex::encode(encode(&ReservationRecord { bytes: 9 })), "010900000000000000");
    }

    #[test]
    fn unknown_resources_and_numbers_are_refused() {
        let record =
            |resource, limit| RegisteredLimitRecord { resource, regional: false, limit, description: None };
        for (record, said) in [(record(9, 1), "resource 9 is unknown"), (record(0, -2), "-2 is no limit")] {
            assert!(record.into_limit("i").unwrap_err().to_string().contains(said));
        }
        for (code, resource) in Resource::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(resource_code(resource)), code);
        }
    }
}
