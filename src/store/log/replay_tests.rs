//! What a rebuild promises of facts: they are those of the last moment that the description tells
//! of without a gap, whatever of it is damaged or lost, and the new catalog goes on from there.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::super::{FACTS, Options, derived_tables};
use super::shelf::{Shelf, Shelved};
use super::*;
use crate::base::{OsEntropy, SystemClock, Time};
use crate::db::{self, Db, Table};
use crate::objects::{Flaky, ObjectKey, Objects};
use crate::store::{Error, MasterKey, Rebuilt};

const THINGS: Table = Table::facts("things-1");
const OTHERS: Table = Table::facts("others-1");
/// Lives that are lived and lost.
const LIVES: u64 = 12;

fn memory() -> Db {
    let options = db::Options {
        journal: [&FACTS[..], &[THINGS, OTHERS]].concat(),
        derived: derived_tables(),
        ..db::Options::default()
    };
    Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap()
}

fn options() -> Options {
    Options { snapshot_log_bytes: 16 << 10, ..Options::default() }
}

fn open(medium: &Flaky, db: &Db, master: Option<&MasterKey>) -> Store {
    let medium = Arc::new(medium.clone());
    Store::open(db.clone(), medium, master, options(), Arc::new(SystemClock), Arc::new(OsEntropy)).unwrap()
}

/// A catalog made from the medium alone.
fn rebuilt(medium: &Flaky, master: Option<&MasterKey>) -> Result<(Db, Rebuilt), Error> {
    let (db, names) = (memory(), medium.names());
    let (objects, entropy) = (Arc::new(medium.clone()), Arc::new(OsEntropy));
    let store = Store::open_lost(db.clone(), objects, master, options(), Arc::new(SystemClock), entropy)?;
    let outcome = store.rebuild(&mut |_, _| ());
    assert_eq!(medium.names(), names, "a rebuild changed the store");
    outcome.map(|outcome| (db, outcome))
}

type Rows = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

/// Every row of every fact table.
fn facts(db: &Db) -> Rows {
    let read = db.read().unwrap();
    let mut rows = Rows::new();
    for table in db.facts() {
        for row in read.rows(table, (Bound::Unbounded, Bound::Unbounded)).unwrap() {
            let (key, value) = row.unwrap();
            rows.insert((table.name, key), value);
        }
    }
    rows
}

/// Numbers that follow from a seed.
struct Dice(blake3::OutputReader);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof())
    }

    fn below(&mut self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % end
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.below(most) as usize];
        self.0.fill(&mut bytes);
        bytes
    }
}

/// A store, and the rows its catalog had after each number of commits.
struct Life {
    medium: Flaky,
    store: Store,
    after: BTreeMap<u64, Rows>,
    /// Moments after each of which some number of commits was acknowledged.
    acknowledged: Vec<(Time, u64)>,
}

impl Life {
    /// Random commits and shipments, some of which fail or only seem to; some restarts.
    fn live(dice: &mut Dice, master: Option<&MasterKey>) -> Life {
        let (medium, db) = (Flaky::default(), memory());
        let mut life = Life {
            store: open(&medium, &db, master),
            medium,
            after: BTreeMap::new(),
            acknowledged: Vec::new(),
        };
        for _ in 0..dice.below(120) + 1 {
            match dice.below(10) {
                0..6 => {
                    let (key, value) = ([dice.below(12) as u8], dice.bytes(3000));
                    let (table, remove) = ([THINGS, OTHERS][dice.below(2) as usize], dice.below(4) == 0);
                    let change = move |txn: &db::WriteTxn| match remove {
                        true => txn.remove(&table, &key).map(drop),
                        false => txn.put(&table, &key, &value),
                    };
                    db.write(change).unwrap();
                }
                6..8 => drop(life.store.ship()),
                8 => life.medium.fail_after(Some(dice.below(4) as usize), dice.below(2) == 0),
                _ => {
                    life.medium.fail_after(None, false);
                    life.store = open(&life.medium, &db, master);
                }
            }
            let next = db.read().unwrap().journal_next().unwrap();
            life.after.insert(next, facts(&db));
            life.acknowledged.push((life.store.inner.clock.now(), next));
        }
        life.medium.fail_after(None, false);
        life
    }

