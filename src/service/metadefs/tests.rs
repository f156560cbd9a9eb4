//! What becomes of namespaces and what is in them, and the bounds of both.

use serde_json::json;

use super::*;
use crate::base::limits::{METADEF_BYTES_MAX, METADEF_ITEMS_MAX, METADEF_NAMESPACES_MAX, METADEF_TYPES_MAX};
use crate::catalog::metadefs;
use crate::model::metadef::{Object, Property, Tag};
use crate::service::audit::{Query, RECORDS_MAX};
use crate::service::testing::{ManualClock, service};
use crate::service::{Actor, Error, ErrorKind, Service};

fn fields(name: &str) -> NamespaceFields {
    NamespaceFields { name: name.into(), ..NamespaceFields::default() }
}

pub(super) fn namespace(name: &str) -> NewNamespace {
    NewNamespace { fields: fields(name), ..NewNamespace::default() }
}

pub(super) fn property(name: &str) -> NewProperty {
    let definition = json!({"title": name, "type": "string"});
    NewProperty { name: name.into(), definition: definition.as_object().unwrap().clone() }
}

fn object(name: &str) -> NewObject {
    NewObject { name: name.into(), properties: vec![property("inner")], ..NewObject::default() }
}

fn association(name: &str, prefix: &str) -> NewAssociation {
    NewAssociation { resource_type: name.into(), prefix: Some(prefix.into()), ..NewAssociation::default() }
}

/// A namespace with one of everything.
fn full(name: &str) -> NewNamespace {
    NewNamespace {
        fields: NamespaceFields { public: Some(true), ..fields(name) },
        associations: vec![association("OS::Glance::Image", "hw_")],
        properties: vec![property("p")],
        objects: vec![object("o")],
        tags: vec!["t".into()],
    }
}

struct Box_ {
    service: Service,
    clock: std::sync::Arc<ManualClock>,
    admin: Actor,
}

impl Box_ {
    fn new() -> Box_ {
        let (service, clock) = service();
        let admin = service.local_admin().unwrap();
        Box_ { service, clock, admin }
    }

    fn create(&self, new: NewNamespace) -> Result<Whole, Error> {
        self.service.create_namespace(&self.admin, new)
    }

    fn load(&self, new: NewNamespace, mode: Mode) -> Result<Loaded, Error> {
        self.service.load_namespace(&self.admin, new, mode)
    }

    fn whole(&self, name: &str) -> Whole {
        self.service.namespace(&self.admin, name).unwrap()
    }

    /// Names of the properties, objects, tags and types of a namespace.
    fn names(&self, name: &str) -> String {
        let Whole { namespace, definitions } = self.whole(name);
        let properties = definitions.properties.iter().map(|one| one.name.clone());
        let objects = definitions.objects.iter().map(|one| one.name.clone());
        let tags = definitions.tags.iter().map(|one| one.name.clone());
        let types = namespace.associations.iter().map(|one| one.resource_type.clone());
        properties.chain(objects).chain(tags).chain(types).collect::<Vec<_>>().join(" ")
    }
}

fn kind<T>(outcome: Result<T, Error>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind)
}

#[test]
fn a_renamed_namespace_keeps_what_is_in_it_and_what_is_not_said_gets_its_default() {
    let it = Box_::new();
    let mut new = full("A");
    new.fields.protected = Some(true);
    new.fields.display_name = Some("shown".into());
    let made = it.create(new).unwrap().namespace;
    it.create(namespace("B")).unwrap();
    it.clock.step_seconds(5);
    let update = |name: &str, to: &str| it.service.update_namespace(&it.admin, name, fields(to));
    assert_eq!(kind(update("A", "B")), Some(ErrorKind::Conflict));
    let after = update("A", "C").unwrap();
    assert_eq!((after.display_name, after.public, after.protected), (None, false, false));
    assert_eq!((after.created_at, after.associations.len()), (made.created_at, 1));
    assert!(after.updated_at > made.updated_at);
    assert_eq!(it.names("C"), "p o t OS::Glance::Image");
    assert_eq!(kind(it.service.namespace(&it.admin, "A")), Some(ErrorKind::NotFound));
}

#[test]
fn a_protected_namespace_stays_and_another_goes_with_all_that_is_in_it() {
    let it = Box_::new();
    let mut new = full("A");
    new.fields.protected = Some(true);
    it.create(new).unwrap();
    assert_eq!(kind(it.service.delete_namespace(&it.admin, "A")), Some(ErrorKind::Forbidden));
    assert_eq!(it.names("A"), "p o t OS::Glance::Image");
    it.service.update_namespace(&it.admin, "A", fields("A")).unwrap();
    it.service.delete_namespace(&it.admin, "A").unwrap();
    it.create(namespace("A")).unwrap();
    assert_eq!(it.names("A"), "");
}

