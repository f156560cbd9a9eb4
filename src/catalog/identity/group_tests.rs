//! The promises of groups, of what they are given, and of the tokens that stand on it, on a database in memory.

use super::*;
use crate::base::Time;
use crate::catalog::{Error, differing_indexes, reindex, tokens};
use crate::db::{Db, Options, Rows, WriteTxn};
use crate::model::identity::{Assignment, Domain, Group, GroupAssignment, Project, Role, Scope, Token, User};
use crate::model::policy::{Attachment, Policy, Reach};
use crate::model::{GroupId, UserId};

fn db() -> Db {
    let options = Options { journal: crate::catalog::fact_tables(), ..Options::default() };
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap();
    write(&db, |txn| {
        for domain in ["d", "e"] {
            insert(txn, &domain_called(domain))?;
            insert(txn, &project(&format!("p-{domain}"), domain))?;
        }
        for user in ["u1", "u2"] {
            insert(txn, &user_called(user))?;
            add_member(txn, &"g".into(), &user.into())?;
        }
        insert(txn, &role())?;
        insert(txn, &group())
    });
    db
}

fn write<T: Send + 'static>(db: &Db, change: fn(&WriteTxn) -> Result<T, Error>) -> T {
    db.write(change).unwrap()
}

fn domain_called(id: &str) -> Domain {
    Domain { id: id.into(), name: id.into(), description: None, enabled: true, extra: Default::default() }
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

fn user_called(id: &str) -> User {
    User {
        id: id.into(),
        domain: "d".into(),
        name: id.into(),
        enabled: true,
        default_project: None,
        password_hash: None,
        extra: Default::default(),
    }
}

fn group() -> Group {
    Group {
        id: "g".into(),
        domain: "d".into(),
        name: "ops".into(),
        description: None,
        extra: Default::default(),
    }
}

fn role() -> Role {
    Role {
        id: "r".into(),
        name: "r".into(),
        domain: None,
        description: None,
        immutable: false,
        extra: Default::default(),
    }
}

fn policy() -> Policy {
    Policy {
        id: "pol".into(),
        name: "Mine".into(),
        description: None,
        document: "{}".into(),
        revision: 1,
        created_at: Time(0),
        updated_at: Time(0),
    }
}

fn at(project: &str) -> Scope {
    Scope::Project(project.into())
}

fn given(scope: Scope) -> GroupAssignment {
    GroupAssignment { group: "g".into(), scope, role: "r".into() }
}

fn attached(reach: Reach) -> Attachment {
    Attachment { group: "g".into(), reach, policy: "pol".into() }
}

fn token(txn: &WriteTxn, hash: u8, user: &str, scope: Option<Scope>) -> Result<(), Error> {
    let token = Token {
        user: user.into(),
        scope,
        methods: vec![],
        audit_ids: vec![],
        application_credential: None,
        issued_at: Time(0),
        expires_at: Time(9),
    };
    tokens::insert(txn, &[hash; 32], &token)
}

fn has_token(db: &Db, hash: u8) -> bool {
    tokens::get(&db.read().unwrap(), &[hash; 32]).unwrap().is_some()
}

#[test]
fn members_are_found_from_both_ends() {
    let db = db();
    let read = db.read().unwrap();
    assert_eq!(members_of(&read, &"g".into()).unwrap(), ["u1", "u2"].map(UserId::from));
    assert_eq!(groups_of(&read, &"u1".into()).unwrap(), [GroupId::from("g")]);
    assert!(is_member(&read, &"g".into(), &"u2".into()).unwrap());
    assert!(!is_member(&read, &"g".into(), &"u".into()).unwrap());
    assert!(write(&db, |txn| remove_member(txn, &"g".into(), &"u1".into())));
    assert!(!write(&db, |txn| remove_member(txn, &"g".into(), &"u1".into())));
}

#[test]
fn a_token_stands_as_long_as_anything_is_held_there() {
    let db = db();
    write(&db, |txn| {
        put_group_assignment(txn, &given(at("p-d")))?;
        put_assignment(txn, &Assignment { user: "u1".into(), scope: at("p-d"), role: "r".into() })?;
        attach(txn, &attached(Reach::Project("p-d".into())))?;
        token(txn, 1, "u1", Some(at("p-d")))?;
        token(txn, 2, "u2", Some(at("p-d")))?;
        token(txn, 3, "u2", None)
    });
    let own = |txn: &WriteTxn| {
        remove_assignment(txn, &Assignment { user: "u1".into(), scope: at("p-d"), role: "r".into() })
    };
    assert!(write(&db, own) && has_token(&db, 1));
    assert!(write(&db, |txn| remove_group_assignment(txn, &given(at("p-d")))) && has_token(&db, 1));
    assert!(write(&db, |txn| detach(txn, &attached(Reach::Project("p-d".into())))));
    assert!(!has_token(&db, 1) && !has_token(&db, 2) && has_token(&db, 3));
}

#[test]
fn policies_for_all_projects_hold_in_the_groups_domain() {
    let db = db();
    write(&db, |txn| attach(txn, &attached(Reach::All)));
    let read = db.read().unwrap();
    for (scope, expected) in
        [(at("p-d"), true), (at("p-e"), false), (Scope::System, false), (Scope::Domain("d".into()), false)]
    {
        assert_eq!(holds_anything(&read, &"u1".into(), &scope).unwrap(), expected, "{scope:?}");
    }
    assert!(!holds_anything(&read, &"nobody".into(), &at("p-d")).unwrap());
}

#[test]
fn the_revision_grows_with_everything_that_policies_depend_on() {
    let db = db();
    type Change = fn(&WriteTxn) -> Result<(), Error>;
    let changes: [Change; 7] = [
        |txn| insert_policy(txn, &policy()),
        |txn| update_policy(txn, &policy()),
        |txn| attach(txn, &attached(Reach::All)),
        |txn| add_member(txn, &"g".into(), &"u3".into()),
        |txn| remove_member(txn, &"g".into(), &"u3".into()).map(drop),
        |txn| detach(txn, &attached(Reach::All)).map(drop),
        |txn| delete_policy(txn, &"pol".into()).map(drop),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let before = rights_revision(&db.read().unwrap()).unwrap();
        write(&db, change);
        assert!(rights_revision(&db.read().unwrap()).unwrap() > before, "{at}");
    }
}

#[test]
fn a_policy_stays_while_it_is_attached() {
    let db = db();
    write(&db, |txn| {
        insert_policy(txn, &policy())?;
        attach(txn, &attached(Reach::All))
    });
    let refused = db.write(|txn: &WriteTxn| delete_policy(txn, &"pol".into()));
    assert!(matches!(refused, Err(Error::Exists(text)) if text.contains("detach")));
    write(&db, |txn| delete_group(txn, &"g".into()));
    assert!(write(&db, |txn| delete_policy(txn, &"pol".into())));
    assert!(!write(&db, |txn| delete_policy(txn, &"pol".into())));
}

fn everything(txn: &WriteTxn) -> Result<(), Error> {
    insert_policy(txn, &policy())?;
    for scope in [at("p-d"), Scope::Domain("d".into()), Scope::System] {
        put_group_assignment(txn, &given(scope))?;
    }
    attach(txn, &attached(Reach::Project("p-d".into())))?;
    attach(txn, &attached(Reach::All))?;
    token(txn, 1, "u1", Some(at("p-d")))
}

#[test]
fn what_is_deleted_is_referred_to_nowhere() {
    type Delete = fn(&WriteTxn) -> Result<bool, Error>;
    let cases: [(Delete, usize, usize, usize); 5] = [
        (|txn| delete_group(txn, &"g".into()), 0, 0, 0),
        (|txn| delete_user(txn, &"u1".into()), 3, 2, 1),
        (|txn| delete_project(txn, &"p-d".into()), 2, 1, 2),
        (|txn| delete_role(txn, &"r".into()), 0, 2, 2),
        (|txn| delete_domain(txn, &"d".into()), 0, 0, 0),
    ];
    for (at, (delete, given, attached, members)) in cases.into_iter().enumerate() {
        let db = db();
        write(&db, everything);
        assert!(write(&db, delete), "{at}");
        let read = db.read().unwrap();
        assert_eq!(group_assignments(&read).unwrap().len(), given, "{at}");
        assert_eq!(attachments(&read).unwrap().len(), attached, "{at}");
        assert_eq!(members_of(&read, &"g".into()).unwrap().len(), members, "{at}");
        // Through the role alone nothing was lost: a policy still opens the project.
        assert_eq!(has_token(&db, 1), at == 3, "{at}");
        assert_eq!(differing_indexes(&read).unwrap(), Vec::<&str>::new(), "{at}");
    }
}

#[test]
fn indexes_of_groups_and_policies_are_made_anew() {
    for index in [
        Group::NAMES,
        Policy::NAMES,
        super::members::INDEX.derived,
        super::group_assignments::INDEX.derived,
        super::attachments::INDEX.derived,
    ] {
        let db = db();
        write(&db, everything);
        let mut keys = Vec::new();
        let collect = &mut |key: &[u8], _: &[u8]| {
            keys.push(key.to_vec());
            std::ops::ControlFlow::Continue(())
        };
        db.read().unwrap().scan_prefix(&index, &[], collect).unwrap();
        db.write(move |txn| txn.remove(&index, &keys[0])).unwrap();
        assert_eq!(differing_indexes(&db.read().unwrap()).unwrap(), [index.name]);
        reindex(&db).unwrap();
        assert_eq!(differing_indexes(&db.read().unwrap()).unwrap(), Vec::<&str>::new());
    }
}
