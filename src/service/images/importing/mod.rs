//! The Image API's imports: data is staged, or fetched by the box, and then made an image's by a job.
//!
//! [`stage`] takes a client's data in; [`order`] takes requests, [`targets`] the stores they name; [`intake`] does the work, with [`unwrapping`] and [`converting`] where the
//! data is not stored as it came, and [`spreading`] what is left of it in further stores; [`holding`] marks images that tasks hold; [`tasks`] tells of it all.
//! Invariants: staged data is what an upload in parts keeps, a published stream that the image does not name yet, so
//! that nothing is written twice and no other file exists; an image that an import fills carries the job's id, and
//! is queued again in the commit that records that the job did not succeed.

mod across;
mod converting;
#[cfg(test)]
mod converting_tests;
mod holding;
mod intake;
mod locations;
mod order;
#[cfg(test)]
mod plugins_tests;
mod pouring;
mod spreading;
#[cfg(test)]
mod spreading_tests;
mod stage;
mod targets;
mod tasks;
#[cfg(test)]
mod tests;
mod unwrapping;

use std::collections::{BTreeMap, BTreeSet};

pub(in crate::service) use holding::conclude;
pub(super) use holding::{Landing, expect_free, give_up, has_reached};
use holding::{hold, task_id};
pub use order::NewIntake;
pub use targets::Destination;
pub(super) use targets::expect_uncopied;
pub use tasks::{TaskFilter, TaskState};

use super::resumable::forget;
use super::upload::{owned, put_back};
use crate::base::Time;
use crate::catalog::images;
use crate::db::WriteTxn;
use crate::disk::writing::Form;
use crate::model::job::{DataOrigin, Intake, JobId};
use crate::model::{ImageId, Status};
use crate::service::stores::Stores;
use crate::service::{Error, Hindrance, Reason};
use crate::store::Store;
use crate::web;

/// Ways in that the operator may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportMethod {
    /// What was staged.
    GlanceDirect,
    /// What lies at an address of the web.
    WebDownload,
    /// What an image of another region has.
    GlanceDownload,
    /// What the image has itself, into more stores.
    CopyImage,
}

impl ImportMethod {
    /// Every one.
    pub const ALL: [ImportMethod; 4] = [
        ImportMethod::GlanceDirect,
        ImportMethod::WebDownload,
        ImportMethod::GlanceDownload,
        ImportMethod::CopyImage,
    ];

    /// The Image API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            ImportMethod::GlanceDirect => "glance-direct",
            ImportMethod::WebDownload => "web-download",
            ImportMethod::GlanceDownload => "glance-download",
            ImportMethod::CopyImage => "copy-image",
        }
    }
}

/// What imports may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRules {
    /// Ways in.
    pub methods: Vec<ImportMethod>,
    /// How long an ended task is told of, in seconds.
    pub task_ttl_s: i64,
    /// Whether clients may hang locations on images by a patch, and see them in records.
    pub patch_locations: bool,
    /// What clients call the store that stands for addresses of the web, where they may name such addresses.
    pub web_store: Option<String>,
    /// Whether data in a wrapper (gz, xz, zst) is unwrapped.
    pub decompress: bool,
    /// The form that disks are stored in, whatever they come in.
    pub convert: Option<Form>,
    /// Properties that are put on imported images.
    pub inject: BTreeMap<String, String>,
    /// Roles, in lower case, of callers whose images have none put on.
    pub inject_roles_except: BTreeSet<String>,
}

impl Default for ImportRules {
    fn default() -> Self {
        let methods = vec![ImportMethod::GlanceDirect, ImportMethod::WebDownload, ImportMethod::CopyImage];
        ImportRules {
            methods,
            task_ttl_s: 48 * 3600,
            patch_locations: false,
            web_store: None,
            decompress: false,
            convert: None,
            inject: BTreeMap::new(),
            inject_roles_except: ["admin".to_owned()].into(),
        }
    }
}

/// Has an image queued again that the job with this id was to fill, and lets go of what had arrived. In the commit
/// that ends the job.
pub(in crate::service) fn give_back(
    txn: &WriteTxn,
    store: &Store,
    id: &ImageId,
    token: &[u8; 16],
    now: Time,
) -> Result<(), Error> {
    if owned(txn, id, token)?.is_none() {
        return Ok(());
    }
    put_back(txn, id, token, now)?;
    forget(txn, store, id)
}

/// Gives a queued image to the job again that was to fill it. In the commit that has the job begin again.
pub(in crate::service) fn take_back(
    txn: &WriteTxn,
    stores: &Stores,
    intake: &Intake,
    job: &JobId,
    now: Time,
) -> Result<(), Error> {
    let id = &intake.image;
    if intake.origin == DataOrigin::Own {
        return take_copies_up(txn, stores, intake, job, now);
    }
    if intake.origin == DataOrigin::Staged {
        return Err(Error::conflict(format!(
            "what was staged for image {id} is gone: stage it again, and import it"
        )));
    }
    let Some(mut image) = images::get(txn, id)? else {
        return Err(Error::conflict(format!("image {id} is not there any more to be filled")));
    };
    if image.status != Status::Queued {
        let status = image.status.as_str();
        return Err(Error::conflict(format!("image {id} is {status}, not to be filled; ask anew")));
    }
    locations::declare_again(txn, intake)?;
    image.status = Status::Importing;
    image.upload = Some(job.0);
    image.updated_at = now;
    hold(&mut image, job, &stores.names_at(&intake.places));
    Ok(images::update(txn, &image)?)
}

/// Has an image held again whose data the job was to copy. In the commit that has the job begin again.
fn take_copies_up(
    txn: &WriteTxn,
    stores: &Stores,
    intake: &Intake,
    job: &JobId,
    now: Time,
) -> Result<(), Error> {
    let none = || Error::conflict(format!("image {} is not there any more to be copied", intake.image));
    let mut image = images::get(txn, &intake.image)?.ok_or_else(none)?;
    order::expect_importable(&image, &intake.origin)?;
    let left: Vec<_> =
        intake.places.iter().copied().filter(|place| image.copy_at(*place).is_none()).collect();
    hold(&mut image, job, &stores.names_at(&left));
    image.updated_at = now;
    Ok(images::update(txn, &image)?)
}

impl From<web::Error> for Error {
    fn from(error: web::Error) -> Error {
        match error {
            web::Error::Refused(why) => {
                Error::invalid(why).because(Reason::Transfer(Hindrance::AddressRefused))
            }
            web::Error::Missing(why) => Error::invalid(why).because(Reason::Transfer(Hindrance::NoObject)),
            web::Error::Unavailable(why) => Error::new(crate::service::ErrorKind::Unavailable, why)
                .because(Reason::Transfer(Hindrance::ServerFails)),
        }
    }
}
