//! What the description promises: no gap after any failure, nothing deleted before its death is
//! told, nothing written when idle, nothing shown of a sealed store, damage found and mended.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::super::{FACTS, Options};
use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::db::{self, Db, Rows, Table};
use crate::model::ContentId;
use crate::objects::{Flaky, ObjectKey, Objects};
use crate::store::{Error, MasterKey, Reach, Scope};
use shelf::Shelf;

/// Stands for the tables of layers that the store knows nothing of.
const THINGS: Table = Table::facts("things-1");

fn journaled() -> db::Options {
    db::Options { journal: [&FACTS[..], &[THINGS]].concat(), ..db::Options::default() }
}

fn open(medium: &Flaky, db: &Db, master: Option<&MasterKey>) -> Store {
    let options = Options { pack_bytes: 1 << 20, snapshot_log_bytes: 32 << 10, ..Options::default() };
    let medium = Arc::new(medium.clone());
    Store::open(db.clone(), medium, master, options, Arc::new(SystemClock), Arc::new(OsEntropy)).unwrap()
}

fn fresh(master: Option<&MasterKey>) -> (Flaky, Db, Store) {
    let medium = Flaky::default();
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), journaled()).unwrap();
    let store = open(&medium, &db, master);
    (medium, db, store)
}

fn open_file(path: &Path, options: db::Options) -> Db {
    Db::open(path, options).unwrap()
}

fn set(db: &Db, key: u8, value: Vec<u8>) {
    db.write(move |txn| txn.put(&THINGS, &[key], &value)).unwrap();
}

fn noise(seed: u8, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut out);
    out
}

fn damage(store: &Store) -> Vec<String> {
    store.verify_description().unwrap().damage.iter().map(Error::to_string).collect()
}

fn waiting(db: &Db) -> u64 {
    db.read().unwrap().journal_len().unwrap()
}

#[test]
fn what_was_committed_is_told_once_and_an_idle_store_writes_nothing() {
    let (medium, db, store) = fresh(None);
    set(&db, 1, b"one".to_vec());
    store.ship().unwrap();
    assert_eq!(waiting(&db), 0);
    let shelf = Shelf::list(&medium).unwrap();
    assert_eq!((shelf.snapshots.len(), shelf.logs.len()), (1, 1));
    assert_eq!(shelf.reaches(), db.read().unwrap().journal_next().unwrap());
    let (names, made) = (medium.names(), medium.made());
    for _ in 0..3 {
        store.ship().unwrap();
    }
    open(&medium, &db, None).ship().unwrap();
    assert_eq!((medium.names(), medium.made()), (names, made));
    let description = store.verify_description().unwrap();
    assert!(description.damage.is_empty(), "{:?}", description.damage);
    assert_eq!((description.commits, description.objects), (shelf.reaches(), 2));
}

#[test]
fn what_cannot_be_shipped_waits_in_the_journal() {
    let (medium, db, store) = fresh(None);
    store.ship().unwrap();
    medium.fail_after(Some(0), false);
    set(&db, 1, vec![1]);
    set(&db, 2, vec![2]);
    for _ in 0..2 {
        assert!(matches!(store.ship(), Err(Error::Unavailable(_))));
        assert_eq!((waiting(&db), store.log_lag().entries), (2, 2));
    }
    // Commits go on, and a check tells what was shipped before.
    set(&db, 3, vec![3]);
    assert_eq!(damage(&store), Vec::<String>::new());
    medium.fail_after(None, false);
    store.ship().unwrap();
    assert_eq!((waiting(&db), store.log_lag().entries), (0, 0));
}

