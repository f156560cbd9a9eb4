//! Putting a lost key ring back: the one work on keys that no open box can do.
//!
//! Invariant: nobody else has the box meanwhile, if there is one.

use super::compose;
use super::data_dir::DataDir;
use super::error::Error;
use super::master_key;
use super::medium;
use super::settings::Settings;
use crate::db::CatalogFile;
use crate::store::Vault;

/// Restores the key ring of the box's store from a backup, and tries the master key on it where one
/// is given; gives the ring's version.
///
/// # Errors
/// When a server runs on it, the ring is not lost, or this is no backup of it.
pub fn restore(settings: &Settings, backup: &[u8]) -> Result<u32, Error> {
    let dir = DataDir::open(&settings.server.data)?;
    // A catalog may be lost as well.
    let _claim = dir
        .catalog()
        .exists()
        .then(|| CatalogFile::claim(&dir.catalog()))
        .transpose()
        .map_err(|cause| compose::catalog_error(&dir, &dir.catalog(), cause))?;
    let master = master_key::read(settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Error::Process)?;
    // The backup names its store, and is compared with the header before anything is written.
    let medium = medium::open(settings, &dir, runtime.handle(), medium::Purpose::Read)?;
    Ok(Vault::restore_ring(&**medium.ground(), backup, master.as_ref())?)
}