#[test]
fn what_is_loaded_is_made_left_merged_or_put_in_the_place_of_all() {
    let it = Box_::new();
    assert_eq!(it.load(full("A"), Mode::Merge).unwrap(), Loaded::Created);
    let first = it.whole("A");
    it.clock.step_seconds(5);
    assert_eq!(kind(it.load(namespace("A"), Mode::Create)), Some(ErrorKind::Conflict));
    assert_eq!(it.load(namespace("A"), Mode::Skip).unwrap(), Loaded::Skipped);
    assert_eq!(it.whole("A"), first);

    let mut more = namespace("A");
    more.fields.description = Some("d".into());
    more.fields.protected = Some(true);
    more.associations = vec![association("OS::Glance::Image", "x_"), association("Other", "")];
    more.properties = vec![property("q")];
    more.objects = vec![NewObject { description: Some("new".into()), ..object("o") }];
    more.tags = vec!["T".into(), "u".into()];
    assert_eq!(it.load(more, Mode::Merge).unwrap(), Loaded::Merged);
    assert_eq!(it.names("A"), "p q o T u OS::Glance::Image Other");
    let merged = it.whole("A");
    assert!(merged.namespace.public && merged.namespace.protected, "public was not said, and stays");
    let object = &merged.definitions.objects[0];
    assert_eq!(object.description.as_deref(), Some("new"));
    assert_eq!(object.created_at, first.definitions.objects[0].created_at);
    assert_eq!(merged.namespace.associations[0].prefix.as_deref(), Some("x_"));

    // Files say nothing of owners.
    let given = NamespaceFields { owner: Some("den".into()), ..fields("A") };
    it.service.update_namespace(&it.admin, "A", given).unwrap();
    assert_eq!(it.load(namespace("A"), Mode::Overwrite).unwrap(), Loaded::Overwritten);
    let last = it.whole("A");
    assert_eq!((it.names("A").as_str(), last.namespace.public), ("", false));
    assert_eq!(last.namespace.owner.as_str(), "den");
    assert_eq!(last.namespace.created_at, first.namespace.created_at);
}

#[test]
fn nothing_of_a_namespace_is_kept_that_is_wrong_in_one_place() {
    let it = Box_::new();
    it.create(full("A")).unwrap();
    let before = it.whole("A");
    let mut wrong = full("A");
    wrong.properties.push(property("q"));
    wrong.objects[0].properties[0].definition.insert("type".into(), json!("text"));
    for mode in [Mode::Merge, Mode::Overwrite] {
        let refused = it.load(wrong.clone(), mode).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Invalid);
        assert!(refused.message.contains("objects.o.properties.inner.type"), "{}", refused.message);
    }
    assert_eq!(it.whole("A"), before);
}

#[test]
fn names_are_unique_within_their_kind_and_those_of_tags_without_regard_to_case() {
    let it = Box_::new();
    it.create(full("A")).unwrap();
    it.service.create_metadef_property(&it.admin, "A", property("P")).unwrap();
    it.service.create_metadef_object(&it.admin, "A", object("p")).unwrap();
    let service = &it.service;
    assert_eq!(
        kind(service.create_metadef_property(&it.admin, "A", property("p"))),
        Some(ErrorKind::Conflict)
    );
    assert_eq!(kind(service.create_metadef_object(&it.admin, "A", object("o"))), Some(ErrorKind::Conflict));
    assert_eq!(kind(service.create_metadef_tag(&it.admin, "A", "T")), Some(ErrorKind::Conflict));
    service.create_metadef_tag(&it.admin, "A", "u").unwrap();
    assert_eq!(kind(service.rename_metadef_tag(&it.admin, "A", "u", "T")), Some(ErrorKind::Conflict));
    // Its own name in another case is no other's.
    assert_eq!(service.rename_metadef_tag(&it.admin, "A", "u", "U").unwrap().name, "U");
    assert_eq!(service.metadef_item::<Tag>(&it.admin, "A", "u").unwrap().name, "U");
    let update = service.update_metadef_property(&it.admin, "A", "P", property("p"));
    assert_eq!(kind(update), Some(ErrorKind::Conflict));
    for twice in [
        NewNamespace { properties: vec![property("a"), property("a")], ..namespace("B") },
        NewNamespace { objects: vec![object("a"), object("a")], ..namespace("B") },
        NewNamespace { tags: vec!["a".into(), "A".into()], ..namespace("B") },
        NewNamespace { associations: vec![association("a", ""), association("a", "x")], ..namespace("B") },
    ] {
        assert_eq!(kind(it.create(twice)), Some(ErrorKind::Conflict));
    }
}

