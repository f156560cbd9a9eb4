//! Long work: who asked for it, what was asked, how far it is, how it ended.
//!
//! One kind of record for everything that takes long: upkeep of the box, which its caller does itself,
//! and tasks, which a queue hands to workers and which say enough to be done again.

use std::collections::BTreeMap;
use std::fmt;

use super::ids::{ImageId, ProjectId, UserId};
use super::store_place::StorePlace;
use crate::base::Time;

/// What a job is known by: 32 hex digits; none is given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub [u8; 16]);

impl JobId {
    /// What a job is known by that an earlier release recorded under a number alone.
    pub fn of_number(number: u64) -> JobId {
        JobId(u128::from(number).to_be_bytes())
    }

    /// Reads 32 hex digits; anything else is `None`.
    pub fn parse(text: &str) -> Option<JobId> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(JobId(id))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum JobKind {
    /// Space is given back: dead packs deleted, others written anew.
    Reclaim,
    /// A key domain is sealed anew: all its data written under another key.
    Reseal,
    /// An image is filled from a bucket.
    Import,
    /// An image's data is written to a bucket.
    Export,
    /// An image is made from another.
    Copy,
    /// An image is made from another in another region, which is another box.
    CopyAcross,
    /// An image's data is copied to more stores of this box.
    CopyToPlaces,
    /// An image's data is brought into the cache.
    Cache,
    /// Images are offered to projects and domains.
    AddMembers,
    /// A project answers what it was offered.
    UpdateMembers,
    /// Offers are taken back.
    DeleteMembers,
    /// Several jobs that were asked for together; ends with the last of them.
    Group,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [JobKind; 12] = [
        JobKind::Reclaim,
        JobKind::Reseal,
        JobKind::Import,
        JobKind::Export,
        JobKind::Copy,
        JobKind::CopyAcross,
        JobKind::CopyToPlaces,
        JobKind::Cache,
        JobKind::AddMembers,
        JobKind::UpdateMembers,
        JobKind::DeleteMembers,
        JobKind::Group,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            JobKind::Reclaim => "reclaim",
            JobKind::Reseal => "reseal",
            JobKind::Import => "import",
            JobKind::Export => "export",
            JobKind::Copy => "copy",
            JobKind::CopyAcross => "copy-across",
            JobKind::CopyToPlaces => "copy-to-stores",
            JobKind::Cache => "cache",
            JobKind::AddMembers => "add-members",
            JobKind::UpdateMembers => "update-members",
            JobKind::DeleteMembers => "delete-members",
            JobKind::Group => "group",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<JobKind> {
        JobKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// How far a job has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Is at work.
    Running,
    /// Did what it was asked for.
    Succeeded,
    /// Could not; the error says why.
    Failed,
    /// Was ended by somebody; what was done by then stays.
    Cancelled,
    /// Ended with its process; what was done by then stays.
    Interrupted,
}

impl JobState {
    const ALL: [JobState; 6] = [
        JobState::Queued,
        JobState::Running,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Cancelled,
        JobState::Interrupted,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
            JobState::Interrupted => "interrupted",
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<JobState> {
        JobState::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether nothing more will happen by itself.
    pub fn is_final(self) -> bool {
        !matches!(self, JobState::Queued | JobState::Running)
    }
}

/// An object in one of the buckets that images are exchanged through: `bucket:key`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The operator's name for the bucket.
    pub bucket: String,
    /// The object's key, as its caller wrote it.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bucket, self.key)
    }
}

/// By which operation an import was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImportRoute {
    /// A system or ISO image is made from a file.
    System,
    /// Likewise, with the file taken as it is.
    Quick,
    /// A data disk image is made from a file.
    Data,
    /// An image that was registered gets its data.
    Register,
}

/// One disk of a machine, on its way from a backup into an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disk {
    /// The image, which is saving for the job alone.
    pub image: ImageId,
    /// Where its data lies.
    pub from: Place,
    /// What the object looked like when its first bytes were read.
    pub stamp: Option<String>,
}

/// Where an import of the Image API finds an image's data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DataOrigin {
    /// The box has it: a client staged it.
    Staged,
    /// It is fetched from the web.
    Web {
        /// The address, as the client wrote it.
        url: String,
    },
    /// It is fetched from an image of another region.
    Region {
        /// What the operator calls the region.
        region: String,
        /// The image there.
        image: ImageId,
    },
    /// The image has it: it is copied to more stores of the box.
    Own,
}

