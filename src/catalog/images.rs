//! x
use std::collections::BTreeMap;

use super::error::Error;
use crate::base::Time;
use crate::db::{ReadTxn, Rows, WriteTxn};
use crate::model::image::MemberStatus;
use crate::model::{Image, ImageId, ProjectId, Status, Visibility};

/// The image with this id.
pub fn get(_rows: &impl Rows, _id: &ImageId) -> Result<Option<Image>, Error> {
    unimplemented!()
}
/// Whether the id belongs or ever belonged to an image (ids are never reused).
pub fn is_used(_rows: &impl Rows, _id: &ImageId) -> Result<bool, Error> {
    unimplemented!()
}
/// Adds an image; [`Error::Exists`] when the id was ever used.
pub fn insert(_txn: &WriteTxn, _image: &Image) -> Result<(), Error> {
    unimplemented!()
}
/// Replaces the image's record and its index rows.
pub fn update(_txn: &WriteTxn, _image: &Image) -> Result<(), Error> {
    unimplemented!()
}
/// Removes the image, its members and index rows; keeps the id as used. Gives back what it was.
pub fn delete(_txn: &WriteTxn, _id: &ImageId) -> Result<Option<Image>, Error> {
    unimplemented!()
}
/// The image as its record: what is kept beside its content, so that one can be told from the other.
pub fn encode(_image: &Image) -> Vec<u8> {
    unimplemented!()
}
/// How many images there are.
pub fn count(_rows: &impl Rows) -> Result<u64, Error> {
    unimplemented!()
}
/// Visits every image, in id order.
pub fn for_each(_rows: &impl Rows, _visit: &mut dyn FnMut(Image)) -> Result<(), Error> {
    unimplemented!()
}

/// Whose eyes a listing is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// Every image of every project.
    Admin {
        /// The administrator's project: its own community images are listed without asking.
        project: Option<ProjectId>,
    },
    /// What a project may list.
    Project {
        /// The project.
        project: ProjectId,
        /// Shares in this state count; `None` counts every state.
        member_status: Option<MemberStatus>,
    },
}

/// Sort keys of a listing.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortKey {
    Name,
    Status,
    ContainerFormat,
    DiskFormat,
    Size,
    Id,
    CreatedAt,
    UpdatedAt,
}

/// A listing's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// A comparison of times.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

/// What a listing leaves out. Empty fields leave nothing out; several must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    /// Any of these ids.
    pub ids: Option<Vec<String>>,
    /// Any of these names.
    pub names: Option<Vec<String>>,
    /// Any of these states (Image API words; unknown words match nothing).
    pub statuses: Option<Vec<String>>,
    /// Any of these container formats.
    pub container_formats: Option<Vec<String>>,
    /// Any of these disk formats.
    pub disk_formats: Option<Vec<String>>,
    /// `None`: the default listing (other owners' community images left out).
    /// `Some(None)`: `all`. `Some(Some(v))`: only `v`.
    pub visibility: Option<Option<Visibility>>,
    /// Exactly this owner.
    pub owner: Option<String>,
    /// Hidden images, or the others.
    pub hidden: bool,
    /// Protected images, or the others.
    pub protected: Option<bool>,
    /// Every one of these tags.
    pub tags: Vec<String>,
    /// Exactly these custom properties.
    pub properties: BTreeMap<String, String>,
    /// Exactly this MD5, in hex.
    pub checksum: Option<String>,
    /// Exactly this SHA-512, in hex.
    pub hash_value: Option<String>,
    /// Exactly this hash algorithm.
    pub hash_algo: Option<String>,
    /// Numeric columns (`size`, `min_ram`, `min_disk`, `virtual_size`): inclusive bounds. Unset values never match.
    pub size: NumberBounds,
    /// See `size`; in MiB.
    pub min_ram: NumberBounds,
    /// See `size`; in GiB.
    pub min_disk: NumberBounds,
    /// See `size`.
    pub virtual_size: NumberBounds,
    /// Bounds on the creation time (compared in whole seconds).
    pub created_at: Vec<(Comparison, Time)>,
    /// Bounds on the update time (compared in whole seconds).
    pub updated_at: Vec<(Comparison, Time)>,
}

/// Inclusive bounds on a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NumberBounds {
    /// At least.
    pub min: Option<u64>,
    /// At most.
    pub max: Option<u64>,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// For whom.
    pub viewer: Viewer,
    /// What to leave out.
    pub filters: Filters,
    /// The order; ties are broken by creation time, then id, as the Image API says.
    pub sort: Vec<(SortKey, Direction)>,
    /// The last image of the page before.
    pub after: Option<ImageId>,
    /// Rows at most.
    pub limit: usize,
}

/// The page. `after` must exist; the caller has checked.
pub fn list(_read: &ReadTxn, _query: &ListQuery) -> Result<Vec<Image>, Error> {
    unimplemented!()
}

#[allow(dead_code)]
fn unused(_: Status) {}
