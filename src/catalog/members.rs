//! x
use super::error::Error;
use crate::db::{Rows, WriteTxn};
use crate::model::image::Member;
use crate::model::{ImageId, ProjectId};

/// A project's share in an image.
pub fn get(_rows: &impl Rows, _image: &ImageId, _project: &ProjectId) -> Result<Option<Member>, Error> {
    unimplemented!()
}
/// An image's members, in project id order.
pub fn list(_rows: &impl Rows, _image: &ImageId) -> Result<Vec<Member>, Error> {
    unimplemented!()
}
/// Adds a member; [`Error::Exists`] when the project is one already.
pub fn insert(_txn: &WriteTxn, _member: &Member) -> Result<(), Error> {
    unimplemented!()
}
/// Replaces a member's record.
pub fn update(_txn: &WriteTxn, _member: &Member) -> Result<(), Error> {
    unimplemented!()
}
/// Removes a member; says whether there was one.
pub fn delete(_txn: &WriteTxn, _image: &ImageId, _project: &ProjectId) -> Result<bool, Error> {
    unimplemented!()
}
