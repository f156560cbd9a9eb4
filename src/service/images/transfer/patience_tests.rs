//! Buckets that fail for a while: jobs wait for them, and go on where they were.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::tests::{data, done, imported, new_import, place};
use super::{Buckets, SharedBucket};
use crate::model::Status;
use crate::model::job::{ImportRoute, JobState};
use crate::objects::exchange::{Error, Exchange, Folder, Key, Piece, Sink, Source};
use crate::service::Service;
use crate::service::testing::{self, member};

/// A directory whose next requests fail so.
#[derive(Debug, Clone)]
struct Flaky {
    folder: Folder,
    faults: Arc<Mutex<Vec<Error>>>,
    asked: Arc<AtomicU32>,
}

impl Flaky {
    fn pass(&self) -> Result<(), Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.faults.lock().unwrap().pop().map_or(Ok(()), Err)
    }
}

struct FlakySource(Flaky, Box<dyn Source>);
struct FlakySink(Flaky, Box<dyn Sink>);

impl Exchange for Flaky {
    fn open(&self, key: &Key) -> Result<Box<dyn Source>, Error> {
        self.pass()?;
        Ok(Box::new(FlakySource(self.clone(), self.folder.open(key)?)))
    }

    fn create(&self, key: &Key, size_bytes: u64, mark: &str) -> Result<Box<dyn Sink>, Error> {
        self.pass()?;
        Ok(Box::new(FlakySink(self.clone(), self.folder.create(key, size_bytes, mark)?)))
    }
}

impl Source for FlakySource {
    fn size_bytes(&self) -> u64 {
        self.1.size_bytes()
    }

    fn stamp(&self) -> &str {
        self.1.stamp()
    }

    fn read(&mut self, offset: u64) -> Result<Piece, Error> {
        self.0.pass()?;
        self.1.read(offset)
    }

    fn expect_unchanged(&mut self) -> Result<(), Error> {
        self.0.pass()?;
        self.1.expect_unchanged()
    }
}

impl Sink for FlakySink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.pass()?;
        self.1.write(bytes)
    }

    /// Fails after it took effect.
    fn commit(self: Box<Self>) -> Result<(), Error> {
        self.1.commit()?;
        self.0.pass()
    }
}

fn flaky(outer: &std::path::Path) -> (Service, Flaky) {
    let (service, _) = testing::service_with(testing::rules());
    std::fs::create_dir(outer.join("in")).unwrap();
    let medium =
        Flaky { folder: Folder::new(outer.join("in")), faults: Arc::default(), asked: Arc::default() };
    let everybody = vec!["*".to_owned()];
    let bucket = SharedBucket {
        name: "in".into(),
        readers: everybody.clone(),
        writers: everybody,
        backups: false,
        medium: Arc::new(medium.clone()),
    };
    (service.with_buckets(Buckets::new(vec![bucket])), medium)
}

fn away(times: usize) -> Vec<Error> {
    vec![Error::Unavailable("it is away".into()); times]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_a_bucket_that_fails_and_goes_on() {
    let outer = tempfile::tempdir().unwrap();
    let (service, bucket) = flaky(outer.path());
    let actor = member("one");
    std::fs::write(outer.path().join("in/a.raw"), data(3)).unwrap();
    let job = service.import_image(&actor, new_import("a.raw", ImportRoute::System, 1)).unwrap();
    *bucket.faults.lock().unwrap() = away(5);
    let (job, image) = done(&service, &actor, &job).await;
    assert_eq!((job.state, image.status), (JobState::Succeeded, Status::Active), "{:?}", job.error);
    assert!(bucket.faults.lock().unwrap().is_empty());
    // An export whose last answer was lost finds its own object.
    for fails in [1, 3] {
        let to = place("in", &format!("out-{fails}.raw"));
        let export = service.export_image(&actor, &image.id, to, None).unwrap();
        *bucket.faults.lock().unwrap() = away(fails);
        let (export, _) = done(&service, &actor, &export).await;
        assert_eq!(export.state, JobState::Succeeded, "{:?}", export.error);
        assert!(std::fs::read(outer.path().join(format!("in/out-{fails}.raw"))).unwrap() == data(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_stays_away_or_denies_fails_the_job_with_its_word() {
    let outer = tempfile::tempdir().unwrap();
    let (service, bucket) = flaky(outer.path());
    let actor = member("one");
    let image = imported(&service, &actor, outer.path(), 1).await;
    assert_eq!(image.status, Status::Active);
    let denied = vec![Error::Denied("nobody".into())];
    for (faults, wanted, asked_at_least) in [(away(1000), "bucket_fails", 7), (denied, "bucket_refuses", 1)] {
        let job = service.import_image(&actor, new_import("data.raw", ImportRoute::System, 1)).unwrap();
        bucket.asked.store(0, Ordering::Relaxed);
        *bucket.faults.lock().unwrap() = faults;
        let (job, image) = done(&service, &actor, &job).await;
        bucket.faults.lock().unwrap().clear();
        assert_eq!((job.state, image.status), (JobState::Failed, Status::Killed));
        assert_eq!(job.error.unwrap().code, wanted);
        assert_eq!(bucket.asked.load(Ordering::Relaxed), asked_at_least);
    }
}
