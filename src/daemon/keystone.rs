//! The Keystone of a cloud that says who asks, as the settings name it.
//!
//! Invariant: the password comes from a file that not everybody may read, and is in no message. A box whose
//! Keystone does not answer starts all the same, and lets nobody in until it does.

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::peers::password;
use super::settings::{IdentityMode, Settings, between};
use crate::keystone::{Account, Keystone};
use crate::service::Service;
use crate::service::identity::{Cloud, CloudRules};

/// How the cloud's Keystone is reached, and what the cloud calls this server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeystoneSettings {
    /// Its address, such as `https://cloud.example:5000/v3`.
    pub url: String,
    /// The user to sign in as.
    pub user: String,
    /// The user's domain, by name.
    pub user_domain: String,
    /// File with the user's password.
    pub password_file: String,
    /// The project to sign in to, by name.
    pub project: String,
    /// The project's domain, by name.
    pub project_domain: String,
    /// The region in which the cloud's catalog has this server; empty for any.
    pub region: String,
    /// File with certificates to trust beside the public ones; empty for none.
    pub ca_file: String,
    /// How long an answer about a token is good for, in seconds.
    pub cache_s: u64,
    /// The type by which the cloud calls this service.
    pub service_type: String,
}

impl Default for KeystoneSettings {
    fn default() -> Self {
        KeystoneSettings {
            url: String::new(),
            user: String::new(),
            user_domain: "Default".into(),
            password_file: String::new(),
            project: "service".into(),
            project_domain: "Default".into(),
            region: String::new(),
            ca_file: String::new(),
            cache_s: 300,
            service_type: "image".into(),
        }
    }
}

impl KeystoneSettings {
    /// Refuses a Keystone that cannot be asked; where the box has its own identities, only what is wrong in any case.
    pub(super) fn check(&self, mode: IdentityMode) -> Result<(), String> {
        between("identity.keystone.cache_s", self.cache_s, 0, 3600)?;
        if mode == IdentityMode::Embedded {
            return Ok(());
        }
        // Without its text, which may have a password in it.
        let wrong = || "identity.keystone.url: it is not of the form https://HOST[:PORT][/PATH]".to_owned();
        let uri: http::Uri = self.url.parse().map_err(|_| wrong())?;
        let has_user = uri.authority().is_none_or(|authority| authority.as_str().contains('@'));
        if !matches!(uri.scheme_str(), Some("http" | "https")) || has_user || uri.query().is_some() {
            return Err(wrong());
        }
        let texts = [
            ("user", &self.user),
            ("user_domain", &self.user_domain),
            ("password_file", &self.password_file),
            ("project", &self.project),
            ("project_domain", &self.project_domain),
            ("service_type", &self.service_type),
        ];
        match texts.iter().find(|(_, text)| text.is_empty()) {
            Some((missing, _)) => {
                Err(format!("identity.keystone.{missing}: identity.mode \"keystone\" needs one"))
            }
            None => Ok(()),
        }
    }
}

/// Takes the Keystone that the settings name, if they do. Nothing is asked of it. `handle` is of the runtime that talks with it.
pub(super) fn open(settings: &Settings, handle: &Handle) -> Result<Option<Cloud>, Error> {
    if settings.identity.mode == IdentityMode::Embedded {
        return Ok(None);
    }
    let named = &settings.identity.keystone;
    let wrong = |why: String| Error::Settings(format!("identity.keystone.{why}"));
    let certificates = match named.ca_file.as_str() {
        "" => Vec::new(),
        path => std::fs::read(path).map_err(|error| wrong(format!("ca_file {path}: {error}")))?,
    };
    let keystone = Keystone::new(Account {
        url: named.url.clone(),
        user: named.user.clone(),
        user_domain: named.user_domain.clone(),
        password: password(&named.password_file).map_err(wrong)?,
        project: named.project.clone(),
        project_domain: named.project_domain.clone(),
        certificates,
    })
    .map_err(|why| wrong(format!("ca_file {}: {why}", named.ca_file)))?;
    let rules = CloudRules {
        cache_s: named.cache_s as i64,
        service_type: named.service_type.clone(),
        region: named.region.clone(),
    };
    Ok(Some(Cloud::new(keystone, handle.clone(), rules)))
}

