//! Whole machines: a set of images made from a backup, one for each disk.
//!
//! A backup is a folder, named by its id, in a bucket that the operator declared for backups; its
//! [`MANIFEST`] says which files beside it are the machine's disks. Invariants: a project has one set of each
//! backup at a time; the images of a set are told by what they were made from, and when; the system's becomes
//! active last. What is inside the disks is the import's business.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use serde::Deserialize;

use super::reading::read_exactly;
use super::{WHOLE_PROPERTY, hindered, is_whole_machine};
use crate::base::Time;
use crate::catalog::images::{self, Filters, ListQuery, Viewer};
use crate::catalog::quotas::Wish;
use crate::db::ReadTxn;
use crate::model::job::{Disk, Job, Place, Task};
use crate::model::{Image, ImageId, ProjectId, Status};
use crate::objects::exchange::{self, Key};
use crate::service::images::access;
use crate::service::images::create::{self, NewImage};
use crate::service::images::fields::{Change, Existing};
use crate::service::jobs::Order;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, ErrorKind, Hindrance, Service};

/// The file of a backup that tells of it.
pub const MANIFEST: &str = "machine.json";
/// Longest such file, in bytes.
const MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// Data disks that a machine may have: as many as a server of the reference.
const DATA_DISKS_MAX: usize = 23;
/// The property that says which backup an image was made from.
pub(super) const BACKUP_PROPERTY: &str = "__backup_id";

/// A backup of a machine, as its manifest tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineBackup {
    /// What it is known by.
    pub id: String,
    /// The file of the system's disk.
    pub system: Place,
    /// Those of the data disks.
    pub data: Vec<Place>,
    /// The operating system, such as `Debian GNU/Linux 12.0.0 64bit`.
    pub os_version: Option<String>,
    /// Its type: `Linux`, `Windows` or `Other`.
    pub os_type: Option<String>,
    /// Memory that the machine needs, in MiB.
    pub min_ram_mib: Option<u64>,
}

/// The images that are made from a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewMachine {
    /// The system's.
    pub system: NewImage,
    /// One for each data disk of the backup, in its order.
    pub data: Vec<NewImage>,
}

/// What all images of one machine's set have in common, and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service::images) struct MachineSet {
    owner: ProjectId,
    backup: String,
    created_at: Time,
}

impl MachineSet {
    /// The set that an image is of; `None` for all others.
    pub(in crate::service::images) fn of(image: &Image) -> Option<MachineSet> {
        if !is_whole_machine(image) {
            return None;
        }
        let (owner, backup) = (image.owner.clone()?, image.properties.get(BACKUP_PROPERTY)?.clone());
        Some(MachineSet { owner, backup, created_at: image.created_at })
    }

    /// Refuses a set whose project has another one of its backup.
    ///
    /// # Errors
    /// `Conflict`, with the other's image.
    pub(in crate::service::images) fn expect_only(&self, read: &ReadTxn) -> Result<(), Error> {
        let there = machine_images(read, &self.owner, &self.backup)?;
        match there.iter().find(|image| MachineSet::of(image).as_ref() != Some(self)) {
            Some(image) => Err(backup_used(image, &self.backup)),
            None => Ok(()),
        }
    }
}

/// `machine.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    system: String,
    #[serde(default)]
    data: Vec<String>,
    os_version: Option<String>,
    os_type: Option<String>,
    min_ram_mib: Option<u64>,
}

