//! Opens the buckets that images are exchanged through: directories, and parts of S3 buckets.
//!
//! Invariants: nothing that the box keeps for itself can be named through one; where a bucket is and what opens it is
//! for [`super::remote`] to say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::data_dir::DataDir;
use super::error::Error;
use super::medium;
#[cfg(feature = "buckets")]
use super::remote::Remote;
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
    let places = settings.place.iter().filter(|place| place.location.starts_with('/'));
    let places = places.map(|place| Some(PathBuf::from(&place.location)));
    let own: Vec<Option<PathBuf>> =
        [Some(settings.server.data.clone()), medium::folder(settings)].into_iter().chain(places).collect();
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
    let asked = Remote {
        setting: "exchange",
        name: &bucket.name,
        location: &bucket.location,
        credentials_file: &bucket.credentials_file,
        endpoint: &bucket.endpoint,
        region: &bucket.region,
    };
    let spool = dir.bucket(&settings.bucket.local_dir).join(format!("exchange-{number}"));
    let options = crate::objects::BucketOptions {
        conditional_puts: bucket.conditional_puts,
        ..medium::bucket_options(settings)
    };
    let opened = asked.open(handle, &spool, options)?;
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

#[cfg(test)]
mod tests {
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
}
