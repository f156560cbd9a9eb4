//! Reads `clouds.yaml`: where the other clients look for it, and the part of it that signs in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::failure::Failure;

/// The whole file; what is not needed here is left unread.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    clouds: BTreeMap<String, Cloud>,
}

/// One cloud.
#[derive(Deserialize, Default, Clone)]
pub(super) struct Cloud {
    #[serde(default)]
    pub auth: BTreeMap<String, String>,
    pub cacert: Option<String>,
    pub region_name: Option<String>,
    pub interface: Option<String>,
}

/// The cloud called `name`, from the first file that exists.
///
/// # Errors
/// When there is no file, it cannot be read, or it has no such cloud.
pub(super) fn find(name: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Cloud, Failure> {
    let places = places(variable);
    let Some(path) = places.iter().find(|p| p.exists()) else {
        let list: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        return Err(Failure::usage(format!("no clouds.yaml; looked at {}", list.join(", "))));
    };
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))?;
    pick(&text, name, path)
}

fn places(variable: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    if let Some(path) = variable("OS_CLIENT_CONFIG_FILE") {
        return vec![path.into()];
    }
    let home = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")));
    let mut places = vec![PathBuf::from("clouds.yaml")];
    places.extend(home.map(|h| h.join("openstack/clouds.yaml")));
    places.push("/etc/openstack/clouds.yaml".into());
    places
}

fn pick(text: &str, name: &str, path: &Path) -> Result<Cloud, Failure> {
    let file: File =
        serde_saphyr::from_str(text).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    file.clouds.get(name).cloned().ok_or_else(|| {
        let known: Vec<&str> = file.clouds.keys().map(String::as_str).collect();
        Failure::usage(format!("{}: no cloud \"{name}\"; it has {}", path.display(), known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_is_read_and_the_rest_left_alone() {
        let text = "clouds:\n  box:\n    auth:\n      auth_url: http://a/v3\n      username: u\n      password: '1234'\n    verify: true\n    identity_api_version: 3\n  other: {}\n";
        let cloud = pick(text, "box", Path::new("c")).ok().unwrap();
        assert_eq!(cloud.auth["auth_url"], "http://a/v3");
        assert_eq!(cloud.auth["password"], "1234");
        let error = pick(text, "nox", Path::new("c")).err().unwrap();
        assert!(error.message.contains("it has box, other"), "{}", error.message);
    }
}
