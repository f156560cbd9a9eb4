//! The Image API's imports: data is staged, or fetched by the box, and then made an image's by a job.
//!
//! [`stage`] takes a client's data in; [`order`] takes requests; [`intake`] does the work; [`tasks`] tells of it.
//! Invariants: staged data is what an upload in parts keeps, a published stream that the image does not name yet, so
//! that nothing is written twice and no other file exists; an image that an import fills carries the job's id, and
//! is queued again in the commit that records that the job did not succeed.

mod across;
mod intake;
mod locations;
mod order;
#[cfg(test)]
mod plugins_tests;
mod pouring;
mod stage;
mod tasks;
#[cfg(test)]
mod tests;
mod unwrapping;

use std::collections::{BTreeMap, BTreeSet};

pub use order::NewIntake;
pub use tasks::{TaskFilter, TaskState};

use super::resumable::forget;
use super::upload::{owned, put_back};
use crate::base::Time;
use crate::catalog::images;
use crate::db::WriteTxn;
use crate::model::job::{DataOrigin, Intake, JobId};
use crate::model::{Image, ImageId, Status};
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
}

impl ImportMethod {
    /// Every one.
    pub const ALL: [ImportMethod; 3] =
        [ImportMethod::GlanceDirect, ImportMethod::WebDownload, ImportMethod::GlanceDownload];

    /// The Image API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            ImportMethod::GlanceDirect => "glance-direct",
            ImportMethod::WebDownload => "web-download",
            ImportMethod::GlanceDownload => "glance-download",
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
    /// What clients call the store that stands for addresses of the web, where they may name such addresses.
    pub web_store: Option<String>,
    /// Whether data in a wrapper (gz, xz, zst) is unwrapped.
    pub decompress: bool,
    /// Properties that are put on imported images.
    pub inject: BTreeMap<String, String>,
    /// Roles, in lower case, of callers whose images have none put on.
    pub inject_roles_except: BTreeSet<String>,
}

impl Default for ImportRules {
    fn default() -> Self {
        let methods = vec![ImportMethod::GlanceDirect, ImportMethod::WebDownload];
        ImportRules {
            methods,
            task_ttl_s: 48 * 3600,
            web_store: None,
            decompress: false,
            inject: BTreeMap::new(),
            inject_roles_except: ["admin".to_owned()].into(),
        }
    }
}

/// The task that holds an image.
const HELD_BY: &str = "os_glance_import_task";
/// Stores that the data is yet to reach.
const IMPORTING_TO: &str = "os_glance_importing_to_stores";
/// Stores that it did not reach.
const FAILED_IN: &str = "os_glance_failed_import";

/// Has a task hold an image.
fn hold(image: &mut Image, job: &JobId) {
    image.upload = Some(job.0);
    image.properties.insert(HELD_BY.to_owned(), task_id(job));
    image.properties.insert(IMPORTING_TO.to_owned(), String::new());
    image.properties.insert(FAILED_IN.to_owned(), String::new());
}

/// Lets go of an image that a task holds, if one does. In the commit that makes it active, or queued again.
pub(super) fn let_go(image: &mut Image) {
    image.properties.remove(HELD_BY);
}

/// A task's id as the Image API writes it.
fn task_id(job: &JobId) -> String {
    uuid::Uuid::from_bytes(job.0).hyphenated().to_string()
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
    intake: &Intake,
    job: &JobId,
    now: Time,
) -> Result<(), Error> {
    let id = &intake.image;
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
    image.status = Status::Importing;
    image.updated_at = now;
    hold(&mut image, job);
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
