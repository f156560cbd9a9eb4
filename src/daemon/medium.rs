//! Opens what image data lies on: a directory, or a bucket with what it needs on local disk.
//!
//! Invariant: a bucket is given to the store only after it has shown that it can do what the store
//! relies on, and its memory comes out of `store.memory_bytes`, as the store's own does.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::data_dir::DataDir;
#[cfg(feature = "buckets")]
use super::memory;
use super::settings::Settings;
use crate::objects::{Error, Native, Objects};

/// The medium that the settings name.
pub(super) fn open(settings: &Settings, dir: &DataDir, handle: &Handle) -> Result<Arc<dyn Objects>, Error> {
    match folder(settings) {
        Some(folder) => Ok(Arc::new(Native::open(folder)?)),
        None => bucket(settings, dir, handle),
    }
}

/// The folder that image data lies in; `None` where it lies in a bucket.
pub(super) fn folder(settings: &Settings) -> Option<PathBuf> {
    match settings.store.location.as_str() {
        _ if is_bucket(settings) => None,
        "" => Some(DataDir::store(&settings.server.data)),
        location => Some(location.into()),
    }
}

/// Whether image data lies in a bucket.
pub(super) fn is_bucket(settings: &Settings) -> bool {
    settings.store.location.starts_with("s3://")
}

#[cfg(feature = "buckets")]
fn bucket(settings: &Settings, dir: &DataDir, handle: &Handle) -> Result<Arc<dyn Objects>, Error> {
    use std::time::Duration;

    use crate::objects::{BucketOptions, Cached, Probe, open_url};

    let chosen = &settings.bucket;
    let options = BucketOptions {
        connect_timeout: Duration::from_secs(chosen.connect_timeout_s),
        request_timeout: Duration::from_secs(chosen.request_timeout_s),
        patience: Duration::from_secs(chosen.operation_timeout_s),
        requests_max: chosen.requests_max,
        part_bytes: chosen.part_bytes as usize,
        sending_bytes: memory::divide(settings).sending,
        spool_bytes: chosen.spool_bytes,
        reserve_bytes: settings.store.reserve_bytes,
        conditional_puts: chosen.conditional_puts,
    };
    let local = dir.bucket(&chosen.local_dir);
    let bucket = open_url(&settings.store.location, [], handle.clone(), &local.join("spool"), options)?;
    bucket.probe(if DataDir::is_set_up(dir.path()) { Probe::Quick } else { Probe::Whole })?;
    if chosen.cache_bytes == 0 {
        return Ok(Arc::new(bucket));
    }
    let (folder, reserve) = (local.join("cache"), settings.store.reserve_bytes);
    Ok(Arc::new(Cached::open(Arc::new(bucket), &folder, chosen.cache_bytes, reserve)?))
}

#[cfg(not(feature = "buckets"))]
fn bucket(settings: &Settings, _: &DataDir, _: &Handle) -> Result<Arc<dyn Objects>, Error> {
    Err(Error::Invalid(format!("{}: this build has no support for buckets", settings.store.location)))
}