    /// How far the objects of the medium tell, by brute force; `None` when they tell nothing.
    fn tells(&self, spoiled: &[Shelved]) -> Option<u64> {
        let whole = |object: &&Shelved| spoiled.iter().all(|other| other.key != object.key);
        let shelf = Shelf::list(&self.medium).unwrap();
        let mut at = shelf.snapshots.iter().filter(whole).map(|snapshot| snapshot.number).max();
        let logs: Vec<_> = shelf.logs.iter().filter(whole).collect();
        loop {
            let next = logs.iter().filter(|log| {
                let first = self.store.read_log(log).unwrap().first;
                first <= at.unwrap_or(0) && log.number > at.unwrap_or(0)
            });
            match next.map(|log| log.number).max() {
                Some(number) => at = Some(number),
                None => return at,
            }
        }
    }
}

/// Rebuilds and compares with what the store tells.
fn judge(life: &Life, spoiled: &[Shelved], tells: Option<u64>, master: Option<&MasterKey>) {
    let Some(tells) = tells else {
        let error = rebuilt(&life.medium, master).err().unwrap();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        return;
    };
    let (db, Rebuilt { replayed, .. }) = rebuilt(&life.medium, master).unwrap();
    assert_eq!(replayed.commits, tells);
    assert_eq!(facts(&db), life.after[&tells]);
    let before = life.acknowledged.iter().take_while(|(at, _)| Some(*at) < replayed.complete_until);
    assert!(before.map(|(_, next)| *next).max().unwrap_or(0) <= tells, "what was acknowledged is missing");
    if spoiled.is_empty() {
        assert!(replayed.damage.is_empty() && !replayed.has_gap, "{replayed:?}");
    }
    goes_on(life, &db, &replayed, spoiled, master);
}

/// The rebuilt catalog and its store are one: they go on, and can be rebuilt again.
fn goes_on(life: &Life, db: &Db, replayed: &Replayed, spoiled: &[Shelved], master: Option<&MasterKey>) {
    let reaches = Shelf::list(&life.medium).unwrap().reaches();
    let next = db.read().unwrap().journal_next().unwrap();
    let seamless = replayed.damage.is_empty() && !replayed.has_gap;
    assert!(if seamless { next == reaches } else { next > reaches }, "{next} after {reaches}");
    let store = open(&life.medium, db, master);
    db.write(|txn| txn.put(&THINGS, b"after", b"all")).unwrap();
    store.ship().unwrap();
    let description = store.verify_description().unwrap();
    // What was damaged before still is; nothing is missing because of it.
    let known = |error: &Error| spoiled.iter().any(|object| error.to_string().contains(object.key.as_str()));
    assert!(description.damage.iter().all(known), "{:?}", description.damage);
    let (again, Rebuilt { replayed, .. }) = rebuilt(&life.medium, master).unwrap();
    assert_eq!(facts(&again), facts(db), "{replayed:?}");
}

#[test]
fn p8_facts_come_back_as_of_any_moment() {
    for seed in 0..LIVES {
        let master = (seed % 2 == 0).then(|| MasterKey::generate(&OsEntropy));
        let life = Life::live(&mut Dice::new(seed), master.as_ref());
        judge(&life, &[], life.tells(&[]), master.as_ref());
    }
}

#[test]
fn p8_damage_and_loss_cost_what_they_must_and_no_more() {
    for seed in 0..LIVES {
        let mut dice = Dice::new(1000 + seed);
        let master = (seed % 2 == 0).then(|| MasterKey::generate(&OsEntropy));
        let life = Life::live(&mut dice, master.as_ref());
        let shelf = Shelf::list(&life.medium).unwrap();
        let mut spoiled = Vec::new();
        for object in shelf.snapshots.iter().chain(&shelf.logs) {
            if dice.below(4) == 0 {
                spoiled.push(object.clone());
            }
        }
        let tells = life.tells(&spoiled);
        for object in &spoiled {
            match dice.below(2) {
                0 => life.medium.delete(&object.key).unwrap(),
                _ => life.medium.spoil(object.key.as_str(), dice.below(object.bytes) as usize),
            }
        }
        judge(&life, &spoiled, tells, master.as_ref());
    }
}

