//! Metadata definitions as JSON.
//!
//! Invariant: what is not set is left out, as the reference does here and nowhere else.

use super::{NAMESPACES, in_path};
use crate::api::print::{Keys, write_list, write_text};
use crate::base::Time;
use crate::model::metadef::{Association, Namespace, Object, Property, Tag};
use crate::service::metadefs::{KnownType, Whole};

/// Where a namespace is.
pub(super) fn namespace_path(name: &str) -> String {
    format!("{NAMESPACES}/{}", in_path(name))
}

/// A namespace with all that is in it. For a type of resources, its properties have the names they have there.
pub(super) fn whole(whole: &Whole, resource_type: Option<&str>) -> Vec<u8> {
    let Whole { namespace, definitions } = whole;
    let association = resource_type.and_then(|name| namespace.association(name));
    let prefix = association.and_then(|association| association.prefix.as_deref()).unwrap_or_default();
    let mut out = Vec::with_capacity(1024 + definitions.bytes() * 2);
    let mut keys = Keys::open(&mut out);
    about(&mut keys, namespace);
    if !namespace.associations.is_empty() {
        keys.key("resource_type_associations");
        write_list(keys.out(), namespace.associations.iter(), write_association);
    }
    if !definitions.properties.is_empty() {
        keys.key("properties");
        write_properties(keys.out(), &definitions.properties, prefix);
    }
    if !definitions.objects.is_empty() {
        keys.key("objects");
        let write = |out: &mut Vec<u8>, object| write_object(out, &namespace.name, object, prefix);
        write_list(keys.out(), definitions.objects.iter(), write);
    }
    if !definitions.tags.is_empty() {
        keys.key("tags");
        write_list(keys.out(), newest_first(&definitions.tags).into_iter(), write_tag_name);
    }
    keys.close();
    out
}

/// What a namespace says of itself, and what it applies to.
pub(super) fn write_namespace(out: &mut Vec<u8>, namespace: &Namespace) {
    let mut keys = Keys::open(out);
    about(&mut keys, namespace);
    keys.key("resource_type_associations");
    write_list(keys.out(), namespace.associations.iter(), write_association);
    keys.close();
}

/// Properties as a map.
pub(super) fn properties(properties: &[Property]) -> Vec<u8> {
    let mut out = b"{\"properties\":".to_vec();
    write_properties(&mut out, properties, "");
    out.push(b'}');
    out
}

/// A property, its name beside its definition.
pub(super) fn property(property: &Property) -> Vec<u8> {
    let mut out = b"{\"name\":".to_vec();
    write_text(&mut out, &property.name);
    // A definition is an object that is not empty.
    out.push(b',');
    out.extend_from_slice(&property.definition.as_bytes()[1..]);
    out
}

/// An object.
pub(super) fn object(namespace: &str, object: &Object) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write_object(&mut out, namespace, object, "");
    out
}

/// Objects of a namespace.
pub(super) fn objects(namespace: &str, objects: &[Object]) -> Vec<u8> {
    let mut out = b"{\"objects\":".to_vec();
    write_list(&mut out, objects.iter(), |out, object| write_object(out, namespace, object, ""));
    // The reference has no slash in front here.
    out.extend_from_slice(b",\"schema\":\"v2/schemas/metadefs/objects\"}");
    out
}

/// A tag with its times.
pub(super) fn tag(tag: &Tag) -> Vec<u8> {
    let mut out = Vec::new();
    let mut keys = Keys::open(&mut out);
    keys.text("name", &tag.name);
    times(&mut keys, tag.created_at, tag.updated_at);
    keys.close();
    out
}

/// A tag in a list.
pub(super) fn write_tag_name(out: &mut Vec<u8>, tag: &Tag) {
    let mut keys = Keys::open(out);
    keys.text("name", &tag.name);
    keys.close();
}

/// A type of resources that a namespace applies to.
pub(super) fn association(association: &Association) -> Vec<u8> {
    let mut out = Vec::new();
    write_association(&mut out, association);
    out
}

/// All that a namespace applies to.
pub(super) fn associations(associations: &[Association]) -> Vec<u8> {
    let mut out = b"{\"resource_type_associations\":".to_vec();
    write_list(&mut out, associations.iter(), write_association);
    out.push(b'}');
    out
}

/// Types of resources.
pub(super) fn resource_types(types: &[KnownType]) -> Vec<u8> {
    let mut out = b"{\"resource_types\":".to_vec();
    write_list(&mut out, types.iter(), |out, known| {
        let mut keys = Keys::open(out);
        keys.text("name", &known.name);
        if let Some((created, updated)) = known.times {
            times(&mut keys, created, updated);
        }
        keys.close();
    });
    out.push(b'}');
    out
}

/// Tags as they are listed: the one that was made last first, and of those made at once the last one.
pub(super) fn newest_first(tags: &[Tag]) -> Vec<&Tag> {
    let mut tags: Vec<&Tag> = tags.iter().rev().collect();
    tags.sort_by_key(|tag| std::cmp::Reverse(tag.created_at));
    tags
}

fn about(keys: &mut Keys<'_>, namespace: &Namespace) {
    keys.text("namespace", &namespace.name);
    set(keys, "display_name", namespace.display_name.as_deref());
    set(keys, "description", namespace.description.as_deref());
    keys.plain("visibility", if namespace.public { "public" } else { "private" });
    keys.raw("protected", namespace.protected);
    keys.text("owner", namespace.owner.as_str());
    times(keys, namespace.created_at, namespace.updated_at);
    keys.text("self", &namespace_path(&namespace.name));
    keys.plain("schema", "/v2/schemas/metadefs/namespace");
}

fn write_association(out: &mut Vec<u8>, association: &Association) {
    let mut keys = Keys::open(out);
    keys.text("name", &association.resource_type);
    set(&mut keys, "prefix", association.prefix.as_deref());
    set(&mut keys, "properties_target", association.properties_target.as_deref());
    times(&mut keys, association.created_at, association.updated_at);
    keys.close();
}

fn write_properties(out: &mut Vec<u8>, properties: &[Property], prefix: &str) {
    let mut keys = Keys::open(out);
    for property in properties {
        let value = keys.any(&format!("{prefix}{}", property.name));
        value.extend_from_slice(property.definition.as_bytes());
    }
    keys.close();
}

fn write_object(out: &mut Vec<u8>, namespace: &str, object: &Object, prefix: &str) {
    let mut keys = Keys::open(out);
    keys.text("name", &object.name);
    set(&mut keys, "description", object.description.as_deref());
    keys.key("required");
    let required = |out: &mut Vec<u8>, name: &String| write_text(out, &format!("{prefix}{name}"));
    write_list(keys.out(), object.required.iter(), required);
    keys.key("properties");
    write_properties(keys.out(), &object.properties, prefix);
    times(&mut keys, object.created_at, object.updated_at);
    keys.text("self", &format!("{}/objects/{}", namespace_path(namespace), in_path(&object.name)));
    keys.plain("schema", "/v2/schemas/metadefs/object");
    keys.close();
}

fn set(keys: &mut Keys<'_>, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        keys.text(key, text);
    }
}

fn times(keys: &mut Keys<'_>, created: Time, updated: Time) {
    keys.plain("created_at", &created.rfc3339_seconds());
    keys.plain("updated_at", &updated.rfc3339_seconds());
}
