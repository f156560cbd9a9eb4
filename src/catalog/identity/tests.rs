//! The promises of names, assignments, cascades and tokens, on a database in memory.

use super::*;
use crate::base::Time;
use crate::catalog::{Error, differing_indexes, reindex, tokens};
use crate::db::{Db, JournalEntry, Options, Rows, Table, WriteTxn, codec};
use crate::model::UserId;
use crate::model::identity::{Assignment, Domain, Project, Role, Scope, Token, User};

fn db() -> Db {
    let options = Options { journal: crate::catalog::fact_tables(), ..Options::default() };
    Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap()
}

fn write<T: Send + 'static>(db: &Db, change: fn(&WriteTxn) -> Result<T, Error>) -> Result<T, Error> {
    db.write(change)
}

fn user(id: &str, domain: &str, name: &str) -> User {
    User {
        id: id.into(),
        domain: domain.into(),
        name: name.into(),
        enabled: true,
        default_project: None,
        password_hash: None,
        extra: Default::default(),
    }
}

fn project(id: &str, domain: &str) -> Project {
    Project {
        id: id.into(),
        domain: domain.into(),
        name: id.into(),
        description: None,
        enabled: true,
        tags: vec![],
        extra: Default::default(),
    }
}

fn role(id: &str, name: &str) -> Role {
    Role {
        id: id.into(),
        name: name.into(),
        domain: None,
        description: None,
        immutable: false,
        extra: Default::default(),
    }
}

fn held(user: &str, scope: Scope, role: &str) -> Assignment {
    Assignment { user: user.into(), scope, role: role.into() }
}

fn token(user: &str, scope: Option<Scope>, expires_at: i64) -> Token {
    Token {
        user: user.into(),
        scope,
        methods: vec![],
        audit_ids: vec![],
        application_credential: None,
        issued_at: Time(0),
        expires_at: Time(expires_at),
    }
}

#[test]
fn a_name_belongs_to_one_user_of_a_domain() {
    let db = db();
    write(&db, |txn| insert(txn, &user("u1", "d1", "ann"))).unwrap();
    write(&db, |txn| insert(txn, &user("u2", "d2", "ann"))).unwrap();
    let taken = write(&db, |txn| insert(txn, &user("u3", "d1", "ann")));
    assert!(matches!(taken, Err(Error::Exists(text)) if text.contains("u1")));
    write(&db, |txn| update(txn, &user("u1", "d1", "bea"))).unwrap();
    write(&db, |txn| insert(txn, &user("u3", "d1", "ann"))).unwrap();
    let read = db.read().unwrap();
    assert_eq!(find::<User>(&read, "d1", "bea").unwrap().unwrap().id, UserId::from("u1"));
    assert_eq!(list_in::<User>(&read, "d1").unwrap().len(), 2);
    assert_eq!(list::<User>(&read, |u| u.name == "ann").unwrap().len(), 2);
}

#[test]
fn role_names_differ_by_more_than_case() {
    let db = db();
    write(&db, |txn| insert(txn, &role("r1", "admin"))).unwrap();
    assert!(matches!(write(&db, |txn| insert(txn, &role("r2", "Admin"))), Err(Error::Exists(_))));
}

#[test]
fn assignments_are_found_from_both_ends() {
    let db = db();
    write(&db, |txn| {
        put_assignment(txn, &held("u1", Scope::Project("p".into()), "r1"))?;
        put_assignment(txn, &held("u1", Scope::System, "r1"))?;
        put_assignment(txn, &held("u2", Scope::Project("p".into()), "r2"))
    })
    .unwrap();
    let read = db.read().unwrap();
    assert_eq!(assigned_to(&read, &"u1".into(), None).unwrap().len(), 2);
    assert_eq!(
        assigned_to(&read, &"u1".into(), Some(&Scope::System)).unwrap(),
        [held("u1", Scope::System, "r1")]
    );
    assert_eq!(assigned_at(&read, &Scope::Project("p".into())).unwrap().len(), 2);
    assert!(is_assigned(&read, &held("u2", Scope::Project("p".into()), "r2")).unwrap());
    assert!(!is_assigned(&read, &held("u2", Scope::System, "r2")).unwrap());
}

#[test]
fn the_last_role_on_a_scope_takes_its_tokens_along() {
    let db = db();
    write(&db, |txn| {
        let scope = Scope::Project("p".into());
        put_assignment(txn, &held("u", scope.clone(), "r1"))?;
        put_assignment(txn, &held("u", scope.clone(), "r2"))?;
        tokens::insert(txn, &[1; 32], &token("u", Some(scope), 9))?;
        tokens::insert(txn, &[2; 32], &token("u", None, 9))
    })
    .unwrap();
    write(&db, |txn| remove_assignment(txn, &held("u", Scope::Project("p".into()), "r1"))).unwrap();
    assert!(tokens::get(&db.read().unwrap(), &[1; 32]).unwrap().is_some());
    write(&db, |txn| remove_assignment(txn, &held("u", Scope::Project("p".into()), "r2"))).unwrap();
    let read = db.read().unwrap();
    assert!(tokens::get(&read, &[1; 32]).unwrap().is_none());
    assert!(tokens::get(&read, &[2; 32]).unwrap().is_some());
}

