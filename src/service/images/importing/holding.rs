//! Marks on images that tasks hold, which clients watch: the task, the stores that data is yet to reach, and those that it
//! did not reach.
//!
//! Invariants: one task at a time holds an image; the mark goes in the commit that ends its work there, at the latest in
//! the one that records the task's end. Must not know what tasks do.

use crate::base::Time;
use crate::catalog::images;
use crate::db::WriteTxn;
use crate::model::job::{Intake, Job, JobId, JobState};
use crate::model::{DataCopy, Image, StorePlace};
use crate::service::Error;
use crate::service::images::DISK_PROPERTY;
use crate::store::Receipt;

/// The task that holds an image.
const HELD_BY: &str = "os_glance_import_task";
/// Stores that the data is yet to reach.
const IMPORTING_TO: &str = "os_glance_importing_to_stores";
/// Stores that it did not reach.
const FAILED_IN: &str = "os_glance_failed_import";

/// How an import's data comes to lie in stores, for the commit in which its image becomes active.
#[derive(Default)]
pub(in crate::service::images) struct Landing {
    /// The place of the stream, where it is another than the image says.
    pub place: Option<StorePlace>,
    /// The same data in other places, durable and named by nothing yet.
    pub copies: Vec<(StorePlace, Receipt)>,
    /// Stores that its task goes on to copy it to.
    pub pending: Vec<String>,
    /// What the data is, where it was made into something else than the image says.
    pub disk_format: Option<&'static str>,
}

impl Landing {
    /// Has a record say that the data is a disk in this format, and nothing around it, also where it came in an archive.
    pub(in crate::service::images) fn made_into(image: &mut Image, disk_format: &str) {
        image.disk_format = Some(disk_format.to_owned());
        image.container_format = Some("bare".to_owned());
        // It is the one that was chosen.
        image.properties.remove(DISK_PROPERTY);
    }

    /// What it makes of an image that has become active with its first stream.
    pub(in crate::service::images) fn apply(&self, image: &mut Image) {
        image.place = self.place.unwrap_or(image.place);
        if let Some(format) = self.disk_format {
            Landing::made_into(image, format);
        }
        let copies = self.copies.iter();
        let copies = copies.map(|(place, receipt)| DataCopy { place: *place, content: receipt.content() });
        image.copies.extend(copies);
        if self.pending.is_empty() {
            let_go(image);
        } else {
            image.properties.insert(IMPORTING_TO.to_owned(), self.pending.join(","));
        }
    }
}

/// Has a task hold an image, to bring data to these stores.
pub(super) fn hold(image: &mut Image, job: &JobId, to: &[String]) {
    image.properties.insert(HELD_BY.to_owned(), task_id(job));
    image.properties.insert(IMPORTING_TO.to_owned(), to.join(","));
    image.properties.insert(FAILED_IN.to_owned(), String::new());
}

/// Lets go of an image that a task holds, if one does. In the commit that ends its work there.
pub(in crate::service::images) fn let_go(image: &mut Image) {
    if image.properties.remove(HELD_BY).is_some() {
        image.properties.insert(IMPORTING_TO.to_owned(), String::new());
    }
}

/// The same where that came to nothing: stores that the data is yet to reach are ones that it did not reach.
pub(in crate::service::images) fn give_up(image: &mut Image) {
    if image.properties.contains_key(HELD_BY) {
        let pending = image.properties.get(IMPORTING_TO).cloned().unwrap_or_default();
        pending.split(',').filter(|store| !store.is_empty()).for_each(|store| add(image, FAILED_IN, store));
        let_go(image);
    }
}

/// Refuses an image that a task holds.
///
/// # Errors
/// `Conflict`, with the task.
pub(in crate::service::images) fn expect_free(image: &Image) -> Result<(), Error> {
    match image.properties.get(HELD_BY) {
        None => Ok(()),
        Some(task) => {
            Err(Error::conflict(format!("image {} is held by task {task}; wait for its end", image.id)))
        }
    }
}

/// A store is none any more that the data is yet to reach.
pub(in crate::service::images) fn has_reached(image: &mut Image, store: &str) {
    strike(image, store);
}

/// Nor is one that it did not reach, which is told.
pub(super) fn has_missed(image: &mut Image, store: &str) {
    if strike(image, store) {
        add(image, FAILED_IN, store);
    }
}

/// A task's id as the Image API writes it.
pub(super) fn task_id(job: &JobId) -> String {
    uuid::Uuid::from_bytes(job.0).hyphenated().to_string()
}

/// Lets go of an image whose task has ended, unless that was done before. What it did not come to is told.
///
/// # Errors
/// When the catalog fails.
pub(in crate::service) fn conclude(
    txn: &WriteTxn,
    intake: &Intake,
    job: &Job,
    now: Time,
) -> Result<(), Error> {
    let Some(mut image) = images::get(txn, &intake.image)? else { return Ok(()) };
    if image.properties.get(HELD_BY) != Some(&task_id(&job.id)) {
        return Ok(());
    }
    match job.state {
        JobState::Succeeded => let_go(&mut image),
        _ => give_up(&mut image),
    }
    image.updated_at = now;
    Ok(images::update(txn, &image)?)
}

/// Takes a store off the list of those that the data is yet to reach; says whether it was on it.
fn strike(image: &mut Image, store: &str) -> bool {
    let Some(list) = image.properties.get_mut(IMPORTING_TO) else { return false };
    let before = list.len();
    *list = list.split(',').filter(|name| *name != store).collect::<Vec<_>>().join(",");
    list.len() != before
}

fn add(image: &mut Image, list: &str, store: &str) {
    let list = image.properties.entry(list.to_owned()).or_default();
    if !list.is_empty() {
        list.push(',');
    }
    list.push_str(store);
}
