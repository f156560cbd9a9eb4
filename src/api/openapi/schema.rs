//! Small builders of JSON schemas (draft 2020-12, as OpenAPI 3.1 has them).
//!
//! Must not know what the schemas are of.

use serde_json::{Map, Value, json};

/// A member of an object.
pub(super) struct Member {
    name: &'static str,
    schema: Value,
    is_required: bool,
}

/// A member that is always there.
pub(super) fn must(name: &'static str, schema: Value) -> Member {
    Member { name, schema, is_required: true }
}

/// A member that may be left out.
pub(super) fn may(name: &'static str, schema: Value) -> Member {
    Member { name, schema, is_required: false }
}

/// An object with these members and no others.
pub(super) fn closed(members: impl IntoIterator<Item = Member>) -> Value {
    let mut schema = open(members);
    schema["additionalProperties"] = json!(false);
    schema
}

/// An object with these members, and any others.
pub(super) fn open(members: impl IntoIterator<Item = Member>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for member in members {
        if member.is_required {
            required.push(member.name);
        }
        properties.insert(member.name.to_owned(), member.schema);
    }
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// An object of any names, each with such a value.
pub(super) fn map(value: Value) -> Value {
    json!({"type": "object", "additionalProperties": value})
}

/// A list.
pub(super) fn list(item: Value) -> Value {
    json!({"type": "array", "items": item})
}

/// A text.
pub(super) fn text() -> Value {
    json!({"type": "string"})
}

/// A text of at most so many characters.
pub(super) fn text_of(chars_max: usize) -> Value {
    json!({"type": "string", "maxLength": chars_max})
}

/// A text with at least one character.
pub(super) fn name() -> Value {
    json!({"type": "string", "minLength": 1})
}

/// One of these words.
pub(super) fn word(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

/// A time as RFC 3339 has it.
pub(super) fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

/// An id with its dashes.
pub(super) fn uuid() -> Value {
    json!({"type": "string", "format": "uuid"})
}

/// A whole number that is not negative.
pub(super) fn whole() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// A whole number from `min` to `max`.
pub(super) fn between(min: i64, max: i64) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max})
}

/// A whole number.
pub(super) fn integer() -> Value {
    json!({"type": "integer"})
}

/// A number.
pub(super) fn number() -> Value {
    json!({"type": "number"})
}

/// True or false.
pub(super) fn flag() -> Value {
    json!({"type": "boolean"})
}

/// Any value.
pub(super) fn any() -> Value {
    json!({})
}

/// Nothing but null.
pub(super) fn null() -> Value {
    json!({"type": "null"})
}

/// The same, or null.
pub(super) fn nullable(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

/// One of several forms.
pub(super) fn either(forms: impl IntoIterator<Item = Value>) -> Value {
    json!({"anyOf": forms.into_iter().collect::<Vec<_>>()})
}

/// A schema among the document's components.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}