impl Service {
    /// A backup that the caller's project may read.
    ///
    /// # Errors
    /// `Forbidden` without the right to make images of machines; `Invalid` when there is no such backup, or it
    /// says nothing sensible of itself; `Unavailable` when a bucket cannot be reached.
    pub fn machine_backup(&self, actor: &Actor, id: &str) -> Result<MachineBackup, Error> {
        let project = access::project(actor)?;
        actor.expect(Action::WholeImagesCreate, Resource::None)?;
        let none = || {
            let shown: String = id.chars().take(100).collect();
            let message = format!(
                "there is no backup {shown:?} that your project may read; the operator names buckets of backups in the \
                 settings (exchange, backups), and each backup is a folder with a {MANIFEST}"
            );
            hindered(ErrorKind::Invalid, Hindrance::NoBackup, message)
        };
        if id.contains('/') {
            return Err(none());
        }
        let Ok(key) = Key::new(&format!("{id}/{MANIFEST}")) else { return Err(none()) };
        let known = self.known_project(&self.db.read()?, project)?;
        for bucket in self.buckets.of_backups(project, known.as_ref()) {
            let mut source = match bucket.medium.open(&key) {
                Ok(source) => source,
                Err(exchange::Error::Missing(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let size = source.size_bytes();
            if size > MANIFEST_BYTES_MAX {
                return Err(bad(&key, &format!("it has {size} bytes, more than {MANIFEST_BYTES_MAX}")));
            }
            let text = read_exactly(&mut *source, 0, size)?;
            return backup(&bucket.name, id, &key, &text);
        }
        Err(none())
    }

    /// Makes the images of a machine from its backup, all in one job.
    ///
    /// # Errors
    /// As [`Service::import_image`]; `Conflict` when the project has images of this backup already.
    pub fn import_machine(
        &self,
        actor: &Actor,
        backup: &MachineBackup,
        machine: NewMachine,
    ) -> Result<Job, Error> {
        let project = access::project(actor)?.clone();
        actor.expect(Action::WholeImagesCreate, Resource::None)?;
        if machine.data.len() != backup.data.len() {
            return Err(Error::invalid("a machine's images are one for each of its disks"));
        }
        // Before the lock: a bucket that does not answer holds up nobody else.
        let files: Vec<&Place> = std::iter::once(&backup.system).chain(&backup.data).collect();
        let sizes =
            files.iter().map(|from| self.readable(actor, from)).collect::<Result<Vec<u64>, Error>>()?;
        // Held until the images are in the catalog: two requests for one backup come one after the other.
        let _making = self.making_machine();
        if let Some(image) = machine_images(&self.db.read()?, &project, &backup.id)?.first() {
            return Err(backup_used(image, &backup.id));
        }
        let (job, now) = (self.next_job_id(), self.clock.now());
        let images = std::iter::once(machine.system).chain(machine.data);
        let (mut made, mut disks) = (Vec::new(), Vec::new());
        for ((mut image, from), size) in images.zip(files).zip(sizes) {
            image.changes.extend([mark(WHOLE_PROPERTY, "true"), mark(BACKUP_PROPERTY, &backup.id)]);
            let mut image = self.new_image(actor, image, Action::WholeImagesCreate)?;
            (image.status, image.upload) = (Status::Saving, Some(job.0));
            (image.created_at, image.updated_at) = (now, now);
            disks.push(Disk { image: image.id, from: from.clone(), stamp: None });
            made.push((image, size));
        }
        let order = Order { tasks: vec![(job, Task::Machine { disks })], group: None };
        let service = self.clone();
        self.queue_tasks(actor, order, move |txn| {
            made.iter().try_for_each(|(image, size)| {
                create::insert(txn, image)?;
                service.reserve(txn, image, Wish::exactly(*size))?;
                Ok(())
            })
        })
    }

    /// Holds up whoever else would make a set of images of a machine, until it is let go of.
    pub(in crate::service::images) fn making_machine(&self) -> MutexGuard<'_, ()> {
        self.machine_making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The images of a machine that this one is of; itself alone where it is of none. The caller must be its owner.
    pub(in crate::service::images) fn machine_of(
        &self,
        actor: &Actor,
        id: &ImageId,
    ) -> Result<Vec<ImageId>, Error> {
        let read = self.db.read()?;
        let image = access::writable(&read, actor, id, Action::ImagesDelete)?;
        let (Some(owner), Some(backup)) = (&image.owner, image.properties.get(BACKUP_PROPERTY)) else {
            return Ok(vec![*id]);
        };
        if !is_whole_machine(&image) {
            return Ok(vec![*id]);
        }
        let others = machine_images(&read, owner, backup)?.into_iter().map(|image| image.id);
        Ok(std::iter::once(*id).chain(others.filter(|other| other != id)).collect())
    }
}

/// The images that a project has of a backup.
fn machine_images(read: &ReadTxn, project: &ProjectId, backup: &str) -> Result<Vec<Image>, Error> {
    let properties: BTreeMap<String, String> =
        [(BACKUP_PROPERTY, backup), (WHOLE_PROPERTY, "true")].map(|(n, v)| (n.into(), v.into())).into();
    let mut found = Vec::new();
    for hidden in [false, true] {
        let filters = Filters {
            owner: Some(project.0.clone()),
            visibility: Some(None),
            properties: properties.clone(),
            hidden,
            ..Filters::default()
        };
        let viewer = Viewer::Project { project: project.clone(), member_status: None };
        let limit = DATA_DISKS_MAX + 1;
        found.extend(images::list(
            read,
            &ListQuery { viewer, filters, sort: Vec::new(), after: None, limit },
        )?);
    }
    Ok(found)
}

fn backup_used(image: &Image, backup: &str) -> Error {
    let message = format!(
        "image {} was made from backup {backup} already: use it, retry its job, or delete it before",
        image.id
    );
    hindered(ErrorKind::Conflict, Hindrance::BackupUsed, message)
}

fn mark(name: &str, value: &str) -> Change {
    Change::SetProperty { name: name.to_owned(), value: value.to_owned(), existing: Existing::Any }
}

fn bad(key: &Key, why: &str) -> Error {
    let message = format!("{key} does not describe a backup of a machine: {why}");
    hindered(ErrorKind::Invalid, Hindrance::BadBackup, message)
}

/// What a manifest says.
fn backup(bucket: &str, id: &str, key: &Key, text: &[u8]) -> Result<MachineBackup, Error> {
    let manifest: Manifest = serde_json::from_slice(text).map_err(|error| bad(key, &error.to_string()))?;
    if manifest.data.len() > DATA_DISKS_MAX {
        return Err(bad(key, &format!("a machine has at most {DATA_DISKS_MAX} data disks")));
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut place = |file: &str| {
        let below = Key::new(&format!("{id}/{file}")).map_err(|error| bad(key, &error.to_string()))?;
        match seen.insert(file.to_owned()) {
            true => Ok(Place { bucket: bucket.to_owned(), key: below.to_string() }),
            false => Err(bad(key, &format!("it names {file} twice"))),
        }
    };
    Ok(MachineBackup {
        id: id.to_owned(),
        system: place(&manifest.system)?,
        data: manifest.data.iter().map(|file| place(file)).collect::<Result<_, _>>()?,
        os_version: manifest.os_version,
        os_type: manifest.os_type,
        min_ram_mib: manifest.min_ram_mib,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<MachineBackup, String> {
        let key = Key::new("web/machine.json").unwrap();
        backup("safe", "web", &key, text.as_bytes()).map_err(|error| error.message)
    }

    #[test]
    fn a_manifest_names_files_beside_it() {
        let place = |file: &str| Place { bucket: "safe".into(), key: format!("web/{file}") };
        let found = read(r#"{"system": "root.qcow2", "data": ["disks/1.raw"], "min_ram_mib": 512}"#).unwrap();
        assert_eq!((found.system, found.data), (place("root.qcow2"), vec![place("disks/1.raw")]));
        assert_eq!((found.min_ram_mib, found.os_version), (Some(512), None));
        assert_eq!(read(r#"{"system": "a"}"#).unwrap().data, []);
    }

    #[test]
    fn a_manifest_that_says_anything_else_is_refused() {
        let many =
            format!(r#"{{"system": "s", "data": {:?}}}"#, (0..24).map(|n| n.to_string()).collect::<Vec<_>>());
        for (text, why) in [
            ("", "EOF"),
            ("[]", "invalid"),
            (r#"{"data": []}"#, "system"),
            (r#"{"system": "a", "more": 1}"#, "more"),
            (r#"{"system": "../other/root.raw"}"#, "dots"),
            (r#"{"system": "/etc/passwd"}"#, "slash"),
            (r#"{"system": ""}"#, "slash"),
            (r#"{"system": "a", "data": ["a"]}"#, "twice"),
            (r#"{"system": "a", "min_ram_mib": -1}"#, "invalid value"),
            (&many, "at most 23"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains("web/machine.json") && told.contains(why), "{text}: {told}");
        }
    }
}
