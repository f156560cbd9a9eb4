//! The keys of a sealed box, for its administrators.
//!
//! Invariant: nothing here gives a key away; what leaves is wrapped under the master key.

use std::collections::BTreeMap;

use super::images::key_owner;
use super::{Actor, Error, Service};
use crate::catalog::identity;
use crate::model::identity::Project;
use crate::store::{DomainStatus, MasterKey, RingStatus};

/// A key domain, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDomain {
    /// The ring's word on it.
    pub status: DomainStatus,
    /// The project whose it is, as far as it still exists.
    pub project: Option<Project>,
    /// Images sealed in it.
    pub images: u64,
}

impl Service {
    /// The key domains, by number.
    ///
    /// # Errors
    /// As [`Service::ring_status`].
    pub fn key_domains(&self, actor: &Actor) -> Result<Vec<KeyDomain>, Error> {
        let domains = self.ring_status(actor)?.domains;
        let images = self.store.contents_by_domain()?;
        let projects = identity::list::<Project>(&self.db.read()?, |_| true)?;
        let mut owners: BTreeMap<_, _> =
            projects.into_iter().map(|project| (key_owner(&project.id).owner(), project)).collect();
        Ok(domains
            .into_iter()
            .map(|status| KeyDomain {
                status,
                project: status.owner.and_then(|owner| owners.remove(&owner)),
                images: images.get(&status.domain).copied().unwrap_or(0),
            })
            .collect())
    }

    /// Deletes the keys of a domain: its images cannot be read by anyone any more. Can be repeated.
    ///
    /// # Errors
    /// As [`Service::ring_status`]; [`super::ErrorKind::NotFound`] when there is no such domain,
    /// [`super::ErrorKind::Conflict`] when it is the store's own.
    pub fn erase_domain(&self, actor: &Actor, domain: u32) -> Result<(), Error> {
        self.authorise_upkeep(actor)?;
        self.store.erase_domain(domain)?;
        tracing::info!(domain, user = %actor.user, "a key domain was erased");
        Ok(())
    }

    /// How the key ring is kept.
    ///
    /// # Errors
    /// [`super::ErrorKind::Forbidden`], [`super::ErrorKind::Conflict`] in a plain box, or when the
    /// medium fails.
    pub fn ring_status(&self, actor: &Actor) -> Result<RingStatus, Error> {
        self.authorise_upkeep(actor)?;
        Ok(self.store.ring_status()?)
    }

    /// The key ring, to be kept elsewhere: worth nothing without the master key.
    ///
    /// # Errors
    /// As [`Service::ring_status`].
    pub fn ring_backup(&self, actor: &Actor) -> Result<Vec<u8>, Error> {
        self.authorise_upkeep(actor)?;
        Ok(self.store.ring_backup()?)
    }

    /// Puts the key ring under another master key; gives the ring's new version.
    ///
    /// # Errors
    /// As [`Service::ring_status`]; [`super::ErrorKind::Conflict`] when it is the key in force.
    pub fn rotate_master(&self, actor: &Actor, new: MasterKey) -> Result<u32, Error> {
        self.authorise_upkeep(actor)?;
        let version = self.store.rotate_master(new)?;
        tracing::info!(version, user = %actor.user, "the key ring is under another master key");
        Ok(version)
    }
}
