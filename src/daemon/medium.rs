//! Opens what image data lies on: a directory, or a bucket with what it needs on local disk.
//!
//! Invariant: a bucket that is written to lies behind an entrance, which the store opens once it has recognised
//! the bucket and that has shown that it can do what is relied on; its memory comes out of
//! `store.memory_bytes`, as the store's own does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(feature = "buckets")]
use std::time::Duration;

use tokio::runtime::Handle;

use super::data_dir::DataDir;
#[cfg(feature = "buckets")]
use super::memory;
use super::settings::Settings;
#[cfg(feature = "buckets")]
use crate::objects::{Bucket, BucketOptions, Cached, Probe, open_url};
use crate::objects::{CopySource, Entrance, Error, Native, Objects, WithCopies};
use crate::store;

/// How long the start of a box that was set up waits for its bucket before it goes on without it.
#[cfg(feature = "buckets")]
pub(super) const START_PATIENCE: Duration = Duration::from_secs(3);

/// What a medium is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be written to.
    Serve,
    /// To be looked at: nothing is tried out on it, and nothing stands before it.
    Read,
}

/// A medium as the store is to use it.
pub(super) struct Medium {
    /// What is used; refuses everything until the entrance is open, where there is one.
    pub(super) objects: Arc<dyn Objects>,
    /// The way to a bucket that may be written to.
    pub(super) entrance: Option<Entrance>,
}

impl Medium {
    /// The medium itself, whatever stands before it.
    pub(super) fn ground(&self) -> &Arc<dyn Objects> {
        self.entrance.as_ref().map_or(&self.objects, Entrance::medium)
    }

    /// Tries what the store relies on, where that is not known.
    ///
    /// # Errors
    /// What the medium lacks, or its failure.
    pub(super) fn try_out(&self) -> Result<(), super::error::Error> {
        let tried = self.entrance.as_ref().map_or(Ok(()), Entrance::try_out);
        tried.map_err(|error| store::Error::from(error).into())
    }
}

impl From<Arc<dyn Objects>> for Medium {
    fn from(objects: Arc<dyn Objects>) -> Medium {
        Medium { objects, entrance: None }
    }
}

/// The medium that the settings name, with the copies of it that they name. Nothing is asked of a bucket.
///
/// # Errors
/// When the medium does not open, or a copy is the store itself.
pub(super) fn open(
    settings: &Settings,
    dir: &DataDir,
    handle: &Handle,
    purpose: Purpose,
) -> Result<Medium, super::error::Error> {
    let own = folder(settings);
    let is_own = |place: &&String| own.as_ref().is_some_and(|own| is_same(own, Path::new(place)));
    if let Some(place) = settings.repair.copies.iter().find(is_own) {
        let text = format!("repair.copies: {place} is the store itself; name a copy of it");
        return Err(super::error::Error::Settings(text));
    }
    let opened = || {
        let places = settings.repair.copies.iter().enumerate();
        let copies = places.map(|(number, place)| copy(settings, dir, handle, number, place));
        let copies = copies.collect::<Result<Vec<_>, Error>>()?;
        match own {
            Some(folder) => Ok(with_copies(Arc::new(Native::open(folder)?), &copies).into()),
            None => bucket(settings, dir, handle, purpose, &copies),
        }
    };
    opened().map_err(|error: Error| store::Error::from(error).into())
}

fn with_copies(medium: Arc<dyn Objects>, copies: &[CopySource]) -> Arc<dyn Objects> {
    if copies.is_empty() { medium } else { Arc::new(WithCopies::new(medium, copies.to_vec())) }
}

/// A place that holds copies. Whether it is there is found out when it is needed.
fn copy(
    settings: &Settings,
    dir: &DataDir,
    handle: &Handle,
    number: usize,
    place: &str,
) -> Result<CopySource, Error> {
    match place.starts_with("s3://") {
        true => bucket_copy(settings, dir, handle, number, place),
        false => Ok(CopySource::folder(place.into())),
    }
}

/// Whether two paths lead to one folder, as far as both are there.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
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

/// How requests to buckets are made.
#[cfg(feature = "buckets")]
pub(super) fn bucket_options(settings: &Settings) -> BucketOptions {
    let chosen = &settings.bucket;
    BucketOptions {
        connect_timeout: Duration::from_secs(chosen.connect_timeout_s),
        request_timeout: Duration::from_secs(chosen.request_timeout_s),
        patience: Duration::from_secs(chosen.operation_timeout_s),
        first_patience: Duration::from_secs(chosen.operation_timeout_s),
        requests_max: chosen.requests_max,
        part_bytes: chosen.part_bytes as usize,
        sending_bytes: memory::divide(settings).sending,
        spool_bytes: chosen.spool_bytes,
        reserve_bytes: settings.store.reserve_bytes,
        conditional_puts: chosen.conditional_puts,
    }
}

