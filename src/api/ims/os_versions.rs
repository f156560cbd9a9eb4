//! `GET /v1/cloudimages/os_version`: names of operating systems that clients choose from.

use axum::response::Response;
use serde_json::{Value, json};

use super::call::{Call, json_response};
use super::error::Refusal;
use crate::model::os_versions::{self, OsVersion};
use crate::service::rights::{Action, Resource};

/// What a version can be asked for by.
const TAGS: [&str; 5] = ["kvm", "x86", "uefi", "arm", "bms"];

/// Nothing is known of what runs on arm, or on bare metal.
fn has(version: &OsVersion, tag: &str) -> bool {
    matches!(tag, "kvm" | "x86") || (tag == "uefi" && version.is_uefi)
}

fn body(version: &OsVersion) -> Value {
    json!({
        "platform": version.platform,
        "os_version_key": version.name,
        "os_version": version.name,
        "os_bit": version.bits,
        "os_type": version.os_type,
    })
}

/// Those with every tag that was asked for, by platform.
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    call.actor.expect(Action::ImagesList, Resource::None)?;
    let mut tags = Vec::new();
    for (name, value) in call.query()? {
        if name == "tag" && !TAGS.contains(&value.as_str()) {
            return Err(Refusal::bad(
                "IMG.0017",
                format!("tag must be one of {}, not {value:?}", TAGS.join(", ")),
            ));
        }
        if name == "tag" {
            tags.push(value);
        }
    }
    let mut groups: Vec<(&str, Vec<Value>)> = Vec::new();
    for version in os_versions::all().filter(|version| tags.iter().all(|tag| has(version, tag))) {
        match groups.last_mut() {
            Some((platform, list)) if *platform == version.platform => list.push(body(&version)),
            _ => groups.push((version.platform, vec![body(&version)])),
        }
    }
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|(platform, list)| json!({"platform": platform, "version_list": list}))
        .collect();
    Ok(json_response(Value::from(groups).to_string().into_bytes()))
}
