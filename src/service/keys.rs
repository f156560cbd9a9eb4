//! The keys of a sealed box, for its administrators.
//!
//! Invariant: nothing here gives a key away; what leaves is wrapped under the master key.

use super::{Actor, Error, Service};
use crate::store::{MasterKey, RingStatus};

impl Service {
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
