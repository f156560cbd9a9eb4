//! Names of operating systems that clients of the image management API choose from, and what follows from
//! each. The names are the reference's, in `os_versions.txt`.
//!
//! A help for people and programs, no rule: an image may say anything else.

const NAMES: &str = include_str!("os_versions.txt");

/// One version of an operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OsVersion {
    /// Its family, such as `CentOS`.
    pub platform: &'static str,
    /// `Linux` or `Windows`.
    pub os_type: &'static str,
    /// 32 or 64.
    pub bits: u8,
    /// Its name in full.
    pub name: &'static str,
    /// Whether it can start by UEFI.
    pub is_uefi: bool,
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
}

/// Every version; those of a platform stand together.
pub fn all() -> impl Iterator<Item = OsVersion> {
    NAMES.lines().filter(|line| !line.starts_with('#')).filter_map(OsVersion::read)
}

/// Every platform, once.
pub fn platforms() -> impl Iterator<Item = &'static str> {
    let mut before = "";
    all().map(|version| version.platform).filter(move |platform| {
        let is_new = *platform != before;
        before = platform;
        is_new
    })
}

/// The version of this name, however it is spelled.
pub fn find(name: &str) -> Option<OsVersion> {
    let folded = |text: &str| text.split_whitespace().collect::<String>().to_lowercase();
    let wanted = folded(name);
    all().find(|version| folded(version.name) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_and_platforms_stand_together() {
        let lines = NAMES.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(all().count(), lines);
        let platforms: Vec<&str> = platforms().collect();
        let unique: std::collections::BTreeSet<&&str> = platforms.iter().collect();
        assert_eq!(unique.len(), platforms.len());
        assert!(all().any(|v| v.name == "CentOS 7.0 64bit" && v.bits == 64 && v.os_type == "Linux"));
        assert!(all().any(|v| v.name == "Other(32 bit)" && v.bits == 32));
    }

    #[test]
    fn a_version_is_found_in_any_spelling() {
        assert_eq!(find("centos  7.0 64BIT").map(|v| v.platform), Some("CentOS"));
        assert_eq!(find("Amiga 1.3"), None);
    }
}
