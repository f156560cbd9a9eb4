//! Schemas of metadata definitions, which clients check what they send and what they get with.
//!
//! Invariant: what a schema forbids is refused here too; facets and bounds are taken from where they are enforced.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::super::call::{Call, json_response};
use super::super::error::Refusal;
use crate::base::limits::{
    METADEF_DESCRIPTION_CHARS_MAX, METADEF_ITEMS_MAX, METADEF_NAME_CHARS_MAX, METADEF_TYPES_MAX,
};
use crate::service::metadefs::definition::{FACETS, Form, REQUIRED_FACETS, TYPES};

/// One schema by name.
pub(in crate::api::glance) async fn show(mut call: Call, name: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let schema = find(&name).ok_or_else(Refusal::no_path)?;
    Ok(json_response(StatusCode::OK, schema.to_string().into_bytes()))
}

/// The schema of this name.
pub(in crate::api) fn find(name: &str) -> Option<Value> {
    Some(match name {
        "namespace" => with_definitions(namespace()),
        "namespaces" => list("namespaces", namespace()),
        "object" => with_definitions(object()),
        "objects" => list("objects", object()),
        "property" => property(),
        "properties" => with_definitions(properties()),
        "tag" => tag(),
        "tags" => list("tags", tag()),
        "resource_type" => association(),
        "resource_types" => list("resource_type_associations", association()),
        _ => return None,
    })
}

fn namespace() -> Value {
    let mut properties = json!({
        "namespace": name_text("Identifies the namespace"),
        "display_name": text("What people see", METADEF_NAME_CHARS_MAX),
        "description": text("What the namespace is for", METADEF_DESCRIPTION_CHARS_MAX),
        "visibility": {
            "type": "string",
            "enum": ["public", "private"],
            "description": "Whether every project sees the namespace, or its owner alone",
        },
        "protected": { "type": "boolean", "description": "Whether deleting is refused" },
        "owner": { "type": "string", "maxLength": 255, "description": "The project the namespace belongs to" },
        "resource_type_associations":
            items(association(), METADEF_TYPES_MAX, "Types of resources the namespace applies to"),
        "properties": { "$ref": "#/definitions/properties" },
        "objects": items(object(), METADEF_ITEMS_MAX, "Properties that belong together"),
        "tags": items(tag(), METADEF_ITEMS_MAX, "Words that may be put on resources"),
    });
    add_read_only(&mut properties);
    json!({
        "name": "namespace",
        "type": "object",
        "properties": properties,
        "required": ["namespace"],
        "additionalProperties": false,
    })
}

fn object() -> Value {
    let mut properties = json!({
        "name": name_text("Identifies the object in its namespace"),
        "description": { "type": "string", "description": "What the object is for" },
        "required": texts("Properties that must be set where any of them is"),
        "properties": { "$ref": "#/definitions/properties" },
    });
    add_read_only(&mut properties);
    json!({
        "name": "object",
        "type": "object",
        "properties": properties,
        "required": ["name"],
        "additionalProperties": false,
    })
}

/// A property by itself, its name among its facets.
fn property() -> Value {
    let mut schema = definition();
    schema["name"] = json!("property");
    schema["properties"]["name"] = name_text("Identifies the property in its namespace");
    // As the reference has it, in its order.
    schema["required"] = json!(["type", "title", "name"]);
    schema
}

fn properties() -> Value {
    json!({
        "name": "properties",
        "properties": { "properties": { "$ref": "#/definitions/properties" } },
        "links": links(),
    })
}

fn tag() -> Value {
    let mut properties = json!({ "name": name_text("The word; case does not tell two apart") });
    add_times(&mut properties);
    json!({
        "name": "tag",
        "type": "object",
        "properties": properties,
        "required": ["name"],
        "additionalProperties": false,
    })
}

fn association() -> Value {
    let mut properties = json!({
        "name": name_text("The type of resources, as the orchestration service names it where it can"),
        "prefix": text("What stands before the names of properties on such a resource", METADEF_NAME_CHARS_MAX),
        "properties_target": text(
            "Which of several sets of properties of such a resource is meant",
            METADEF_NAME_CHARS_MAX,
        ),
    });
    add_times(&mut properties);
    json!({
        "name": "resource_type_association",
        "type": "object",
        "properties": properties,
        "required": ["name"],
        "additionalProperties": false,
    })
}