#[test]
fn deleting_a_domain_leaves_nothing_of_it() {
    let db = db();
    write(&db, |txn| {
        let domain = Domain {
            id: "d".into(),
            name: "d".into(),
            description: None,
            enabled: false,
            extra: Default::default(),
        };
        insert(txn, &domain)?;
        insert(txn, &user("u", "d", "u"))?;
        insert(txn, &project("p", "d"))?;
        insert(txn, &role("r", "r"))?;
        put_assignment(txn, &held("u", Scope::Project("p".into()), "r"))?;
        put_assignment(txn, &held("u", Scope::Domain("d".into()), "r"))?;
        tokens::insert(txn, &[1; 32], &token("u", None, 9))
    })
    .unwrap();
    assert!(write(&db, |txn| delete_domain(txn, &"d".into())).unwrap());
    assert!(!write(&db, |txn| delete_domain(txn, &"d".into())).unwrap());
    let read = db.read().unwrap();
    assert!(assignments(&read).unwrap().is_empty());
    assert!(get::<User>(&read, &"u".into()).unwrap().is_none());
    assert!(get::<Project>(&read, &"p".into()).unwrap().is_none());
    assert!(find::<User>(&read, "d", "u").unwrap().is_none());
    assert!(tokens::get(&read, &[1; 32]).unwrap().is_none());
    assert!(get::<Role>(&read, &"r".into()).unwrap().is_some());
}

#[test]
fn deleting_a_role_takes_it_from_everyone() {
    let db = db();
    write(&db, |txn| {
        insert(txn, &role("r", "r"))?;
        put_assignment(txn, &held("u", Scope::System, "r"))
    })
    .unwrap();
    assert!(write(&db, |txn| delete_role(txn, &"r".into())).unwrap());
    assert!(assignments(&db.read().unwrap()).unwrap().is_empty());
}

#[test]
fn expired_tokens_go_oldest_first_and_live_ones_stay() {
    let db = db();
    write(&db, |txn| {
        for n in 1..=5 {
            tokens::insert(txn, &[n; 32], &token("u", None, i64::from(n)))?;
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(write(&db, |txn| tokens::purge_expired(txn, Time(3), 2)).unwrap(), 2);
    assert_eq!(write(&db, |txn| tokens::purge_expired(txn, Time(3), 2)).unwrap(), 1);
    assert_eq!(write(&db, |txn| tokens::purge_expired(txn, Time(3), 2)).unwrap(), 0);
    let read = db.read().unwrap();
    assert!(tokens::get(&read, &[3; 32]).unwrap().is_none());
    assert!(tokens::get(&read, &[4; 32]).unwrap().is_some());
}

#[test]
fn names_are_not_journaled_but_users_are() {
    let db = db();
    write(&db, |txn| insert(txn, &user("u1", "d1", "ann"))).unwrap();
    let (_, entry) = db.read().unwrap().journal().unwrap().next().unwrap().unwrap();
    let entry: JournalEntry = codec::decode(&entry).unwrap();
    assert_eq!(entry.changes.iter().map(|c| c.table.as_str()).collect::<Vec<_>>(), ["users-1"]);
    assert_eq!(db.read().unwrap().count(&User::NAMES).unwrap(), 1);
}

#[test]
fn an_index_that_lost_a_row_is_named_and_made_anew() {
    let whole = |txn: &WriteTxn| {
        let domain = Domain {
            id: "d1".into(),
            name: "d1".into(),
            description: None,
            enabled: true,
            extra: Default::default(),
        };
        insert(txn, &domain)?;
        insert(txn, &user("u1", "d1", "ann"))?;
        insert(txn, &project("p1", "d1"))?;
        insert(txn, &role("r1", "Admin"))?;
        put_assignment(txn, &held("u1", Scope::Project("p1".into()), "r1"))?;
        put_assignment(txn, &held("u1", Scope::System, "r1"))?;
        tokens::insert(txn, &[1; 32], &token("u1", None, 5))
    };
    let mut names = vec!["assignments-by-scope-1", "tokens-by-expiry-1", "tokens-by-user-1"];
    names.extend([Domain::NAMES.name, Project::NAMES.name, User::NAMES.name, Role::NAMES.name]);
    for name in names {
        let db = db();
        write(&db, whole).unwrap();
        assert_eq!(differing_indexes(&db.read().unwrap()).unwrap(), Vec::<&str>::new());
        let index = Table::derived(name);
        let mut keys = Vec::new();
        let collect = &mut |key: &[u8], _: &[u8]| {
            keys.push(key.to_vec());
            std::ops::ControlFlow::Continue(())
        };
        db.read().unwrap().scan_prefix(&index, &[], collect).unwrap();
        db.write(move |txn| txn.remove(&index, &keys[0])).unwrap();
        assert_eq!(differing_indexes(&db.read().unwrap()).unwrap(), [name]);
        reindex(&db).unwrap();
        assert_eq!(differing_indexes(&db.read().unwrap()).unwrap(), Vec::<&str>::new());
    }
}
