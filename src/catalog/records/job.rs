//! A job's record; its number is the row's key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::{self, Record, Unreadable};
use crate::model::job::{
    DataOrigin, Disk, Failure, ImportRoute, Intake, IntakeKind, Job, JobId, JobKind, JobState, MemberOutcome,
    Place, Task,
};
use crate::model::{ImageId, ProjectId, StorePlace, UserId};

/// A job without its number. Kind and state are kept by name, so that both lists can grow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    kind: String,
    state: String,
    phase: String,
    done_bytes: u64,
    total_bytes: Option<u64>,
    created_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    result: BTreeMap<String, u64>,
    error: Option<String>,
    paused: bool,
    /// Zeros where an earlier release kept the number alone.
    id: [u8; 16],
    project: Option<String>,
    user: Option<String>,
    task: Option<TaskRecord>,
    images: Vec<[u8; 16]>,
    members: Vec<([u8; 16], String, bool)>,
    parent: Option<[u8; 16]>,
    attempts: u32,
    error_code: String,
}

/// What a worker does. Later kinds are added behind these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum TaskRecord {
    Import {
        image: [u8; 16],
        bucket: String,
        key: String,
        route: u8,
        stamp: Option<String>,
    },
    Export {
        image: [u8; 16],
        bucket: String,
        key: String,
        format: Option<String>,
    },
    Copy {
        source: [u8; 16],
        image: [u8; 16],
    },
    Group,
    Machine {
        disks: Vec<DiskRecord>,
    },
    CopyAcross(AcrossRecord),
    Intake(IntakeRecord),
    CopyToPlaces {
        image: [u8; 16],
        places: Vec<u8>,
        must_all: bool,
    },
    /// An import that names its stores.
    IntakeTo {
        intake: IntakeRecord,
        places: Vec<u8>,
        must_all: bool,
    },
    Cache {
        image: [u8; 16],
    },
    /// An import whose disk is to be stored in a format.
    IntakeAs {
        intake: IntakeRecord,
        places: Vec<u8>,
        must_all: bool,
        format: String,
    },
}

/// An import of the Image API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct IntakeRecord {
    kind: u8,
    image: [u8; 16],
    origin: OriginRecord,
    stamp: Option<String>,
    input: String,
    request_id: String,
}

/// Where its data is. Later ones are added behind these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum OriginRecord {
    Staged,
    Web { url: String },
    Region { region: String, image: [u8; 16] },
    Own,
}

/// A copy into another region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct AcrossRecord {
    image: [u8; 16],
    remote: [u8; 16],
    region: String,
    project: String,
    name: String,
    description: Option<String>,
}

/// One disk of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct DiskRecord {
    image: [u8; 16],
    bucket: String,
    key: String,
    stamp: Option<String>,
}

/// What the second form lacks at its end: no id, owner, user, task, images, members, parent; begun
/// never; no code.
const SINCE_THIRD: [u8; 16 + 1 + 1 + 1 + 8 + 8 + 1 + 4 + 8] = [0; 48];

impl Record for JobRecord {
    const VERSION: u8 = 3;
    const NAME: &'static str = "job";

    fn decode_other(version: u8, body: &[u8]) -> Result<JobRecord, Unreadable> {
        match version {
            // The first form is the second one without its last byte.
            1 => codec::decode_body(&[body, &[0], &SINCE_THIRD].concat()),
            2 => codec::decode_body(&[body, &SINCE_THIRD[..]].concat()),
            _ => Err(Unreadable { name: Self::NAME, reason: format!("version {version} is unknown") }),
        }
    }
}

impl From<&Job> for JobRecord {
    fn from(job: &Job) -> JobRecord {
        let id = |id: &ImageId| *id.bytes();
        let members = job.members.iter();
        JobRecord {
            kind: job.kind.as_str().to_owned(),
            state: job.state.as_str().to_owned(),
            phase: job.phase.clone(),
            done_bytes: job.done_bytes,
            total_bytes: job.total_bytes,
            created_at: job.created_at.0,
            started_at: job.started_at.map(|time| time.0),
            finished_at: job.finished_at.map(|time| time.0),
            result: job.result.clone(),
            error: job.error.as_ref().map(|error| error.message.clone()),
            paused: job.paused,
            id: job.id.0,
            project: job.project.as_ref().map(|project| project.0.clone()),
            user: job.user.as_ref().map(|user| user.0.clone()),
            task: job.task.as_ref().map(TaskRecord::from),
            images: job.images.iter().map(id).collect(),
            members: members.map(|m| (id(&m.image), m.project.0.clone(), m.succeeded)).collect(),
            parent: job.parent.map(|parent| parent.0),
            attempts: job.attempts,
            error_code: job.error.as_ref().map(|error| error.code.clone()).unwrap_or_default(),
        }
    }
}

