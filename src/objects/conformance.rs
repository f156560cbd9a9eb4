//! What every medium promises, as one suite that each of them passes.

use std::sync::Arc;

use super::*;

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

fn listed(objects: &dyn Objects, prefix: &str) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    objects.list(prefix, &mut |info| found.push((info.key.to_string(), info.size_bytes))).unwrap();
    found.sort();
    found
}

/// Bytes that differ everywhere, so that a piece in the wrong place shows.
fn sample(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for (index, word) in bytes.chunks_mut(8).enumerate() {
        let value = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        word.copy_from_slice(&value[..word.len()]);
    }
    bytes
}

/// Runs every promise on a fresh medium each.
fn suite(make: impl Fn() -> Arc<dyn Objects>) {
    a_folder_is_no_object(make());
    objects_suite(&make);
    races(&make);
}

/// What holds when several write one name at once. No two writers of ours ever draw the same one, so
/// that a server that looks first and writes then can be used all the same.
fn races(make: impl Fn() -> Arc<dyn Objects>) {
    one_of_many_creates_wins(make());
    one_of_two_big_creates_wins(make());
}

/// As [`suite`], without what is said of folders and races.
fn objects_suite(make: impl Fn() -> Arc<dyn Objects>) {
    let promises: [fn(Arc<dyn Objects>); 11] = [
        what_was_put_is_got,
        an_object_is_invisible_before_its_commit,
        an_object_is_never_overwritten,
        a_dropped_writer_leaves_nothing,
        ranges_are_exact,
        deleting_twice_succeeds,
        a_deleted_name_can_be_used_again,
        lists_are_by_prefix_with_sizes,
        a_big_object_may_come_in_odd_pieces,
        an_empty_object_is_an_object,
        a_replacement_takes_the_place_in_one_step,
    ];
    for promise in promises {
        promise(make());
    }
}

fn what_was_put_is_got(objects: Arc<dyn Objects>) {
    objects.put(&key("pack/3f/3f00"), b"some bytes").unwrap();
    assert_eq!(objects.get(&key("pack/3f/3f00")).unwrap(), b"some bytes");
    assert_eq!(objects.size(&key("pack/3f/3f00")), Ok(10));
    assert_eq!(objects.get(&key("pack/3f/3f01")), Err(Error::NotFound(key("pack/3f/3f01"))));
    assert_eq!(objects.size(&key("other/3f")), Err(Error::NotFound(key("other/3f"))));
}

/// A server that keeps objects as files may fail here instead; no key of ours is ever a folder.
fn a_folder_is_no_object(objects: Arc<dyn Objects>) {
    objects.put(&key("pack/3f/3f00"), b"some bytes").unwrap();
    assert_eq!(objects.size(&key("pack/3f")), Err(Error::NotFound(key("pack/3f"))));
}

fn an_object_is_invisible_before_its_commit(objects: Arc<dyn Objects>) {
    let mut writer = objects.create(&key("a/b")).unwrap();
    // More than any buffer on the way, so that part of it has reached the medium.
    writer.write(&sample(12 << 20)).unwrap();
    assert_eq!(objects.size(&key("a/b")), Err(Error::NotFound(key("a/b"))));
    assert_eq!(objects.read(&key("a/b"), 0, &mut [0; 4]), Err(Error::NotFound(key("a/b"))));
    assert_eq!(listed(&*objects, ""), []);
    writer.commit().unwrap();
    assert_eq!(objects.size(&key("a/b")), Ok(12 << 20));
}

fn an_object_is_never_overwritten(objects: Arc<dyn Objects>) {
    objects.put(&key("a/b"), b"first").unwrap();
    for second in [sample(5), sample(12 << 20)] {
        assert_eq!(objects.put(&key("a/b"), &second), Err(Error::Exists(key("a/b"))));
        assert_eq!(objects.get(&key("a/b")).unwrap(), b"first");
    }
}

fn a_dropped_writer_leaves_nothing(objects: Arc<dyn Objects>) {
    for length in [0, 5, 12 << 20] {
        let mut writer = objects.create(&key("a/b")).unwrap();
        writer.write(&sample(length)).unwrap();
        drop(writer);
        assert_eq!(listed(&*objects, ""), []);
        assert_eq!(objects.sweep_unfinished(), Ok(0));
    }
    objects.put(&key("a/b"), b"later").unwrap();
    assert_eq!(objects.get(&key("a/b")).unwrap(), b"later");
}

fn ranges_are_exact(objects: Arc<dyn Objects>) {
    let bytes = sample(10_000);
    objects.put(&key("a"), &bytes).unwrap();
    for (offset, length) in [(0, 10_000), (0, 1), (9_999, 1), (4_095, 4_098), (10_000, 0), (17, 0)] {
        let mut out = vec![0xee; length];
        objects.read(&key("a"), offset as u64, &mut out).unwrap();
        assert_eq!(out, bytes[offset..offset + length], "{length} from {offset}");
    }
    for (offset, length) in [(0, 10_001), (9_999, 2), (10_000, 1), (20_000, 1), (u64::MAX - 4, 8)] {
        let answer = objects.read(&key("a"), offset, &mut vec![0; length]);
        assert!(matches!(answer, Err(Error::Invalid(_))), "{length} from {offset}: {answer:?}");
    }
    let missing = objects.read(&key("b"), 0, &mut []);
    assert_eq!(missing, Err(Error::NotFound(key("b"))));
}

