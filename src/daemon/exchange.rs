//! Opens the buckets that images are exchanged through: directories, and parts of S3 buckets.
//!
//! Invariants: nothing that the box keeps for itself can be named through one; secrets come from a file or the
//! environment, and are in no message.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::data_dir::DataDir;
use super::error::Error;
use super::medium;
use super::settings::Settings;
use crate::objects::exchange::{Exchange, Folder};
use crate::service::images::{Buckets, SharedBucket};

/// Buckets there may be.
const BUCKETS_MAX: usize = 64;

/// A bucket that images are exchanged through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExchangeBucket {
    /// What callers write before the colon: letters, digits, `.`, `-` and `_`.
    pub name: String,
    /// An absolute path, or `s3://BUCKET/PREFIX`.
    pub location: String,
    /// Projects that may import from it: ids, names in the domain Default, or `*`.
    pub read: Vec<String>,
    /// Projects that may export to it.
    pub write: Vec<String>,
    /// Whether its folders are backups of machines, each with a `machine.json`.
    pub backups: bool,
    /// File with the credentials of an S3 bucket; empty for those of the environment.
    pub credentials_file: String,
    /// Where an S3 bucket is spoken to; empty for what the environment says.
    pub endpoint: String,
    /// Its region; empty for what the environment says.
    pub region: String,
    /// Whether it refuses to overwrite when asked to.
    pub conditional_puts: bool,
}

impl Default for ExchangeBucket {
    fn default() -> Self {
        ExchangeBucket {
            name: String::new(),
            location: String::new(),
            read: Vec::new(),
            write: Vec::new(),
            backups: false,
            credentials_file: String::new(),
            endpoint: String::new(),
            region: String::new(),
            conditional_puts: true,
        }
    }
}

/// Refuses buckets that are named wrongly or twice, or lie nowhere.
pub(super) fn check(buckets: &[ExchangeBucket]) -> Result<(), String> {
    if buckets.len() > BUCKETS_MAX {
        return Err(format!("exchange: {} buckets are too many, it takes {BUCKETS_MAX}", buckets.len()));
    }
    for (number, bucket) in buckets.iter().enumerate() {
        let name = &bucket.name;
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if name.is_empty() || name.len() > 63 || !name.bytes().all(is_good) {
            return Err(format!(
                "exchange.name: \"{name}\" is no name of a bucket: 1 to 63 letters, digits, '.', '-' and '_'"
            ));
        }
        if buckets[..number].iter().any(|other| other.name == *name) {
            return Err(format!("exchange.name: \"{name}\" is there twice"));
        }
        let is_s3 = bucket.location.starts_with("s3://");
        if !is_s3 && !bucket.location.starts_with('/') {
            return Err(format!(
                "exchange.location: \"{}\" of {name} is neither an absolute path nor s3://BUCKET/PREFIX",
                bucket.location
            ));
        }
        let of_s3 = [&bucket.credentials_file, &bucket.endpoint, &bucket.region];
        if !is_s3 && of_s3.iter().any(|text| !text.is_empty()) {
            return Err(format!(
                "exchange: {name} is a directory: credentials_file, endpoint and region are for s3://BUCKET/PREFIX"
            ));
        }
    }
    Ok(())
}

/// Opens all that the settings name. Nothing is asked of any.
pub(super) fn open(settings: &Settings, dir: &DataDir, handle: &Handle) -> Result<Buckets, Error> {
    let opened = settings.exchange.iter().enumerate().map(|(number, bucket)| {
        let medium = match bucket.location.starts_with("s3://") {
            true => remote(settings, dir, handle, number, bucket)?,
            false => folder(settings, bucket)?,
        };
        Ok(SharedBucket {
            name: bucket.name.clone(),
            readers: bucket.read.clone(),
            writers: bucket.write.clone(),
            backups: bucket.backups,
            medium,
        })
    });
    Ok(Buckets::new(opened.collect::<Result<Vec<_>, Error>>()?))
}

fn folder(settings: &Settings, bucket: &ExchangeBucket) -> Result<Arc<dyn Exchange>, Error> {
    let own = [Some(settings.server.data.clone()), medium::folder(settings)];
    if own.iter().flatten().any(|own| overlap(own, Path::new(&bucket.location))) {
        let ExchangeBucket { name, location, .. } = bucket;
        let text = format!(
            "exchange.location: {location} of {name} lies where the box keeps its own data; give it a directory of its own"
        );
        return Err(Error::Settings(text));
    }
    if !Path::new(&bucket.location).is_dir() {
        let (bucket, location) = (&bucket.name, &bucket.location);
        tracing::warn!(
            bucket,
            location,
            "a bucket's directory is not there; it is looked for again when it is used"
        );
    }
    Ok(Arc::new(Folder::new(&bucket.location)))
}

