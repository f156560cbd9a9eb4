//! A bucket that fails, forgets answers, or lacks what others have.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use object_store::PutPayload;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::listing::PAGE;
use super::shaky::{Fate, Shaky};
use super::*;

struct World {
    bucket: Bucket,
    store: Arc<Shaky>,
    runtime: Runtime,
    _folder: TempDir,
}

const OPTIONS: BucketOptions = BucketOptions {
    connect_timeout: Duration::from_secs(1),
    request_timeout: Duration::from_secs(1),
    patience: Duration::from_millis(600),
    first_patience: Duration::from_millis(600),
    requests_max: 4,
    part_bytes: 512 << 10,
    sending_bytes: 1 << 20,
    spool_bytes: 2 << 20,
    reserve_bytes: 0,
    conditional_puts: true,
};

fn world(options: BucketOptions, careless: bool) -> World {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Shaky::new(careless));
    let prefix = Path::from("boxes/one");
    let bucket =
        Bucket::new(store.clone(), prefix, runtime.handle().clone(), folder.path(), options).unwrap();
    World { bucket, store, runtime, _folder: folder }
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8)) as u8).collect()
}

#[test]
fn an_upload_that_a_crash_cut_off_before_its_copy_is_swept() {
    let world = world(OPTIONS, false);
    world.bucket.put(&key("a"), b"kept").unwrap();
    let others = Path::from("boxes/two/tmp/pack/1/77-0");
    for path in [&Path::from("boxes/one/tmp/pack/1/77-0"), &others] {
        world.runtime.block_on(world.store.inner.put(path, PutPayload::from_static(b"left over"))).unwrap();
    }
    assert_eq!(world.bucket.sweep_unfinished(), Ok(1));
    assert_eq!(world.bucket.sweep_unfinished(), Ok(0));
    assert_eq!(world.bucket.get(&key("a")).unwrap(), b"kept");
    assert!(world.runtime.block_on(world.store.inner.head(&others)).is_ok(), "another box's is not ours");
}

#[test]
fn what_a_writer_is_at_work_on_is_not_swept() {
    for conditional_puts in [true, false] {
        let world = world(BucketOptions { conditional_puts, ..OPTIONS }, false);
        let mut writers: Vec<_> = (0..2).map(|_| Some(world.bucket.create(&key("a")).unwrap())).collect();
        for writer in writers.iter_mut().flatten() {
            writer.write(&bytes(1200 << 10)).unwrap();
        }
        let left = Path::from("boxes/one/tmp/pack/1/77-0");
        world.runtime.block_on(world.store.inner.put(&left, PutPayload::from_static(b"left over"))).unwrap();
        assert_eq!(world.bucket.sweep_unfinished(), Ok(1));
        // While one is put together under a name of its own.
        let mine = world.bucket.place("tmp/pack/2/1-0");
        let claim = world.bucket.inner.in_use.claim(mine.clone());
        world.runtime.block_on(world.store.inner.put(&mine, PutPayload::from_static(b"at work"))).unwrap();
        assert_eq!(world.bucket.sweep_unfinished(), Ok(0));
        drop(claim);
        assert_eq!(world.bucket.sweep_unfinished(), Ok(1));
        writers[0].take().unwrap().commit().unwrap();
        assert!(world.bucket.get(&key("a")).unwrap() == bytes(1200 << 10));
        drop(writers);
        assert_eq!(world.bucket.sweep_unfinished(), Ok(0));
    }
}

#[test]
fn an_upload_in_parts_is_aborted_once_its_writer_has_ended_and_not_before() {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = Path::from("boxes/one/pack/1");
    let store = Arc::new(Shaky::default());
    let id = runtime.block_on(store.inner.create_multipart(&path)).unwrap();
    let upload = || vec![UnfinishedUpload { path: path.clone(), id: id.clone() }];
    let told = Arc::new(Told(Mutex::new(upload())));
    let bucket = Bucket::with_counts(
        store.clone(),
        Some(told.clone()),
        Path::from("boxes/one"),
        runtime.handle().clone(),
        folder.path(),
        OPTIONS,
        Arc::default(),
    )
    .unwrap();
    // Two want one name.
    let claims = [(); 2].map(|()| bucket.inner.in_use.claim(path.clone()));
    let mut swept = Vec::new();
    for claim in claims {
        *told.0.lock().unwrap() = upload();
        swept.push(bucket.sweep_unfinished().unwrap());
        drop(claim);
    }
    *told.0.lock().unwrap() = upload();
    swept.push(bucket.sweep_unfinished().unwrap());
    assert_eq!(swept, [0, 0, 1]);
}

#[test]
fn a_create_that_meets_its_own_success_succeeds() {
    let world = world(OPTIONS, false);
    for bytes in [vec![7; 100], vec![7; 900 << 10]] {
        let key = key(&format!("a{}", bytes.len()));
        world.bucket.put(&key, &bytes).unwrap();
        assert_eq!(world.bucket.put(&key, &bytes), Ok(()));
        let mut other = bytes.clone();
        other[50] = 8;
        assert_eq!(world.bucket.put(&key, &other), Err(Error::Exists(key.clone())));
    }
}

