//! What tasks do: the one place where the queue meets the work.
//!
//! Every kind of task says here how it is done, what it leaves behind when it does not succeed, and what it
//! needs to begin again.

use super::{Error, JobAtWork, Service};
use crate::base::Time;
use crate::catalog::{images as catalog, jobs};
use crate::db::{Rows, WriteTxn};
use crate::model::job::{DataOrigin, Disk, ImportRoute, IntakeKind, Job, Task};
use crate::model::trace::Rating;
use crate::model::{ImageId, Operation, StorePlace};
use crate::service::audit::Act;
use crate::service::images;
use crate::service::stores::Stores;
use crate::store::Store;

impl Service {
    /// Takes the task whose turn it is out of the queue; `None` while there is none.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn claim_task(&self) -> Result<Option<JobAtWork>, Error> {
        while let Some(id) = self.running.next(&self.rules.jobs) {
            let Some(job) = jobs::get(&self.db.read()?, &id)? else {
                drop(self.running.withdraw(&id));
                continue;
            };
            // From here on, not from its first step: what an earlier process did whole has none.
            let job = Job { attempts: job.attempts + 1, started_at: Some(self.clock.now()), ..job };
            if let Some((active, turn)) = self.running.begin(&self.rules.jobs, job) {
                return Ok(Some(self.work_on(active, Some(turn))));
            }
        }
        Ok(None)
    }

    /// Waits until a task may have its turn.
    pub async fn task_is_due(&self) {
        self.running.changed(&self.rules.jobs).await;
    }

    /// Lets no task begin any more, and has those at work go back to the queue at their next step: what they
    /// did by then stays, for the next process.
    pub fn put_tasks_down(&self) {
        self.running.close();
    }

    /// Does a task, to its recorded end.
    pub async fn perform(&self, job: JobAtWork) {
        let id = job.id();
        let ended = match job.task() {
            Some(Task::Import { .. } | Task::Machine { .. }) => self.perform_import(job).await,
            Some(Task::Export { .. }) => self.perform_export(job).await,
            Some(Task::Copy { .. }) => self.perform_copy(job).await,
            Some(Task::CopyAcross { .. }) => self.perform_copy_across(job).await,
            Some(Task::Intake(_)) => self.perform_intake(job).await,
            Some(Task::CopyToPlaces { .. }) => self.perform_copy_to_places(job).await,
            Some(Task::Cache { .. }) => self.perform_caching(job).await,
            Some(Task::Group) | None => job.finish(Err(&Error::invalid("the job has no work of its own"))),
        };
        if let Err(error) = ended {
            tracing::warn!(job = %id, %error, "a job's end was not recorded; the next start takes it up again");
        }
    }
}

