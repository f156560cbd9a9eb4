//! JSON patches in the two dialects the Image API knows.
//!
//! Invariant: every operation is checked before any is applied; what an operation means for a
//! record that another one changed is left to the use case.

use axum::http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

use super::error::Refusal;
use super::locations;
use super::wire::{BASE, READ_ONLY, RESERVED, object, read_change};
use crate::service::images::{Change, Existing, LocationChange};

const DRAFT_4: &str = "application/openstack-images-v2.0-json-patch";
const DRAFT_10: &str = "application/openstack-images-v2.1-json-patch";
const ACCEPT_PATCH: &str =
    "application/openstack-images-v2.0-json-patch, application/openstack-images-v2.1-json-patch";

/// A dialect of JSON patch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    /// `{"replace": "/name", "value": "x"}`; `add` refuses what is there.
    Draft4,
    /// `{"op": "replace", "path": "/name", "value": "x"}`; `add` overwrites.
    Draft10,
}

/// What a patch asks for.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Patch {
    /// Of the record.
    pub(super) changes: Vec<Change>,
    /// Of where the data lies.
    pub(super) locations: Vec<LocationChange>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Op {
    Add,
    Replace,
    Remove,
}

impl Op {
    fn parse(text: &str) -> Option<Op> {
        match text {
            "add" => Some(Op::Add),
            "replace" => Some(Op::Replace),
            "remove" => Some(Op::Remove),
            _ => None,
        }
    }
}

impl Dialect {
    /// The dialect that a media type names.
    pub(super) fn of(content_type: Option<&HeaderValue>) -> Result<Dialect, Refusal> {
        let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or("");
        match text.split(';').next().unwrap_or("").trim() {
            DRAFT_4 => Ok(Dialect::Draft4),
            DRAFT_10 => Ok(Dialect::Draft10),
            _ => {
                let message = format!("a patch must be of one of the types {ACCEPT_PATCH}, not {text:?}");
                Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).with(
                    axum::http::HeaderName::from_static("accept-patch"),
                    HeaderValue::from_static(ACCEPT_PATCH),
                ))
            }
        }
    }

    /// Reads a patch; one of locations only where the box takes those.
    pub(super) fn read(self, body: Value, takes_locations: bool) -> Result<Patch, Refusal> {
        let Value::Array(operations) = body else {
            return Err(Refusal::bad("a patch must be a JSON list of operations"));
        };
        let mut patch = Patch::default();
        for operation in operations {
            let operation = object(operation)?;
            let (op, path) = match self {
                Dialect::Draft4 => split_draft_4(&operation)?,
                Dialect::Draft10 => split_draft_10(&operation)?,
            };
            match path.strip_prefix("/locations") {
                Some(rest) if takes_locations && (rest.is_empty() || rest.starts_with('/')) => {
                    patch.locations.push(locations::read_change(op, rest, operation.get("value"))?);
                }
                _ => patch.changes.push(self.read_one(op, path, &operation)?),
            }
        }
        Ok(patch)
    }

    fn read_one(self, op: Op, path: &str, operation: &Map<String, Value>) -> Result<Change, Refusal> {
        let key = root(path)?;
        check_key(&key)?;
        let value = || {
            operation.get("value").ok_or_else(|| Refusal::bad(format!("operation on {path} needs a value")))
        };
        let is_base = BASE.contains(&key.as_str());
        match op {
            Op::Remove if is_base => Err(Refusal::forbidden(format!("attribute {key} cannot be removed"))),
            Op::Remove => Ok(Change::RemoveProperty(key)),
            Op::Replace => read_change(&key, value()?, Existing::Required),
            Op::Add if self == Dialect::Draft10 => read_change(&key, value()?, Existing::Any),
            Op::Add if is_base => Err(conflict(format!("attribute {key} is already set; replace it"))),
            Op::Add => read_change(&key, value()?, Existing::Forbidden),
        }
    }
}

fn split_draft_10(operation: &Map<String, Value>) -> Result<(Op, &str), Refusal> {
    let op = operation.get("op").and_then(Value::as_str).and_then(Op::parse);
    let path = operation.get("path").and_then(Value::as_str);
    op.zip(path).ok_or_else(|| Refusal::bad("an operation needs an op (add, replace or remove) and a path"))
}

fn split_draft_4(operation: &Map<String, Value>) -> Result<(Op, &str), Refusal> {
    let mut found = operation.iter().filter_map(|(key, path)| Some((Op::parse(key)?, path.as_str()?)));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(Refusal::bad("an operation needs exactly one of add, replace and remove, with a path")),
    }
}

/// The key that a JSON pointer names. Pointers deeper than one level lead nowhere, except that
/// locations are told apart first, to be refused as what they are.
fn root(path: &str) -> Result<String, Refusal> {
    let bad = |why: &str| Refusal::bad(format!("path {path:?} {why}"));
    let rest = path.strip_prefix('/').ok_or_else(|| bad("must start with a slash"))?;
    let segments = rest.split('/').map(unescape).collect::<Option<Vec<_>>>();
    let segments = segments.ok_or_else(|| bad("has a ~ that is neither ~0 nor ~1"))?;
    if segments.iter().any(String::is_empty) {
        return Err(bad("has an empty segment"));
    }
    match segments.as_slice() {
        [key] => Ok(key.clone()),
        [key, ..] if key == "locations" => Ok(key.clone()),
        _ => Err(bad("leads deeper than a record goes")),
    }
}

