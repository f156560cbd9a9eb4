//! Who sees and changes which namespace: every caller with every namespace, and policies between the roles.

use super::tests::{namespace, property};
use super::*;
use std::sync::Arc;

use crate::model::metadef::{Property, Tag};
use crate::model::policy::Reach;
use crate::service::images::Direction;
use crate::service::rights::{Asked, Document, Holding, Rights, Rulebook};
use crate::service::testing::{member, service};
use crate::service::{Actor, Error, ErrorKind, Service};

/// A caller with these roles in the project `lab`.
fn caller(roles: &[&str]) -> Actor {
    Actor { roles: roles.iter().map(ToString::to_string).collect(), ..member("lab") }
}

/// `private` and `public` of the project `lab`, and the same of another, each with a property `p` and a tag `t`.
fn world() -> (Service, Actor) {
    let (service, _) = service();
    let admin = service.local_admin().unwrap();
    for (owner, whose) in [("lab", "own"), ("den", "other")] {
        for public in [true, false] {
            let mut new = namespace(&format!("{whose} {}", if public { "public" } else { "private" }));
            new.fields.owner = Some(owner.into());
            new.fields.public = Some(public);
            new.properties = vec![property("p")];
            new.tags = vec!["t".into()];
            service.create_namespace(&admin, new).unwrap();
        }
    }
    (service, admin)
}

fn word<T>(outcome: Result<T, Error>) -> &'static str {
    match outcome.map_err(|error| error.kind) {
        Ok(_) => "ok",
        Err(ErrorKind::Forbidden) => "forbidden",
        Err(ErrorKind::NotFound) => "not found",
        Err(other) => panic!("{other:?}"),
    }
}

/// What a caller hears who reads a namespace, and who changes it in each way that is refused.
fn answers(service: &Service, actor: &Actor, name: &str) -> (&'static str, Vec<&'static str>) {
    let fields = || NamespaceFields { name: name.into(), ..NamespaceFields::default() };
    let association = || NewAssociation { resource_type: "T".into(), ..NewAssociation::default() };
    let object = || NewObject { name: "o".into(), ..NewObject::default() };
    let reads = [
        word(service.namespace(actor, name)),
        word(service.metadef_items::<Property>(actor, name)),
        word(service.metadef_item::<Tag>(actor, name, "t")),
        word(service.metadef_associations(actor, name)),
    ];
    assert!(reads.iter().all(|read| *read == reads[0]), "{name}: {reads:?}");
    let writes = vec![
        word(service.update_namespace(actor, name, fields())),
        word(service.create_metadef_property(actor, name, property("q"))),
        word(service.update_metadef_property(actor, name, "p", property("p"))),
        word(service.remove_metadef_item::<Property>(actor, name, "p")),
        word(service.create_metadef_object(actor, name, object())),
        word(service.update_metadef_object(actor, name, "o", object())),
        word(service.clear_metadef_items::<Property>(actor, name)),
        word(service.create_metadef_tag(actor, name, "u")),
        word(service.rename_metadef_tag(actor, name, "t", "v")),
        word(service.put_metadef_tags(actor, name, vec!["w".into()], true)),
        word(service.associate_metadefs(actor, name, association())),
        word(service.dissociate_metadefs(actor, name, "T")),
        word(service.delete_namespace(actor, name)),
    ];
    (reads[0], writes)
}

fn listed(service: &Service, actor: &Actor) -> Result<Vec<String>, Error> {
    let query = NamespaceQuery {
        limit: 10,
        marker: None,
        sort_key: NamespaceKey::Name,
        direction: Direction::Ascending,
        public: None,
        resource_types: Vec::new(),
    };
    Ok(service.namespaces(actor, &query)?.into_iter().map(|namespace| namespace.name).collect())
}

#[test]
fn members_and_readers_see_public_and_own_namespaces_and_change_none() {
    for roles in [&["member", "reader"][..], &["reader"]] {
        let (service, admin) = world();
        let actor = caller(roles);
        let seen = ["other public", "own private", "own public"];
        assert_eq!(listed(&service, &actor).unwrap(), seen);
        for name in seen {
            let (read, writes) = answers(&service, &actor, name);
            assert_eq!(read, "ok", "{name}");
            assert!(writes.iter().all(|write| *write == "forbidden"), "{name}: {writes:?}");
        }
        let (read, writes) = answers(&service, &actor, "other private");
        assert_eq!(read, "not found");
        assert!(writes.iter().all(|write| *write == "not found"), "{writes:?}");
        assert_eq!(word(service.create_namespace(&actor, namespace("new"))), "forbidden");
        assert_eq!(word(service.load_namespace(&actor, namespace("new"), Mode::Skip)), "forbidden");
        assert_eq!(listed(&service, &admin).unwrap().len(), 4, "nothing was deleted");
    }
}