/// What the Image API calls a task's type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntakeKind {
    /// An image's import (`api_image_import`).
    ImageImport,
    /// A task that makes an image and imports it (`import`).
    TaskImport,
    /// A location that an image was given (`location_import`).
    LocationImport,
}

impl IntakeKind {
    /// Every one.
    pub const ALL: [IntakeKind; 3] =
        [IntakeKind::ImageImport, IntakeKind::TaskImport, IntakeKind::LocationImport];

    /// The Image API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            IntakeKind::ImageImport => "api_image_import",
            IntakeKind::TaskImport => "import",
            IntakeKind::LocationImport => "location_import",
        }
    }
}

/// An import of the Image API: an image gets its data, or is queued again; or what it has is copied to more stores.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intake {
    /// How it was asked for.
    pub kind: IntakeKind,
    /// The image, which is this job's alone until it ends.
    pub image: ImageId,
    /// Where its data is.
    pub origin: DataOrigin,
    /// What the data looked like when its first bytes came.
    pub stamp: Option<String>,
    /// What the client asked for, as JSON.
    pub input: String,
    /// The id of the request.
    pub request_id: String,
    /// The places of the stores that the data goes to, the first in front; empty for where the image says.
    pub places: Vec<StorePlace>,
    /// Whether it stays in none of them unless it comes to be in all.
    pub must_all: bool,
    /// The format that its caller wants the disk stored in.
    pub convert: Option<String>,
}

impl Intake {
    /// The places that data goes to which is in the first already.
    pub fn further(&self) -> &[StorePlace] {
        match self.origin {
            DataOrigin::Own => &self.places,
            _ => self.places.get(1..).unwrap_or_default(),
        }
    }
}

/// What a worker does: enough to do it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// Fill an image from a bucket.
    Import {
        /// The image, which is saving for this job alone.
        image: ImageId,
        /// Where its data lies.
        from: Place,
        /// How it was asked for.
        route: ImportRoute,
        /// What the object looked like when its first bytes were read.
        stamp: Option<String>,
    },
    /// Fill the images of a whole machine from its backup.
    Machine {
        /// The system's disk first, which is filled last: once it is active, all of them are.
        disks: Vec<Disk>,
    },
    /// Write an image's data to a bucket.
    Export {
        /// The image.
        image: ImageId,
        /// Where to.
        to: Place,
        /// The format that was asked for; `None` for the stored one.
        format: Option<String>,
    },
    /// Make an image from another.
    Copy {
        /// The other.
        source: ImageId,
        /// The image, which is saving for this job alone.
        image: ImageId,
    },
    /// Make an image in another region from one of this box.
    CopyAcross {
        /// The image here.
        image: ImageId,
        /// The image there.
        remote: ImageId,
        /// What the operator calls the other region.
        region: String,
        /// The project there, by name.
        project: String,
        /// The image's name there.
        name: String,
        /// Its description there, where it is another than here.
        description: Option<String>,
    },
    /// Give an image data as the Image API's imports do.
    Intake(Intake),
    /// Copy an image's data to more stores.
    CopyToPlaces {
        /// The image, which is active.
        image: ImageId,
        /// The places of the stores, none of which had it when the job was asked for.
        places: Vec<StorePlace>,
        /// Whether it stays in none of them unless it comes to be in all.
        must_all: bool,
    },
    /// Bring an image's data into the cache.
    Cache {
        /// The image, which is active.
        image: ImageId,
    },
    /// Wait for the jobs that have this one as their parent.
    Group,
}

impl Task {
    /// What is done.
    pub fn kind(&self) -> JobKind {
        match self {
            Task::Import { .. } | Task::Machine { .. } | Task::Intake(_) => JobKind::Import,
            Task::Export { .. } => JobKind::Export,
            Task::Copy { .. } => JobKind::Copy,
            Task::CopyAcross { .. } => JobKind::CopyAcross,
            Task::CopyToPlaces { .. } => JobKind::CopyToPlaces,
            Task::Cache { .. } => JobKind::Cache,
            Task::Group => JobKind::Group,
        }
    }

    /// The images that the task fills.
    pub fn fills(&self) -> Vec<ImageId> {
        match self {
            Task::Import { .. } | Task::Machine { .. } | Task::Copy { .. } | Task::Intake(_) => self.images(),
            Task::Export { .. } | Task::CopyAcross { .. } | Task::CopyToPlaces { .. } => Vec::new(),
            Task::Cache { .. } | Task::Group => Vec::new(),
        }
    }

