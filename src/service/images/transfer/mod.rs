//! Images in and out of buckets, and images made from others: the work of jobs.
//!
//! [`order`] takes requests, and [`machine`] those for whole machines: they check what can be checked at once,
//! and make the images and the job in one commit. [`import`], [`export`] and [`copy`] do the work later. Invariants: an image that a job fills is
//! saving from the beginning and carries the job's id, so that nobody else fills it; it becomes active in the
//! commit that publishes its content, and is killed in the one that records that its job did not succeed.

mod across;
mod buckets;
mod copy;
mod export;
mod formats;
mod import;
mod machine;
mod order;
mod patience;
#[cfg(test)]
mod patience_tests;
mod places;
mod placing;
mod pour;
mod reading;
mod send;
mod sniff;
#[cfg(test)]
mod tests;

pub use across::{CopyAcross, Region, Regions};
pub use buckets::{Buckets, SharedBucket};
pub(in crate::service::images) use machine::MachineSet;
pub use machine::{MachineBackup, NewMachine};
pub use order::NewImport;
pub(in crate::service::images) use patience::{Patience, is_passing};
pub use places::{BucketPlace, Places};

use super::resumable::forget;
use super::upload::owned;
use crate::base::Time;
use crate::catalog::quotas::Wish;
use crate::catalog::{images, jobs};
use crate::db::{Rows, WriteTxn};
use crate::model::job::{JobId, Task};
use crate::model::{Image, ImageId, Status};
use crate::objects::exchange;
use crate::service::{Error, ErrorKind, Hindrance, Reason, Service};
use crate::store::Store;

/// The property that marks an image as a part of a whole machine's set.
const WHOLE_PROPERTY: &str = "__whole_image";

/// Whether a job that has not ended fills the image that carries this token.
pub(super) fn is_filling(rows: &impl Rows, token: &[u8; 16]) -> Result<bool, Error> {
    Ok(jobs::is_open(rows, &JobId(*token))?)
}

/// Ends an image that the job with this id was to fill, and lets go of what had arrived. In the commit that
/// ends the job.
pub(in crate::service) fn kill(
    txn: &WriteTxn,
    store: &Store,
    id: &ImageId,
    token: &[u8; 16],
    now: Time,
) -> Result<(), Error> {
    let Some(mut image) = owned(txn, id, token)? else { return Ok(()) };
    forget(txn, store, id)?;
    image.status = Status::Killed;
    image.upload = None;
    (image.size_bytes, image.virtual_size_bytes, image.verdict) = (None, None, None);
    image.updated_at = now;
    Ok(images::update(txn, &image)?)
}

/// Gives a killed image back to the job that was to fill it. In the commit that has the job begin again. An import
/// knows what it takes when it looks at its object.
pub(in crate::service) fn revive(
    txn: &WriteTxn,
    service: &Service,
    task: &Task,
    token: &[u8; 16],
    now: Time,
) -> Result<(), Error> {
    task.fills().iter().try_for_each(|id| revive_one(txn, service, task, (id, token), now))
}

fn revive_one(
    txn: &WriteTxn,
    service: &Service,
    task: &Task,
    (id, token): (&ImageId, &[u8; 16]),
    now: Time,
) -> Result<(), Error> {
    let Some(mut image) = images::get(txn, id)? else {
        return Err(Error::conflict(format!("image {id} is not there any more to be filled; ask anew")));
    };
    match image.status {
        Status::Killed => image.status = Status::Saving,
        // A disk of a machine that came before another one did not.
        Status::Active | Status::Deactivated => return Ok(()),
        status => {
            let status = status.as_str();
            return Err(Error::conflict(format!("image {id} is {status}, not to be filled; ask anew")));
        }
    }
    image.upload = Some(*token);
    image.updated_at = now;
    images::update(txn, &image)?;
    if let Task::Copy { source, .. } = task
        && let Some(bytes) = images::get(txn, source)?.and_then(|origin| origin.size_bytes)
    {
        service.reserve(txn, &image, Wish::exactly(bytes))?;
    }
    Ok(())
}

fn is_iso(image: &Image) -> bool {
    image.disk_format.as_deref() == Some("iso")
}

fn is_whole_machine(image: &Image) -> bool {
    image.properties.get(WHOLE_PROPERTY).is_some_and(|value| value != "false")
}

/// A refusal with its word.
fn hindered(kind: ErrorKind, hindrance: Hindrance, message: impl Into<String>) -> Error {
    Error::new(kind, message).because(Reason::Transfer(hindrance))
}

impl From<exchange::Error> for Error {
    fn from(error: exchange::Error) -> Error {
        use exchange::Error as Fault;
        let (kind, hindrance) = match &error {
            Fault::BadKey(..) => (ErrorKind::Invalid, Hindrance::BadKey),
            Fault::Missing(_) | Fault::NotPlain(..) => (ErrorKind::Invalid, Hindrance::NoObject),
            Fault::Taken(_) => (ErrorKind::Conflict, Hindrance::ObjectExists),
            Fault::Changed(_) => (ErrorKind::Conflict, Hindrance::ObjectChanged),
            Fault::Denied(_) | Fault::Full(_) => (ErrorKind::Unavailable, Hindrance::BucketRefuses),
            Fault::Unavailable(_) => (ErrorKind::Unavailable, Hindrance::BucketFails),
        };
        hindered(kind, hindrance, error.to_string())
    }
}
