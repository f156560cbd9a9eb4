//! A store whose medium is away when it opens: what works without, what is refused, and that nothing is
//! written before the medium was recognised.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::tests::{Bench, fresh, get, noise, put};
use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::model::ByteRange;
use crate::objects::{self, Memory, ObjectInfo, ObjectKey, ObjectWriter};

/// A medium that may be away, and tells what it was asked to change.
#[derive(Debug, Clone, Default)]
pub(super) struct Distant {
    memory: Memory,
    pub(super) away: Arc<AtomicBool>,
    /// Whether it lacks what is relied on.
    poor: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Distant {
    pub(super) fn on(memory: Memory, away: bool) -> Distant {
        Distant { memory, away: Arc::new(away.into()), ..Distant::default() }
    }

    fn reach(&self) -> Result<&Memory, objects::Error> {
        match self.trouble() {
            None => Ok(&self.memory),
            Some(why) => Err(objects::Error::Unavailable(why)),
        }
    }

    fn change(&self, what: impl ToString) -> Result<&Memory, objects::Error> {
        self.told.lock().unwrap().push(what.to_string());
        self.reach()
    }

    pub(super) fn changes(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The way to it.
    pub(super) fn entrance(&self) -> Entrance {
        let medium = self.clone();
        let trial = move || match medium.poor.load(Ordering::Relaxed) {
            true => Err(objects::Error::Denied("it lacks something".into())),
            false => medium.change("trial").map(drop),
        };
        Entrance::new(Arc::new(self.clone()), "s3://images/box".into(), Box::new(trial))
    }
}

impl Objects for Distant {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, objects::Error> {
        self.change(key)?.create(key)
    }

    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, objects::Error> {
        self.change(key)?.replace(key)
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), objects::Error> {
        self.reach()?.read(key, offset, out)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, objects::Error> {
        self.reach()?.size(key)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), objects::Error> {
        self.change(key)?.delete(key)
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), objects::Error> {
        self.reach()?.list(prefix, visit)
    }

    fn sweep_unfinished(&self) -> Result<u64, objects::Error> {
        self.change("sweep")?.sweep_unfinished()
    }

    fn trouble(&self) -> Option<String> {
        self.away.load(Ordering::Relaxed).then(|| "no route".into())
    }
}

fn open_behind(vault: Vault, db: &Db) -> Result<Store, Error> {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    Store::open_in(db.clone(), vault, Options::default(), clock, entropy)
}

/// The store of a bench, opened while its medium, whose content may have become another's, is away.
fn opened_without(b: &Bench, medium: &Distant) -> Store {
    let id = Store::known_id(&b.db).unwrap().unwrap();
    open_behind(Vault::awaited(id, &medium.entrance()), &b.db).unwrap()
}

fn kinds(store: &Store) -> Vec<EventKind> {
    store.events().unwrap().into_iter().map(|event| event.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_that_comes_back_is_recognised_and_put_in_order_before_anything_is_written() {
    let mut b = fresh(None);
    let data = noise(1, 100_000);
    let content = put(&b, &data).await;
    let medium = Distant::on(b.objects.clone(), true);
    b.store = opened_without(&b, &medium);
    assert_eq!(kinds(&b.store), [EventKind::Away]);
    assert_eq!(b.store.stats().unwrap().contents, 1);
    let refused = [
        b.store.ingest(Scope::STORE).map(drop),
        get(&b, &content, ByteRange::whole(10)).map(drop),
        b.store.tend().map(drop),
        b.store.enter(),
    ];
    for outcome in refused {
        assert!(matches!(outcome, Err(Error::Away { .. })), "{outcome:?}");
    }
    let trouble = b.store.trouble().unwrap();
    assert!(trouble.contains("s3://images/box") && trouble.contains("no route"), "{trouble}");
    assert_eq!(medium.changes(), [""; 0]);
    medium.away.store(false, Ordering::Relaxed);
    // Nobody has looked at it yet: that it answers is not enough.
    assert!(matches!(b.store.ingest(Scope::STORE).map(drop), Err(Error::Away { .. })));
    b.store.enter().unwrap();
    assert_eq!(medium.changes(), ["trial", "sweep"]);
    assert_eq!((b.store.trouble(), kinds(&b.store)), (None, vec![EventKind::Back, EventKind::Away]));
    assert_eq!(get(&b, &content, ByteRange::whole(data.len() as u64)).unwrap(), data);
    put(&b, &noise(2, 5000)).await;
    assert_eq!(b.store.tend().unwrap(), []);
    b.store.enter().unwrap();
    assert_eq!(
        medium.changes().iter().filter(|change| *change == "sweep").count(),
        1,
        "it was swept under writers"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_to_a_medium_that_is_another_stores_or_lacks_something() {
    let (mut b, other) = (fresh(None), fresh(None));
    put(&b, &noise(1, 5000)).await;
    let medium = Distant::on(other.objects.clone(), true);
    b.store = opened_without(&b, &medium);
    medium.away.store(false, Ordering::Relaxed);
    let foreign = b.store.enter();
    assert!(matches!(foreign, Err(Error::Foreign(_))), "{foreign:?}");
    assert!(matches!(b.store.ingest(Scope::STORE).map(drop), Err(Error::Away { .. })));
    assert!(b.store.trouble().unwrap().contains("does not belong"), "{:?}", b.store.trouble());
    // An empty one is none either.
    let empty = Distant::on(Memory::new(), true);
    b.store = opened_without(&b, &empty);
    empty.away.store(false, Ordering::Relaxed);
    assert!(matches!(b.store.enter(), Err(Error::Foreign(_))));
    let poor = Distant::on(b.objects.clone(), true);
    b.store = opened_without(&b, &poor);
    poor.poor.store(true, Ordering::Relaxed);
    poor.away.store(false, Ordering::Relaxed);
    assert!(b.store.enter().unwrap_err().to_string().contains("lacks something"));
    for medium in [&medium, &empty, &poor] {
        assert_eq!(medium.changes(), [""; 0]);
    }
    poor.poor.store(false, Ordering::Relaxed);
    b.store.enter().unwrap();
}

#[test]
fn a_medium_that_answers_at_the_start_is_recognised_then_and_one_of_no_use_refused() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let b = fresh(master.as_ref());
        let medium = Distant::on(b.objects.clone(), false);
        let look = || {
            let entrance = medium.entrance();
            let vault = Vault::look(entrance.medium().clone(), master.as_ref()).unwrap().unwrap();
            vault.behind(entrance.guarded(), Some(entrance))
        };
        let store = open_behind(look(), &b.db).unwrap();
        assert!(store.is_entered());
        assert_eq!(
            (medium.changes(), kinds(&store)),
            (vec!["trial".to_owned(), "sweep".to_owned()], Vec::new())
        );
        medium.poor.store(true, Ordering::Relaxed);
        let refused = open_behind(look(), &b.db).err().unwrap().to_string();
        assert!(refused.contains("lacks something"), "{refused}");
        // It went away between two requests.
        let vault = look();
        medium.poor.store(false, Ordering::Relaxed);
        medium.away.store(true, Ordering::Relaxed);
        let store = open_behind(vault, &b.db).unwrap();
        assert!(!store.is_entered());
        medium.away.store(false, Ordering::Relaxed);
        store.enter().unwrap();
    }
}

#[test]
fn a_change_of_keys_that_was_cut_off_is_left_alone_until_the_store_is_known() {
    let master = MasterKey::generate(&OsEntropy);
    let b = fresh(Some(&master));
    let copy = ObjectKey::new("keyring/00000001-b").unwrap();
    b.objects.delete(&copy).unwrap();
    let mut vault = Vault::look(Arc::new(b.objects.clone()), Some(&master)).unwrap().unwrap();
    assert!(b.objects.get(&copy).is_err());
    vault.settle_keys();
    assert!(b.objects.get(&copy).is_ok());
}
