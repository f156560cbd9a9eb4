//! What an image says of the operating system in it: the attributes that follow from what a caller names.

use super::error::Refusal;
use crate::model::os_versions;
use crate::service::images::{Change, Existing, Field, NewImage};

/// What an image that is registered without data says when its caller names no system.
const REGISTERED_DEFAULT: &str = "Other Linux(64 bit)";
/// `disk_format` of such an image when its caller names none: the reference's. Filling it from a bucket sets the true one.
const REGISTERED_FORMAT: &str = "zvhd2";
/// `min_disk` of such an image, in GiB.
const REGISTERED_MIN_DISK_GIB: u64 = 40;
/// Longest name of a system, in characters.
const NAME_CHARS_MAX: usize = 255;
/// Types of systems.
const TYPES: [&str; 3] = ["Linux", "Windows", "Other"];

/// The attributes of a system that a caller names, by its version, its type or both.
pub(super) fn attributes(version: Option<&str>, kind: Option<&str>) -> Result<Vec<Change>, Refusal> {
    if let Some(kind) = kind.filter(|kind| !TYPES.contains(kind)) {
        let message = format!("os_type must be one of {}, not {kind:?}", TYPES.join(", "));
        return Err(Refusal::bad("IMG.0122", message));
    }
    let Some(version) = version else {
        return Ok(kind.map(|kind| property("__os_type", kind)).into_iter().collect());
    };
    if version.chars().count() > NAME_CHARS_MAX || version.trim().is_empty() {
        return Err(Refusal::bad("IMG.0056", format!("os_version has 1 to {NAME_CHARS_MAX} characters")));
    }
    let known = os_versions::find(version);
    let of_name = if version.trim_start().starts_with("Windows") { "Windows" } else { "Linux" };
    let told = known.map_or(of_name, |known| known.os_type);
    if let Some(kind) = kind.filter(|kind| *kind != told && known.is_some()) {
        let message = format!("os_type is {kind}, but {version} is {told}; correct one of them");
        return Err(Refusal::bad("IMG.0122", message));
    }
    // A name that is in no list says its bits at its end.
    let by_name = if version.contains("32") && version.contains("bit") { 32 } else { 64 };
    let bits = known.map_or(by_name, |known| known.bits).to_string();
    Ok(vec![
        property("__os_version", version),
        property("__os_type", kind.unwrap_or(told)),
        property("__os_bit", &bits),
        property("__platform", known.map_or("Other", |known| known.platform)),
    ])
}

/// An attribute that is set whatever was there.
pub(super) fn property(name: &str, value: &str) -> Change {
    Change::SetProperty { name: name.to_owned(), value: value.to_owned(), existing: Existing::Any }
}

/// Whether a registration names a system.
pub(in crate::api) fn names_system(new: &NewImage) -> bool {
    let names =
        |change: &Change| matches!(change, Change::SetProperty { name, .. } if name == "__os_version");
    new.changes.iter().any(names)
}

/// What a registration is that names a system: it has the image management API's defaults, and the attributes
/// that follow. One that names none stays as it is.
pub(in crate::api) fn registration(new: NewImage) -> Result<NewImage, String> {
    let given = |wanted: &str| {
        new.changes.iter().find_map(|change| match change {
            Change::SetProperty { name, value, .. } if name == wanted => Some(value.as_str()),
            _ => None,
        })
    };
    let Some(version) = given("__os_version") else { return Ok(new) };
    let version = if version.is_empty() { REGISTERED_DEFAULT } else { version };
    let derived = attributes(Some(version), given("__os_type")).map_err(|refusal| match refusal {
        Refusal::Image { message, .. } => message,
        Refusal::Gateway(_) => "the system's name cannot be read".to_owned(),
    })?;
    let defaults = [
        Field::Visibility(crate::model::Visibility::Private),
        Field::ContainerFormat(Some("bare".into())),
        Field::DiskFormat(Some(REGISTERED_FORMAT.into())),
        Field::MinDiskGib(REGISTERED_MIN_DISK_GIB),
    ];
    let mut changes: Vec<Change> = defaults.map(Change::Set).into();
    changes.push(property("__root_origin", "file"));
    // What the caller says wins over defaults, but not over what follows from the system's name.
    changes.extend(new.changes.iter().cloned());
    changes.extend(derived);
    Ok(NewImage { id: new.id, changes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: Option<&str>, kind: Option<&str>) -> Vec<(String, String)> {
        let changes = attributes(version, kind).unwrap();
        let pair = |change| match change {
            Change::SetProperty { name, value, .. } => (name, value),
            other => panic!("{other:?}"),
        };
        changes.into_iter().map(pair).collect()
    }

    fn values(version: &str, kind: Option<&str>) -> Vec<String> {
        told(Some(version), kind).into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn what_follows_from_a_systems_name() {
        assert_eq!(values("centos 7.0 64bit", None), ["centos 7.0 64bit", "Linux", "64", "CentOS"]);
        assert_eq!(values("Windows 12 64bit", None), ["Windows 12 64bit", "Windows", "64", "Other"]);
        assert_eq!(values("Haiku 32bit", Some("Other")), ["Haiku 32bit", "Other", "32", "Other"]);
        assert_eq!(told(None, Some("Windows")), [("__os_type".to_owned(), "Windows".to_owned())]);
        assert!(told(None, None).is_empty());
        let code = |version: Option<&str>, kind| match attributes(version, kind) {
            Err(Refusal::Image { code, .. }) => code,
            other => panic!("{other:?}"),
        };
        assert_eq!(code(Some("CentOS 7.0 64bit"), Some("Windows")), "IMG.0122");
        assert_eq!(code(None, Some("BSD")), "IMG.0122");
        assert_eq!(code(Some(&"x".repeat(256)), None), "IMG.0056");
    }
}