fn deleting_twice_succeeds(objects: Arc<dyn Objects>) {
    objects.put(&key("a/b"), b"x").unwrap();
    assert_eq!(objects.delete(&key("a/b")), Ok(()));
    assert_eq!(objects.delete(&key("a/b")), Ok(()));
    assert_eq!(objects.delete(&key("never/was/there")), Ok(()));
    assert_eq!(objects.size(&key("a/b")), Err(Error::NotFound(key("a/b"))));
    assert_eq!(listed(&*objects, ""), []);
}

fn a_deleted_name_can_be_used_again(objects: Arc<dyn Objects>) {
    objects.put(&key("a"), b"old").unwrap();
    assert_eq!(objects.get(&key("a")).unwrap(), b"old");
    objects.delete(&key("a")).unwrap();
    objects.put(&key("a"), b"newer").unwrap();
    assert_eq!(objects.get(&key("a")).unwrap(), b"newer");
}

fn lists_are_by_prefix_with_sizes(objects: Arc<dyn Objects>) {
    for (name, size) in [("pack/3f/1", 1), ("pack/3f/22", 2), ("pack/40/1", 3), ("packs", 4), ("log/1", 0)] {
        objects.put(&key(name), &sample(size)).unwrap();
    }
    let names = |prefix| listed(&*objects, prefix).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(
        listed(&*objects, "pack/"),
        [("pack/3f/1".into(), 1), ("pack/3f/22".into(), 2), ("pack/40/1".into(), 3)]
    );
    assert_eq!(names(""), ["log/1", "pack/3f/1", "pack/3f/22", "pack/40/1", "packs"]);
    assert_eq!(names("pack"), ["pack/3f/1", "pack/3f/22", "pack/40/1", "packs"]);
    assert_eq!(names("pack/3"), ["pack/3f/1", "pack/3f/22"]);
    assert_eq!(names("pack/3f/2"), ["pack/3f/22"]);
    assert_eq!(names("pack/3f/22"), ["pack/3f/22"]);
    assert!(names("pack/3f/22/").is_empty());
    assert!(names("nothing/here").is_empty());
    assert!(names("../").is_empty());
}

