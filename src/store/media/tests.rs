//! A store whose packs lie on two media: which lies where, what is refused, and what goes on when one is away.

use std::sync::atomic::Ordering;

use super::super::enter_tests::Distant;
use super::super::rebuild::derived_tables;
use super::super::tests::{Bench, get, noise, put_in};
use super::super::{Options, Scope, Vault, Wish};
use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::db;
use crate::model::{ByteRange, ContentId};
use crate::objects::{Memory, ObjectKey};
use crate::store::{MasterKey, Piece, Reach, Recast};

/// The place that these tests have beside the home.
const COLD: StorePlace = StorePlace(1);

struct Media2 {
    home: Memory,
    cold: Distant,
}

fn media() -> Media2 {
    Media2 { home: Memory::new(), cold: Distant::on(Memory::new(), false) }
}

fn catalog() -> Db {
    let journal = super::super::FACTS.to_vec();
    let options = db::Options { journal, derived: derived_tables(), ..db::Options::default() };
    Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap()
}

fn cold(medium: &Distant) -> PlaceMedium {
    PlaceMedium { name: "cold".into(), way: Some(medium.entrance()) }
}

fn options() -> Options {
    Options { pack_bytes: 1 << 20, ..Options::default() }
}

fn open_with(
    home: &Memory,
    db: &Db,
    master: Option<&MasterKey>,
    places: Vec<PlaceMedium>,
) -> Result<Store, Error> {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    let vault = match Vault::open(Arc::new(home.clone()), master)? {
        Some(vault) => vault,
        None => Vault::create(Arc::new(home.clone()), master, &*clock, &*entropy)?,
    };
    Store::open_in(db.clone(), vault.with_places(places), options(), clock, entropy)
}

fn opened(media: &Media2, db: &Db, master: Option<&MasterKey>) -> Result<Bench, Error> {
    let store = open_with(&media.home, db, master, vec![cold(&media.cold)])?;
    Ok(Bench { objects: media.home.clone(), store, db: db.clone() })
}

fn fresh(master: Option<&MasterKey>) -> (Media2, Bench) {
    let media = media();
    let bench = opened(&media, &catalog(), master).unwrap();
    (media, bench)
}

fn names(objects: &dyn Objects, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    objects.list(prefix, &mut |info| names.push(info.key.to_string())).unwrap();
    names.sort();
    names
}

fn whole(data: &[u8]) -> ByteRange {
    ByteRange::whole(data.len() as u64)
}

fn release(b: &Bench, content: ContentId) {
    let store = b.store.clone();
    b.db.write(move |txn| store.release(txn, &content)).unwrap();
}