#[test]
fn administrators_see_and_change_all() {
    let (service, _) = world();
    let admin = caller(&["admin", "member", "reader"]);
    for name in ["other private", "other public", "own private", "own public"] {
        let (read, writes) = answers(&service, &admin, name);
        assert_eq!(read, "ok");
        assert!(writes.iter().all(|write| *write == "ok"), "{name}: {writes:?}");
    }
    assert_eq!(listed(&service, &admin).unwrap(), [""; 0]);
}

#[test]
fn who_may_do_nothing_finds_nothing_and_who_acts_in_no_project_neither() {
    let (service, admin) = world();
    let nobody = caller(&[]);
    let homeless = Actor { scope: None, ..admin };
    for (actor, list) in [(nobody, "forbidden"), (homeless, "forbidden")] {
        assert_eq!(word(listed(&service, &actor)), list);
        assert_eq!(word(service.resource_types(&actor)), list);
        assert_eq!(word(service.create_namespace(&actor, namespace("new"))), "forbidden");
        for name in ["own public", "own private", "other public"] {
            let (read, writes) = answers(&service, &actor, name);
            assert_eq!(read, "not found");
            assert!(writes.iter().all(|write| *write == "not found"), "{writes:?}");
        }
    }
}

#[test]
fn a_policy_lets_its_holders_manage_namespaces_of_their_own_project_alone() {
    let (service, _) = world();
    let document = Document::parse(
        r#"{"Version":"1.1","Statement":[{"Effect":"Allow","Action":
            ["ims:metadefs:*","tintype:metadefs:create","tintype:metadefs:update","tintype:metadefs:delete"]}]}"#,
    );
    let holding = Holding {
        policy: "p".into(),
        name: "Definitions".into(),
        group: "g".into(),
        reach: Reach::All,
        document: Arc::new(document.unwrap()),
        is_in_reach: true,
    };
    let asked = Asked {
        at: service.now(),
        user: "lab".into(),
        user_name: "ann".into(),
        domain_name: "Default".into(),
        project_name: Some("lab".into()),
        source: None,
    };
    let book = Rulebook::new(vec![holding], &asked);
    let actor = Actor { rights: Rights::new(Arc::new(book), asked, None), ..caller(&[]) };
    let (read, writes) = answers(&service, &actor, "own private");
    assert_eq!(read, "ok");
    assert!(writes.iter().all(|write| *write == "ok"), "{writes:?}");
    let (read, writes) = answers(&service, &actor, "other public");
    assert_eq!(read, "ok");
    assert!(writes.iter().all(|write| *write == "forbidden"), "{writes:?}");
    assert_eq!(answers(&service, &actor, "other private").0, "not found");

    // What others would see, or own, takes the right to all.
    let with = |public, owner: Option<&str>| {
        let mut new = namespace("new");
        (new.fields.public, new.fields.owner) = (public, owner.map(str::to_owned));
        new
    };
    assert_eq!(word(service.create_namespace(&actor, with(Some(true), None))), "forbidden");
    assert_eq!(word(service.create_namespace(&actor, with(None, Some("den")))), "forbidden");
    assert_eq!(word(service.create_namespace(&actor, with(None, None))), "ok");
    for fields in [with(Some(true), None).fields, with(None, Some("den")).fields] {
        assert_eq!(word(service.update_namespace(&actor, "new", fields.clone())), "forbidden");
        let new = NewNamespace { fields, ..NewNamespace::default() };
        assert_eq!(word(service.load_namespace(&actor, new, Mode::Merge)), "forbidden");
    }
    assert_eq!(word(service.load_namespace(&actor, with(None, None), Mode::Merge)), "ok");
    let taken = NewNamespace {
        fields: NamespaceFields { name: "other public".into(), ..Default::default() },
        ..Default::default()
    };
    for mode in [Mode::Skip, Mode::Merge, Mode::Overwrite] {
        assert_eq!(word(service.load_namespace(&actor, taken.clone(), mode)), "forbidden");
    }
}

#[test]
fn names_of_types_are_everybodys_and_the_namespaces_behind_them_are_not() {
    let (service, admin) = world();
    let new = NewAssociation { resource_type: "Theirs".into(), ..NewAssociation::default() };
    service.associate_metadefs(&admin, "other private", new).unwrap();
    let reader = caller(&["reader"]);
    let types = service.resource_types(&reader).unwrap();
    assert!(types.iter().any(|known| known.name == "Theirs"));
    assert_eq!(word(service.metadef_associations(&reader, "other private")), "not found");
}