#[test]
fn tags_are_all_replaced_or_added_to_and_none_when_one_is_there() {
    let it = Box_::new();
    it.create(full("A")).unwrap();
    let put = |names: &[&str], keep| {
        let names = names.iter().map(ToString::to_string).collect();
        it.service.put_metadef_tags(&it.admin, "A", names, keep)
    };
    put(&["a", "b"], true).unwrap();
    assert_eq!(it.names("A"), "p o t a b OS::Glance::Image");
    assert_eq!(kind(put(&["c", "T"], true)), Some(ErrorKind::Conflict));
    assert_eq!(kind(put(&["c", "C"], false)), Some(ErrorKind::Conflict));
    assert_eq!(it.names("A"), "p o t a b OS::Glance::Image");
    put(&["c"], false).unwrap();
    assert_eq!(it.names("A"), "p o c OS::Glance::Image");
    it.service.clear_metadef_items::<Tag>(&it.admin, "A").unwrap();
    it.service.clear_metadef_items::<Object>(&it.admin, "A").unwrap();
    it.service.clear_metadef_items::<Property>(&it.admin, "A").unwrap();
    assert_eq!(it.names("A"), "OS::Glance::Image");
}

#[test]
fn a_type_of_resources_is_known_from_the_start_or_while_a_namespace_applies_to_it() {
    let it = Box_::new();
    let known = || -> Vec<String> {
        let types = it.service.resource_types(&it.admin).unwrap();
        types.into_iter().map(|known| known.name).collect()
    };
    assert_eq!(known(), RESOURCE_TYPES);
    it.create(namespace("A")).unwrap();
    it.service.associate_metadefs(&it.admin, "A", association("Own::Type", "")).unwrap();
    assert!(known().contains(&"Own::Type".to_owned()));
    let again = it.service.associate_metadefs(&it.admin, "A", association("Own::Type", "x"));
    assert_eq!(kind(again), Some(ErrorKind::Conflict));
    it.service.dissociate_metadefs(&it.admin, "A", "Own::Type").unwrap();
    let gone = it.service.dissociate_metadefs(&it.admin, "A", "Own::Type");
    assert_eq!(kind(gone), Some(ErrorKind::NotFound));
    assert_eq!(known(), RESOURCE_TYPES);
}

#[test]
fn names_and_texts_have_bounds() {
    let it = Box_::new();
    let long = "n".repeat(81);
    for name in ["", "..", "a/b", "a\nb", &long] {
        assert_eq!(kind(it.create(namespace(name))), Some(ErrorKind::Invalid), "{name:?}");
        let mut in_it = [namespace("A"), namespace("A"), namespace("A"), namespace("A")];
        in_it[0].properties = vec![property(name)];
        in_it[1].objects = vec![object(name)];
        in_it[2].tags = vec![name.into()];
        in_it[3].associations = vec![association(name, "")];
        for new in in_it {
            assert_eq!(kind(it.create(new)), Some(ErrorKind::Invalid), "{name:?}");
        }
    }
    let mut new = namespace(&long[1..]);
    new.fields.description = Some("ü".repeat(500));
    it.create(new.clone()).unwrap();
    new.fields.description = Some("ü".repeat(501));
    new.fields.name = "B".into();
    assert_eq!(kind(it.create(new)), Some(ErrorKind::Invalid));
    let prefix = NewNamespace { associations: vec![association("T", &long)], ..namespace("B") };
    assert_eq!(kind(it.create(prefix)), Some(ErrorKind::Invalid));
}

#[test]
fn a_namespace_has_so_many_of_each_kind_and_so_much_text() {
    let it = Box_::new();
    let names = |count: usize| (0..count).map(|number| format!("n{number}")).collect::<Vec<_>>();
    let most = NewNamespace { tags: names(METADEF_ITEMS_MAX), ..namespace("A") };
    it.create(most).unwrap();
    assert_eq!(kind(it.service.create_metadef_tag(&it.admin, "A", "more")), Some(ErrorKind::TooLarge));
    let types = |count| names(count).iter().map(|name| association(name, "")).collect::<Vec<_>>();
    it.load(NewNamespace { associations: types(METADEF_TYPES_MAX), ..namespace("A") }, Mode::Merge).unwrap();
    let more = it.service.associate_metadefs(&it.admin, "A", association("more", ""));
    assert_eq!(kind(more), Some(ErrorKind::TooLarge));
    let many = names(METADEF_ITEMS_MAX + 1);
    let mut too_many = [namespace("B"), namespace("B"), namespace("B"), namespace("B"), namespace("B")];
    too_many[0].properties = many.iter().map(|name| property(name)).collect();
    too_many[1].objects = many.iter().map(|name| object(name)).collect();
    too_many[2].associations =
        many[..METADEF_TYPES_MAX + 1].iter().map(|name| association(name, "")).collect();
    too_many[3].objects = vec![NewObject { properties: too_many[0].properties.clone(), ..object("o") }];
    too_many[4].objects = vec![NewObject { required: many.clone(), ..object("o") }];
    for new in too_many {
        assert_eq!(kind(it.create(new)), Some(ErrorKind::TooLarge));
    }
    let mut long = property("long");
    long.definition.insert("description".into(), json!("x".repeat(METADEF_BYTES_MAX)));
    let refused = it.service.create_metadef_property(&it.admin, "A", long).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TooLarge);
    assert!(refused.message.contains("524288"), "{}", refused.message);
}