/// Tells the log which Keystone is trusted, whether it answers, and where the cloud's catalog says that this server is.
pub(super) async fn greet(service: Service, settings: KeystoneSettings, stop: CancellationToken) {
    let Some(url) = service.keystone_url() else { return };
    tracing::info!(url, "the cloud's Keystone says who asks; this server's own users count for nothing");
    let KeystoneSettings { region, service_type, .. } = settings;
    let greeted = tokio::select! {
        greeted = service.greet_keystone(&region) => greeted,
        () = stop.cancelled() => return,
    };
    match greeted {
        Ok(endpoints) if endpoints.is_empty() => tracing::warn!(
            url,
            service_type,
            region,
            "the cloud's Keystone answers; its catalog has no public endpoint of this service, so that clients do not \
             find it: openstack endpoint create"
        ),
        Ok(endpoints) => tracing::info!(url, ?endpoints, "the cloud's Keystone answers"),
        Err(error) => tracing::warn!(
            url,
            %error,
            "the cloud's Keystone is of no use now: whoever has no token that is known gets 503 until it is"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(url: &str) -> KeystoneSettings {
        KeystoneSettings {
            url: url.into(),
            user: "tintype".into(),
            password_file: "/p".into(),
            ..KeystoneSettings::default()
        }
    }

    #[test]
    fn a_keystone_is_named_whole_and_no_secret_is_told() {
        let good = named("https://cloud.example:5000/v3");
        assert_eq!(good.check(IdentityMode::Keystone), Ok(()));
        assert_eq!(named("http://10.0.0.1/identity/").check(IdentityMode::Keystone), Ok(()));
        assert_eq!(KeystoneSettings::default().check(IdentityMode::Embedded), Ok(()));
        for (wrong, said) in [
            (KeystoneSettings::default(), "identity.keystone.url"),
            (named("cloud.example"), "identity.keystone.url"),
            (named("ftp://cloud.example"), "identity.keystone.url"),
            (named("https://u:hunter2@cloud.example"), "identity.keystone.url"),
            (KeystoneSettings { user: String::new(), ..good.clone() }, "identity.keystone.user"),
            (KeystoneSettings { project: String::new(), ..good.clone() }, "identity.keystone.project"),
            (
                KeystoneSettings { password_file: String::new(), ..good.clone() },
                "identity.keystone.password_file",
            ),
            (KeystoneSettings { cache_s: 3601, ..good.clone() }, "identity.keystone.cache_s"),
        ] {
            let told = wrong.check(IdentityMode::Keystone).unwrap_err();
            assert!(told.starts_with(said) && !told.contains("hunter2"), "{told}");
        }
        let long = KeystoneSettings { cache_s: 3601, ..good };
        assert!(long.check(IdentityMode::Embedded).is_err());
    }

    #[tokio::test]
    async fn a_password_that_everybody_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;

        let outer = tempfile::tempdir().unwrap();
        let file = outer.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let mut settings = Settings::default();
        assert!(open(&settings, &Handle::current()).unwrap().is_none());
        settings.identity.mode = IdentityMode::Keystone;
        settings.identity.keystone = named("http://127.0.0.1:1/v3");
        settings.identity.keystone.password_file = file.to_str().unwrap().to_owned();
        let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        let Err(told) = open(&settings, &Handle::current()) else { panic!("it was read") };
        assert!(told.to_string().contains("identity.keystone.password_file"), "{told}");
        mode(0o600);
        assert!(open(&settings, &Handle::current()).unwrap().is_some());
        settings.identity.keystone.ca_file = file.to_str().unwrap().to_owned();
        let Err(told) = open(&settings, &Handle::current()) else { panic!("it is no certificate") };
        assert!(told.to_string().contains("ca_file"), "{told}");
    }
}
