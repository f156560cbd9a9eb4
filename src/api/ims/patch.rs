//! `PATCH /v2/cloudimages/{image}`: a JSON list of operations on attributes.
//!
//! Invariant: every operation is checked before any is applied. Replacing or removing what is not
//! there is left to the use case, whose refusal is `IMG.0035`: clients then add.

use serde_json::{Map, Value};

use super::error::Refusal;
use super::wire::DECIDED;
use crate::service::images::{Change, Existing, Field};

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 128;
/// Longest description, in characters.
const DESCRIPTION_CHARS_MAX: usize = 1024;
/// Attributes that only the service, or whoever made the image, says.
const FIXED: [&str; 16] = [
    "__os_type",
    "__os_version",
    "__os_bit",
    "__platform",
    "virtual_env_type",
    "__data_origin",
    "__root_origin",
    "__originalimagename",
    "__backup_id",
    "__whole_image",
    "__system__cmkid",
    "__productcode",
    "__account_code",
    "__lazyloading",
    "__sequence_num",
    "locations",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Replace,
    Remove,
}

/// Reads a patch.
pub(super) fn read(body: Value) -> Result<Vec<Change>, Refusal> {
    let Value::Array(operations) = body else {
        return Err(malformed("a patch must be a JSON list of operations"));
    };
    operations.iter().map(read_one).collect()
}

fn read_one(operation: &Value) -> Result<Change, Refusal> {
    let keys: &Map<String, Value> =
        operation.as_object().ok_or_else(|| malformed("an operation must be a JSON object"))?;
    let op = match keys.get("op").and_then(Value::as_str) {
        Some("add") => Op::Add,
        Some("replace") => Op::Replace,
        Some("remove") => Op::Remove,
        _ => return Err(malformed("an operation needs an op: add, replace or remove")),
    };
    let path = keys.get("path").and_then(Value::as_str).and_then(|path| path.strip_prefix('/'));
    let name = path.filter(|name| !name.is_empty() && !name.contains(['/', '~']));
    let name = name.ok_or_else(|| malformed("an operation needs a path: a slash and one attribute"))?;
    // Clients send an empty text along with what they remove.
    let value = match (op, keys.get("value")) {
        (Op::Remove, _) => String::new(),
        (_, Some(Value::String(text))) => text.clone(),
        (_, Some(Value::Number(number))) => number.to_string(),
        (_, Some(Value::Bool(flag))) => flag.to_string(),
        _ => return Err(malformed(format!("the operation on {name} needs a value: a text or a number"))),
    };
    change(op, name, value)
}

fn change(op: Op, name: &str, value: String) -> Result<Change, Refusal> {
    match (name, op) {
        ("name", Op::Remove) => Err(Refusal::bad("IMG.0013", "an image needs a name")),
        ("name", _) => Ok(Change::Set(Field::Name(Some(checked_name(value)?)))),
        ("min_ram", Op::Remove) => Ok(Change::Set(Field::MinRamMib(0))),
        ("min_ram", _) => Ok(Change::Set(Field::MinRamMib(memory(name, &value)?))),
        _ if DECIDED.contains(&name) || FIXED.contains(&name) => {
            Err(Refusal::bad("IMG.0105", format!("attribute {name} cannot be changed")))
        }
        _ if name.chars().any(char::is_uppercase) => {
            Err(Refusal::bad("IMG.0001", format!("attribute {name} has capital letters, which no name may")))
        }
        (_, Op::Remove) => Ok(Change::RemoveProperty(name.to_owned())),
        (_, Op::Add) => property(name, value, Existing::Any),
        (_, Op::Replace) => property(name, value, Existing::Required),
    }
}

fn property(name: &str, value: String, existing: Existing) -> Result<Change, Refusal> {
    match name {
        "__description" => check_description(&value)?,
        "max_ram" => drop(memory(name, &value)?),
        "hw_firmware_type" if !matches!(value.as_str(), "bios" | "uefi") => {
            return Err(Refusal::bad("IMG.0141", format!("{name} must be bios or uefi, not {value:?}")));
        }
        "os_shutdown_timeout" if !value.parse().is_ok_and(|seconds: u32| (60..=300).contains(&seconds)) => {
            return Err(malformed(format!("{name} must be 60 to 300 seconds, not {value:?}")));
        }
        "hw_vif_multiqueue_enabled" | "__is_config_init" | "__support_fc_inject" | "__support_amd"
            if !matches!(value.as_str(), "true" | "false") =>
        {
            return Err(malformed(format!("{name} must be true or false, not {value:?}")));
        }
        _ => {}
    }
    Ok(Change::SetProperty { name: name.to_owned(), value, existing })
}