fn flip_all(medium: &dyn Objects) {
    for name in names(medium, "pack/") {
        let key = ObjectKey::new(name).unwrap();
        let mut bytes = medium.get(&key).unwrap();
        bytes[100..200].iter_mut().for_each(|byte| *byte ^= 0xff);
        let mut writer = medium.replace(&key).unwrap();
        writer.write(&bytes).unwrap();
        writer.commit().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_lies_where_its_scope_says_and_is_shared_with_nothing_elsewhere() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let (media, b) = fresh(master.as_ref());
        let data = noise(1, 900_000);
        let here = put_in(&b, Scope::STORE, &data).await;
        let home_packs = names(&media.home, "pack/");
        let there = put_in(&b, Scope::STORE.at(COLD), &data).await;
        assert_eq!(names(&media.home, "pack/"), home_packs, "packs of the place went home");
        assert_eq!(names(&media.cold, "pack/").len(), home_packs.len(), "it was shared across media");
        // What is at the place already is stored once there, too.
        let again = put_in(&b, Scope::STORE.at(COLD), &data).await;
        assert_eq!(names(&media.cold, "pack/").len(), home_packs.len());
        for content in [here, there, again] {
            assert_eq!(get(&b, &content, whole(&data)).unwrap(), data);
        }
        assert!(
            names(&media.cold, "").iter().all(|name| name.starts_with("pack/") || name == "tintype-place")
        );
        let places = b.store.places().unwrap();
        assert_eq!(places.iter().map(|place| place.stats.packs).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(places[1].name, "cold");
        assert!(b.store.verify().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_anew_stays_where_it_was() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let (media, b) = fresh(master.as_ref());
        let (kept, gone) = (noise(1, 400_000), noise(2, 900_000));
        let scope = Scope::STORE.at(COLD);
        put_in(&b, scope, &[kept.clone(), gone].concat()).await;
        let all = put_in(&b, scope, &[kept.clone(), noise(3, 50_000)].concat()).await;
        let first = ContentId(first_content(&b, &all));
        release(&b, first);
        b.store.reclaim(Reach::Released).unwrap();
        let before = names(&media.cold, "pack/");
        let wish = Wish { compact: true, recompress: false, dedup: Some(super::super::Compare::All) };
        let rewritten = b.store.rewrite(wish, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        assert!(rewritten.compacted > 0, "{rewritten:?}");
        b.store.reclaim(Reach::Everything).unwrap();
        let after = names(&media.cold, "pack/");
        assert_ne!(before, after);
        assert!(names(&media.home, "pack/").is_empty(), "a generation went home");
        assert_eq!(get(&b, &all, whole(&kept)).unwrap(), kept);
        // Damage heals there too, from what arrives there.
        flip_all(&media.cold);
        assert!(!b.store.verify().unwrap().is_empty());
        let again = put_in(&b, scope, &[kept.clone(), noise(3, 50_000)].concat()).await;
        b.store.mend().unwrap();
        for content in [all, again] {
            assert_eq!(get(&b, &content, whole(&kept)).unwrap(), kept);
        }
        assert!(names(&media.home, "pack/").is_empty(), "what was healed went home");
    }
}

/// The stream that is not `other`.
fn first_content(b: &Bench, other: &ContentId) -> [u8; 16] {
    let mut found = None;
    rows::each(&b.db.read().unwrap(), &rows::CONTENTS, |key, _: rows::ContentRow| {
        let key: [u8; 16] = key.try_into().unwrap();
        found = found.or((key != other.0).then_some(key));
        Ok(())
    })
    .unwrap();
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_from_its_other_copy_where_one_is_damaged_or_away() {
    let (media, b) = fresh(None);
    let data = noise(1, 3_000_000);
    let here = put_in(&b, Scope::STORE, &data).await;
    let there = put_in(&b, Scope::STORE.at(COLD), &data).await;
    let read = |copies: &[ContentId]| {
        let mut out = vec![0; data.len()];
        b.store.reader_of(copies).and_then(|reader| reader.read_at(0, &mut out)).map(|()| out)
    };
    media.cold.away.store(true, Ordering::Relaxed);
    assert!(b.store.reader_of(&[there]).map(drop).unwrap_err().is_absence(), "it was to be said at once");
    let error = read(&[there]).unwrap_err();
    assert!(error.is_absence(), "{error}");
    assert_eq!(read(&[there, here]).unwrap(), data);
    let mut streamed = Vec::new();
    let mut stream = b.store.reader_of(&[there, here]).unwrap().stream(whole(&data));
    while let Some(piece) = futures::StreamExt::next(&mut stream).await {
        streamed.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(streamed, data);
    media.cold.away.store(false, Ordering::Relaxed);
    // What was read before is in memory still.
    let b = opened(&media, &b.db, None).unwrap();
    let read = |copies: &[ContentId]| {
        let mut out = vec![0; data.len()];
        b.store.reader_of(copies).and_then(|reader| reader.read_at(0, &mut out)).map(|()| out)
    };
    flip_all(&media.home);
    assert!(matches!(read(&[here]), Err(Error::Damaged { .. })));
    assert_eq!(read(&[here, there]).unwrap(), data);
    // A copy whose list of pieces is lost is none.
    for name in names(&media.home, "manifest/").into_iter().take(1) {
        media.home.delete(&ObjectKey::new(name).unwrap()).unwrap();
    }
    let opened = [read(&[here, there]), read(&[there, here])];
    assert!(opened.iter().any(Result::is_ok), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_unit_holds_is_left_to_another_copy_where_it_cannot_be_read() {
    let (media, b) = fresh(None);
    let plain: Vec<u8> =
        noise(3, 16_384).iter().flat_map(|byte| [*byte, byte >> 4, b'x', byte & 7]).collect();
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, &plain).unwrap();
    let data = [noise(4, 5000), encoder.finish().unwrap()].concat();
    let here = put_in(&b, Scope::STORE, &data).await;
    let there = put_in(&b, Scope::STORE.at(COLD), &data).await;
    let unit = Piece { at: 5000, bytes: data.len() as u64 - 5000, unpacked_bytes: Some(plain.len() as u64) };
    let on = &mut |_| std::ops::ControlFlow::Continue(());
    let kept = b.store.keep_by_recipe(&here, &mut [unit].into_iter(), on).unwrap();
    assert!(matches!(kept, Recast::Done { .. }), "{kept:?}");
    let opened = || opened(&media, &b.db, None).unwrap();
    assert_eq!(opened().store.reader_of(&[here, there]).unwrap().unpacked_at(5000).unwrap(), Some(plain));
    flip_all(&media.home);
    let b = opened();
    // Whoever asks reads the unit itself then, which the other has.
    assert_eq!(b.store.reader_of(&[here, there]).unwrap().unpacked_at(5000).unwrap(), None);
    assert!(matches!(b.store.reader_of(&[here]).unwrap().unpacked_at(5000), Err(Error::Damaged { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_away_when_the_store_opens_keeps_nobody_else_waiting() {
    let (media, b) = fresh(None);
    let data = noise(1, 300_000);
    let here = put_in(&b, Scope::STORE, &data).await;
    let there = put_in(&b, Scope::STORE.at(COLD), &data).await;
    media.cold.away.store(true, Ordering::Relaxed);
    let copy = ObjectKey::new("tintype-store-copy").unwrap();
    media.home.delete(&copy).unwrap();
    let b = opened(&media, &b.db, None).unwrap();
    assert!(b.store.is_entered() && !b.store.has_entered_places());
    // The home is put in order as ever, and only the place is told of as away.
    assert!(media.home.get(&copy).is_ok());
    let away: Vec<String> = b.store.events().unwrap().into_iter().map(|event| event.object).collect();
    assert_eq!(away, ["s3://images/box"]);
    assert_eq!(get(&b, &here, whole(&data)).unwrap(), data);
    assert!(get(&b, &there, whole(&data)).unwrap_err().is_absence());
    assert!(matches!(b.store.ingest(Scope::STORE.at(COLD)).map(drop), Err(Error::Away { .. })));
    // Space is given back all the same, of the place later.
    release(&b, here);
    release(&b, there);
    let freed = b.store.reclaim(Reach::Everything).unwrap();
    assert!(freed.in_use > 0, "{freed:?}");
    assert!(names(&media.home, "pack/").is_empty());
    b.store.scrub_all(&mut |_| ()).unwrap();
    assert!(b.store.enter_places().unwrap_err().is_absence());
    media.cold.away.store(false, Ordering::Relaxed);
    assert!(!names(&media.cold, "pack/").is_empty());
    b.store.enter_places().unwrap();
    assert!(b.store.has_entered_places());
    b.store.reclaim(Reach::Everything).unwrap();
    assert!(names(&media.cold, "pack/").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_that_is_not_the_place_is_refused() {
    let (media, b) = fresh(None);
    put_in(&b, Scope::STORE.at(COLD), &noise(1, 5000)).await;
    let open = |name: &str, medium: &Memory| {
        let medium = Distant::on(medium.clone(), false);
        let place = PlaceMedium { name: name.into(), way: Some(medium.entrance()) };
        let outcome = open_with(&media.home, &b.db, None, vec![place]);
        let refused = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        (refused, medium.changes())
    };
    let (other, other_bench) = fresh(None);
    put_in(&other_bench, Scope::STORE.at(COLD), &noise(1, 5000)).await;
    for (medium, wanted) in [
        (other.cold.memory(), "belongs to another store"),
        (&Memory::new(), "is it mounted?"),
        (&other.home, "is it mounted?"),
    ] {
        let (refused, changes) = open("cold", medium);
        assert!(refused.contains(wanted), "{refused}");
        assert_eq!(changes, [""; 0], "something was written to a medium that is not ours");
    }
    let two = |first: &Distant, second: &Distant| {
        let named =
            |name: &str, medium: &Distant| PlaceMedium { name: name.into(), way: Some(medium.entrance()) };
        open_with(&media.home, &b.db, None, vec![named("cold", first), named("fast", second)])
    };
    let fast = Distant::on(Memory::new(), false);
    let store = two(&media.cold, &fast).unwrap();
    assert_eq!((store.place_named("cold"), store.place_named("fast")), (Some(COLD), Some(StorePlace(2))));
    let exchanged = two(&fast, &media.cold).err().unwrap().to_string();
    assert!(exchanged.contains("exchanged"), "{exchanged}");
    // A home is no place, not even an empty one.
    let home = fresh(None).0.home;
    let place = PlaceMedium { name: "new".into(), way: Some(Distant::on(home, false).entrance()) };
    let refused = open_with(&media.home, &b.db, None, vec![cold(&media.cold), place]).err().unwrap();
    assert!(refused.to_string().contains("a store of its own"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_has_data_cannot_be_left_out_and_an_empty_one_can() {
    let (media, b) = fresh(None);
    open_with(&media.home, &b.db, None, Vec::new()).unwrap();
    let data = noise(1, 5000);
    let there = put_in(&b, Scope::STORE.at(COLD), &data).await;
    let refused = open_with(&media.home, &b.db, None, Vec::new()).err().unwrap().to_string();
    assert!(refused.contains("1 packs") && refused.contains("absent = true"), "{refused}");
    let absent = PlaceMedium { name: "cold".into(), way: None };
    let store = open_with(&media.home, &b.db, None, vec![absent]).unwrap();
    let error = store.reader(&there).and_then(|reader| reader.read_at(0, &mut [0; 10])).unwrap_err();
    assert!(error.is_absence(), "{error}");
    assert!(store.has_entered_places(), "nobody looks for what is known to be away");
    let trouble = store.places().unwrap()[1].trouble.clone().unwrap();
    assert!(trouble.contains("absent = true"), "{trouble}");
    let b = opened(&media, &b.db, None).unwrap();
    assert_eq!(get(&b, &there, whole(&data)).unwrap(), data);
    release(&b, there);
    b.store.reclaim(Reach::Released).unwrap();
    let store = open_with(&media.home, &b.db, None, Vec::new()).unwrap();
    assert_eq!(store.place_named("cold"), None);
    // The number is its own for ever.
    drop(store);
    let other = PlaceMedium { name: "fast".into(), way: Some(Distant::on(Memory::new(), false).entrance()) };
    let store = open_with(&media.home, &b.db, None, vec![other]).unwrap();
    assert_eq!(store.place_named("fast"), Some(StorePlace(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_lost_catalog_is_made_anew_from_home_and_places() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let (media, b) = fresh(master.as_ref());
        let data = noise(1, 900_000);
        let here = put_in(&b, Scope::STORE, &data).await;
        let there = put_in(&b, Scope::STORE.at(COLD), &data).await;
        b.store.ship().unwrap();
        for is_there in [false, true] {
            let db = catalog();
            let vault = Vault::open(Arc::new(media.home.clone()), master.as_ref()).unwrap().unwrap();
            let place =
                if is_there { cold(&media.cold) } else { PlaceMedium { way: None, ..cold(&media.cold) } };
            let before = media.cold.changes();
            let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
            let lost =
                Store::open_lost_in(db.clone(), vault.with_places(vec![place]), options(), clock, entropy);
            let found = lost.unwrap().rebuild(&mut |_, _| ()).unwrap();
            assert_eq!(media.cold.changes(), before, "a rebuild changes nothing");
            assert_eq!((found.packs, found.damaged_packs.len()), (2, if is_there { 0 } else { 1 }));
            let damaged: Vec<ContentId> =
                found.damaged_contents.into_iter().map(|(content, _)| content).collect();
            assert_eq!(damaged, if is_there { vec![] } else { vec![there] });
            let b = opened(&media, &db, master.as_ref()).unwrap();
            for content in [here, there] {
                assert_eq!(get(&b, &content, whole(&data)).unwrap(), data);
            }
            assert!(b.store.verify().unwrap().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scrubs_and_checks_go_over_places() {
    let (media, b) = fresh(None);
    let there = put_in(&b, Scope::STORE.at(COLD), &noise(1, 300_000)).await;
    assert!(b.store.verify().unwrap().is_empty());
    flip_all(&media.cold);
    let found = b.store.verify().unwrap();
    assert!(found.iter().any(|damage| damage.contents == [there]), "{found:?}");
    b.store.scrub_all(&mut |_| ()).unwrap();
    assert!(b.store.damage_counts().packs > 0);
}
