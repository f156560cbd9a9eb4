//! The store's keys as its other parts and its administrators use them.
//!
//! Invariant: a domain's key is asked for each time it is used, so that what was changed of the ring
//! counts at once.

use std::sync::Arc;

use super::Store;
use super::error::Error;
use super::keyring::{KeyError, Keys, MasterKey, RingStatus};
use super::seal::DomainKey;

impl Store {
    /// The keys of a domain; `None` for the plain one.
    pub(super) fn key(&self, domain: u32) -> Result<Option<Arc<DomainKey>>, Error> {
        if domain == 0 {
            return Ok(None);
        }
        let keys = self.inner.keys.as_ref().ok_or(KeyError::Unknown(domain))?;
        Ok(Some(keys.domain(domain)?))
    }

    /// How the key ring is kept.
    ///
    /// # Errors
    /// [`Error::Key`] in a plain store, or when the medium fails.
    pub fn ring_status(&self) -> Result<RingStatus, Error> {
        Ok(self.keys()?.status(&*self.inner.objects)?)
    }

    /// The key ring as it is stored: worth nothing without the master key, and what a lost ring is
    /// restored from.
    ///
    /// # Errors
    /// [`Error::Key`] in a plain store.
    pub fn ring_backup(&self) -> Result<Vec<u8>, Error> {
        Ok(self.keys()?.backup())
    }

    /// Puts the key ring under another master key, which opens the store from now on; gives the
    /// ring's new version. Nothing that is stored is sealed again.
    ///
    /// # Errors
    /// [`Error::Key`]: but for [`KeyError::OlderRemains`] the old key stays in force, though until
    /// the next start the new one may open the store too.
    pub fn rotate_master(&self, new: MasterKey) -> Result<u32, Error> {
        Ok(self.keys()?.rotate(&*self.inner.objects, new, &*self.inner.entropy)?)
    }

    fn keys(&self) -> Result<&Keys, Error> {
        Ok(self.inner.keys.as_ref().ok_or(KeyError::Plain)?)
    }
}