/// A listing of these.
fn list(name: &str, item: Value) -> Value {
    let mut properties = Map::new();
    properties.insert(name.to_owned(), json!({ "type": "array", "items": item }));
    for link in ["first", "next", "schema"] {
        properties.insert(link.to_owned(), json!({ "type": "string" }));
    }
    with_definitions(json!({ "name": name, "properties": properties, "links": links() }))
}

fn links() -> Value {
    json!([
        { "rel": "first", "href": "{first}" },
        { "rel": "next", "href": "{next}" },
        { "rel": "describedby", "href": "{schema}" },
    ])
}

/// What schemas refer to, so that a property's definition stands in each but once.
fn with_definitions(mut schema: Value) -> Value {
    schema["definitions"] = json!({
        "definition": definition(),
        "properties": {
            "type": "object",
            "additionalProperties": { "$ref": "#/definitions/definition" },
            "maxProperties": METADEF_ITEMS_MAX,
        },
    });
    schema
}

/// What a property's definition may say.
fn definition() -> Value {
    let facet = |(name, form, description): &(&str, Form, &str)| {
        let mut schema = form_schema(*form);
        schema["description"] = json!(description);
        ((*name).to_owned(), schema)
    };
    let required: Vec<&str> = FACETS[..REQUIRED_FACETS].iter().map(|(name, ..)| *name).collect();
    json!({
        "type": "object",
        "properties": FACETS.iter().map(facet).collect::<Map<_, _>>(),
        "required": required,
        "additionalProperties": false,
    })
}

fn form_schema(form: Form) -> Value {
    match form {
        Form::Type => json!({ "type": "string", "enum": TYPES }),
        Form::Text => json!({ "type": "string" }),
        Form::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Form::Number => json!({ "type": "number" }),
        Form::Count => json!({ "type": "integer", "minimum": 0 }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::List => json!({ "type": "array" }),
        Form::Items => json!({
            "type": "object",
            "properties": { "type": form_schema(Form::Type), "enum": form_schema(Form::List) },
            "additionalProperties": false,
        }),
        Form::Any => json!({}),
    }
}

fn items(item: Value, most: usize, description: &str) -> Value {
    json!({ "type": "array", "items": item, "maxItems": most, "description": description })
}

fn texts(description: &str) -> Value {
    json!({
        "type": "array",
        "items": { "type": "string" },
        "maxItems": METADEF_ITEMS_MAX,
        "description": description,
    })
}

fn text(description: &str, chars_max: usize) -> Value {
    json!({ "type": "string", "maxLength": chars_max, "description": description })
}

fn name_text(description: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": METADEF_NAME_CHARS_MAX, "description": description })
}

fn add_read_only(properties: &mut Value) {
    add_times(properties);
    properties["self"] = read_only("Where it is");
    properties["schema"] = read_only("Where its schema is");
}

fn add_times(properties: &mut Value) {
    properties["created_at"] = read_only("When it was made");
    properties["updated_at"] = read_only("When it was changed last");
}

fn read_only(description: &str) -> Value {
    json!({ "type": "string", "readOnly": true, "description": description })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each `$ref` of a schema leads to one of its definitions.
    fn expect_whole(schema: &Value, at: &Value) {
        if let Some(link) = at.get("$ref").and_then(Value::as_str) {
            assert!(schema.pointer(link.strip_prefix('#').unwrap()).is_some(), "{link}");
        }
        match at {
            Value::Object(all) => all.values().for_each(|below| expect_whole(schema, below)),
            Value::Array(all) => all.iter().for_each(|below| expect_whole(schema, below)),
            _ => {}
        }
    }

    #[test]
    fn schemas_have_the_names_that_clients_look_for() {
        for (path, name, required) in [
            ("namespace", "namespace", json!(["namespace"])),
            ("namespaces", "namespaces", json!(null)),
            ("object", "object", json!(["name"])),
            ("objects", "objects", json!(null)),
            ("property", "property", json!(["type", "title", "name"])),
            ("properties", "properties", json!(null)),
            ("tag", "tag", json!(["name"])),
            ("tags", "tags", json!(null)),
            ("resource_type", "resource_type_association", json!(["name"])),
            ("resource_types", "resource_type_associations", json!(null)),
        ] {
            let schema = find(path).unwrap();
            assert_eq!((&schema["name"], &schema["required"]), (&json!(name), &required), "{path}");
            assert!(schema["properties"].is_object(), "{path}");
            expect_whole(&schema, &schema);
        }
        assert_eq!(find("nothing"), None);
    }
}
