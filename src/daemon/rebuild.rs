//! Makes a lost catalog anew from the store alone.
//!
//! Invariants: the new catalog gets its name in one durable step, when it is whole; a catalog that is
//! there is never touched; and nothing in the store is changed.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::compose;
use super::data_dir::DataDir;
use super::error::Error;
use super::master_key;
use super::medium;
use super::places;
use super::settings::Settings;
use crate::base::{OsEntropy, SystemClock};
use crate::service::rebuild::{self as catalog, Rebuilt};
use crate::store::{self, Store, Tell, Vault};

/// Rebuilds the catalog of the box that the settings name; gives its file and what is to be known
/// of it.
///
/// # Errors
/// [`Error::CatalogThere`], [`Error::InUse`], [`Error::Locked`], or why the store does not tell
/// enough.
pub fn rebuild(settings: &Settings, tell: &mut Tell<'_>) -> Result<(PathBuf, Rebuilt), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Error::Process)?;
    expect_store(settings)?;
    let dir = DataDir::create(&settings.server.data)?;
    dir.claim_rebuild()?;
    if dir.catalog().exists() {
        return Err(Error::CatalogThere(dir.catalog()));
    }
    dir.discard_unfinished_catalog()?;
    let filled = fill(settings, &dir, runtime.handle(), tell);
    let adopted = filled.and_then(|rebuilt| dir.adopt_catalog().map(|()| rebuilt));
    if adopted.is_err() {
        // What is left of it is worth nothing; the failure matters more than that it may stay, as the
        // next try removes it too.
        let _ = dir.discard_unfinished_catalog();
    }
    adopted.map(|rebuilt| (dir.catalog(), rebuilt))
}

/// Refuses a folder that holds no store, before anything is made there.
fn expect_store(settings: &Settings) -> Result<(), Error> {
    if medium::folder(settings).is_some_and(|folder| !folder.is_dir()) {
        return Err(store::Error::Absent.into());
    }
    Ok(())
}

/// Makes the catalog under its temporary name; it is durable when this returns.
fn fill(settings: &Settings, dir: &DataDir, handle: &Handle, tell: &mut Tell<'_>) -> Result<Rebuilt, Error> {
    let master = master_key::read(settings)?;
    let medium = medium::open(settings, dir, handle, medium::Purpose::Read)?;
    let vault = Vault::open(medium.objects, master.as_ref())?.ok_or(store::Error::Absent)?;
    let vault = vault.with_places(places::open(settings, dir, handle, medium::Purpose::Read)?);
    let path = dir.unfinished_catalog();
    let db = compose::catalog(dir, &path, compose::claim(dir, &path)?, &vault, settings)?;
    let options = compose::store_options(settings);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    let store = Store::open_lost_in(db.clone(), vault, options, clock, entropy)?;
    let rebuilt = catalog::rebuild(&db, &store, tell)?;
    drop(store);
    db.close().map_err(|cause| Error::Catalog { path, cause })?;
    Ok(rebuilt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::init::init;

    fn settings(outer: &tempfile::TempDir) -> Settings {
        let mut settings = Settings::default();
        settings.server.data = outer.path().join("data");
        settings.store.key_file = outer.path().join("key").to_str().unwrap().to_owned();
        settings
    }

    /// A sealed box whose catalog is lost.
    fn lost(outer: &tempfile::TempDir) -> (Settings, DataDir) {
        let settings = settings(outer);
        let dir = init(&settings, true).unwrap().dir;
        std::fs::remove_file(dir.catalog()).unwrap();
        (settings, dir)
    }

    fn files(dir: &DataDir) -> Vec<String> {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn p8_a_lost_catalog_is_made_anew_and_serves_at_once() {
        let outer = tempfile::tempdir().unwrap();
        let (settings, dir) = lost(&outer);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let refused = compose::open(&settings, runtime.handle()).err().unwrap();
        assert!(
            matches!(refused, Error::CatalogLost(_)) && refused.to_string().contains("rebuild"),
            "{refused}"
        );
        // What an earlier try left when it was cut off.
        std::fs::write(dir.unfinished_catalog(), b"half").unwrap();
        let (catalog, rebuilt) = rebuild(&settings, &mut |_, _| ()).unwrap();
        assert_eq!(catalog, dir.catalog());
        assert_eq!((rebuilt.images, rebuilt.users), (0, 1));
        assert_eq!(files(&dir), ["admin-password", "catalog.redb", "clouds.yaml", "store"]);
        let again = rebuild(&settings, &mut |_, _| ());
        assert!(matches!(again, Err(Error::CatalogThere(path)) if path == dir.catalog()));
        let parts = compose::open(&settings, runtime.handle()).unwrap();
        assert!(!parts.fresh);
        parts.settle();
        parts.close().1.unwrap();
    }

    #[test]
    fn a_rebuild_that_fails_leaves_nothing_behind() {
        let outer = tempfile::tempdir().unwrap();
        let (mut settings, dir) = lost(&outer);
        let before = files(&dir);
        settings.store.key_file.clear();
        assert!(matches!(rebuild(&settings, &mut |_, _| ()), Err(Error::Locked(store::KeyError::Absent))));
        std::fs::write(outer.path().join("other"), "ab".repeat(32)).unwrap();
        settings.store.key_file = outer.path().join("other").to_str().unwrap().to_owned();
        let wrong = rebuild(&settings, &mut |_, _| ());
        assert!(matches!(wrong, Err(Error::Locked(store::KeyError::Wrong { .. }))));
        assert_eq!(files(&dir), before);
    }

    #[test]
    fn a_folder_without_a_store_stays_as_it_is() {
        let outer = tempfile::tempdir().unwrap();
        let refused = rebuild(&settings(&outer), &mut |_, _| ());
        assert!(matches!(refused, Err(Error::Store(store::Error::Absent))));
        assert!(!outer.path().join("data").exists());
    }

    #[test]
    fn one_rebuilds_at_a_time_and_never_under_a_server() {
        let outer = tempfile::tempdir().unwrap();
        let (settings, dir) = lost(&outer);
        dir.claim_rebuild().unwrap();
        assert!(matches!(rebuild(&settings, &mut |_, _| ()), Err(Error::InUse(_))));
        let (control, again) = (dir.control_socket(), DataDir::open(dir.path()).unwrap());
        drop(dir);
        let server = std::os::unix::net::UnixListener::bind(control).unwrap();
        assert!(matches!(rebuild(&settings, &mut |_, _| ()), Err(Error::InUse(_))));
        drop(server);
        rebuild(&settings, &mut |_, _| ()).unwrap();
        drop(again);
    }

    #[test]
    fn a_catalog_that_came_meanwhile_is_left_alone() {
        let outer = tempfile::tempdir().unwrap();
        let (_, dir) = lost(&outer);
        std::fs::write(dir.unfinished_catalog(), b"new").unwrap();
        std::fs::write(dir.catalog(), b"put back").unwrap();
        assert!(matches!(dir.adopt_catalog(), Err(Error::CatalogThere(_))));
        assert_eq!(std::fs::read(dir.catalog()).unwrap(), b"put back");
    }
}