pub(super) fn memory(name: &str, value: &str) -> Result<u64, Refusal> {
    let known = value.parse().ok().filter(|mib: &u64| *mib <= crate::base::limits::MIN_RESOURCE_MAX);
    known.ok_or_else(|| Refusal::bad("IMG.0055", format!("{name} must be a number of MiB, not {value:?}")))
}

pub(super) fn checked_name(name: String) -> Result<String, Refusal> {
    if name.is_empty() {
        return Err(Refusal::bad("IMG.0013", "an image needs a name"));
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(Refusal::bad("IMG.0002", format!("the name has more than {NAME_CHARS_MAX} characters")));
    }
    let is_good = |c: char| c.is_alphanumeric() || "-._ ".contains(c);
    if !name.chars().all(is_good) || name.trim() != name {
        return Err(Refusal::bad(
            "IMG.0003",
            "a name has letters, digits, - . _ and blanks, and no blank at its ends",
        ));
    }
    Ok(name)
}

pub(super) fn check_description(text: &str) -> Result<(), Refusal> {
    if text.chars().count() > DESCRIPTION_CHARS_MAX {
        let message = format!("the description has more than {DESCRIPTION_CHARS_MAX} characters");
        return Err(Refusal::bad("IMG.0004", message));
    }
    match text.contains(['\r', '\n', '<', '>']) {
        true => Err(Refusal::bad("IMG.0054", "a description has no line ends, < or >")),
        false => Ok(()),
    }
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::bad("IMG.0001", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn code(operation: Value) -> &'static str {
        match read(json!([operation])) {
            Ok(_) => "",
            Err(Refusal::Image { code, .. }) => code,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_bad_operation_has_its_code() {
        for (operation, wanted) in [
            (json!("x"), "IMG.0001"),
            (json!({"op": "move", "path": "/name", "value": "x"}), "IMG.0001"),
            (json!({"op": "replace", "path": "name", "value": "x"}), "IMG.0001"),
            (json!({"op": "replace", "path": "/a/b", "value": "x"}), "IMG.0001"),
            (json!({"op": "replace", "path": "/name"}), "IMG.0001"),
            (json!({"op": "add", "path": "/Upper", "value": "x"}), "IMG.0001"),
            (json!({"op": "replace", "path": "/name", "value": ""}), "IMG.0013"),
            (json!({"op": "remove", "path": "/name", "value": ""}), "IMG.0013"),
            (json!({"op": "replace", "path": "/name", "value": "x".repeat(129)}), "IMG.0002"),
            (json!({"op": "replace", "path": "/name", "value": " x"}), "IMG.0003"),
            (json!({"op": "replace", "path": "/name", "value": "a/b"}), "IMG.0003"),
            (json!({"op": "add", "path": "/__description", "value": "x".repeat(1025)}), "IMG.0004"),
            (json!({"op": "add", "path": "/__description", "value": "a<b"}), "IMG.0054"),
            (json!({"op": "replace", "path": "/min_ram", "value": "much"}), "IMG.0055"),
            (json!({"op": "add", "path": "/max_ram", "value": -1}), "IMG.0055"),
            (json!({"op": "add", "path": "/hw_firmware_type", "value": "coreboot"}), "IMG.0141"),
            (json!({"op": "add", "path": "/os_shutdown_timeout", "value": "59"}), "IMG.0001"),
            (json!({"op": "add", "path": "/__is_config_init", "value": "yes"}), "IMG.0001"),
            (json!({"op": "replace", "path": "/owner", "value": "x"}), "IMG.0105"),
            (json!({"op": "replace", "path": "/__imagetype", "value": "gold"}), "IMG.0105"),
            (json!({"op": "remove", "path": "/__os_version", "value": ""}), "IMG.0105"),
        ] {
            assert_eq!(code(operation.clone()), wanted, "{operation}");
        }
        assert!(read(json!({})).is_err());
        assert_eq!(read(json!([])).unwrap(), []);
    }

    #[test]
    fn numbers_come_as_text_or_number() {
        for value in [json!(512), json!("512")] {
            let changes = read(json!([{"op": "replace", "path": "/min_ram", "value": value}])).unwrap();
            assert_eq!(changes, [Change::Set(Field::MinRamMib(512))]);
        }
        let changes = read(json!([{"op": "remove", "path": "/min_ram", "value": ""}])).unwrap();
        assert_eq!(changes, [Change::Set(Field::MinRamMib(0))]);
        let changes = read(json!([{"op": "remove", "path": "/max_ram", "value": ""}])).unwrap();
        assert_eq!(changes, [Change::RemoveProperty("max_ram".into())]);
    }
}
