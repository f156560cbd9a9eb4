//! Images that jobs fill, from a bucket or from another image: what their callers may expect, and the verdict on
//! jobs that a fault interrupted.
//!
//! The bucket has no faults: what is tried is the box. Invariant: an image that a job fills is active when the job
//! succeeded, killed when it did not, and saving until then; one that an import fills is queued when it did not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tintype::catalog::images;
use tintype::model::job::{ImportRoute, Job, JobState, Place, Task};
use tintype::model::{Image, Status, Visibility};
use tintype::objects::exchange::{Error, Exchange, Key, PIECE_BYTES, Piece, Sink, Source};
use tintype::service::images::{Buckets, Change, Field, NewImage, NewImport, NewMachine, SharedBucket};

use crate::acts::{Act, blank, id, text};
use crate::every_step::{Before, Workload, prepared, run, undisturbed};
use crate::machine::{Build, Machine, actor};
use crate::workloads::{dense, filled, similar};
use crate::world::{Body, Picture};

/// A bucket in memory that is only read.
#[derive(Debug, Clone, Default)]
pub struct Drawer(Arc<Mutex<BTreeMap<String, Body>>>);

impl Drawer {
    /// It as the one bucket of a box.
    pub fn buckets(&self) -> Buckets {
        let (name, everybody) = ("drawer".to_owned(), vec!["*".to_owned()]);
        let (readers, writers, medium) = (everybody.clone(), everybody, Arc::new(self.clone()));
        Buckets::new(vec![SharedBucket { name, readers, writers, backups: true, medium }])
    }

    pub fn put(&self, key: &str, body: &Body) {
        self.0.lock().unwrap().insert(key.to_owned(), body.clone());
    }

    pub fn get(&self, key: &str) -> Option<Body> {
        self.0.lock().unwrap().get(key).cloned()
    }
}

impl Exchange for Drawer {
    fn open(&self, key: &Key) -> Result<Box<dyn Source>, Error> {
        Ok(Box::new(Open(self.get(key.as_str()).ok_or_else(|| Error::Missing(key.to_string()))?)))
    }

    fn create(&self, key: &Key, _: u64, _: &str) -> Result<Box<dyn Sink>, Error> {
        Err(Error::Denied(format!("{key}: this bucket is only read")))
    }
}

struct Open(Body);

impl Source for Open {
    fn size_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn stamp(&self) -> &str {
        "as it was"
    }

    fn read(&mut self, offset: u64) -> Result<Piece, Error> {
        let rest = &self.0[offset as usize..];
        Ok(Piece::Bytes(Bytes::copy_from_slice(&rest[..rest.len().min(PIECE_BYTES)])))
    }

