//! The schemas that clients fetch to build and check records locally.
//!
//! Invariant: what a schema forbids is refused here too, and the other way round; the formats
//! and bounds are taken from where they are enforced.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::call::{Call, json_response};
use super::error::Refusal;
use super::wire::READ_ONLY;
use crate::base::limits::{MIN_RESOURCE_MAX, NAME_CHARS_MAX};
use crate::model::Visibility;
use crate::model::image::{CONTAINER_FORMATS, DISK_FORMATS};
use crate::model::job::IntakeKind;
use crate::service::images::TaskState;
use crate::service::images::{FINDINGS_PROPERTY, FORMAT_PROPERTY};

/// States an image can be in on the wire; the last two are other releases' and stay for clients.
const STATUSES: [&str; 10] = [
    "queued",
    "saving",
    "active",
    "killed",
    "deleted",
    "uploading",
    "importing",
    "pending_delete",
    "deactivated",
    "unrecognized",
];

/// One schema by name.
pub(super) async fn show(mut call: Call, name: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let schema = find(&name).ok_or_else(Refusal::no_path)?;
    Ok(json_response(StatusCode::OK, schema.to_string().into_bytes()))
}

/// The schema of this name.
pub(in crate::api) fn find(name: &str) -> Option<Value> {
    Some(match name {
        "image" => image(),
        "images" => images(),
        "member" => member(),
        "members" => members(),
        "task" => task(),
        "tasks" => tasks(),
        _ => return None,
    })
}

fn task() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let text_or_null = |description: &str| json!({"type": ["null", "string"], "description": description});
    let kinds: Vec<&str> = IntakeKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let states: Vec<&str> = TaskState::ALL.iter().map(|state| state.as_str()).collect();
    json!({
        "name": "task",
        "properties": {
            "id": text("Identifies the task"),
            "type": {"type": "string", "enum": kinds, "description": "What is done"},
            "status": {"type": "string", "enum": states, "description": "How far it is"},
            "input": {"type": ["null", "object"], "description": "What was asked for"},
            "result": {"type": ["null", "object"], "description": "What came of it"},
            "owner": text_or_null("The project it belongs to"),
            "message": text_or_null("How it ended, in words"),
            "image_id": text_or_null("The image it is about"),
            "request_id": text_or_null("The request it was asked for in"),
            "user_id": text_or_null("Who asked for it"),
            "expires_at": text_or_null("Until when it is told of"),
            "created_at": text("When it was asked for"),
            "updated_at": text("When it changed last"),
            "self": {"type": "string", "readOnly": true},
            "schema": {"type": "string", "readOnly": true},
        },
    })
}

