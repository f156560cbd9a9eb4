//! The store's keys as its other parts and its administrators use them.
//!
//! Invariant: a domain's key is asked for each time it is used, so that what was changed of the ring
//! counts at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Store;
use super::error::Error;
use super::events::EventKind;
use super::keyring::{KeyError, Keys, MasterKey, RingStatus};
use super::realm::Scope;
use super::rows::{self, CONTENTS, ContentRow};
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

    /// A scope inside the key domain of `owner`, which is made where there is none; the scope as it
    /// is in a plain store. Blocks on the medium.
    ///
    /// # Errors
    /// [`Error::Key`] when the ring cannot be changed.
    pub fn sealed_for(&self, owner: Scope, scope: Scope) -> Result<Scope, Error> {
        let Some(keys) = &self.inner.keys else { return Ok(scope) };
        let domain = keys.domain_for(&*self.inner.objects, owner.owner(), &*self.inner.entropy)?;
        Ok(scope.in_domain(domain))
    }

    /// Deletes the keys of a domain: what they sealed is lost for good, and nothing else is. Reads
    /// under way may end first.
    ///
    /// # Errors
    /// [`Error::Key`]; after [`KeyError::OlderRemains`] it can be repeated.
    pub fn erase_domain(&self, domain: u32) -> Result<(), Error> {
        let erased = self.keys()?.erase(&*self.inner.objects, domain, &*self.inner.entropy);
        if matches!(self.key(domain), Err(Error::Key(KeyError::Revoked(_)))) {
            self.inner.index.forget_domain(domain);
            self.inner.layouts.clear();
            self.inner.frames.clear();
            let detail = format!("domain {domain} was erased: what it sealed cannot be read any more");
            self.record(EventKind::KeysChanged, "the key ring", detail, Vec::new());
        }
        Ok(erased?)
    }

    /// How many published streams each key domain has, by number.
    ///
    /// # Errors
    /// When the database fails.
    pub fn contents_by_domain(&self) -> Result<BTreeMap<u32, u64>, Error> {
        let mut counts = BTreeMap::new();
        rows::each(&self.inner.db.read()?, &CONTENTS, |_, row: ContentRow| {
            *counts.entry(row.domain).or_default() += 1;
            Ok(())
        })?;
        Ok(counts)
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
        let rotated = self.keys()?.rotate(&*self.inner.objects, new, &*self.inner.entropy);
        if let Ok(version) | Err(KeyError::OlderRemains { version, .. }) = &rotated {
            let detail = format!("version {version}: it is under another master key now");
            self.record(EventKind::KeysChanged, "the key ring", detail, Vec::new());
        }
        Ok(rotated?)
    }

    fn keys(&self) -> Result<&Keys, Error> {
        Ok(self.inner.keys.as_ref().ok_or(KeyError::Plain)?)
    }
}
