//! Rounds, turns and the pace.

use std::sync::Arc;
use std::time::Duration;

use super::super::mute::Mute;
use super::super::tests::{Bench, fresh, noise, open, put};
use super::super::*;
use super::Scrubbed;
use super::records::{VERIFIED, Verified};
use super::turn::oldest;
use crate::db::Rows;
use crate::objects::{self, Objects};

fn again(b: &Bench) -> Bench {
    Bench {
        store: open(b.objects.clone(), b.db.clone(), None).unwrap(),
        objects: b.objects.clone(),
        db: b.db.clone(),
    }
}

async fn stocked() -> Bench {
    let b = fresh(None);
    for seed in 1..=4 {
        put(&b, &noise(seed, 1_300_000)).await;
    }
    b
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_passes_objects_over_says_so() {
    let b = stocked().await;
    let medium = Mute::new(b.objects.clone());
    let (clock, entropy) = (Arc::new(crate::base::SystemClock), Arc::new(crate::base::OsEntropy));
    let store = Store::open(b.db.clone(), Arc::new(medium.clone()), None, Options::default(), clock, entropy);
    let (store, stats) = (store.unwrap(), b.store.stats().unwrap());
    medium.read_no_more("manifest/");
    assert_eq!(store.scrub_all(&mut |_| ()).unwrap(), Scrubbed::Round);
    assert_eq!(store.scrub_status().unwrap().objects, stats.packs);
    let ended = store.events().unwrap().remove(0);
    let told = format!("{} did not answer", stats.contents);
    assert!(ended.kind == EventKind::ScrubEnded && ended.detail.contains(&told), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_compares_every_object_once() {
    let b = stocked().await;
    let stats = b.store.stats().unwrap();
    let mut bytes = 0;
    assert_eq!(b.store.scrub_all(&mut |more| bytes += more).unwrap(), Scrubbed::Round);
    let status = b.store.scrub_status().unwrap();
    assert_eq!((status.objects, status.bytes), (stats.packs + stats.contents, stats.stored_bytes));
    assert!(!status.is_under_way && status.completed_at >= status.started_at && status.started_at.is_some());
    assert!(bytes <= stats.stored_bytes && bytes > stats.stored_bytes * 9 / 10);
    assert_eq!(b.store.activity().scrubbed_bytes, bytes);
    assert_eq!(b.store.scrub_completed_at(), status.completed_at);
    // A round that is complete has nothing to go on with.
    assert_eq!(b.store.scrub_on(1 << 40).unwrap(), Scrubbed::Round);
    assert_eq!(again(&b).store.scrub_status().unwrap(), status);
    assert_eq!(again(&b).store.scrub_completed_at(), status.completed_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_was_stopped_goes_on_where_it_was_after_a_restart() {
    let b = stocked().await;
    let (stopped, half) = (b.store.clone(), b.store.stats().unwrap().stored_bytes / 2);
    let mut seen = 0;
    let ended = b.store.scrub_all(&mut |bytes| {
        seen += bytes;
        if seen > half {
            stopped.stop_scrub();
        }
    });
    assert_eq!(ended.unwrap(), Scrubbed::Stopped);
    let first = b.store.scrub_status().unwrap();
    assert!(first.is_under_way && first.objects > 0 && first.objects < first.objects_total, "{first:?}");
    // Told to stop, it does not begin again.
    assert_eq!(b.store.scrub_on(1 << 40).unwrap(), Scrubbed::Stopped);

    let b = again(&b);
    let before = b.store.activity().scrubbed_bytes;
    assert_eq!(b.store.scrub_on(1 << 40).unwrap(), Scrubbed::Round);
    let status = b.store.scrub_status().unwrap();
    assert_eq!((status.objects, status.started_at), (status.objects_total, first.started_at));
    let rest = b.store.activity().scrubbed_bytes - before;
    assert!(rest <= status.bytes_total - first.bytes, "it compared {rest} again");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_compared_longest_ago_comes_first_and_little_is_held_in_memory() {
    let b = stocked().await;
    b.store.scrub_all(&mut |_| ()).unwrap();
    let all = |count| oldest(&b.db, count, |_, _, verified, _| verified.map(|v| v.at)).unwrap();
    let objects = all(100);
    let aged = objects[5];
    let id = b.store.stored_object(aged).unwrap().unwrap().header.id;
    let ancient = Verified { at: 1, round: 1 };
    b.db.write(move |txn| Ok::<_, Error>(txn.put_record(&VERIFIED, &id, &ancient)?)).unwrap();
    assert_eq!(all(100)[0], aged);
    assert_eq!(all(2).len(), 2);
    assert_eq!(all(2)[..], all(100)[..2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_an_object_goes_so_does_what_is_known_of_it() {
    let b = fresh(None);
    let content = put(&b, &noise(1, 1_300_000)).await;
    b.store.scrub_all(&mut |_| ()).unwrap();
    assert!(b.db.read().unwrap().count(&VERIFIED).unwrap() > 0);
    let store = b.store.clone();
    b.db.write(move |txn| store.release(txn, &content)).unwrap();
    b.store.reclaim(Reach::Everything).unwrap();
    assert_eq!(b.db.read().unwrap().count(&VERIFIED).unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_in_the_background_rests_and_gives_way_at_once_to_one_that_cannot_wait() {
    let b = stocked().await;
    b.store.begin_scrub().unwrap();
    let store = b.store.clone();
    // At this pace it would take years.
    let slow = std::thread::spawn(move || store.scrub_on(1).unwrap());
    while b.store.activity().scrubbed_bytes == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(b.store.scrub_all(&mut |_| ()).unwrap(), Scrubbed::Round);
    assert_eq!(slow.join().unwrap(), Scrubbed::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_went_back_leaves_no_object_out() {
    let b = stocked().await;
    b.db.write(|txn| {
        let mut packs: Vec<(u64, PackRow)> = Vec::new();
        rows::each(txn, &PACKS, |key, row: PackRow| {
            packs.push((u64::from_be_bytes(key.try_into().unwrap_or_default()), row));
            Ok(())
        })?;
        for (number, row) in packs {
            txn.put_record(&PACKS, &pack_key(number), &PackRow { created_at: i64::MAX, ..row })?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
    b.store.scrub_all(&mut |_| ()).unwrap();
    let status = b.store.scrub_status().unwrap();
    assert_eq!(status.objects, status.objects_total);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_a_round_began_is_the_next_ones() {
    let b = stocked().await;
    b.store.begin_scrub().unwrap();
    let before = b.store.scrub_status().unwrap().objects_total;
    put(&b, &noise(9, 1_300_000)).await;
    assert_eq!(b.store.scrub_on(1 << 40).unwrap(), Scrubbed::Round);
    // Its manifest goes along, as nothing says how old it is.
    assert_eq!(b.store.scrub_status().unwrap().objects, before + 1);
    b.store.scrub_all(&mut |_| ()).unwrap();
    let status = b.store.scrub_status().unwrap();
    assert_eq!(status.objects, status.objects_total);
}

/// A medium with a bad place, or that is away.
#[derive(Debug)]
struct Bad {
    inner: objects::Memory,
    fails: fn(&str, u64) -> bool,
}

impl Objects for Bad {
    fn create(&self, key: &objects::ObjectKey) -> Result<Box<dyn objects::ObjectWriter>, objects::Error> {
        self.inner.create(key)
    }

    fn replace(&self, key: &objects::ObjectKey) -> Result<Box<dyn objects::ObjectWriter>, objects::Error> {
        self.inner.replace(key)
    }

    fn read(&self, key: &objects::ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), objects::Error> {
        let ends = offset + out.len() as u64;
        if (offset..ends).step_by(4096).any(|at| (self.fails)(key.as_str(), at)) {
            return Err(objects::Error::Unavailable("a bad place".into()));
        }
        self.inner.read(key, offset, out)
    }

    fn size(&self, key: &objects::ObjectKey) -> Result<u64, objects::Error> {
        self.inner.size(key)
    }

    fn delete(&self, key: &objects::ObjectKey) -> Result<(), objects::Error> {
        self.inner.delete(key)
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(objects::ObjectInfo)) -> Result<(), objects::Error> {
        self.inner.list(prefix, visit)
    }

    fn sweep_unfinished(&self) -> Result<u64, objects::Error> {
        Ok(0)
    }
}

fn on_bad_medium(b: &Bench, fails: fn(&str, u64) -> bool) -> Store {
    let medium = Arc::new(Bad { inner: b.objects.clone(), fails });
    let (clock, entropy) = (Arc::new(crate::base::SystemClock), Arc::new(crate::base::OsEntropy));
    Store::open(b.db.clone(), medium, None, Options::default(), clock, entropy).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_be_read_is_damage_and_a_medium_that_is_away_is_none() {
    let b = stocked().await;
    let away = on_bad_medium(&b, |key, _| key.starts_with("pack/") || key.starts_with("manifest/"));
    assert!(matches!(away.scrub_all(&mut |_| ()), Err(Error::Unavailable(_))));
    assert_eq!(away.damage_counts(), DamageCounts::default());

    let bad = on_bad_medium(&b, |key, at| key.starts_with("pack/") && (100_000..104_200).contains(&at));
    assert_eq!(bad.scrub_all(&mut |_| ()).unwrap(), Scrubbed::Round);
    let damage = bad.damage().unwrap();
    assert!(!damage.is_empty());
    for object in &damage {
        assert!(object.reason.contains("cannot be read"), "{}", object.reason);
        assert!(object.blocks == [(0, 1)] && object.lost_chunks.is_some_and(|lost| lost > 0), "{object:?}");
    }
    // Once the medium is well again, so is what lay on it.
    let b = again(&b);
    b.store.scrub_all(&mut |_| ()).unwrap();
    assert_eq!(b.store.damage_counts(), DamageCounts::default());
}
