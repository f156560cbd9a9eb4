//! The keys of a sealed box, for its administrators.
//!
//! Invariant: nothing here gives a key away; what leaves is wrapped under the master key.

use std::collections::BTreeMap;

use super::audit::Act;
use super::images::Holder;
use super::rights::{Action, Resource};
use super::{Actor, Error, Service};
use crate::catalog::identity;
use crate::model::Operation;
use crate::model::identity::Project;
use crate::store::{DomainStatus, MasterKey, Reach, RingStatus};

/// A key domain, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDomain {
    /// Its number.
    pub domain: u32,
    /// Whose it is, as far as that is known; `None` for the box's own and a revoked one.
    pub holder: Option<Holder>,
    /// The project whose images are in it, as far as it still exists.
    pub project: Option<Project>,
    /// Images sealed in it, once for each store that they are in.
    pub images: u64,
    /// The versions of its keys: more than one while it is being sealed anew, none when it was revoked.
    pub key_versions: Vec<u32>,
}

impl KeyDomain {
    /// Whether its keys are gone, and its images unreadable.
    pub fn is_revoked(&self) -> bool {
        self.key_versions.is_empty()
    }
}

impl Service {
    /// The key domains, by number; revoked ones as long as there are images of them.
    ///
    /// # Errors
    /// As [`Service::ring_status`].
    pub fn key_domains(&self, actor: &Actor) -> Result<Vec<KeyDomain>, Error> {
        actor.expect(Action::KeysGet, Resource::None)?;
        // Streams before domains: one that is made meanwhile must not be taken for a revoked one.
        let mut images = self.store.contents_by_domain()?;
        let ring = self.store.ring_status()?.domains;
        let projects: BTreeMap<_, _> = identity::list::<Project>(&self.db.read()?, |_| true)?
            .into_iter()
            .map(|project| (project.id.as_str().to_owned(), project))
            .collect();
        let mut domains: Vec<KeyDomain> = ring
            .into_iter()
            .map(|DomainStatus { domain, owner, note, key_versions }| {
                let holder = Holder::read(&note).or_else(|| unnoted(owner?, projects.keys()));
                let project = holder.as_ref().and_then(|holder| projects.get(holder.project()).cloned());
                let images = images.remove(&domain).unwrap_or(0);
                KeyDomain { domain, holder, project, images, key_versions }
            })
            .collect();
        images.remove(&0);
        domains.extend(images.into_iter().map(|(domain, images)| KeyDomain {
            domain,
            holder: None,
            project: None,
            images,
            key_versions: Vec::new(),
        }));
        domains.sort_unstable_by_key(|domain| domain.domain);
        Ok(domains)
    }

    /// Deletes the keys of a domain: its images cannot be read by anyone any more. Can be repeated.
    ///
    /// # Errors
    /// As [`Service::ring_status`]; [`super::ErrorKind::NotFound`] when there is no such domain,
    /// [`super::ErrorKind::Conflict`] when it is the store's own.
    pub fn erase_domain(&self, actor: &Actor, domain: u32) -> Result<(), Error> {
        actor.expect(Action::KeysManage, Resource::None)?;
        let act = Act::on(Operation::EraseKeyDomain, domain);
        let erased = self.attended(actor, act, || Ok(self.store.erase_domain(domain)?));
        // What it sealed is dead, whether or not an older ring remains.
        self.litter.left(Reach::Released);
        erased?;
        tracing::info!(domain, user = %actor.user, "a key domain was erased");
        Ok(())
    }

    /// How the key ring is kept.
    ///
    /// # Errors
    /// [`super::ErrorKind::Forbidden`], [`super::ErrorKind::Conflict`] in a plain box, or when the
    /// medium fails.
    pub fn ring_status(&self, actor: &Actor) -> Result<RingStatus, Error> {
        actor.expect(Action::KeysGet, Resource::None)?;
        Ok(self.store.ring_status()?)
    }

    /// The key ring, to be kept elsewhere: worth nothing without the master key.
    ///
    /// # Errors
    /// As [`Service::ring_status`].
    pub fn ring_backup(&self, actor: &Actor) -> Result<Vec<u8>, Error> {
        actor.expect(Action::KeysGet, Resource::None)?;
        self.attended(actor, Act::new(Operation::BackupKeyRing), || Ok(self.store.ring_backup()?))
    }

    /// Puts the key ring under another master key; gives the ring's new version.
    ///
    /// # Errors
    /// As [`Service::ring_status`]; [`super::ErrorKind::Conflict`] when it is the key in force.
    pub fn rotate_master(&self, actor: &Actor, new: MasterKey) -> Result<u32, Error> {
        actor.expect(Action::KeysManage, Resource::None)?;
        let act = Act::new(Operation::RotateMasterKey);
        let version = self.attended(actor, act, || Ok(self.store.rotate_master(new)?))?;
        tracing::info!(version, user = %actor.user, "the key ring is under another master key");
        Ok(version)
    }
}

/// The project that earlier releases made a domain for: they wrote nothing beside it.
fn unnoted<'p>(owner: [u8; 16], mut projects: impl Iterator<Item = &'p String>) -> Option<Holder> {
    let of = |project: &String| Holder::Project { project: project.clone() };
    projects.find(|project| of(project).scope().owner() == owner).map(of)
}
