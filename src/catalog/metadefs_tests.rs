//! Namespaces and what they define go together, under whatever name.

use super::*;
use crate::base::Time;
use crate::db::{Db, Options};
use crate::model::metadef::{Property, Tag};

fn memory() -> Db {
    Db::open_on(redb::backends::InMemoryBackend::new(), Options::default()).unwrap()
}

fn namespace(name: &str) -> Namespace {
    Namespace {
        name: name.into(),
        display_name: None,
        description: None,
        public: false,
        protected: false,
        owner: "p".into(),
        associations: Vec::new(),
        created_at: Time(1),
        updated_at: Time(1),
    }
}

fn definitions() -> Definitions {
    Definitions {
        properties: vec![Property { name: "p".into(), definition: "{}".into() }],
        objects: Vec::new(),
        tags: vec![Tag { name: "t".into(), created_at: Time(1), updated_at: Time(1) }],
    }
}

#[test]
fn a_renamed_namespace_takes_its_definitions_along_and_a_removed_one_leaves_none() {
    let db = memory();
    db.write(|txn| {
        insert(txn, &namespace("A"))?;
        insert(txn, &namespace("B"))?;
        put_definitions(txn, "A", &definitions())?;
        assert!(matches!(insert(txn, &namespace("A")), Err(Error::Exists(_))));
        assert!(matches!(update(txn, "A", &namespace("B")), Err(Error::Exists(_))));
        update(txn, "A", &namespace("C"))
    })
    .unwrap();
    let read = db.read().unwrap();
    assert_eq!(list(&read).unwrap(), [namespace("B"), namespace("C")]);
    assert_eq!((get(&read, "A").unwrap(), get(&read, "C").unwrap()), (None, Some(namespace("C"))));
    assert_eq!(super::definitions(&read, "C").unwrap(), definitions());
    assert!(super::definitions(&read, "A").unwrap().is_empty());
    db.write(|txn| remove(txn, "C")).unwrap();
    let read = db.read().unwrap();
    assert_eq!(count(&read).unwrap(), 1);
    assert_eq!(read.count(&DEFINITIONS).unwrap(), 0);
}

#[test]
fn definitions_without_a_namespace_are_refused_and_none_take_no_row() {
    let db = memory();
    let refused = db.write(|txn| put_definitions(txn, "A", &definitions()));
    assert!(matches!(refused, Err(Error::Missing(_))));
    db.write(|txn| {
        insert(txn, &namespace("A"))?;
        put_definitions(txn, "A", &definitions())?;
        put_definitions(txn, "A", &Definitions::default())
    })
    .unwrap();
    assert_eq!(db.read().unwrap().count(&DEFINITIONS).unwrap(), 0);
}