fn unescape(segment: &str) -> Option<String> {
    let mut out = String::with_capacity(segment.len());
    let mut chars = segment.chars();
    while let Some(c) = chars.next() {
        match c {
            '~' => out.push(match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            }),
            c => out.push(c),
        }
    }
    Some(out)
}

fn check_key(key: &str) -> Result<(), Refusal> {
    if key == "id" || READ_ONLY.contains(&key) {
        return Err(Refusal::forbidden(format!("attribute {key} is read-only")));
    }
    if RESERVED.contains(&key) {
        return Err(Refusal::forbidden(format!("attribute {key} is reserved")));
    }
    if key == "stores" {
        return Err(conflict("property stores does not exist".to_owned()));
    }
    Ok(())
}

fn conflict(message: String) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::service::images::Field;

    fn draft_10(op: &str, path: &str, value: Value) -> Result<Change, u16> {
        one(Dialect::Draft10, json!({"op": op, "path": path, "value": value}))
    }

    fn one(dialect: Dialect, operation: Value) -> Result<Change, u16> {
        let patch = dialect.read(json!([operation]), false).map_err(|refusal| refusal.status.as_u16())?;
        Ok(patch.changes.into_iter().next().unwrap())
    }

    #[test]
    fn both_dialects_say_the_same() {
        let want = Ok(Change::Set(Field::Name(Some("x".into()))));
        assert_eq!(draft_10("replace", "/name", json!("x")), want);
        assert_eq!(one(Dialect::Draft4, json!({"replace": "/name", "value": "x"})), want);
        assert_eq!(
            one(Dialect::Draft4, json!({"remove": "/a~1b~0c"})),
            Ok(Change::RemoveProperty("a/b~c".into()))
        );
    }

    #[test]
    fn adding_what_is_there_depends_on_the_dialect() {
        assert!(draft_10("add", "/name", json!("x")).is_ok());
        assert_eq!(one(Dialect::Draft4, json!({"add": "/name", "value": "x"})), Err(409));
        let Ok(Change::SetProperty { existing, .. }) =
            one(Dialect::Draft4, json!({"add": "/p", "value": "x"}))
        else {
            panic!("a property");
        };
        assert_eq!(existing, Existing::Forbidden);
    }

    #[test]
    fn malformed_operations_are_refused() {
        for bad in [
            json!({"op": "test", "path": "/a", "value": "x"}),
            json!({"op": "add", "path": "a", "value": "x"}),
            json!({"op": "add", "path": "/", "value": "x"}),
            json!({"op": "add", "path": "/a/", "value": "x"}),
            json!({"op": "add", "path": "/a~2", "value": "x"}),
            json!({"op": "add", "path": "/a~", "value": "x"}),
            json!({"op": "add", "path": "/tags/-", "value": "x"}),
            json!({"op": "add", "path": "/a"}),
            json!({"op": "add", "path": "/a", "value": 1}),
            json!({"op": "replace", "path": "/protected", "value": "yes"}),
            json!({"path": "/a"}),
            json!("x"),
        ] {
            assert_eq!(one(Dialect::Draft10, bad.clone()), Err(400), "{bad}");
        }
        assert_eq!(one(Dialect::Draft4, json!({"add": "/a", "remove": "/b", "value": "x"})), Err(400));
        assert!(Dialect::Draft10.read(json!({}), false).is_err());
        assert_eq!(Dialect::Draft10.read(json!([]), true).unwrap(), Patch::default());
    }

    #[test]
    fn attributes_of_the_service_stay_its_own() {
        for path in [
            "/id",
            "/status",
            "/size",
            "/os_hash_value",
            "/location",
            "/locations",
            "/locations/-",
            "/deleted",
        ] {
            assert_eq!(draft_10("replace", path, json!("x")), Err(403), "{path}");
        }
        assert_eq!(draft_10("remove", "/tags", json!(null)), Err(403));
        assert_eq!(draft_10("replace", "/stores", json!("x")), Err(409));
    }

    #[test]
    fn only_the_two_media_types_are_patches() {
        let of =
            |text: &str| Dialect::of(Some(&text.parse().unwrap())).map_err(|refusal| refusal.status.as_u16());
        assert_eq!(of("application/openstack-images-v2.1-json-patch"), Ok(Dialect::Draft10));
        assert_eq!(of("application/openstack-images-v2.0-json-patch; charset=utf-8"), Ok(Dialect::Draft4));
        assert_eq!(of("application/json"), Err(415));
        assert_eq!(of("application/json-patch+json"), Err(415));
        assert!(Dialect::of(None).is_err());
    }
}