    /// The images that the task is about; of a machine, the system's first.
    pub fn images(&self) -> Vec<ImageId> {
        match self {
            Task::Import { image, .. }
            | Task::Copy { image, .. }
            | Task::CopyAcross { image, .. }
            | Task::Intake(Intake { image, .. })
            | Task::CopyToPlaces { image, .. }
            | Task::Cache { image }
            | Task::Export { image, .. } => vec![*image],
            Task::Machine { disks } => disks.iter().map(|disk| disk.image).collect(),
            Task::Group => Vec::new(),
        }
    }
}

/// What became of one member of many that a job was about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberOutcome {
    /// The image.
    pub image: ImageId,
    /// The project; where a whole domain was meant, its id.
    pub project: ProjectId,
    /// Whether it was done.
    pub succeeded: bool,
}

/// Why a job failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// A word for programs, such as `no_such_object`; empty where an earlier release kept none.
    pub code: String,
    /// For people: what happened, to what, what to do next.
    pub message: String,
}

/// One piece of long work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// Its place in the order in which jobs were asked for: 1, 2, 3, …
    pub number: u64,
    /// What it is known by.
    pub id: JobId,
    /// What is done.
    pub kind: JobKind,
    /// How far it has come.
    pub state: JobState,
    /// What it is at, or was at last.
    pub phase: String,
    /// Bytes of this phase that are done.
    pub done_bytes: u64,
    /// Of how many, where that is known.
    pub total_bytes: Option<u64>,
    /// When it was asked for.
    pub created_at: Time,
    /// When it began, the last time if it began again.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// What came of it, in figures.
    pub result: BTreeMap<String, u64>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// Whether it waits until it is resumed.
    pub paused: bool,
    /// Whose it is; `None` for the box's own upkeep.
    pub project: Option<ProjectId>,
    /// Who asked for it.
    pub user: Option<UserId>,
    /// What a worker does; `None` where whoever began the job does its work.
    pub task: Option<Task>,
    /// The images it made, or is about.
    pub images: Vec<ImageId>,
    /// What became of each member of many.
    pub members: Vec<MemberOutcome>,
    /// The job it is a part of.
    pub parent: Option<JobId>,
    /// How often it began.
    pub attempts: u32,
}

impl Job {
    /// A job that waits: of the box itself, without a task.
    pub fn new(number: u64, id: JobId, kind: JobKind, now: Time) -> Job {
        Job {
            number,
            id,
            kind,
            state: JobState::Queued,
            phase: String::new(),
            done_bytes: 0,
            total_bytes: None,
            created_at: now,
            started_at: None,
            finished_at: None,
            result: BTreeMap::new(),
            error: None,
            paused: false,
            project: None,
            user: None,
            task: None,
            images: Vec::new(),
            members: Vec::new(),
            parent: None,
            attempts: 0,
        }
    }

    /// Bytes a second since it began, up to its end or `now`; `None` before anything was done.
    pub fn rate_bytes_s(&self, now: Time) -> Option<u64> {
        let until = self.finished_at.unwrap_or(now);
        let micros = u128::try_from(until.0.checked_sub(self.started_at?.0)?).ok().filter(|t| *t > 0)?;
        let rate = u128::from(self.done_bytes) * Time::SECOND as u128 / micros;
        (self.done_bytes > 0).then(|| u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
        }
        for kind in JobKind::ALL {
            assert_eq!(JobKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!((JobKind::parse("x"), JobState::parse("x")), (None, None));
        let id = JobId::of_number(258);
        assert_eq!(id.to_string(), "00000000000000000000000000000102");
        assert_eq!(JobId::parse(&id.to_string()), Some(id));
        for no_id in ["", "102", "0000000000000000000000000000010x", "000000000000000000000000000001020"] {
            assert_eq!(JobId::parse(no_id), None, "{no_id}");
        }
    }

    #[test]
    fn a_rate_is_told_once_something_was_done() {
        let mut job = Job::new(1, JobId([1; 16]), JobKind::Import, Time(0));
        assert_eq!(job.rate_bytes_s(Time(5)), None);
        (job.started_at, job.done_bytes) = (Some(Time(0)), 3000);
        assert_eq!(job.rate_bytes_s(Time(2 * Time::SECOND)), Some(1500));
        assert_eq!(job.rate_bytes_s(Time(0)), None);
        job.finished_at = Some(Time(Time::SECOND));
        assert_eq!(job.rate_bytes_s(Time(9 * Time::SECOND)), Some(3000));
    }
}