    fn expect_unchanged(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl Machine {
    /// Asks for an image from a file with these bytes.
    pub fn import(&self, slot: u64, body: &Body) -> Result<(), String> {
        if self.world.borrow().has_heard_of(&id(slot)) {
            return Ok(());
        }
        let key = format!("{slot}.raw");
        self.drawer.put(&key, body);
        let unformatted = |status| filling(slot, status, None);
        let mut states = vec![unformatted(Status::Saving), unformatted(Status::Killed)];
        states.extend(outcomes(slot, body));
        let fields = [Field::Name(Some(format!("image {slot}"))), Field::Visibility(Visibility::Private)];
        let image = NewImage { id: Some(id(slot)), changes: fields.map(Change::Set).into() };
        let from = Place { bucket: "drawer".into(), key };
        let import = NewImport { image, from, route: ImportRoute::System, key: None };
        self.asked(slot, states, self.service().import_image(&actor(), import).map_err(text))
    }

    /// Asks for the images of a machine from a backup with these disks, the system's first.
    pub fn import_machine(&self, disks: &[(u64, Body)]) -> Result<(), String> {
        let backup = format!("machine {}", disks[0].0);
        let names: Vec<String> = disks.iter().map(|(slot, _)| format!("{slot}.raw")).collect();
        let manifest = serde_json::json!({"system": names[0], "data": names[1..]}).to_string();
        self.drawer.put(&format!("{backup}/machine.json"), &Body::from(manifest.into_bytes()));
        for ((_, body), name) in disks.iter().zip(&names) {
            self.drawer.put(&format!("{backup}/{name}"), body);
        }
        let new = |(slot, _): &(u64, Body)| {
            let fields = [Field::Name(Some(format!("image {slot}"))), Field::Visibility(Visibility::Private)];
            NewImage { id: Some(id(*slot)), changes: fields.map(Change::Set).into() }
        };
        let machine = NewMachine { system: new(&disks[0]), data: disks[1..].iter().map(new).collect() };
        let of_backup = |picture: Picture| of_backup(picture, &backup);
        let service = self.service();
        let asked = service.machine_backup(&actor(), &backup);
        let outcome = asked.and_then(|known| service.import_machine(&actor(), &known, machine)).map_err(text);
        for (slot, body) in disks {
            let unformatted = |status| filling(*slot, status, None);
            let mut states: Vec<Picture> =
                [Status::Saving, Status::Killed].map(unformatted).into_iter().map(of_backup).collect();
            states.extend(outcomes(*slot, body).into_iter().map(of_backup).map(|mut picture| {
                picture.image.min_disk_gib = 1;
                picture
            }));
            // The same outcome for all: they are made in one commit.
            drop(self.asked(*slot, states, outcome.clone()));
        }
        outcome.map(drop)
    }

    /// Asks for a copy of an image that is filled. Its id is the box's to choose.
    pub fn copy_image(&self, source: u64) -> Result<(), String> {
        let Some(origin) = self.world.borrow().picture(&id(source)) else { return Ok(()) };
        let Some(body) = &origin.body else { return Ok(()) };
        // What the copies will be, also once the source is gone.
        self.drawer.put(&id(source).to_string(), body);
        match self.service().copy_image(&actor(), &id(source), Vec::new(), None) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(text(refusal)),
        }
    }

    fn asked(&self, slot: u64, states: Vec<Picture>, outcome: Result<Job, String>) -> Result<(), String> {
        let mut states: Vec<Option<Picture>> = states.into_iter().map(Some).collect();
        if outcome.is_err() {
            states.push(None);
        }
        self.tell(|world| world.doubt(id(slot), states));
        outcome.map(drop)
    }

    /// Does every task that waits.
    pub async fn work(&self) -> Result<(), String> {
        let service = self.service();
        while let Some(job) = service.claim_task().map_err(text)? {
            service.perform(job).await;
            if self.power.is_gone() || service.db().poisoned().is_some() {
                return Err("the box failed in the middle of a job".to_owned());
            }
        }
        Ok(())
    }

    /// Compares every job with the image it was to fill, and takes copies for what they are.
    ///
    /// # Errors
    /// What does not fit together.
    pub fn judge_jobs(&self) -> Result<(), String> {
        let jobs = self.service().jobs(&actor(), None, 1000).map_err(text)?;
        for job in jobs {
            let read = self.db().read().map_err(text)?;
            let filled = job.task.as_ref().map(Task::fills).unwrap_or_default();
            let found = filled.iter().map(|id| images::get(&read, id).map_err(text));
            let found = found.collect::<Result<Vec<Option<Image>>, String>>()?;
            let is_machine = matches!(job.task, Some(Task::Machine { .. }));
            let is_intake = matches!(job.task, Some(Task::Intake(_)));
            for image in found.iter().flatten() {
                let fits = match (job.state, image.status) {
                    (JobState::Queued | JobState::Running, status) if is_intake => {
                        status.is_filling() || status == Status::Active
                    }
                    (state, status) if is_intake && state != JobState::Succeeded => status == Status::Queued,
                    (JobState::Succeeded, status) => status == Status::Active,
                    (JobState::Queued | JobState::Running, status) => status != Status::Killed,
                    // Disks that came before another one did not stay.
                    (_, status) => status == Status::Killed || is_machine && status == Status::Active,
                };
                if !fits {
                    return Err(format!("{job:?} left {image:?}"));
                }
            }
            let is_there = |image: &&Image| image.status == Status::Active;
            if found.first().and_then(Option::as_ref).filter(is_there).is_some()
                && !found.iter().flatten().all(|image| image.status == Status::Active)
            {
                return Err(format!("{job:?} made the system active before the rest: {found:?}"));
            }
            if let (Some(Task::Copy { source, .. }), Some(image)) =
                (&job.task, found.into_iter().flatten().next())
                && !self.world.borrow().has_heard_of(&image.id)
            {
                let body = self.drawer.get(&source.to_string());
                self.learn(image.clone(), body.filter(|_| image.content.is_some()));
            }
        }
        Ok(())
    }
}

/// An image that a job is to fill, as far as its caller knows it.
fn filling(slot: u64, status: Status, format: Option<&str>) -> Picture {
    let mut image = blank(slot);
    image.visibility = Visibility::Private;
    image.status = status;
    image.disk_format = format.map(str::to_owned);
    image.container_format = format.map(|_| "bare".to_owned());
    Picture { image, body: None, members: Vec::new(), unseen: true }
}

/// The same as a part of a machine from a backup.
fn of_backup(mut picture: Picture, backup: &str) -> Picture {
    let marks = [("__whole_image", "true"), ("__backup_id", backup)];
    picture.image.properties.extend(marks.map(|(name, value)| (name.to_owned(), value.to_owned())));
    picture
}

/// What it can be once its job has looked at the file.
fn outcomes(slot: u64, body: &Body) -> Vec<Picture> {
    let known = |status| filling(slot, status, Some("raw"));
    vec![known(Status::Saving), known(Status::Killed), known(Status::Saving).filled(body)]
}

/// Images that jobs fill: one from a file, one from another image; and a restart while jobs wait.
fn tasks() -> Workload {
    Workload {
        name: "tasks",
        before: Before::Done(filled(0, dense(0))),
        acts: vec![
            Act::Import(1, similar(0)),
            Act::Restart,
            Act::Work,
            Act::CopyImage(0),
            Act::Work,
            Act::Delete(0),
            Act::Reclaim,
        ],
        recovery: vec![Act::Work],
        stride: 2,
    }
}

/// The images of a whole machine: two disks, a restart while they wait, and one of them deleted later.
fn machines() -> Workload {
    Workload {
        name: "machines",
        before: Before::Done(Vec::new()),
        acts: vec![
            Act::ImportMachine(vec![(1, similar(0)), (2, dense(1))]),
            Act::Restart,
            Act::Work,
            Act::Delete(2),
            Act::Reclaim,
        ],
        recovery: vec![Act::Work],
        stride: 3,
    }
}

#[test]
fn p2_machines() {
    run(&machines(), false);
}

#[test]
fn p2_tasks_plain() {
    run(&tasks(), false);
}

#[test]
fn p2_tasks_sealed() {
    run(&tasks(), true);
}

#[test]
fn undisturbed_tasks_succeed() {
    let build = Build::honest(false, 1);
    let start = prepared(build, &tasks().before).unwrap();
    let machine = undisturbed(build, &start, &tasks().acts).unwrap();
    let jobs = machine.service().jobs(&actor(), None, 10).unwrap();
    let states: Vec<&str> = jobs.iter().map(|job| job.state.as_str()).collect();
    // The two tasks, and the reclaiming at the end.
    assert_eq!(states, ["succeeded"; 3], "{jobs:?}");
    machine.judge().unwrap();
}