/// Whether one of two folders is in the other.
fn overlap(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| -> PathBuf {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        absolute.canonicalize().unwrap_or(absolute)
    };
    let (one, other) = (real(one), real(other));
    one.starts_with(&other) || other.starts_with(&one)
}

#[cfg(feature = "buckets")]
fn remote(
    settings: &Settings,
    dir: &DataDir,
    handle: &Handle,
    number: usize,
    bucket: &ExchangeBucket,
) -> Result<Arc<dyn Exchange>, Error> {
    use crate::objects::exchange::BucketExchange;
    let credentials = Credentials::read(bucket)?;
    let mut chosen: Vec<(&str, &str)> = Vec::new();
    for (name, value) in [("endpoint", &bucket.endpoint), ("region", &bucket.region)] {
        if !value.is_empty() {
            chosen.push((name, value));
        }
    }
    if let Some(credentials) = &credentials {
        chosen.extend(credentials.0.iter().map(|(name, value)| (*name, value.as_str())));
    }
    let spool = dir.bucket(&settings.bucket.local_dir).join(format!("exchange-{number}"));
    let options = crate::objects::BucketOptions {
        conditional_puts: bucket.conditional_puts,
        ..medium::bucket_options(settings)
    };
    let opened = crate::objects::open_url(&bucket.location, chosen, handle.clone(), &spool, options);
    let opened = opened.map_err(|error| Error::Settings(format!("exchange {}: {error}", bucket.name)))?;
    Ok(Arc::new(BucketExchange::new(opened)))
}

#[cfg(not(feature = "buckets"))]
fn remote(
    _: &Settings,
    _: &DataDir,
    _: &Handle,
    _: usize,
    bucket: &ExchangeBucket,
) -> Result<Arc<dyn Exchange>, Error> {
    Err(Error::Settings(format!("exchange {}: this build has no support for S3 buckets", bucket.name)))
}

/// Names and values, of which no form is printed.
#[cfg_attr(not(feature = "buckets"), allow(dead_code))]
struct Credentials(Vec<(&'static str, Zeroizing<String>)>);

/// What a file of credentials has, by the names that requests know.
const CREDENTIALS: [(&str, &str); 3] = [
    ("access_key_id", "access_key_id"),
    ("secret_access_key", "secret_access_key"),
    ("session_token", "token"),
];

impl Credentials {
    #[cfg_attr(not(feature = "buckets"), allow(dead_code))]
    fn read(bucket: &ExchangeBucket) -> Result<Option<Credentials>, Error> {
        if bucket.credentials_file.is_empty() {
            return Ok(None);
        }
        let path = &bucket.credentials_file;
        let wrong = |why: &str| Error::Settings(format!("exchange.credentials_file {path}: {why}"));
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

    fn bucket(name: &str, location: &str) -> ExchangeBucket {
        ExchangeBucket { name: name.into(), location: location.into(), ..ExchangeBucket::default() }
    }

    #[test]
    fn buckets_are_named_once_and_lie_somewhere() {
        check(&[bucket("a", "/srv/a"), bucket("A.b-c_1", "s3://b/p")]).unwrap();
        for (buckets, wanted) in [
            (vec![bucket("", "/a")], "exchange.name"),
            (vec![bucket("a:b", "/a")], "exchange.name"),
            (vec![bucket("a", "/a"), bucket("a", "/b")], "twice"),
            (vec![bucket("a", "srv")], "exchange.location"),
            (vec![ExchangeBucket { region: "r".into(), ..bucket("a", "/a") }], "is a directory"),
        ] {
            assert!(check(&buckets).unwrap_err().contains(wanted), "{buckets:?}");
        }
    }

    #[test]
    fn p7_nothing_that_the_box_keeps_is_in_a_bucket() {
        let outer = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.server.data = outer.path().join("data");
        std::fs::create_dir(&settings.server.data).unwrap();
        std::os::unix::fs::symlink(&settings.server.data, outer.path().join("link")).unwrap();
        let refused = |location: &Path| folder(&settings, &bucket("a", location.to_str().unwrap())).is_err();
        for location in ["data", "data/store", "link", "data/../data/x", ""] {
            assert!(refused(&outer.path().join(location)), "{location}");
        }
        assert!(!refused(&outer.path().join("other")));
    }

    #[test]
    fn credentials_are_read_from_a_closed_file_and_never_repeated() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("keys");
        let of_file = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let credentials_file = path.to_str().unwrap().to_owned();
            Credentials::read(&ExchangeBucket { credentials_file, ..bucket("a", "s3://b") })
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
