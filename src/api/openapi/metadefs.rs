//! Metadata definitions of the Image API as they are described.
//!
//! Records are described by the schemas that the API itself hands out, their references led to the document's components.

use serde_json::Value;

use super::operation::{Api, Operation, delete, get, post, put};
use super::schema::{closed, flag, list, map, may, must, name, reference, text, whole, word};
use crate::api::glance::metadefs::schemas;

/// The protocol.
pub(super) const API: Api = Api {
    tag: "Metadata definitions",
    about: "Part of the OpenStack Image API v2: what may be said about images and other resources.",
    ..super::glance::API
};

/// Definitions that schemas share, as components are called.
const SHARED: [(&str, &str); 2] = [("definition", "MetadefDefinition"), ("properties", "MetadefDefinitions")];

/// The schemas that operations refer to.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let whole = schemas::find("namespace").unwrap_or_default();
    let shared = SHARED.map(|(name, component)| (component, led(whole["definitions"][name].clone())));
    let records = [
        ("namespace", "MetadefNamespace"),
        ("object", "MetadefObject"),
        ("property", "MetadefProperty"),
        ("tag", "MetadefTag"),
        ("resource_type", "MetadefAssociation"),
    ];
    let records = records.map(|(name, component)| (component, led(schemas::find(name).unwrap_or_default())));
    shared.into_iter().chain(records).collect()
}

/// A schema whose references lead to the document's components.
fn led(mut schema: Value) -> Value {
    if let Some(keys) = schema.as_object_mut()
        && keys.get("name").is_some_and(Value::is_string)
    {
        keys.shift_remove("name");
    }
    if let Some(keys) = schema.as_object_mut() {
        keys.shift_remove("definitions");
    }
    lead(&mut schema);
    schema
}

fn lead(at: &mut Value) {
    match at {
        Value::Object(keys) => {
            if let Some(Value::String(link)) = keys.get_mut("$ref")
                && let Some((_, component)) =
                    SHARED.iter().find(|(name, _)| link.strip_prefix("#/definitions/") == Some(name))
            {
                *link = format!("#/components/schemas/{component}");
            }
            keys.values_mut().for_each(lead);
        }
        Value::Array(items) => items.iter_mut().for_each(lead),
        _ => {}
    }
}

/// The operations.
pub(super) fn operations() -> Vec<Operation> {
    let all = [namespaces(), properties(), objects(), tags(), resource_types()];
    all.into_iter().flatten().collect()
}

fn namespaces() -> Vec<Operation> {
    let namespace = || reference("MetadefNamespace");
    let page = closed([
        must("namespaces", list(namespace())),
        must("first", text()),
        may("next", text()),
        must("schema", text()),
    ]);
    let sorts = ["created_at", "updated_at", "namespace", "display_name", "visibility", "protected", "owner"];
    vec![
        get("/v2/metadefs/namespaces", "List the namespaces that the caller may see")
            .query("limit", whole())
            .query("marker", text())
            .query("sort_key", word(&sorts))
            .query("sort_dir", word(&["asc", "desc"]))
            .query("visibility", word(&["public", "private"]))
            .query("resource_types", text())
            .gives(200, page),
        post("/v2/metadefs/namespaces", "Make a namespace, with all that is in it")
            .takes(reference("MetadefNamespace"))
            .gives(201, namespace()),
        get("/v2/metadefs/namespaces/{namespace}", "Show a namespace with all that is in it")
            .query("resource_type", text())
            .gives(200, namespace()),
        put("/v2/metadefs/namespaces/{namespace}", "Replace what a namespace says of itself")
            .takes(reference("MetadefNamespace"))
            .gives(200, namespace()),
        delete("/v2/metadefs/namespaces/{namespace}", "Delete a namespace and all that is in it")
            .gives_nothing(204),
        get("/v2/schemas/metadefs/{schema}", "Show the schema of a metadata definition")
            .gives(200, super::schema::open([must("properties", map(super::schema::any()))])),
    ]
}