#[test]
fn no_failure_at_any_step_loses_an_entry_or_leaves_a_gap() {
    for takes_effect in [false, true] {
        let mut ended = false;
        for step in 0.. {
            let (medium, db, mut store) = fresh(None);
            set(&db, 0, vec![0]);
            store.ship().unwrap();
            medium.fail_after(Some(step), takes_effect);
            let mut failed = false;
            for n in 1..=12u8 {
                // Two snapshots become due on the way, so that old objects are deleted too.
                set(&db, n % 3, noise(n, 6 << 10));
                if store.ship().is_err() {
                    failed = true;
                    // A crash here: nothing is remembered, and the medium is well again.
                    medium.fail_after(None, false);
                    store = open(&medium, &db, None);
                }
            }
            store.ship().unwrap();
            assert_eq!((waiting(&db), store.log_lag().entries), (0, 0));
            assert_eq!(damage(&store), Vec::<String>::new(), "step {step}, takes effect: {takes_effect}");
            if !failed && medium.made() <= step {
                ended = true;
                break;
            }
        }
        assert!(ended);
    }
}

#[test]
fn a_snapshot_replaces_the_log_before_the_one_that_is_kept_as_a_spare() {
    let (medium, db, store) = fresh(None);
    store.ship().unwrap();
    for n in 0..40u8 {
        set(&db, n % 2, noise(n, 6 << 10));
        store.ship().unwrap();
    }
    let shelf = Shelf::list(&medium).unwrap();
    assert_eq!(shelf.snapshots.len(), 2);
    assert!(shelf.snapshots[0].number > shelf.snapshots[1].number);
    assert_eq!(shelf.logs_since(shelf.snapshots[1].number).len(), shelf.logs.len());
    let bytes: u64 = shelf.logs.iter().map(|log| log.bytes).sum();
    assert!(bytes < 100 << 10, "{bytes} bytes of log for 12 KiB of rows");
    assert_eq!(damage(&store), Vec::<String>::new());
}

#[test]
fn a_backlog_is_shipped_in_steps() {
    let (medium, db, store) = fresh(None);
    for n in 0..6u8 {
        set(&db, n, noise(n, 1 << 20));
    }
    store.ship().unwrap();
    let shelf = Shelf::list(&medium).unwrap();
    assert!(shelf.logs.len() >= 2);
    assert!(shelf.logs.iter().all(|log| log.bytes < (LOG_BYTES + (1 << 20)) as u64));
    assert_eq!(damage(&store), Vec::<String>::new());
}

#[test]
fn a_box_whose_changes_were_not_journaled_gets_a_snapshot_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.redb");
    let medium = Flaky::default();
    let db = open_file(&path, db::Options::default());
    set(&db, 7, b"from before".to_vec());
    drop(open(&medium, &db, None));
    db.close().unwrap();

    let db = open_file(&path, journaled());
    let store = open(&medium, &db, None);
    store.ship().unwrap();
    assert_eq!(Shelf::list(&medium).unwrap().snapshots.len(), 1);
    assert_eq!(damage(&store), Vec::<String>::new());
}

#[test]
fn an_older_copy_of_the_catalog_neither_writes_nor_deletes() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("catalog.redb"), dir.path().join("copy.redb"));
    let medium = Flaky::default();
    let db = open_file(&path, journaled());
    let store = open(&medium, &db, None);
    store.ship().unwrap();
    drop(store);
    db.close().unwrap();
    std::fs::copy(&path, &copy).unwrap();

    let db = open_file(&path, journaled());
    let store = open(&medium, &db, None);
    set(&db, 1, b"one".to_vec());
    set(&db, 2, b"two".to_vec());
    store.ship().unwrap();
    drop(store);
    db.close().unwrap();

    let older = open_file(&copy, journaled());
    let store = open(&medium, &older, None);
    let names = medium.names();
    assert!(matches!(store.ship(), Err(Error::Foreign(text)) if text.contains("older copy")));
    // Going on does not hide it.
    for n in 0..5 {
        set(&older, n, b"other".to_vec());
    }
    assert!(matches!(store.ship(), Err(Error::Foreign(text)) if text.contains("is another")));
    assert!(matches!(store.reclaim(Reach::Everything), Err(Error::Foreign(_))));
    assert!(matches!(store.verify_description(), Err(Error::Foreign(_))));
    assert_eq!(medium.names(), names);
}

