//! The database door's own promises: isolation inside a group, the journal, the format stamp.

use super::*;
use crate::db::{Change, JournalEntry, Rows, codec};

const FACTS: Table = Table::facts("facts-1");
const INDEX: Table = Table::derived("index-1");

fn memory() -> Db {
    Db::open_on(redb::backends::InMemoryBackend::new(), Options::default()).unwrap()
}

fn journal(db: &Db) -> Vec<(u64, JournalEntry)> {
    let entries = db.read().unwrap().journal().unwrap();
    entries.map(|e| e.map(|(number, entry)| (number, codec::decode(&entry).unwrap())).unwrap()).collect()
}

#[test]
fn a_refused_change_leaves_its_neighbours_whole() {
    let db = memory();
    let threads: Vec<_> = (0..32u8)
        .map(|n| {
            let db = db.clone();
            std::thread::spawn(move || {
                db.write(move |txn| {
                    txn.put(&FACTS, &[n], b"x")?;
                    if n % 4 == 0 { Err(Error::Corrupt("refused".into())) } else { Ok(n) }
                })
            })
        })
        .collect();
    for (n, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap().is_ok(), n % 4 != 0);
    }
    let read = db.read().unwrap();
    for n in 0..32u8 {
        assert_eq!(read.get(&FACTS, &[n]).unwrap().is_some(), n % 4 != 0);
    }
}

#[test]
fn a_panicking_change_harms_nobody() {
    let db = memory();
    let outcome = db.write(|_| -> Result<(), Error> { panic!("on purpose") });
    assert!(outcome.is_err());
    db.write(|txn| txn.put(&FACTS, b"k", b"v")).unwrap();
}

#[test]
fn the_journal_holds_facts_until_shipped() {
    let options = Options { journal: vec![FACTS], ..Options::default() };
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap();
    db.write(|txn| {
        txn.put(&FACTS, b"k", b"v")?;
        txn.put(&INDEX, b"i", b"")
    })
    .unwrap();
    db.write(|txn| txn.remove(&FACTS, b"k").map(|_| ())).unwrap();
    let entries = journal(&db);
    assert_eq!(
        entries[0].1.changes,
        [Change { table: "facts-1".into(), key: b"k".into(), value: Some(b"v".into()) }]
    );
    assert_eq!(entries[1].1.changes[0].value, None);
    db.forget_journal(1).unwrap();
    assert_eq!(journal(&db), entries[1..]);
    assert_eq!(db.read().unwrap().journal_len().unwrap(), 1);
    assert_eq!(db.read().unwrap().journal_next().unwrap(), 2);
}

#[test]
fn a_fact_table_the_journal_does_not_know_is_refused() {
    const FORGOTTEN: Table = Table::facts("forgotten-1");
    let options = Options { journal: vec![FACTS], ..Options::default() };
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap();
    let refused = db.write(|txn| txn.put(&FORGOTTEN, b"k", b"v"));
    assert!(matches!(refused, Err(Error::Unlisted("forgotten-1"))));
    assert!(db.read().unwrap().get(&FORGOTTEN, b"k").unwrap().is_none());
}

#[test]
fn a_derived_table_without_a_way_back_is_refused() {
    const FORGOTTEN: Table = Table::derived("forgotten-1");
    let options = Options { journal: vec![FACTS], derived: vec![INDEX], ..Options::default() };
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap();
    db.write(|txn| txn.put(&INDEX, b"k", b"v")).unwrap();
    let refused = db.write(|txn| txn.put(&FORGOTTEN, b"k", b"v"));
    assert!(matches!(refused, Err(Error::Unlisted("forgotten-1"))));
}

#[test]
fn a_file_goes_on_where_another_ended() {
    let options = Options { journal: vec![FACTS], ..Options::default() };
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap();
    let told = |key: &[u8], value| Change { table: "facts-1".into(), key: key.to_vec(), value };
    let changes = [told(b"a", Some(b"1".to_vec())), told(b"b", Some(b"2".to_vec())), told(b"a", None)];
    db.write(move |txn| changes.iter().try_for_each(|change| txn.replay(change))).unwrap();
    db.continue_journal(7).unwrap();
    db.write(|txn| txn.put(&FACTS, b"c", b"3")).unwrap();
    let read = db.read().unwrap();
    assert_eq!(
        (read.get(&FACTS, b"a").unwrap(), read.get(&FACTS, b"b").unwrap()),
        (None, Some(b"2".to_vec()))
    );
    assert_eq!(journal(&db).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [7]);
    let unknown = Change { table: "other-1".into(), key: Vec::new(), value: None };
    assert!(matches!(db.write(move |txn| txn.replay(&unknown)), Err(Error::UnknownTable(_))));
}

