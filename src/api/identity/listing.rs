//! Collections as the Identity API prints them, and its filters: any attribute, exactly.

use serde_json::{Value, json};

use super::call::{Answer, Call};

/// The collection under `name`, less what the query filters out.
pub(super) fn filtered(call: &Call, name: &str, mut objects: Vec<Value>) -> Answer {
    let query = call.query();
    objects.retain(|object| query.iter().all(|(key, wanted)| matches(object, key, wanted)));
    whole(call, name, objects)
}

/// The whole collection under `name`.
pub(super) fn whole(call: &Call, name: &str, objects: Vec<Value>) -> Answer {
    let links = json!({"next": null, "self": call.self_url(), "previous": null});
    Answer::ok(json!({name: objects, "links": links}))
}

/// Names that are no attribute filter nothing, as with the reference.
fn matches(object: &Value, key: &str, wanted: &str) -> bool {
    match object.get(key) {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Bool(flag)) => matches!(wanted.to_lowercase().as_str(), "1" | "true" | "") == *flag,
        Some(Value::Null) => wanted.is_empty() || wanted == "null",
        Some(Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_compare_exactly_and_ignore_what_is_no_attribute() {
        let object = json!({"name": "Ann", "enabled": true, "domain_id": null, "tags": []});
        assert!(matches(&object, "name", "Ann") && !matches(&object, "name", "ann"));
        assert!(matches(&object, "enabled", "True") && !matches(&object, "enabled", "false"));
        assert!(!matches(&object, "domain_id", "d"));
        assert!(matches(&object, "colour", "red") && matches(&object, "tags", "x"));
    }
}