#[cfg(feature = "buckets")]
fn bucket(
    settings: &Settings,
    dir: &DataDir,
    handle: &Handle,
    purpose: Purpose,
    copies: &[CopySource],
) -> Result<Medium, Error> {
    let (chosen, place) = (&settings.bucket, &settings.store.location);
    let local = dir.bucket(&chosen.local_dir);
    let goes_without = purpose == Purpose::Serve && DataDir::is_set_up(dir.path());
    let mut options = bucket_options(settings);
    if goes_without {
        options.first_patience = START_PATIENCE;
    }
    let bucket = Arc::new(open_url(place, [], handle.clone(), &local.join("spool"), options)?);
    let ground = with_copies(bucket.clone(), copies);
    let (entrance, near): (_, Arc<dyn Objects>) = match purpose {
        Purpose::Read => (None, bucket),
        Purpose::Serve => {
            let probe = if goes_without { Probe::Quick } else { Probe::Whole };
            let entrance = Entrance::new(ground, place.clone(), Box::new(move || try_out(&bucket, probe)));
            let guarded = entrance.guarded();
            (Some(entrance), guarded)
        }
    };
    if chosen.cache_bytes == 0 {
        return Ok(Medium { objects: with_copies(near, copies), entrance });
    }
    let (folder, reserve) = (local.join("cache"), settings.store.reserve_bytes);
    let cached = Cached::open(near, &folder, chosen.cache_bytes, reserve)?;
    Ok(Medium { objects: with_copies(Arc::new(cached), copies), entrance })
}

/// Tries a bucket, and says what is no reason to refuse it.
#[cfg(feature = "buckets")]
pub(super) fn try_out(bucket: &Bucket, probe: Probe) -> Result<(), Error> {
    if !bucket.probe(probe)?.decides_races {
        tracing::warn!(
            "the bucket took several creates of one name at the same time: it looks whether a name is taken, and then \
             writes. That is safe for one box; never let another process write below this prefix, such as a \
             copy of this box"
        );
    }
    Ok(())
}

/// A bucket that is only read: nothing is tried out on it, and its spool stays empty.
#[cfg(feature = "buckets")]
fn bucket_copy(
    settings: &Settings,
    dir: &DataDir,
    handle: &Handle,
    number: usize,
    place: &str,
) -> Result<CopySource, Error> {
    let spool = dir.bucket(&settings.bucket.local_dir).join(format!("copy-{number}"));
    let bucket = open_url(place, [], handle.clone(), &spool, bucket_options(settings))?;
    Ok(CopySource::medium(place.to_owned(), Arc::new(bucket)))
}

#[cfg(not(feature = "buckets"))]
fn bucket(
    settings: &Settings,
    _: &DataDir,
    _: &Handle,
    _: Purpose,
    _: &[CopySource],
) -> Result<Medium, Error> {
    Err(unsupported(&settings.store.location))
}

#[cfg(not(feature = "buckets"))]
fn bucket_copy(_: &Settings, _: &DataDir, _: &Handle, _: usize, place: &str) -> Result<CopySource, Error> {
    Err(unsupported(place))
}

#[cfg(not(feature = "buckets"))]
fn unsupported(place: &str) -> Error {
    Error::Invalid(format!("{place}: this build has no support for buckets"))
}

#[cfg(all(test, feature = "buckets"))]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_of_a_bucket_that_is_only_to_be_read_and_none_of_copies() {
        let outer = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.server.data = outer.path().join("data");
        // Nobody answers there.
        settings.store.location = "s3://bucket-of-nobody.invalid/box".into();
        settings.repair.copies = vec!["s3://another.invalid/box".into(), "/never/mounted".into()];
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let dir = DataDir::create(&settings.server.data).unwrap();
        let medium = open(&settings, &dir, runtime.handle(), Purpose::Read).unwrap().objects;
        let names: Vec<&str> = medium.copies().iter().map(CopySource::name).collect();
        assert_eq!(names, ["s3://another.invalid/box", "/never/mounted"]);
        assert_eq!(medium.traffic().map(|traffic| traffic.requests), Some(0));
    }

    #[test]
    fn a_store_is_no_copy_of_itself() {
        let outer = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.server.data = outer.path().join("data");
        let dir = DataDir::create(&settings.server.data).unwrap();
        let own = DataDir::store(&settings.server.data);
        std::fs::create_dir(&own).unwrap();
        std::os::unix::fs::symlink(&own, outer.path().join("other-name")).unwrap();
        settings.repair.copies = vec![outer.path().join("other-name").to_str().unwrap().to_owned()];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let refused = open(&settings, &dir, runtime.handle(), Purpose::Serve).err().unwrap();
        assert!(refused.to_string().starts_with("repair.copies: "), "{refused}");
    }
}