fn tasks() -> Value {
    let mut item = task();
    if let Some(properties) = item["properties"].as_object_mut() {
        for name in ["input", "result", "message"] {
            properties.shift_remove(name);
        }
    }
    json!({
        "name": "tasks",
        "properties": {
            "tasks": {"type": "array", "items": item},
            "schema": {"type": "string"},
            "next": {"type": "string"},
            "first": {"type": "string"},
        },
        "links": [
            {"rel": "next", "href": "{next}"},
            {"rel": "first", "href": "{first}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    })
}

fn image() -> Value {
    let mut properties = image_properties();
    if let Some(properties) = properties.as_object_mut() {
        for (name, property) in properties {
            if READ_ONLY.contains(&name.as_str()) {
                property["readOnly"] = json!(true);
            }
        }
    }
    json!({
        "name": "image",
        "properties": properties,
        "additionalProperties": { "type": "string" },
        "links": [
            { "rel": "self", "href": "{self}" },
            { "rel": "enclosure", "href": "{file}" },
            { "rel": "describedby", "href": "{schema}" },
        ],
    })
}

fn image_properties() -> Value {
    let uuid = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$";
    json!({
        "id": { "type": "string", "pattern": uuid, "description": "Identifies the image" },
        "name": text_or_null("What the image is called", NAME_CHARS_MAX),
        "status": { "type": "string", "enum": STATUSES, "description": "Where the image stands" },
        "visibility": {
            "type": "string",
            "enum": Visibility::ALL.map(Visibility::as_str),
            "description": "Who may see the image besides its owner",
        },
        "protected": { "type": "boolean", "description": "Whether deleting is refused" },
        "os_hidden": { "type": "boolean", "description": "Whether default listings leave the image out" },
        "owner": text_or_null("The project the image belongs to", NAME_CHARS_MAX),
        "size": whole_or_null("Bytes of the stored data"),
        "virtual_size": whole_or_null("Bytes of the disk a guest sees"),
        "checksum": text_or_null("MD5 of the data, in hex", 32),
        "os_hash_algo": text_or_null("How os_hash_value was computed", 64),
        "os_hash_value": text_or_null("Digest of the data, in hex", 128),
        (FORMAT_PROPERTY): text("What the data is by its bytes, as it was when it arrived"),
        (FINDINGS_PROPERTY): text("What is worth knowing of the data, as it was when it arrived"),
        "container_format": one_of_or_null("What the disk is wrapped in", &CONTAINER_FORMATS),
        "disk_format": one_of_or_null("How the disk is laid out", &DISK_FORMATS),
        "min_ram": least("Memory a machine needs, in MiB"),
        "min_disk": least("Disk a machine needs, in GiB"),
        "tags": {
            "type": "array",
            "items": { "type": "string", "maxLength": NAME_CHARS_MAX },
            "description": "Free labels",
        },
        "created_at": text("When the image was registered"),
        "updated_at": text("When the record last changed"),
        "self": text("Where the record is"),
        "file": text("Where the data is"),
        "schema": text("Where this schema is"),
    })
}

fn images() -> Value {
    json!({
        "name": "images",
        "properties": {
            "images": { "type": "array", "items": image() },
            "first": { "type": "string" },
            "next": { "type": "string" },
            "schema": { "type": "string" },
        },
        "links": [
            { "rel": "first", "href": "{first}" },
            { "rel": "next", "href": "{next}" },
            { "rel": "describedby", "href": "{schema}" },
        ],
    })
}

fn member() -> Value {
    json!({
        "name": "member",
        "properties": {
            "member_id": text("The project the image is shared with"),
            "image_id": text("The shared image"),
            "status": {
                "type": "string",
                "enum": ["pending", "accepted", "rejected"],
                "description": "What the project made of the offer",
            },
            "created_at": text("When the image was offered"),
            "updated_at": text("When the status last changed"),
            "schema": { "type": "string", "readOnly": true },
        },
    })
}

fn members() -> Value {
    json!({
        "name": "members",
        "properties": {
            "members": { "type": "array", "items": member() },
            "schema": { "type": "string" },
        },
        "links": [{ "rel": "describedby", "href": "{schema}" }],
    })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn text_or_null(description: &str, chars_max: usize) -> Value {
    json!({ "type": ["null", "string"], "maxLength": chars_max, "description": description })
}

fn whole_or_null(description: &str) -> Value {
    json!({ "type": ["null", "integer"], "description": description })
}

fn least(description: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": MIN_RESOURCE_MAX, "description": description })
}

fn one_of_or_null(description: &str, words: &[&str]) -> Value {
    let words: Vec<Value> =
        std::iter::once(Value::Null).chain(words.iter().map(|word| json!(word))).collect();
    json!({ "type": ["null", "string"], "enum": words, "description": description })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::glance::wire;
    use crate::service::images::Beside;
    use crate::service::stores::Stores;

    #[test]
    fn every_key_of_a_record_is_in_the_schema() {
        let printed = wire::image(&wire::tests::sample(), &Stores::default(), &Beside::default());
        let printed: Value = serde_json::from_slice(&printed).unwrap();
        let schema = image();
        for key in printed.as_object().unwrap().keys().filter(|key| !key.contains("distro")) {
            assert!(schema["properties"].get(key).is_some(), "{key}");
        }
    }

    #[test]
    fn keys_of_the_service_are_read_only() {
        let schema = image();
        assert_eq!(schema["properties"]["size"]["readOnly"], true);
        assert!(schema["properties"]["name"].get("readOnly").is_none());
        assert_eq!(schema["additionalProperties"]["type"], "string");
    }
}
