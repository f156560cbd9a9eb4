//! What a project may have: four resources, limits of them, and what is used.
//!
//! The resources are those of the Image API's unified limits, by their names there. Invariant: what an image takes
//! follows from its record and from what is reserved for it. Must not know where any of this is kept.

use std::ops::AddAssign;

use super::ids::ProjectId;
use super::image::{Image, Status};

const MIB: u64 = 1 << 20;

/// Something of which a project may have only so much.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Resource {
    /// Images that are not killed.
    ImageCountTotal,
    /// Bytes of images, deleted ones that are retained included, and of data on its way.
    ImageSizeTotal,
    /// Bytes of data on its way.
    ImageStageTotal,
    /// Images whose data is on its way.
    ImageCountUploading,
}

impl Resource {
    /// All of them.
    pub const ALL: [Resource; 4] = [
        Resource::ImageCountTotal,
        Resource::ImageSizeTotal,
        Resource::ImageStageTotal,
        Resource::ImageCountUploading,
    ];

    /// The Image API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Resource::ImageCountTotal => "image_count_total",
            Resource::ImageSizeTotal => "image_size_total",
            Resource::ImageStageTotal => "image_stage_total",
            Resource::ImageCountUploading => "image_count_uploading",
        }
    }

    /// Reads the Image API's word.
    pub fn parse(text: &str) -> Option<Resource> {
        Resource::ALL.into_iter().find(|resource| resource.as_str() == text)
    }

    /// Bytes or images that one of a limit stands for.
    pub fn unit(self) -> u64 {
        if self.is_of_bytes() { MIB } else { 1 }
    }

    /// Whether limits of it are in MiB.
    pub fn is_of_bytes(self) -> bool {
        matches!(self, Resource::ImageSizeTotal | Resource::ImageStageTotal)
    }
}

/// How much of a resource there may be, in its unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Limit {
    /// As much as fits.
    #[default]
    Unlimited,
    /// No more than this.
    AtMost(u32),
}

impl Limit {
    /// The largest limit; the Identity API takes no larger one.
    pub const MAX: u32 = i32::MAX as u32;

    /// Reads the form of the protocols, in which -1 is unlimited.
    pub fn of_number(number: i64) -> Option<Limit> {
        match number {
            -1 => Some(Limit::Unlimited),
            number => u32::try_from(number).ok().filter(|most| *most <= Limit::MAX).map(Limit::AtMost),
        }
    }

    /// The form of the protocols.
    pub fn number(self) -> i64 {
        match self {
            Limit::Unlimited => -1,
            Limit::AtMost(most) => most.into(),
        }
    }

    /// How many bytes or images that are; `None` without a bound.
    pub fn amount(self, resource: Resource) -> Option<u64> {
        match self {
            Limit::Unlimited => None,
            Limit::AtMost(most) => Some(u64::from(most) * resource.unit()),
        }
    }
}

/// What a limit is of. `regional`: said of the box's region, and not of none in particular.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LimitOf {
    /// The resource.
    pub resource: Resource,
    /// Whether it names the region.
    pub regional: bool,
}

impl LimitOf {
    /// Everything that can be limited; what names the region goes before what does not.
    pub fn all() -> impl Iterator<Item = LimitOf> {
        Resource::ALL
            .into_iter()
            .flat_map(|resource| [true, false].map(|regional| LimitOf { resource, regional }))
    }
}

/// A limit of all projects that have none of their own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisteredLimit {
    /// Its id: 32 hex digits.
    pub id: String,
    /// What it is of; there is one of each at most.
    pub of: LimitOf,
    /// How much.
    pub limit: Limit,
    /// What it is for.
    pub description: Option<String>,
}

/// A limit of one project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProjectLimit {
    /// Whose it is.
    pub project: ProjectId,
    /// What it is of; a project has one of each at most.
    pub of: LimitOf,
    /// How much.
    pub limit: Limit,
    /// What it is for.
    pub description: Option<String>,
}

impl ProjectLimit {
    /// Its id, which follows from the project and from what it is of: 32 hex digits.
    pub fn id(&self) -> String {
        ProjectLimit::id_of(&self.project, self.of)
    }

    /// The id that such a limit has.
    pub fn id_of(project: &ProjectId, of: LimitOf) -> String {
        let region = if of.regional { "region" } else { "" };
        // No word in front of the project has a line break.
        let name = format!("limit\n{}\n{region}\n{project}", of.resource.as_str());
        hex::encode(&blake3::hash(name.as_bytes()).as_bytes()[..16])
    }
}

/// What is used: by one image, or by all of a project.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Images that are not killed.
    pub images: u64,
    /// Images that are killed.
    pub killed: u64,
    /// Images whose data is on its way.
    pub uploading: u64,
    /// Bytes of images' data.
    pub image_bytes: u64,
    /// Deleted images that are retained.
    pub deleted_images: u64,
    /// Bytes of their data.
    pub deleted_image_bytes: u64,
    /// Bytes that are reserved for data on its way.
    pub reserved_bytes: u64,
}