#[test]
fn a_damaged_snapshot_costs_nothing_while_its_spare_is_whole() {
    let (medium, db) = (Flaky::default(), memory());
    let store = open(&medium, &db, None);
    for n in 0..40u8 {
        let value = Dice::new(n.into()).bytes(4000);
        db.write(move |txn| txn.put(&THINGS, &[n], &value)).unwrap();
        store.ship().unwrap();
    }
    let shelf = Shelf::list(&medium).unwrap();
    assert_eq!(shelf.snapshots.len(), 2);
    medium.spoil(shelf.snapshots[0].key.as_str(), 100);
    let (again, Rebuilt { replayed, .. }) = rebuilt(&medium, None).unwrap();
    assert_eq!(facts(&again), facts(&db));
    assert!(replayed.damage.len() == 1 && !replayed.has_gap, "{replayed:?}");
    medium.spoil(shelf.snapshots[1].key.as_str(), 100);
    let nothing = rebuilt(&medium, None).err().unwrap().to_string();
    for snapshot in &shelf.snapshots {
        assert!(nothing.contains(snapshot.key.as_str()), "{nothing}");
    }
}

#[test]
fn a_catalog_that_comes_back_after_another_took_its_place_is_refused() {
    let (medium, lost) = (Flaky::default(), memory());
    let store = open(&medium, &lost, None);
    for n in 0..3 {
        lost.write(move |txn| txn.put(&THINGS, &[n], b"told")).unwrap();
        store.ship().unwrap();
    }
    for n in 0..50 {
        lost.write(move |txn| txn.put(&THINGS, &[n], b"not told")).unwrap();
    }
    // With and without a reason for the new catalog to begin a new history.
    for damaged in [false, true] {
        if damaged {
            let logs = Shelf::list(&medium).unwrap().logs;
            medium.spoil(logs.last().unwrap().key.as_str(), 100);
        }
        let (db, _) = rebuilt(&medium, None).unwrap();
        db.write(|txn| txn.put(&THINGS, b"new", b"history")).unwrap();
        open(&medium, &db, None).ship().unwrap();
        assert!(matches!(open(&medium, &lost, None).ship(), Err(Error::Foreign(_))), "damaged: {damaged}");
    }
}

#[test]
fn a_log_of_another_store_or_release_is_refused_by_name() {
    let (medium, db) = (Flaky::default(), memory());
    open(&medium, &db, None).ship().unwrap();
    let header = ObjectKey::new("tintype-store".to_owned()).unwrap();
    let text = String::from_utf8(medium.get(&header).unwrap()).unwrap();
    medium.delete(&header).unwrap();
    medium.delete(&ObjectKey::new("tintype-store-copy".to_owned()).unwrap()).unwrap();
    assert!(matches!(rebuilt(&medium, None), Err(Error::Absent)));
    let other = text.replacen(&text[text.find("\"id\":\"").unwrap()..][..14], "\"id\":\"deadbeef", 1);
    medium.put(&header, other.as_bytes()).unwrap();
    assert!(matches!(rebuilt(&medium, None), Err(Error::Foreign(_))));

    medium.delete(&header).unwrap();
    medium.put(&header, text.as_bytes()).unwrap();
    rebuilt(&medium, None).unwrap();
    let fewer = db::Options { journal: FACTS.to_vec(), ..db::Options::default() };
    db.write(|txn| txn.put(&OTHERS, b"k", b"v")).unwrap();
    open(&medium, &db, None).ship().unwrap();
    let older = Db::open_on(redb::backends::InMemoryBackend::new(), fewer).unwrap();
    let (objects, entropy) = (Arc::new(medium.clone()), Arc::new(OsEntropy));
    let store = Store::open_lost(older, objects, None, options(), Arc::new(SystemClock), entropy).unwrap();
    let error = store.rebuild(&mut |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("knows no table others-1"), "{error}");
}

#[test]
fn a_log_object_that_left_entries_waiting_claims_no_moment() {
    let (medium, db) = (Flaky::default(), memory());
    let store = open(&medium, &db, None);
    store.ship().unwrap();
    let whole = rebuilt(&medium, None).unwrap().1.replayed.complete_until;
    for n in 0..6u8 {
        db.write(move |txn| txn.put(&THINGS, &[n], &vec![n; 700 << 10])).unwrap();
    }
    // The first of several objects is written, and power goes.
    medium.fail_after(Some(3), true);
    store.ship().unwrap_err();
    let (_, Rebuilt { replayed, .. }) = rebuilt(&medium, None).unwrap();
    assert!(Shelf::list(&medium).unwrap().logs.len() > 1, "nothing was shipped");
    assert_eq!(replayed.complete_until, whole);
}