#[test]
fn there_are_so_many_namespaces() {
    let it = Box_::new();
    let model = it.create(namespace("A")).unwrap().namespace;
    let fill = move |txn: &crate::db::WriteTxn| {
        for number in 1..METADEF_NAMESPACES_MAX {
            let name = format!("N{number}");
            metadefs::insert(txn, &crate::model::metadef::Namespace { name, ..model.clone() })?;
        }
        Ok::<_, Error>(())
    };
    it.service.db.write(fill).unwrap();
    assert_eq!(kind(it.create(namespace("B"))), Some(ErrorKind::TooLarge));
    assert_eq!(kind(it.load(namespace("B"), Mode::Skip)), Some(ErrorKind::TooLarge));
    assert_eq!(it.load(namespace("A"), Mode::Skip).unwrap(), Loaded::Skipped);
    it.service.delete_namespace(&it.admin, "N1").unwrap();
    it.create(namespace("B")).unwrap();
}

#[test]
fn pages_are_sorted_filtered_and_go_on_after_a_name() {
    let it = Box_::new();
    for (name, public, resource_type) in [("B", true, "X"), ("A", false, "Y"), ("C", true, "Y")] {
        let mut new = namespace(name);
        new.fields.public = Some(public);
        new.associations = vec![association(resource_type, "")];
        it.create(new).unwrap();
    }
    let all = NamespaceQuery {
        limit: 10,
        marker: None,
        sort_key: NamespaceKey::CreatedAt,
        direction: crate::service::images::Direction::Descending,
        public: None,
        resource_types: Vec::new(),
    };
    let listed = |query: NamespaceQuery| -> String {
        let found = it.service.namespaces(&it.admin, &query).unwrap();
        found.into_iter().map(|namespace| namespace.name).collect()
    };
    assert_eq!(listed(all.clone()), "CAB");
    assert_eq!(listed(NamespaceQuery { limit: 1, ..all.clone() }), "C");
    assert_eq!(listed(NamespaceQuery { marker: Some("C".into()), ..all.clone() }), "AB");
    assert_eq!(listed(NamespaceQuery { marker: Some("B".into()), ..all.clone() }), "");
    assert_eq!(listed(NamespaceQuery { public: Some(true), ..all.clone() }), "CB");
    // A marker that the filter leaves out has its place all the same.
    let after = NamespaceQuery { public: Some(true), marker: Some("A".into()), ..all.clone() };
    assert_eq!(listed(after), "B");
    assert_eq!(listed(NamespaceQuery { resource_types: vec!["Y".into(), "Z".into()], ..all.clone() }), "CA");
    let ascending = NamespaceQuery { direction: crate::service::images::Direction::Ascending, ..all.clone() };
    assert_eq!(listed(NamespaceQuery { sort_key: NamespaceKey::Name, ..ascending.clone() }), "ABC");
    assert_eq!(listed(NamespaceQuery { sort_key: NamespaceKey::Visibility, ..ascending }), "ABC");
    let missing = it.service.namespaces(&it.admin, &NamespaceQuery { marker: Some("D".into()), ..all });
    assert_eq!(kind(missing), Some(ErrorKind::NotFound));
}

#[test]
fn records_say_which_namespace_and_what_was_done_in_it() {
    let it = Box_::new();
    it.create(full("OS::A")).unwrap();
    it.service.create_metadef_tag(&it.admin, "OS::A", "green").unwrap();
    it.service.update_namespace(&it.admin, "OS::A", fields("OS::B")).unwrap();
    it.load(namespace("OS::B"), Mode::Skip).unwrap();
    it.service.delete_namespace(&it.admin, "OS::B").unwrap();
    let query = Query { limit: RECORDS_MAX, oldest_first: true, ..Query::default() };
    let traces = it.service.audit_traces(&it.admin, &query).unwrap().traces;
    let told: Vec<[&str; 3]> = traces
        .iter()
        .map(|trace| &trace.content)
        .filter(|content| content.resource_type == "metadef")
        .map(|content| [content.operation.as_str(), &content.resource_id, &content.message])
        .collect();
    assert_eq!(
        told,
        [
            ["createMetadef", "OS::A", ""],
            ["updateMetadef", "OS::A", "tag \"green\""],
            ["updateMetadef", "OS::A", "called \"OS::B\" from now on"],
            ["loadMetadef", "OS::B", "left as it is"],
            ["deleteMetadef", "OS::B", ""],
        ]
    );
}