#[test]
fn p2_any_one_request_may_fail_or_lose_its_answer_and_the_object_is_whole() {
    for conditional_puts in [true, false] {
        for length in [100, 1200 << 10] {
            for fate in [Fate::Lost, Fate::AnswerLost] {
                // More steps than any of them has.
                for step in 0..9 {
                    let world = world(BucketOptions { conditional_puts, ..OPTIONS }, !conditional_puts);
                    world.store.expect(std::iter::repeat_n(Fate::Done, step).chain([fate]));
                    let name = format!("{length} bytes, {fate:?} at {step}, conditional {conditional_puts}");
                    assert_eq!(world.bucket.put(&key("a"), &bytes(length)), Ok(()), "{name}");
                    world.store.expect([]);
                    assert!(world.bucket.get(&key("a")).unwrap() == bytes(length), "{name}");
                    assert_eq!(world.bucket.sweep_unfinished(), Ok(0), "{name}");
                }
            }
        }
    }
}

#[test]
fn p2_any_one_request_of_a_replacement_may_fail_or_lose_its_answer() {
    for conditional_puts in [true, false] {
        for length in [100, 1200 << 10] {
            for fate in [Fate::Lost, Fate::AnswerLost] {
                for step in 0..9 {
                    let world = world(BucketOptions { conditional_puts, ..OPTIONS }, !conditional_puts);
                    // Of equal length, as a damaged object is.
                    world.bucket.put(&key("a"), &vec![1; length]).unwrap();
                    world.store.expect(std::iter::repeat_n(Fate::Done, step).chain([fate]));
                    let name = format!("{length} bytes, {fate:?} at {step}, conditional {conditional_puts}");
                    let mut writer = world.bucket.replace(&key("a")).unwrap();
                    writer.write(&bytes(length)).unwrap();
                    assert_eq!(writer.commit(), Ok(()), "{name}");
                    world.store.expect([]);
                    assert!(world.bucket.get(&key("a")).unwrap() == bytes(length), "{name}");
                    assert_eq!(world.bucket.sweep_unfinished(), Ok(0), "{name}");
                }
            }
        }
    }
}

#[test]
fn p2_where_no_answer_comes_any_more_the_object_is_whole_or_not_there() {
    for length in [100, 1200 << 10] {
        for step in [0, 1, 3, 4, 5] {
            let world = world(OPTIONS, false);
            let down = std::iter::repeat_n(Fate::Lost, 1000);
            world.store.expect(std::iter::repeat_n(Fate::Done, step).chain([Fate::AnswerLost]).chain(down));
            let put = world.bucket.put(&key("a"), &bytes(length));
            let ended_before = !world.store.is_spent() && put.is_ok();
            assert!(ended_before || matches!(put, Err(Error::Unavailable(_))), "{put:?}");
            world.store.expect([]);
            let kept = world.runtime.block_on(world.store.inner.get(&Path::from("boxes/one/a")));
            match kept {
                Ok(kept) => assert!(world.runtime.block_on(kept.bytes()).unwrap() == bytes(length)),
                Err(missing) => assert!(put.is_err(), "{missing}"),
            }
        }
    }
}

#[test]
fn a_body_that_ends_early_is_read_again() {
    let world = world(OPTIONS, false);
    world.bucket.put(&key("a"), &bytes(1000)).unwrap();
    world.store.expect([Fate::Short, Fate::Lost, Fate::Short]);
    let mut out = vec![0; 700];
    world.bucket.read(&key("a"), 100, &mut out).unwrap();
    assert!(out == bytes(1000)[100..800]);
    assert_eq!(world.bucket.traffic().unwrap().retries, 3);
}

#[test]
fn a_bucket_that_is_down_is_given_up_and_found_again() {
    let world = world(OPTIONS, false);
    world.bucket.put(&key("a"), b"kept").unwrap();
    world.store.expect(std::iter::repeat_n(Fate::Lost, 1000));
    assert!(matches!(world.bucket.get(&key("a")), Err(Error::Unavailable(_))));
    assert!(world.bucket.trouble().is_some());
    let at_once = world.bucket.get(&key("a")).unwrap_err().to_string();
    assert!(at_once.contains("has not answered"), "{at_once}");
    world.store.expect([]);
    while world.bucket.get(&key("a")).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(world.bucket.trouble(), None);
}

#[test]
fn listings_go_on_page_by_page_and_after_a_failure() {
    let world = world(OPTIONS, false);
    for number in 0..PAGE * 2 + 5 {
        let path = Path::from(format!("boxes/one/a/{number}"));
        world.runtime.block_on(world.store.inner.put(&path, PutPayload::new())).unwrap();
    }
    for others in ["boxes/one/b", "boxes/two/a/1", "boxes/one-and-a-half"] {
        world.runtime.block_on(world.store.inner.put(&Path::from(others), PutPayload::new())).unwrap();
    }
    world.store.expect([Fate::Done, Fate::Lost, Fate::Lost]);
    let mut found = std::collections::HashSet::new();
    world.bucket.list("a/", &mut |info| assert!(found.insert(info.key))).unwrap();
    assert_eq!(found.len(), PAGE * 2 + 5);
}