async fn put(store: &Store, db: &Db, data: &[u8]) -> ContentId {
    let mut ingest = store.ingest(Scope::STORE).unwrap();
    ingest.write(Bytes::copy_from_slice(data)).await.unwrap();
    let receipt = ingest.finish(Vec::new()).await.unwrap();
    let (publisher, content) = (store.clone(), receipt.content());
    db.write(move |txn| publisher.publish(txn, &receipt)).unwrap();
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_before_its_death_is_told() {
    let (medium, db, store) = fresh(None);
    let content = put(&store, &db, &noise(1, 500_000)).await;
    store.ship().unwrap();
    let whole = medium.names();
    let releaser = store.clone();
    db.write(move |txn| releaser.release(txn, &content)).unwrap();
    for takes_effect in [false, true] {
        medium.fail_after(Some(0), takes_effect);
        assert!(store.reclaim(Reach::Everything).is_err());
        assert!(whole.keys().all(|name| medium.names().contains_key(name)), "deleted too early");
    }
    medium.fail_after(None, false);
    let told = store.reclaim(Reach::Everything).unwrap();
    assert!(told.packs + told.orphans > 0);
    let left = medium.names();
    assert!(!left.keys().any(|name| name.starts_with("pack/") || name.starts_with("manifest/")), "{left:?}");
    assert_eq!(waiting(&db), 0);
    assert_eq!(damage(&store), Vec::<String>::new());
}

#[test]
fn p9_a_sealed_store_tells_nothing_to_those_without_its_key() {
    let master = MasterKey::generate(&OsEntropy);
    let (medium, db, store) = fresh(Some(&master));
    let secret = b"a name nobody may read".to_vec();
    set(&db, 1, secret.clone());
    store.ship().unwrap();
    assert_eq!(Shelf::list(&medium).unwrap().logs.len(), 1);
    for name in medium.names().keys() {
        let bytes = medium.get(&ObjectKey::new(name.clone()).unwrap()).unwrap();
        for needle in [&secret[..], THINGS.name.as_bytes()] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{name}");
        }
    }
    assert_eq!(damage(&store), Vec::<String>::new());
}

#[test]
fn damage_anywhere_is_found_by_name_and_mended_from_the_catalog() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        for kind in ["log/", "snapshot/"] {
            for at in [3, 70, 200, usize::MAX] {
                let (medium, db, store) = fresh(master.as_ref());
                set(&db, 1, noise(1, 500));
                store.ship().unwrap();
                let name = medium.names().keys().find(|name| name.starts_with(kind)).unwrap().clone();
                medium.spoil(&name, at);
                let found = damage(&store);
                assert!(found[0].contains(&name), "{name} at {at}: {found:?}");
                store.ship().unwrap();
                assert_eq!(damage(&store), Vec::<String>::new());
                assert!(!medium.names().contains_key(&name));
            }
        }
    }
}

#[test]
fn a_missing_log_object_is_a_gap_that_a_snapshot_closes() {
    let (medium, db, store) = fresh(None);
    for n in 1..4 {
        store.ship().unwrap();
        set(&db, n, vec![n]);
    }
    let missing = Shelf::list(&medium).unwrap().logs.pop().unwrap();
    medium.delete(&missing.key).unwrap();
    let found = damage(&store);
    assert!(found[0].contains("nothing tells of commits"), "{found:?}");
    store.ship().unwrap();
    assert_eq!(damage(&store), Vec::<String>::new());
}

#[test]
fn a_catalog_that_differs_is_named_and_nothing_is_written_over_either() {
    let (medium, db, store) = fresh(None);
    set(&db, 1, b"right".to_vec());
    store.ship().unwrap();
    // As a fault of the catalog's medium would: past the journal.
    db.write(|txn| txn.put(&Table::derived(THINGS.name), &[1], b"wrong")).unwrap();
    let names = medium.names();
    for _ in 0..2 {
        let found = damage(&store);
        assert!(found.len() == 1 && found[0].contains("things-1"), "{found:?}");
        store.ship().unwrap();
    }
    assert_eq!(medium.names(), names);
    assert_eq!(db.read().unwrap().get(&THINGS, &[1]).unwrap(), Some(b"wrong".to_vec()));
}