impl Usage {
    /// What an image takes for which so many bytes are reserved.
    pub fn of_image(image: &Image, reserved_bytes: u64) -> Usage {
        let is_killed = image.status == Status::Killed;
        let is_filling = image.status.is_filling();
        Usage {
            images: (!is_killed).into(),
            killed: is_killed.into(),
            uploading: is_filling.into(),
            image_bytes: stored_bytes(image),
            reserved_bytes: if is_filling { reserved_bytes } else { 0 },
            ..Usage::default()
        }
    }

    /// What a deleted image takes that is retained: the space, until it is purged.
    pub fn of_retained(image: &Image) -> Usage {
        Usage { deleted_images: 1, deleted_image_bytes: stored_bytes(image), ..Usage::default() }
    }

    /// How much of a resource that is, in bytes or images.
    pub fn amount(&self, resource: Resource) -> u64 {
        match resource {
            Resource::ImageCountTotal => self.images,
            Resource::ImageSizeTotal => {
                self.image_bytes.saturating_add(self.deleted_image_bytes).saturating_add(self.reserved_bytes)
            }
            Resource::ImageStageTotal => self.reserved_bytes,
            Resource::ImageCountUploading => self.uploading,
        }
    }

    /// The same less `other`.
    #[must_use]
    pub fn less(self, other: Usage) -> Usage {
        Usage {
            images: self.images.saturating_sub(other.images),
            killed: self.killed.saturating_sub(other.killed),
            uploading: self.uploading.saturating_sub(other.uploading),
            image_bytes: self.image_bytes.saturating_sub(other.image_bytes),
            deleted_images: self.deleted_images.saturating_sub(other.deleted_images),
            deleted_image_bytes: self.deleted_image_bytes.saturating_sub(other.deleted_image_bytes),
            reserved_bytes: self.reserved_bytes.saturating_sub(other.reserved_bytes),
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.images = self.images.saturating_add(other.images);
        self.killed = self.killed.saturating_add(other.killed);
        self.uploading = self.uploading.saturating_add(other.uploading);
        self.image_bytes = self.image_bytes.saturating_add(other.image_bytes);
        self.deleted_images = self.deleted_images.saturating_add(other.deleted_images);
        self.deleted_image_bytes = self.deleted_image_bytes.saturating_add(other.deleted_image_bytes);
        self.reserved_bytes = self.reserved_bytes.saturating_add(other.reserved_bytes);
    }
}

fn stored_bytes(image: &Image) -> u64 {
    image.size_bytes.unwrap_or(0).saturating_mul(image.data().count() as u64)
}

/// More was asked for than a limit lets through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OverLimit {
    /// Whose limit it is.
    pub project: ProjectId,
    /// What is limited.
    pub resource: Resource,
    /// How much there may be, in bytes or images.
    pub most: u64,
    /// How much there is.
    pub used: u64,
    /// How much more was asked for.
    pub more: u64,
    /// How many of the used bytes are those of deleted images that are retained.
    pub deleted_bytes: u64,
}

impl std::fmt::Display for OverLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let OverLimit { project, resource, most, used, more, deleted_bytes } = self;
        let name = resource.as_str();
        write!(f, "project {project} is over its limit of {name}: ")?;
        if resource.is_of_bytes() {
            let limit = most / MIB;
            write!(
                f,
                "the limit is {limit} MiB ({most} bytes), {used} bytes are used, data on its way included, "
            )?;
            write!(f, "and {more} bytes more were asked for; ")?;
        } else {
            write!(f, "the limit is {most}, {used} are used, and {more} more were asked for; ")?;
        }
        if *deleted_bytes > 0 {
            write!(f, "{deleted_bytes} of them are those of deleted images that are retained, ")?;
            write!(f, "which make room only for data whose length is said, and only when they are enough; ")?;
        }
        write!(f, "delete some, or ask an administrator for more (tintype quota set)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_round_trip() {
        for resource in Resource::ALL {
            assert_eq!(Resource::parse(resource.as_str()), Some(resource));
        }
        assert_eq!(Resource::parse("image_count"), None);
        for number in [-1, 0, 7, i64::from(i32::MAX)] {
            assert_eq!(Limit::of_number(number).map(Limit::number), Some(number));
        }
        for wrong in [-2, i64::MIN, i64::from(i32::MAX) + 1, i64::MAX] {
            assert_eq!(Limit::of_number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn limits_of_bytes_are_in_mib() {
        assert_eq!(Limit::AtMost(3).amount(Resource::ImageSizeTotal), Some(3 << 20));
        assert_eq!(Limit::AtMost(3).amount(Resource::ImageCountTotal), Some(3));
        assert_eq!(Limit::Unlimited.amount(Resource::ImageCountTotal), None);
        assert!(Limit::AtMost(Limit::MAX).amount(Resource::ImageStageTotal).is_some());
    }

    #[test]
    fn ids_are_told_apart_and_stay_what_they_are() {
        let of_both = |of| ["p", "q"].map(|project| ProjectLimit::id_of(&project.into(), of));
        let mut ids: Vec<String> = LimitOf::all().flat_map(of_both).collect();
        assert_eq!(ids[0], "96721d44b63213bd6fa04f35371ccb40");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 8 * 2);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