impl From<&Task> for TaskRecord {
    fn from(task: &Task) -> TaskRecord {
        match task {
            Task::Import { image, from, route, stamp } => TaskRecord::Import {
                image: *image.bytes(),
                bucket: from.bucket.clone(),
                key: from.key.clone(),
                route: route_code(*route),
                stamp: stamp.clone(),
            },
            Task::Export { image, to, format } => TaskRecord::Export {
                image: *image.bytes(),
                bucket: to.bucket.clone(),
                key: to.key.clone(),
                format: format.clone(),
            },
            Task::Copy { source, image } => {
                TaskRecord::Copy { source: *source.bytes(), image: *image.bytes() }
            }
            Task::Group => TaskRecord::Group,
            Task::Machine { disks } => {
                TaskRecord::Machine { disks: disks.iter().map(DiskRecord::from).collect() }
            }
            Task::CopyAcross { image, remote, region, project, name, description } => {
                TaskRecord::CopyAcross(AcrossRecord {
                    image: *image.bytes(),
                    remote: *remote.bytes(),
                    region: region.clone(),
                    project: project.clone(),
                    name: name.clone(),
                    description: description.clone(),
                })
            }
            Task::Intake(intake @ Intake { convert: Some(format), .. }) => TaskRecord::IntakeAs {
                intake: IntakeRecord::from(intake),
                places: intake.places.iter().map(|place| place.0).collect(),
                must_all: intake.must_all,
                format: format.clone(),
            },
            Task::Intake(intake) if intake.places.is_empty() => {
                TaskRecord::Intake(IntakeRecord::from(intake))
            }
            Task::Intake(intake) => TaskRecord::IntakeTo {
                intake: IntakeRecord::from(intake),
                places: intake.places.iter().map(|place| place.0).collect(),
                must_all: intake.must_all,
            },
            Task::CopyToPlaces { image, places, must_all } => TaskRecord::CopyToPlaces {
                image: *image.bytes(),
                places: places.iter().map(|place| place.0).collect(),
                must_all: *must_all,
            },
            Task::Cache { image } => TaskRecord::Cache { image: *image.bytes() },
        }
    }
}

impl From<&Intake> for IntakeRecord {
    fn from(intake: &Intake) -> IntakeRecord {
        let origin = match &intake.origin {
            DataOrigin::Staged => OriginRecord::Staged,
            DataOrigin::Web { url } => OriginRecord::Web { url: url.clone() },
            DataOrigin::Region { region, image } => {
                OriginRecord::Region { region: region.clone(), image: *image.bytes() }
            }
            DataOrigin::Own => OriginRecord::Own,
        };
        IntakeRecord {
            kind: intake_code(intake.kind),
            image: *intake.image.bytes(),
            origin,
            stamp: intake.stamp.clone(),
            input: intake.input.clone(),
            request_id: intake.request_id.clone(),
        }
    }
}

impl IntakeRecord {
    fn into_intake(self) -> Result<Intake, Unreadable> {
        let kind = IntakeKind::ALL.into_iter().find(|kind| intake_code(*kind) == self.kind);
        let unknown =
            || Unreadable { name: JobRecord::NAME, reason: format!("import kind {} is unknown", self.kind) };
        Ok(Intake {
            kind: kind.ok_or_else(unknown)?,
            image: image_id(self.image),
            origin: match self.origin {
                OriginRecord::Staged => DataOrigin::Staged,
                OriginRecord::Web { url } => DataOrigin::Web { url },
                OriginRecord::Region { region, image } => {
                    DataOrigin::Region { region, image: image_id(image) }
                }
                OriginRecord::Own => DataOrigin::Own,
            },
            stamp: self.stamp,
            input: self.input,
            request_id: self.request_id,
            places: Vec::new(),
            must_all: true,
            convert: None,
        })
    }
}

fn intake_code(kind: IntakeKind) -> u8 {
    match kind {
        IntakeKind::ImageImport => 0,
        IntakeKind::TaskImport => 1,
        IntakeKind::LocationImport => 2,
    }
}

impl From<&Disk> for DiskRecord {
    fn from(disk: &Disk) -> DiskRecord {
        let Disk { image, from, stamp } = disk;
        let Place { bucket, key } = from.clone();
        DiskRecord { image: *image.bytes(), bucket, key, stamp: stamp.clone() }
    }
}

impl DiskRecord {
    fn into_disk(self) -> Disk {
        let DiskRecord { image, bucket, key, stamp } = self;
        Disk { image: image_id(image), from: Place { bucket, key }, stamp }
    }
}