fn one_of_many_creates_wins(objects: Arc<dyn Objects>) {
    let start = std::sync::Barrier::new(8);
    let put = |number: u8| {
        start.wait();
        // Same length, other bytes: a medium may not take the winner's object for ours.
        (number, objects.put(&key("a/b"), &[number; 1000]))
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let put = &put;
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || put(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let winners: Vec<u8> =
        outcomes.iter().filter(|(_, put)| put.is_ok()).map(|(number, _)| *number).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert_eq!(objects.get(&key("a/b")).unwrap(), [winners[0]; 1000]);
    for (_, put) in outcomes.iter().filter(|(number, _)| *number != winners[0]) {
        assert_eq!(*put, Err(Error::Exists(key("a/b"))));
    }
}

fn one_of_two_big_creates_wins(objects: Arc<dyn Objects>) {
    let first = sample(9 << 20);
    // Differs in the middle only: length and end prove nothing.
    let mut second = first.clone();
    second[4 << 20] ^= 1;
    let mut writers = [&first, &second].map(|bytes| {
        let mut writer = objects.create(&key("big")).unwrap();
        writer.write(bytes).unwrap();
        Some(writer)
    });
    assert_eq!(writers[1].take().unwrap().commit(), Ok(()));
    assert_eq!(writers[0].take().unwrap().commit(), Err(Error::Exists(key("big"))));
    assert!(objects.get(&key("big")).unwrap() == second, "the winner's object was touched");
    assert_eq!(objects.sweep_unfinished(), Ok(0));
}

fn a_big_object_may_come_in_odd_pieces(objects: Arc<dyn Objects>) {
    let bytes = sample((20 << 20) + 77);
    let mut writer = objects.create(&key("big")).unwrap();
    let mut rest = &bytes[..];
    for length in [0, 1, 4095, 3 << 20, 1_048_577, 7].into_iter().cycle() {
        let (piece, left) = rest.split_at(length.min(rest.len()));
        writer.write(piece).unwrap();
        rest = left;
        if rest.is_empty() {
            break;
        }
    }
    writer.commit().unwrap();
    assert!(objects.get(&key("big")).unwrap() == bytes, "the object is not what was written");
    let mut out = [0; 16];
    objects.read(&key("big"), (10 << 20) - 8, &mut out).unwrap();
    assert_eq!(out, bytes[(10 << 20) - 8..(10 << 20) + 8]);
}

fn an_empty_object_is_an_object(objects: Arc<dyn Objects>) {
    objects.create(&key("a/empty")).unwrap().commit().unwrap();
    assert_eq!(objects.get(&key("a/empty")).unwrap(), b"");
    assert_eq!(objects.size(&key("a/empty")), Ok(0));
    assert_eq!(listed(&*objects, "a/"), [("a/empty".into(), 0)]);
    assert_eq!(objects.put(&key("a/empty"), b"x"), Err(Error::Exists(key("a/empty"))));
}

fn a_replacement_takes_the_place_in_one_step(objects: Arc<dyn Objects>) {
    for length in [5, 12 << 20] {
        let (old, new) = (sample(length + 3), sample(length));
        objects.put(&key("a/b"), &old).unwrap();
        assert_eq!(objects.size(&key("a/b")), Ok(old.len() as u64));
        let mut abandoned = objects.replace(&key("a/b")).unwrap();
        abandoned.write(&sample(7)).unwrap();
        drop(abandoned);
        let mut writer = objects.replace(&key("a/b")).unwrap();
        writer.write(&new).unwrap();
        assert!(objects.get(&key("a/b")).unwrap() == old, "it was changed before its commit");
        writer.commit().unwrap();
        assert!(objects.get(&key("a/b")).unwrap() == new, "it is not what took its place");
        assert_eq!(listed(&*objects, ""), [("a/b".into(), length as u64)]);
        objects.delete(&key("a/b")).unwrap();
        // What is gone can be put back.
        let mut writer = objects.replace(&key("a/b")).unwrap();
        writer.write(&new).unwrap();
        writer.commit().unwrap();
        assert!(objects.get(&key("a/b")).unwrap() == new);
        objects.delete(&key("a/b")).unwrap();
        assert_eq!(objects.sweep_unfinished(), Ok(0));
    }
}

#[test]
fn memory_keeps_every_promise() {
    suite(|| Arc::new(Memory::new()));
}

#[test]
fn media_behind_one_keep_every_promise() {
    // Names that differ in length lie on different media.
    let spread = Spread { medium_of: |key| (key.as_str().len() % 2) as u8, is_spread: |_| true };
    suite(|| {
        let others = [(1, Arc::new(Memory::new()) as Arc<dyn Objects>)].into();
        Arc::new(Placed::new(Arc::new(Memory::new()), others, spread))
    });
}

#[test]
fn a_directory_keeps_every_promise() {
    let directory = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    suite(|| {
        count.set(count.get() + 1);
        Arc::new(Native::open(directory.path().join(count.get().to_string())).unwrap())
    });
}

#[test]
fn a_cached_medium_keeps_every_promise() {
    let directory = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    suite(|| {
        count.set(count.get() + 1);
        let folder = directory.path().join(count.get().to_string());
        Arc::new(Cached::open(Arc::new(Memory::new()), &folder, 4 << 20, 0).unwrap())
    });
}

#[cfg(feature = "buckets")]
mod buckets {
    use object_store::path::Path;

    use super::*;

    /// Runs every promise on a bucket in memory each.
    fn in_memory(options: BucketOptions) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        suite(|| {
            let store = Arc::new(object_store::memory::InMemory::new());
            let (prefix, handle) = (Path::from("a/box"), runtime.handle().clone());
            Arc::new(Bucket::new(store, prefix, handle, folder.path(), options).unwrap())
        });
    }

    #[test]
    fn a_bucket_in_memory_keeps_every_promise() {
        in_memory(BucketOptions::default());
    }

    #[test]
    fn a_bucket_without_conditions_keeps_every_promise_to_one_process() {
        in_memory(BucketOptions { conditional_puts: false, ..BucketOptions::default() });
    }

    #[test]
    #[ignore = "needs a bucket: TINTYPE_TEST_BUCKET=s3://BUCKET/PREFIX and AWS_* variables"]
    fn a_real_bucket_keeps_every_promise() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = std::env::var("TINTYPE_TEST_BUCKET").unwrap();
        let conditional_puts = std::env::var("TINTYPE_TEST_UNCONDITIONAL").is_err();
        let options = BucketOptions { conditional_puts, ..BucketOptions::default() };
        let (count, decided) = (std::cell::Cell::new(0), std::cell::Cell::new(true));
        let make = || -> Arc<dyn Objects> {
            // A prefix each: some buckets keep a folder's name taken for a while after its last object.
            count.set(count.get() + 1);
            let prefix = format!("{}/{}", url.trim_end_matches('/'), count.get());
            let handle = runtime.handle().clone();
            let bucket = open_url(&prefix, [], handle, &folder.path().join(count.get().to_string()), options);
            let bucket = bucket.unwrap();
            let mut old = Vec::new();
            bucket.list("", &mut |info| old.push(info.key)).unwrap();
            old.iter().for_each(|key| bucket.delete(key).unwrap());
            let verdict = bucket.probe(Probe::Whole).unwrap();
            decided.set(decided.get() && verdict.decides_races);
            Arc::new(bucket)
        };
        objects_suite(make);
        // Of a server that does not decide, the probe may see no race that shows it.
        if std::env::var("TINTYPE_TEST_RACY").is_err() {
            races(make);
            assert!(decided.get(), "the probe says that this bucket does not decide races");
        }
    }
}