#[test]
fn a_capable_bucket_passes_and_is_left_clean() {
    for probe in [Probe::Quick, Probe::Whole] {
        let world = world(OPTIONS, false);
        world.store.expect([Fate::Done, Fate::AnswerLost, Fate::Done, Fate::Lost]);
        assert_eq!(world.bucket.probe(probe), Ok(Verdict { decides_races: true }));
        assert_eq!(world.bucket.sweep_unfinished(), Ok(0));
    }
}

#[test]
fn a_bucket_that_ignores_conditions_is_refused_unless_told() {
    for probe in [Probe::Quick, Probe::Whole] {
        let careless = world(OPTIONS, true);
        let refused = careless.bucket.probe(probe).unwrap_err().to_string();
        assert!(
            refused.contains("conditional puts") && refused.contains("bucket.conditional_puts"),
            "{refused}"
        );
        assert_eq!(careless.bucket.sweep_unfinished(), Ok(0));
        let told = world(BucketOptions { conditional_puts: false, ..OPTIONS }, true);
        assert!(told.bucket.probe(probe).is_ok());
        assert_eq!(told.bucket.sweep_unfinished(), Ok(0));
    }
}

#[test]
fn a_bucket_that_looks_first_and_then_writes_is_told_from_one_that_decides() {
    let mut world = world(OPTIONS, false);
    let store = Arc::new(Shaky::racy());
    let folder = tempfile::tempdir().unwrap();
    let (prefix, handle) = (Path::from("boxes/one"), world.runtime.handle().clone());
    world.bucket = Bucket::new(store, prefix, handle, folder.path(), OPTIONS).unwrap();
    assert_eq!(world.bucket.probe(Probe::Whole), Ok(Verdict { decides_races: false }));
    // A start does not look.
    assert_eq!(world.bucket.probe(Probe::Quick), Ok(Verdict { decides_races: true }));
    assert_eq!(world.bucket.sweep_unfinished(), Ok(0));
}

#[test]
fn a_bucket_that_gives_other_bytes_is_refused() {
    let world = world(OPTIONS, false);
    world.store.expect([Fate::Done, Fate::Done, Fate::Corrupt]);
    let refused = world.bucket.probe(Probe::Quick).unwrap_err().to_string();
    assert!(refused.contains("ranged reads"), "{refused}");
    assert_eq!(world.bucket.sweep_unfinished(), Ok(0));
}

/// Tells of uploads as long as they have not been aborted often enough.
struct Told(Mutex<Vec<UnfinishedUpload>>);

#[async_trait]
impl ListUnfinished for Told {
    async fn unfinished(&self, prefix: &Path) -> object_store::Result<Option<Vec<UnfinishedUpload>>> {
        assert_eq!(prefix.as_ref(), "boxes/one");
        Ok(Some(std::mem::take(&mut self.0.lock().unwrap())))
    }
}

#[test]
fn uploads_that_a_crash_cut_off_are_aborted() {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Shaky::default());
    let path = Path::from("boxes/one/tmp/pack/1/77-0");
    let id = runtime.block_on(store.inner.create_multipart(&path)).unwrap();
    runtime.block_on(store.inner.put_part(&path, &id, 0, PutPayload::from_static(b"part"))).unwrap();
    let told = Told(Mutex::new(vec![UnfinishedUpload { path: path.clone(), id: id.clone() }]));
    let bucket = Bucket::with_counts(
        store.clone(),
        Some(Arc::new(told)),
        Path::from("boxes/one"),
        runtime.handle().clone(),
        folder.path(),
        OPTIONS,
        Arc::default(),
    )
    .unwrap();
    assert_eq!(bucket.sweep_unfinished(), Ok(1));
    assert_eq!(bucket.sweep_unfinished(), Ok(0));
    let part = runtime.block_on(store.inner.put_part(&path, &id, 1, PutPayload::from_static(b"late")));
    assert!(part.is_err(), "the upload is gone");
}

#[test]
fn p5_more_writers_than_parts_fit_in_memory_all_finish() {
    let world = world(OPTIONS, false);
    let gathered: Vec<_> = (0..3)
        .map(|number| {
            let mut writer = world.bucket.create(&key(&format!("a{number}"))).unwrap();
            writer.write(&bytes(400 << 10)).unwrap();
            writer
        })
        .collect();
    assert_eq!(world.bucket.inner.sending.available_permits(), 2, "who gathers holds no memory");
    std::thread::scope(|scope| {
        for mut writer in gathered {
            scope.spawn(|| {
                writer.write(&bytes(900 << 10)).unwrap();
                writer.commit().unwrap();
            });
        }
    });
    let whole = [bytes(400 << 10), bytes(900 << 10)].concat();
    for number in 0..3 {
        assert!(world.bucket.get(&key(&format!("a{number}"))).unwrap() == whole);
    }
    assert_eq!(world.bucket.inner.sending.available_permits(), 2);
}
