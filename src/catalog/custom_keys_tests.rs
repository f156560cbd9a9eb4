//! Aliases of custom keys: whose each is, and for how long.

use super::*;
use crate::base::Time;
use crate::db::{Db, Options};

fn key(id: u128, project: &str, alias: &str) -> CustomKey {
    CustomKey {
        id: KeyId(uuid::Uuid::from_u128(id)),
        project: project.into(),
        alias: alias.into(),
        description: None,
        state: KeyState::Enabled,
        created_at: Time(0),
        grants: Default::default(),
    }
}

fn write(db: &Db, key: &CustomKey) -> Result<(), Error> {
    let key = key.clone();
    db.write(move |txn| put(txn, &key))
}

#[test]
fn an_alias_belongs_to_one_key_of_a_project_until_that_is_deleted() {
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), Options::default()).unwrap();
    let first = key(1, "p", "gold");
    write(&db, &first).unwrap();
    assert!(matches!(write(&db, &key(2, "p", "gold")), Err(Error::Exists(_))));
    write(&db, &key(3, "q", "gold")).unwrap();
    write(&db, &CustomKey { alias: "silver".into(), ..first.clone() }).unwrap();
    write(&db, &key(2, "p", "gold")).unwrap();
    write(&db, &CustomKey { state: KeyState::Deleted(Time(1)), ..key(2, "p", "gold") }).unwrap();
    let read = db.read().unwrap();
    assert_eq!(find(&read, &"p".into(), "gold").unwrap(), None);
    assert_eq!(find(&read, &"p".into(), "silver").unwrap().unwrap().id, first.id);
    assert_eq!((count(&read, &"p".into()).unwrap(), list(&read).unwrap().len()), (1, 3));
    assert!(get(&read, KeyId(uuid::Uuid::from_u128(2))).unwrap().is_some());
    assert_eq!(crate::catalog::differing_indexes(&read).unwrap(), Vec::<&str>::new());
}
