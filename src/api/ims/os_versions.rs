//! `GET /v1/cloudimages/os_version`: names of operating systems that clients choose from.
//!
//! A help for people and programs, no rule: an image may say anything else. The names are the
//! reference's, in `os_versions.txt`.

use axum::response::Response;
use serde_json::{Value, json};

use super::call::{Call, json_response};
use super::error::Refusal;
use crate::service::rights::{Action, Resource};

const NAMES: &str = include_str!("os_versions.txt");
/// What a version can be asked for by.
const TAGS: [&str; 5] = ["kvm", "x86", "uefi", "arm", "bms"];

struct OsVersion {
    platform: &'static str,
    os_type: &'static str,
    bits: u8,
    name: &'static str,
    is_uefi: bool,
}

impl OsVersion {
    fn read(line: &'static str) -> Option<OsVersion> {
        let mut parts = line.split('|').map(str::trim);
        Some(OsVersion {
            platform: parts.next()?,
            os_type: parts.next()?,
            bits: parts.next()?.parse().ok()?,
            name: parts.next()?,
            is_uefi: parts.next()? == "uefi",
        })
    }

    /// Nothing is known of what runs on arm, or on bare metal.
    fn has(&self, tag: &str) -> bool {
        matches!(tag, "kvm" | "x86") || (tag == "uefi" && self.is_uefi)
    }

    fn body(&self) -> Value {
        json!({
            "platform": self.platform,
            "os_version_key": self.name,
            "os_version": self.name,
            "os_bit": self.bits,
            "os_type": self.os_type,
        })
    }
}

fn versions() -> impl Iterator<Item = OsVersion> {
    NAMES.lines().filter(|line| !line.starts_with('#')).filter_map(OsVersion::read)
}

/// Every platform, once.
pub(super) fn platforms() -> impl Iterator<Item = &'static str> {
    let mut before = "";
    versions().map(|version| version.platform).filter(move |platform| {
        let is_new = *platform != before;
        before = platform;
        is_new
    })
}

/// Those with every tag that was asked for, by platform.
pub(super) fn list(call: Call) -> Result<Response, Refusal> {
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
    for version in versions().filter(|version| tags.iter().all(|tag| version.has(tag))) {
        match groups.last_mut() {
            Some((platform, list)) if *platform == version.platform => list.push(version.body()),
            _ => groups.push((version.platform, vec![version.body()])),
        }
    }
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|(platform, list)| json!({"platform": platform, "version_list": list}))
        .collect();
    Ok(json_response(Value::from(groups).to_string().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_and_platforms_stand_together() {
        let lines = NAMES.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(versions().count(), lines);
        let platforms: Vec<&str> = platforms().collect();
        let unique: std::collections::BTreeSet<&&str> = platforms.iter().collect();
        assert_eq!(unique.len(), platforms.len());
        assert!(versions().any(|v| v.name == "CentOS 7.0 64bit" && v.bits == 64 && v.os_type == "Linux"));
        assert!(versions().any(|v| v.name == "Other(32 bit)" && v.bits == 32));
    }
}
