//! A service on media in memory, for tests of every layer above.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::identity::{AccessRoot, Grant, NameFilter, NewUser, Password, PasswordCost};
use super::images::{Buckets, SharedBucket};
use super::{Actor, Rules, Service};
use crate::base::{Clock, OsEntropy, Time};
use crate::db::{Db, Options, StorageBackend};
use crate::model::UserId;
use crate::model::identity::Scope;
use crate::objects::exchange::Folder;
use crate::objects::{Memory, Objects};
use crate::store::{self, MasterKey, PlaceMedium, Store, Vault};

/// A clock that moves when told, and a microsecond each time it is read.
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Starts on a day in 2023.
    pub fn new() -> ManualClock {
        ManualClock(AtomicI64::new(1_700_000_000_000_000))
    }

    /// Moves on, or back.
    pub fn step_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * Time::SECOND, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Rules with hashing cheap enough for tests.
pub fn rules() -> Rules {
    Rules { password_cost: PasswordCost { memory_kib: 8, passes: 1 }, ..Rules::default() }
}

/// A service that was set up with the password `admin-pw`, and its clock.
pub fn service() -> (Service, Arc<ManualClock>) {
    service_with(rules())
}

/// As [`service`], under other rules.
pub fn service_with(rules: Rules) -> (Service, Arc<ManualClock>) {
    service_on(Memory::new(), rules)
}

/// As [`service_with`], on a sealed store.
pub fn sealed_service(rules: Rules) -> (Service, Arc<ManualClock>) {
    let master = MasterKey::generate(&OsEntropy);
    assembled(catalog(), Some(&master), Memory::new(), store::Options::default(), rules)
}

/// As [`service`], with a store under other settings.
pub fn service_storing(options: store::Options) -> (Service, Arc<ManualClock>) {
    assembled(catalog(), None, Memory::new(), options, rules())
}

/// An empty catalog in memory, opened as the daemon does.
pub fn catalog() -> Db {
    catalog_on(redb::backends::InMemoryBackend::new())
}

/// As [`catalog`], on a medium of the test's own.
pub fn catalog_on(medium: impl StorageBackend) -> Db {
    let options =
        Options { journal: super::fact_tables(), derived: super::derived_tables(), ..Options::default() };
    Db::open_on(medium, options).unwrap()
}

/// As [`service_with`], with its store on a medium that is shared with the test.
pub fn service_on(objects: Memory, rules: Rules) -> (Service, Arc<ManualClock>) {
    assembled(catalog(), None, objects, store::Options::default(), rules)
}

/// As [`service_on`], with these places beside the home.
pub fn service_with_places(
    home: Memory,
    places: Vec<PlaceMedium>,
    rules: Rules,
) -> (Service, Arc<ManualClock>) {
    let (db, clock) = (catalog(), Arc::new(ManualClock::new()));
    let vault = Vault::create(Arc::new(home), None, &*clock, &OsEntropy).unwrap().with_places(places);
    let options = store::Options::default();
    let store = Store::open_in(db.clone(), vault, options, clock.clone(), Arc::new(OsEntropy)).unwrap();
    (set_up(db, store, clock.clone(), rules), clock)
}

/// A service of these parts.
pub fn assembled(
    db: Db,
    master: Option<&MasterKey>,
    objects: impl Objects,
    options: store::Options,
    rules: Rules,
) -> (Service, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let (objects, entropy) = (Arc::new(objects), Arc::new(OsEntropy));
    let store = Store::open(db.clone(), objects, master, options, clock.clone(), entropy).unwrap();
    (set_up(db, store, clock.clone(), rules), clock)
}

/// What is kept in memory because of requests that were refused: users, signatures and callers that were noted.
pub fn kept_of_requests(service: &Service) -> usize {
    service.attempts.kept() + service.replays.kept() + service.refusals.kept()
}

fn set_up(db: Db, store: Store, clock: Arc<ManualClock>, rules: Rules) -> Service {
    let service = Service::new(db, store, clock, Arc::new(OsEntropy), rules)
        .with_access_root(AccessRoot::generate(&OsEntropy));
    assert!(service.bootstrap(&password("admin-pw")).unwrap());
    service
}

/// A service with buckets in `outer`: `in`, which everybody reads, and `out`, which everybody writes;
/// `machines`, whose folders are backups; and `closed`, which is there for the project `else` alone.
pub fn service_with_buckets(outer: &std::path::Path, rules: Rules) -> (Service, Arc<ManualClock>) {
    let (service, clock) = service_with(rules);
    (service.with_buckets(buckets(outer)), clock)
}

/// The buckets of [`service_with_buckets`].
pub fn buckets(outer: &std::path::Path) -> Buckets {
    let bucket = |name: &str, readers: &[&str], writers: &[&str]| {
        let folder = outer.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        SharedBucket {
            name: name.to_owned(),
            readers: readers.iter().map(ToString::to_string).collect(),
            writers: writers.iter().map(ToString::to_string).collect(),
            backups: name == "machines",
            medium: Arc::new(Folder::new(folder)),
        }
    };
    Buckets::new(vec![
        bucket("in", &["*"], &[]),
        bucket("out", &["*"], &["*"]),
        bucket("machines", &["*"], &[]),
        bucket("closed", &["else"], &["else"]),
    ])
}

/// Does every task that waits.
pub async fn work_off(service: &Service) {
    while let Some(job) = service.claim_task().unwrap() {
        service.perform(job).await;
    }
}

/// A member of a project, called as the project is.
pub fn member(project: &str) -> Actor {
    Actor {
        user: UserId::from(project),
        user_domain: "default".into(),
        scope: Some(Scope::Project(project.into())),
        roles: ["member", "reader"].map(String::from).into(),
        ..Actor::system()
    }
}

/// A password.
pub fn password(text: &str) -> Password {
    Password::new(text.to_owned()).unwrap()
}

/// A user who is not there yet, without a password.
pub fn new_user(name: &str) -> NewUser {
    NewUser {
        name: name.into(),
        domain: None,
        enabled: true,
        default_project: None,
        password: None,
        extra: Default::default(),
    }
}

/// A user who is on record, a member of the first project, and its role there.
pub fn user(service: &Service, name: &str) -> (Actor, Grant) {
    let admin = service.actor_called("admin", "Default", "admin").unwrap();
    let user = service.create_user(&admin, new_user(name)).unwrap().id;
    let member = NameFilter { domain: None, name: Some("member".into()) };
    let role = service.list_roles(&admin, &member).unwrap().remove(0).id;
    let grant = Grant { user, scope: admin.scope.clone().unwrap(), role };
    service.grant_role(&admin, grant.clone()).unwrap();
    (service.actor_called(name, "Default", "admin").unwrap(), grant)
}