#[test]
fn a_newer_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.redb");
    let db = Db::open(&path, Options::default()).unwrap();
    db.write(|txn| txn.put(&META, FORMAT_KEY, &99u32.to_be_bytes())).unwrap();
    db.close().unwrap();
    let again = Db::open(&path, Options::default());
    assert!(matches!(again.err(), Some(Error::NewerFormat { found: 99, supported: FORMAT })));
}

#[test]
fn a_file_is_opened_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.redb");
    let first = Db::open(&path, Options::default()).unwrap();
    assert!(matches!(Db::open(&path, Options::default()).err(), Some(Error::InUse)));
    first.close().unwrap();
    Db::open(&path, Options::default()).unwrap();
}

#[test]
fn damage_that_redb_panics_at_is_an_error() {
    let outcome = caught(|| -> Result<(), Error> { panic!("Malformed allocator state") });
    assert!(matches!(outcome, Err(Error::Corrupt(_))));
}

/// A medium in memory that panics at every write once told to.
#[derive(Debug)]
struct Panicking {
    medium: redb::backends::InMemoryBackend,
    told: Arc<std::sync::atomic::AtomicBool>,
}

impl redb::StorageBackend for Panicking {
    fn len(&self) -> std::io::Result<u64> {
        self.medium.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.medium.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.medium.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.medium.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        assert!(!self.told.load(std::sync::atomic::Ordering::Relaxed), "on purpose");
        self.medium.write(offset, data)
    }
}

#[test]
fn a_commit_that_panics_is_a_failed_commit() {
    let told = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let medium = Panicking { medium: redb::backends::InMemoryBackend::new(), told: told.clone() };
    let db = Db::open_on(medium, Options::default()).unwrap();
    let put = |key: &'static [u8]| db.write(move |txn| txn.put(&FACTS, key, b"v"));
    put(b"before").unwrap();
    told.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(put(b"lost").is_err());
    assert!(matches!(put(b"refused"), Err(Error::Poisoned(_))));
    assert!(db.poisoned().is_some());
    assert!(db.close().is_err());
}

#[test]
fn who_is_answered_shares_nothing_with_the_writer_any_more() {
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), Options::default()).unwrap();
    let captured = Arc::new(());
    for _ in 0..100 {
        let inside = captured.clone();
        let refused: Result<(), Error> = db.write(move |_| {
            let _ = &inside;
            Err(Error::Closed)
        });
        assert!(refused.is_err());
        assert_eq!(Arc::strong_count(&captured), 1);
    }
}

#[test]
fn what_follows_from_a_commit_happens_once_it_is_durable_and_not_otherwise() {
    let db = memory();
    let happened = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let write = |key: &'static [u8], fails: bool| {
        let (seen, reader) = (happened.clone(), db.clone());
        db.write(move |txn| {
            txn.put(&FACTS, key, b"v")?;
            let (seen, reader) = (seen.clone(), reader.clone());
            txn.after_commit(move || {
                let there = reader.read().unwrap().get(&FACTS, key).unwrap().is_some();
                seen.lock().unwrap().push((key, there));
            });
            if fails { Err(Error::Corrupt("refused".into())) } else { Ok(()) }
        })
    };
    write(b"a", false).unwrap();
    write(b"b", true).unwrap_err();
    write(b"c", false).unwrap();
    assert_eq!(*happened.lock().unwrap(), [(&b"a"[..], true), (&b"c"[..], true)]);
    // A panic in it takes nobody along.
    db.write(|txn| {
        txn.after_commit(|| panic!("on purpose"));
        txn.put(&FACTS, b"d", b"v")
    })
    .unwrap();
    write(b"e", false).unwrap();
}
