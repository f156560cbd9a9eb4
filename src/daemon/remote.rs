//! Buckets that have credentials, an endpoint and a region of their own.
//!
//! Invariant: secrets come from a file that is closed to others, or from the environment, and are in no message. Must
//! not know what a bucket is for.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::error::Error;
use crate::objects::{Bucket, BucketOptions, open_url};

/// A bucket, as a section of the settings has it. What is empty is as the environment says.
pub(super) struct Remote<'s> {
    /// The section's name.
    pub(super) setting: &'static str,
    /// Its own name there.
    pub(super) name: &'s str,
    /// `s3://BUCKET/PREFIX`.
    pub(super) location: &'s str,
    /// File with its credentials.
    pub(super) credentials_file: &'s str,
    /// Where it is spoken to.
    pub(super) endpoint: &'s str,
    /// Its region.
    pub(super) region: &'s str,
}

impl Remote<'_> {
    /// Opens it, with parts on their way gathered in `spool`. Nothing is asked of it.
    ///
    /// # Errors
    /// [`Error::Settings`] for what cannot be.
    pub(super) fn open(
        &self,
        handle: &Handle,
        spool: &Path,
        options: BucketOptions,
    ) -> Result<Bucket, Error> {
        let credentials = Credentials::read(self.setting, self.credentials_file)?;
        let mut chosen: Vec<(&str, &str)> = Vec::new();
        for (name, value) in [("endpoint", self.endpoint), ("region", self.region)] {
            if !value.is_empty() {
                chosen.push((name, value));
            }
        }
        if let Some(credentials) = &credentials {
            chosen.extend(credentials.0.iter().map(|(name, value)| (*name, value.as_str())));
        }
        let opened = open_url(self.location, chosen, handle.clone(), spool, options);
        opened.map_err(|error| Error::Settings(format!("{} {}: {error}", self.setting, self.name)))
    }
}

/// Names and values, of which no form is printed.
struct Credentials(Vec<(&'static str, Zeroizing<String>)>);

/// What a file of credentials has, by the names that requests know.
const CREDENTIALS: [(&str, &str); 3] = [
    ("access_key_id", "access_key_id"),
    ("secret_access_key", "secret_access_key"),
    ("session_token", "token"),
];

impl Credentials {
    fn read(setting: &str, path: &str) -> Result<Option<Credentials>, Error> {
        if path.is_empty() {
            return Ok(None);
        }
        let wrong = |why: &str| Error::Settings(format!("{setting}.credentials_file {path}: {why}"));
        let unread = |error: std::io::Error| wrong(&error.to_string());
        if std::fs::metadata(path).map_err(unread)?.mode() & 0o007 != 0 {
            return Err(wrong("everybody on this machine may use it; close it (chmod 600)"));
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unread)?);
        // The crate's own words would repeat the line that they are about.
        let form = || wrong("it needs lines of the form access_key_id = \"…\" and secret_access_key = \"…\"");
        let table: toml::Table = text.parse().map_err(|_| form())?;
        let mut found = Vec::new();
        for (name, value) in table {
            let known = CREDENTIALS.iter().find(|(known, _)| *known == name).ok_or_else(form)?;
            let toml::Value::String(value) = value else { return Err(form()) };
            found.push((known.1, Zeroizing::new(value)));
        }
        let has = |wanted: &str| found.iter().any(|(name, _)| *name == wanted);
        if !has("access_key_id") || !has("secret_access_key") {
            return Err(form());
        }
        Ok(Some(Credentials(found)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn credentials_are_read_from_a_closed_file_and_never_repeated() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("keys");
        let of_file = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            Credentials::read("exchange", path.to_str().unwrap())
        };
        let good = "access_key_id = \"me\"\nsecret_access_key = \"hush\"\n";
        assert_eq!(of_file(good, 0o600).unwrap().unwrap().0.len(), 2);
        for (text, mode) in [
            (good, 0o644),
            ("access_key_id = \"me\"", 0o600),
            ("access_key_id = \"me\"\nsecret_acess_key = \"hush\"", 0o600),
            ("secret_access_key = hush", 0o600),
        ] {
            let error = of_file(text, mode).err().unwrap().to_string();
            assert!(!error.contains("hush") && error.contains("credentials_file"), "{error}");
        }
    }
}