impl TaskRecord {
    fn into_task(self) -> Result<Task, Unreadable> {
        Ok(match self {
            TaskRecord::Import { image, bucket, key, route, stamp } => Task::Import {
                image: image_id(image),
                from: Place { bucket, key },
                route: read_route(route)?,
                stamp,
            },
            TaskRecord::Export { image, bucket, key, format } => {
                Task::Export { image: image_id(image), to: Place { bucket, key }, format }
            }
            TaskRecord::Copy { source, image } => {
                Task::Copy { source: image_id(source), image: image_id(image) }
            }
            TaskRecord::Group => Task::Group,
            TaskRecord::Machine { disks } => {
                Task::Machine { disks: disks.into_iter().map(DiskRecord::into_disk).collect() }
            }
            TaskRecord::CopyAcross(AcrossRecord { image, remote, region, project, name, description }) => {
                let (image, remote) = (image_id(image), image_id(remote));
                Task::CopyAcross { image, remote, region, project, name, description }
            }
            TaskRecord::Intake(intake) => Task::Intake(intake.into_intake()?),
            TaskRecord::IntakeTo { intake, places, must_all } => Task::Intake(Intake {
                places: places.into_iter().map(StorePlace).collect(),
                must_all,
                ..intake.into_intake()?
            }),
            TaskRecord::IntakeAs { intake, places, must_all, format } => Task::Intake(Intake {
                places: places.into_iter().map(StorePlace).collect(),
                must_all,
                convert: Some(format),
                ..intake.into_intake()?
            }),
            TaskRecord::CopyToPlaces { image, places, must_all } => Task::CopyToPlaces {
                image: image_id(image),
                places: places.into_iter().map(StorePlace).collect(),
                must_all,
            },
            TaskRecord::Cache { image } => Task::Cache { image: image_id(image) },
        })
    }
}

impl JobRecord {
    /// The job of this number.
    ///
    /// # Errors
    /// When its kind, state or route is none of this release's.
    pub fn into_job(self, number: u64) -> Result<Job, Unreadable> {
        let unknown =
            |what: &str| Unreadable { name: Self::NAME, reason: format!("job {number} is {what:?}") };
        let code = self.error_code;
        let members = self.members.into_iter();
        Ok(Job {
            number,
            id: if self.id == [0; 16] { JobId::of_number(number) } else { JobId(self.id) },
            kind: JobKind::parse(&self.kind).ok_or_else(|| unknown(&self.kind))?,
            state: JobState::parse(&self.state).ok_or_else(|| unknown(&self.state))?,
            phase: self.phase,
            done_bytes: self.done_bytes,
            total_bytes: self.total_bytes,
            created_at: Time(self.created_at),
            started_at: self.started_at.map(Time),
            finished_at: self.finished_at.map(Time),
            result: self.result,
            error: self.error.map(|message| Failure { code, message }),
            paused: self.paused,
            project: self.project.map(ProjectId),
            user: self.user.map(UserId),
            task: self.task.map(TaskRecord::into_task).transpose()?,
            images: self.images.into_iter().map(image_id).collect(),
            members: members
                .map(|(image, project, succeeded)| MemberOutcome {
                    image: image_id(image),
                    project: ProjectId(project),
                    succeeded,
                })
                .collect(),
            parent: self.parent.map(JobId),
            attempts: self.attempts,
        })
    }
}

fn image_id(bytes: [u8; 16]) -> ImageId {
    ImageId(uuid::Uuid::from_bytes(bytes))
}

const ROUTES: [ImportRoute; 4] =
    [ImportRoute::System, ImportRoute::Quick, ImportRoute::Data, ImportRoute::Register];

fn route_code(route: ImportRoute) -> u8 {
    match route {
        ImportRoute::System => 0,
        ImportRoute::Quick => 1,
        ImportRoute::Data => 2,
        ImportRoute::Register => 3,
    }
}