fn properties() -> Vec<Operation> {
    let property = || reference("MetadefProperty");
    vec![
        get("/v2/metadefs/namespaces/{namespace}/properties", "List the properties of a namespace")
            .gives(200, closed([must("properties", reference("MetadefDefinitions"))])),
        post("/v2/metadefs/namespaces/{namespace}/properties", "Define a property")
            .takes(property())
            .gives(201, property()),
        delete("/v2/metadefs/namespaces/{namespace}/properties", "Take all properties away")
            .gives_nothing(204),
        get("/v2/metadefs/namespaces/{namespace}/properties/{property}", "Show a property")
            .gives(200, property()),
        put("/v2/metadefs/namespaces/{namespace}/properties/{property}", "Replace a property")
            .takes(property())
            .gives(200, property()),
        delete("/v2/metadefs/namespaces/{namespace}/properties/{property}", "Take a property away")
            .gives_nothing(204),
    ]
}

fn objects() -> Vec<Operation> {
    let object = || reference("MetadefObject");
    vec![
        get("/v2/metadefs/namespaces/{namespace}/objects", "List the objects of a namespace")
            .gives(200, closed([must("objects", list(object())), must("schema", text())])),
        post("/v2/metadefs/namespaces/{namespace}/objects", "Define an object")
            .takes(object())
            .gives(201, object()),
        delete("/v2/metadefs/namespaces/{namespace}/objects", "Take all objects away").gives_nothing(204),
        get("/v2/metadefs/namespaces/{namespace}/objects/{object}", "Show an object").gives(200, object()),
        put("/v2/metadefs/namespaces/{namespace}/objects/{object}", "Replace an object")
            .takes(object())
            .gives(200, object()),
        delete("/v2/metadefs/namespaces/{namespace}/objects/{object}", "Take an object away")
            .gives_nothing(204),
    ]
}

fn tags() -> Vec<Operation> {
    let tag = || reference("MetadefTag");
    let named = || closed([must("name", text())]);
    let page = closed([
        must("tags", list(named())),
        must("first", text()),
        may("next", text()),
        must("schema", text()),
    ]);
    vec![
        get("/v2/metadefs/namespaces/{namespace}/tags", "List the tags of a namespace")
            .query("limit", whole())
            .query("marker", text())
            .query("sort_key", word(&["created_at", "name"]))
            .query("sort_dir", word(&["asc", "desc"]))
            .gives(200, page),
        post(
            "/v2/metadefs/namespaces/{namespace}/tags",
            "Put tags in the place of all there are, or add them",
        )
        .header("X-Openstack-Append", flag())
        .takes(closed([must("tags", list(closed([must("name", name())])))]))
        .gives(201, closed([must("tags", list(named()))])),
        delete("/v2/metadefs/namespaces/{namespace}/tags", "Take all tags away").gives_nothing(204),
        get("/v2/metadefs/namespaces/{namespace}/tags/{tag}", "Show a tag").gives(200, tag()),
        post("/v2/metadefs/namespaces/{namespace}/tags/{tag}", "Add a tag").gives(201, tag()),
        put("/v2/metadefs/namespaces/{namespace}/tags/{tag}", "Give a tag another name")
            .takes(tag())
            .gives(200, tag()),
        delete("/v2/metadefs/namespaces/{namespace}/tags/{tag}", "Take a tag away").gives_nothing(204),
    ]
}

fn resource_types() -> Vec<Operation> {
    let association = || reference("MetadefAssociation");
    let known = closed([must("name", text()), may("created_at", text()), may("updated_at", text())]);
    vec![
        get("/v2/metadefs/namespaces/{namespace}/resource_types", "List what a namespace applies to")
            .gives(200, closed([must("resource_type_associations", list(association()))])),
        post(
            "/v2/metadefs/namespaces/{namespace}/resource_types",
            "Let a namespace apply to a type of resources",
        )
        .takes(association())
        .gives(201, association()),
        delete(
            "/v2/metadefs/namespaces/{namespace}/resource_types/{resource_type}",
            "Let a namespace no longer apply to a type of resources",
        )
        .gives_nothing(204),
        get("/v2/metadefs/resource_types", "List the types of resources that are known")
            .gives(200, closed([must("resource_types", list(known))])),
    ]
}
