//! The other boxes that images are copied to, as the settings name them.
//!
//! Invariant: passwords come from files that not everybody may read, and are in no message.

use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::Error;
use super::settings::Settings;
use crate::peers::{Account, Peer};
use crate::service::images::{Region, Regions};
use crate::service::rights::REGION;

/// Other boxes there may be.
const PEERS_MAX: usize = 64;

/// Another box, which is another region to callers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeerBox {
    /// What callers name: letters, digits, `.`, `-` and `_`.
    pub region: String,
    /// Its address, such as `https://east.example:9292`.
    pub url: String,
    /// The user to sign in as there.
    pub user: String,
    /// The domain there of the user and of the projects that callers name.
    pub domain: String,
    /// File with the user's password.
    pub password_file: String,
    /// File with certificates to trust beside the public ones; empty for none.
    pub ca_file: String,
    /// The agency that callers name beside the region; empty for any.
    pub agency: String,
    /// Projects here that may copy to it: ids, names in the domain Default, or `*`.
    pub projects: Vec<String>,
}

impl Default for PeerBox {
    fn default() -> Self {
        PeerBox {
            region: String::new(),
            url: String::new(),
            user: String::new(),
            domain: "Default".into(),
            password_file: String::new(),
            ca_file: String::new(),
            agency: String::new(),
            projects: Vec::new(),
        }
    }
}

/// Refuses boxes that are named wrongly or twice, or that cannot be spoken to.
pub(super) fn check(peers: &[PeerBox]) -> Result<(), String> {
    if peers.len() > PEERS_MAX {
        return Err(format!("peer: {} boxes are too many, it takes {PEERS_MAX}", peers.len()));
    }
    for (number, peer) in peers.iter().enumerate() {
        let name = &peer.region;
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if name.is_empty() || name.len() > 63 || !name.bytes().all(is_good) {
            return Err(format!(
                "peer.region: \"{name}\" is no name of a region: 1 to 63 letters, digits, '.', '-' and '_'"
            ));
        }
        if name == REGION {
            return Err(format!("peer.region: {REGION} is this box itself"));
        }
        if peers[..number].iter().any(|other| other.region == *name) {
            return Err(format!("peer.region: \"{name}\" is there twice"));
        }
        // Without its text, which may have a password in it.
        let wrong = || format!("peer.url: that of {name} is not of the form https://HOST:PORT");
        let uri: http::Uri = peer.url.parse().map_err(|_| wrong())?;
        let has_user = uri.authority().is_none_or(|authority| authority.as_str().contains('@'));
        if !matches!(uri.scheme_str(), Some("http" | "https")) || has_user || uri.query().is_some() {
            return Err(wrong());
        }
        if uri.path().trim_end_matches('/').ends_with("/v3") {
            return Err(format!("peer.url: that of {name} is the box's address alone, without /identity/v3"));
        }
        let parts = [("user", &peer.user), ("domain", &peer.domain), ("password_file", &peer.password_file)];
        if let Some((missing, _)) = parts.iter().find(|(_, text)| text.is_empty()) {
            return Err(format!("peer: {name} needs {missing}"));
        }
    }
    Ok(())
}

/// Takes all that the settings name. Nothing is asked of any.
pub(super) fn open(settings: &Settings) -> Result<Regions, Error> {
    let regions = settings.peer.iter().map(|named| {
        let wrong = |why: String| Error::Settings(format!("peer {}: {why}", named.region));
        let certificates = match named.ca_file.as_str() {
            "" => Vec::new(),
            path => std::fs::read(path).map_err(|error| wrong(format!("ca_file {path}: {error}")))?,
        };
        let account = Account {
            url: named.url.clone(),
            user: named.user.clone(),
            domain: named.domain.clone(),
            password: password(&named.password_file).map_err(wrong)?,
            certificates,
        };
        Ok(Region {
            name: named.region.clone(),
            agency: named.agency.clone(),
            projects: named.projects.clone(),
            peer: Peer::new(account).map_err(wrong)?,
        })
    });
    Ok(Regions::new(regions.collect::<Result<Vec<_>, Error>>()?))
}

/// The first line of a file that is closed to others.
pub(super) fn password(path: &str) -> Result<Zeroizing<String>, String> {
    let unread = |error: std::io::Error| format!("password_file {path}: {error}");
    if std::fs::metadata(path).map_err(unread)?.mode() & 0o007 != 0 {
        return Err(format!(
            "password_file {path}: everybody on this machine may use it; close it (chmod 600)"
        ));
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unread)?);
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(format!("password_file {path}: its first line is empty"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn peer(region: &str, url: &str) -> PeerBox {
        PeerBox {
            region: region.into(),
            url: url.into(),
            user: "u".into(),
            password_file: "/p".into(),
            ..PeerBox::default()
        }
    }

    #[test]
    fn a_peer_is_named_and_reached_and_no_secret_is_told() {
        let good = peer("east", "https://east.example:9292");
        assert_eq!(check(&[good.clone(), peer("west", "http://10.0.0.1:9292/images")]), Ok(()));
        for (peers, why) in [
            (vec![peer("", "http://a")], "peer.region"),
            (vec![peer("a b", "http://a")], "peer.region"),
            (vec![peer(REGION, "http://a")], "itself"),
            (vec![good.clone(), good.clone()], "twice"),
            (vec![peer("a", "east.example")], "peer.url"),
            (vec![peer("a", "ftp://east.example")], "peer.url"),
            (vec![peer("a", "http://u:hunter2@east.example")], "peer.url"),
            (vec![PeerBox { user: String::new(), ..good.clone() }], "needs user"),
            (vec![peer("a", "https://east.example/identity/v3/")], "without /identity"),
            (vec![good; 65], "too many"),
        ] {
            let told = check(&peers).unwrap_err();
            assert!(told.contains(why) && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_password_comes_from_a_closed_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let name = path.to_str().unwrap();
        assert!(password(name).unwrap_err().contains(name));
        std::fs::write(&path, "hunter2\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(password(name).unwrap_err().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(*password(name).unwrap(), "hunter2");
        std::fs::write(&path, "\n").unwrap();
        assert!(password(name).unwrap_err().contains("empty"));
    }
}
