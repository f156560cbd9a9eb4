//! The store's keys as its other parts and its administrators use them.
//!
//! Invariant: a domain's key is asked for each time it is used, so that what was changed of the ring
//! counts at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Store;
use super::error::Error;
use super::events::EventKind;
use super::format::Header;
use super::keyring::{DomainStatus, KeyError, Keys, MasterKey, RingStatus};
use super::pins::Held;
use super::realm::Scope;
use super::rows::{self, CONTENTS, ContentRow, PACKS, PackRow};
use super::seal::DomainKey;

impl Store {
    /// The key that an object was sealed with; `None` where it is plain.
    pub(super) fn key_of(&self, header: &Header) -> Result<Option<Arc<DomainKey>>, Error> {
        if header.domain == 0 {
            return Ok(None);
        }
        Ok(Some(self.ring(header.domain)?.key(header.domain, header.key_version)?))
    }

    /// The version and the key that new objects of a domain are sealed with; `None` in the plain one.
    pub(super) fn newest_key(&self, domain: u32) -> Result<(u32, Option<Arc<DomainKey>>), Error> {
        if domain == 0 {
            return Ok((0, None));
        }
        let newest = self.ring(domain)?.newest(domain)?;
        Ok((newest.version, Some(newest.key)))
    }

    /// Refuses what belongs to a domain whose keys are gone.
    pub(super) fn expect_domain(&self, domain: u32) -> Result<(), Error> {
        self.newest_key(domain).map(drop)
    }

    /// The same of what a key of it sealed: a ring without the domain lacks that key, whatever else it has.
    pub(super) fn expect_key(&self, domain: u32, version: u32) -> Result<(), Error> {
        self.expect_domain(domain).map_err(|error| match error {
            Error::Key(KeyError::Unknown(_)) => KeyError::UnknownVersion { domain, version }.into(),
            other => other,
        })
    }

    /// Whether a domain's keys are gone for good, and with them everything it sealed.
    pub(super) fn is_revoked(&self, domain: u32) -> bool {
        matches!(self.newest_key(domain), Err(Error::Key(KeyError::Revoked(_))))
    }

    /// Says which key is to seal an object of `domain` that is about to be written, and holds both:
    /// until the object has its row, or `held` goes, the key is not dropped.
    pub(super) fn sealing(
        &self,
        held: &mut Held,
        object: Header,
        domain: u32,
    ) -> Result<(Header, Option<Arc<DomainKey>>), Error> {
        loop {
            let (version, key) = self.newest_key(domain)?;
            held.sealed_object(object.id, (domain, version));
            // Whoever drops a key made another the newest first, and looks at what is held then.
            if self.newest_key(domain)?.0 == version {
                return Ok((object.in_domain(domain, version), key));
            }
        }
    }

    /// A scope inside the key domain of `owner`, which is made where there is none, with `note` beside
    /// it; the scope as it is in a plain store. Blocks on the medium.
    ///
    /// # Errors
    /// [`Error::Key`] when the ring cannot be changed.
    pub fn sealed_for(&self, owner: Scope, note: &[u8], scope: Scope) -> Result<Scope, Error> {
        let Some(keys) = &self.inner.keys else { return Ok(scope) };
        let domain = keys.domain_for(&*self.inner.objects, owner.owner(), note, &*self.inner.entropy)?;
        Ok(scope.in_domain(domain))
    }

    /// Whether `owner` has a key domain for new data.
    pub fn has_domain(&self, owner: Scope) -> bool {
        self.inner.keys.as_ref().is_some_and(|keys| keys.domain_of(&owner.owner()).is_some())
    }

    /// The key domains, by number; none in a plain store. Asks neither the database nor the medium.
    pub fn domains(&self) -> Vec<DomainStatus> {
        self.inner.keys.as_ref().map(Keys::domains).unwrap_or_default()
    }

    /// Deletes the keys of a domain: what they sealed is lost for good, and nothing else is. Reads
    /// under way may end first.
    ///
    /// # Errors
    /// [`Error::Key`]; after [`KeyError::OlderRemains`] it can be repeated.
    pub fn erase_domain(&self, domain: u32) -> Result<(), Error> {
        let erased = self.keys()?.erase(&*self.inner.objects, domain, &*self.inner.entropy);
        if self.is_revoked(domain) {
            self.inner.index.forget_domain(domain);
            self.inner.layouts.clear();
            self.inner.frames.kept.clear();
            let detail = match &erased {
                Ok(()) => format!("domain {domain} was erased: what it sealed cannot be read any more"),
                Err(error) => format!("domain {domain} has no key in the ring any more, but: {error}"),
            };
            self.record(EventKind::KeysChanged, "the key ring", detail, Vec::new());
        }
        Ok(erased?)
    }

    /// The key domains that a stored or arriving object is in.
    ///
    /// # Errors
    /// When the database fails.
    pub fn domains_in_use(&self) -> Result<BTreeSet<u32>, Error> {
        // Writers before rows: an object leaves the writers' list only when its row is there.
        let mut used = self.inner.pins.domains_in_use();
        let read = self.inner.db.read()?;
        rows::each(&read, &CONTENTS, |_, row: ContentRow| {
            used.insert(row.domain);
            Ok(())
        })?;
        rows::each(&read, &PACKS, |_, row: PackRow| {
            used.insert(row.domain);
            Ok(())
        })?;
        Ok(used)
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

    pub(super) fn keys(&self) -> Result<&Keys, Error> {
        Ok(self.inner.keys.as_ref().ok_or(KeyError::Plain)?)
    }

    /// The ring, where something says that it has this domain.
    fn ring(&self, domain: u32) -> Result<&Keys, Error> {
        Ok(self.inner.keys.as_ref().ok_or(KeyError::Unknown(domain))?)
    }
}