/// What is on record of a task that was asked for, image by image.
pub(super) fn asked(rows: &impl Rows, stores: &Stores, job: &Job) -> Result<Vec<Act>, Error> {
    let id = job.id;
    let said: Vec<(Operation, ImageId, String)> = match &job.task {
        Some(Task::Import { image, from, route: ImportRoute::Register, .. }) => {
            vec![(Operation::UpdateImage, *image, format!("job {id}: filled from {from}"))]
        }
        Some(Task::Import { image, from, .. }) => {
            vec![(Operation::CreateImage, *image, format!("job {id}: from {from}"))]
        }
        Some(Task::Machine { disks }) => {
            let said = |disk: &Disk| format!("job {id}: from {}", disk.from);
            disks.iter().map(|disk| (Operation::CreateImage, disk.image, said(disk))).collect()
        }
        Some(Task::Export { image, to, .. }) => {
            vec![(Operation::ExportImage, *image, format!("job {id}: to {to}"))]
        }
        Some(Task::Copy { source, image }) => {
            // On the new one: its record is to be found by its id.
            vec![(Operation::CopyImage, *image, format!("job {id}: from image {source}"))]
        }
        Some(Task::CopyAcross { image, remote, region, project, .. }) => {
            let said = format!("job {id}: to image {remote} of project {project} in region {region}");
            vec![(Operation::CopyImage, *image, said)]
        }
        Some(Task::Intake(intake)) => {
            let from = match &intake.origin {
                DataOrigin::Staged => "from what was staged".to_owned(),
                // What follows may be what lets its bearer in.
                DataOrigin::Web { url } => {
                    format!("from {}", url.split(['?', '#']).next().unwrap_or_default())
                }
                DataOrigin::Region { region, image } => format!("from image {image} of region {region}"),
                DataOrigin::Own => {
                    let said = format!("job {id}: to {}", named(stores, &intake.places));
                    return Ok(vec![act_on(rows, Operation::CopyImageToStore, intake.image, said)?]);
                }
            };
            let operation = match intake.kind {
                IntakeKind::TaskImport => Operation::CreateImage,
                IntakeKind::ImageImport | IntakeKind::LocationImport => Operation::UpdateImage,
            };
            vec![(operation, intake.image, format!("job {id}: imported {from}"))]
        }
        Some(Task::CopyToPlaces { image, places, .. }) => {
            vec![(Operation::CopyImageToStore, *image, format!("job {id}: to {}", named(stores, places)))]
        }
        Some(Task::Cache { image }) => vec![(Operation::CacheImage, *image, format!("job {id}"))],
        Some(Task::Group) | None => Vec::new(),
    };
    said.into_iter().map(|(operation, image, said)| act_on(rows, operation, image, said)).collect()
}

fn named(stores: &Stores, places: &[StorePlace]) -> String {
    places.iter().map(|place| stores.name_of(*place)).collect::<Vec<_>>().join(", ")
}

/// What is on record of the images that the job did not fill, once that is settled.
pub(super) fn failed(rows: &impl Rows, job: &Job) -> Result<Vec<Act>, Error> {
    let why = job.error.as_ref().map_or_else(|| job.state.as_str().to_owned(), |error| error.message.clone());
    let mut acts = Vec::new();
    for id in filled(job) {
        let was_filled = catalog::get(rows, &id)?.is_some_and(|image| image.content.is_some());
        if !was_filled {
            let said = format!("job {} did not fill it: {why}", job.id);
            acts.push(act_on(rows, Operation::UpdateImage, id, said)?.rated(Rating::Warning));
        }
    }
    Ok(acts)
}

fn act_on(rows: &impl Rows, operation: Operation, id: ImageId, said: String) -> Result<Act, Error> {
    let mut act = Act::on(operation, id);
    if let Some(image) = catalog::get(rows, &id)? {
        act.image(&image);
    }
    act.say(said);
    Ok(act)
}

/// What a task that did not succeed leaves behind, in the commit that records its end.
pub(super) fn unmake(txn: &WriteTxn, store: &Store, job: &Job, now: Time) -> Result<(), Error> {
    let end = if is_intake(job) { images::give_back } else { images::kill };
    filled(job).iter().try_for_each(|image| end(txn, store, image, &job.id.0, now))
}

/// What a task that has ended, however that was, does not hold any more, in the commit that records its end.
pub(super) fn let_go(txn: &WriteTxn, job: &Job, now: Time) -> Result<(), Error> {
    match &job.task {
        Some(Task::Intake(intake)) => images::conclude(txn, intake, job, now),
        _ => Ok(()),
    }
}

/// What a task needs to begin again, in the commit that puts it back into the queue.
pub(super) fn remake(txn: &WriteTxn, service: &Service, job: &Job, now: Time) -> Result<(), Error> {
    match &job.task {
        Some(Task::Intake(intake)) => images::take_back(txn, service.stores(), intake, &job.id, now),
        Some(task) => images::revive(txn, service, task, &job.id.0, now),
        None => Ok(()),
    }
}

fn is_intake(job: &Job) -> bool {
    matches!(job.task, Some(Task::Intake(_)))
}

fn filled(job: &Job) -> Vec<ImageId> {
    job.task.as_ref().map(Task::fills).unwrap_or_default()
}