fn read_route(code: u8) -> Result<ImportRoute, Unreadable> {
    ROUTES.get(usize::from(code)).copied().ok_or_else(|| Unreadable {
        name: JobRecord::NAME,
        reason: format!("import route {code} is unknown"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    fn number(n: u8) -> String {
        format!("{n:02x}00000000000000")
    }

    fn text(text: &str) -> String {
        format!("{}{}", number(text.len() as u8), hex::encode(text))
    }

    fn id(n: u8) -> ImageId {
        image_id([n; 16])
    }

    #[test]
    fn the_form_is_golden() {
        let mut job = Job::new(9, JobId([8; 16]), JobKind::Export, Time(3));
        job.state = JobState::Failed;
        job.phase = "p".into();
        (job.done_bytes, job.total_bytes) = (1, Some(2));
        job.started_at = Some(Time(4));
        job.result = [("r".to_owned(), 5)].into();
        job.error = Some(Failure { code: "c".into(), message: "e".into() });
        job.paused = true;
        (job.project, job.user) = (Some("o".into()), Some("u".into()));
        let to = Place { bucket: "b".into(), key: "k".into() };
        job.task = Some(Task::Export { image: id(6), to, format: Some("f".into()) });
        job.images = vec![id(6)];
        job.members = vec![MemberOutcome { image: id(6), project: "m".into(), succeeded: true }];
        job.parent = Some(JobId([7; 16]));
        job.attempts = 2;
        let bytes = encode(&JobRecord::from(&job));
        let form = [
            text("export"),
            text("failed"),
            text("p"),
            number(1),
            format!("01{}", number(2)),
            number(3),
            format!("01{}", number(4)),
            "00".to_owned(),
            format!("{}{}{}", number(1), text("r"), number(5)),
            format!("01{}", text("e")),
            "01".to_owned(),
            "08".repeat(16),
            format!("01{}", text("o")),
            format!("01{}", text("u")),
            format!("0101000000{}{}{}01{}", "06".repeat(16), text("b"), text("k"), text("f")),
            format!("{}{}", number(1), "06".repeat(16)),
            format!("{}{}{}01", number(1), "06".repeat(16), text("m")),
            format!("01{}", "07".repeat(16)),
            "02000000".to_owned(),
            text("c"),
        ];
        assert_eq!(hex::encode(&bytes), format!("03{}", form.concat()));
        assert_eq!(decode::<JobRecord>(&bytes).unwrap().into_job(9).unwrap(), job);
    }

    #[test]
    fn every_task_comes_back_as_it_went_in() {
        let from = Place { bucket: "b".into(), key: "k".into() };
        let import =
            |route| Task::Import { image: id(1), from: from.clone(), route, stamp: Some("s".into()) };
        let intake = |kind, origin| {
            let (image, stamp) = (id(1), Some("s".into()));
            let (input, request_id) = ("{}".into(), "r".into());
            let (places, must_all) = (Vec::new(), true);
            Intake { kind, image, origin, stamp, input, request_id, places, must_all, convert: None }
        };
        let to = |origin, places: &[u8], must_all| {
            let places = places.iter().map(|place| StorePlace(*place)).collect();
            Task::Intake(Intake { places, must_all, ..intake(IntakeKind::ImageImport, origin) })
        };
        let places = vec![StorePlace(3), StorePlace::HOME];
        let to_places = Task::CopyToPlaces { image: id(1), places, must_all: true };
        let others = [
            Task::Copy { source: id(1), image: id(2) },
            Task::Group,
            Task::Cache { image: id(1) },
            to_places,
            Task::Intake(intake(IntakeKind::ImageImport, DataOrigin::Staged)),
            Task::Intake(intake(IntakeKind::TaskImport, DataOrigin::Web { url: "http://m/".into() })),
            Task::Intake(intake(
                IntakeKind::LocationImport,
                DataOrigin::Region { region: "east".into(), image: id(2) },
            )),
            to(DataOrigin::Staged, &[3, 0], true),
            to(DataOrigin::Own, &[1], false),
            Task::Intake(Intake {
                convert: Some("qcow2".into()),
                places: vec![StorePlace(2)],
                must_all: false,
                ..intake(IntakeKind::ImageImport, DataOrigin::Staged)
            }),
        ];
        for task in ROUTES.map(import).into_iter().chain(others) {
            assert_eq!(TaskRecord::from(&task).into_task().unwrap(), task);
        }
        assert!(ROUTES.iter().all(|route| read_route(route_code(*route)).unwrap() == *route));
        assert!(read_route(4).is_err());
    }

    #[test]
    fn earlier_forms_are_read() {
        let form = [
            text("reclaim"),
            text("failed"),
            text("p"),
            number(1),
            format!("01{}", number(2)),
            number(3),
            format!("01{}", number(4)),
            "00".to_owned(),
            format!("{}{}{}", number(1), text("r"), number(5)),
            format!("01{}", text("e")),
        ];
        let read =
            |text: String| decode::<JobRecord>(&hex::decode(text).unwrap()).unwrap().into_job(9).unwrap();
        let mut job = Job::new(9, JobId::of_number(9), JobKind::Reclaim, Time(3));
        job.state = JobState::Failed;
        job.phase = "p".into();
        (job.done_bytes, job.total_bytes) = (1, Some(2));
        job.started_at = Some(Time(4));
        job.result = [("r".to_owned(), 5)].into();
        job.error = Some(Failure { code: String::new(), message: "e".into() });
        assert_eq!(read(format!("01{}", form.concat())), job);
        assert_eq!(read(format!("02{}01", form.concat())), Job { paused: true, ..job });
    }
}
