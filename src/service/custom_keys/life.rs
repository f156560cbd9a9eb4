//! The end of a custom key, and its other keys in between.
//!
//! Invariants: a key is deleted in a commit first and in the ring after it, so that nothing it sealed is lost
//! before everyone sees why; what a crash leaves between the two is finished by the next look.

use std::collections::HashSet;

use super::{Actor, Error, KeyState, Service};
use crate::catalog::custom_keys;
use crate::model::{CustomKey, KeyId, Operation};
use crate::service::images::Holder;
use crate::service::resealing::SealedAnew;
use crate::service::rights::Action;
use crate::service::upkeep::Step;
use crate::store::Reach;

/// Days from the wish to delete a key to its end: the range that key management services have.
pub const DELETION_DAYS: std::ops::RangeInclusive<u32> = 7..=1096;
const DAY_S: i64 = 86_400;

impl Service {
    /// Has a key deleted in so many days; until then it neither seals nor opens, and can be kept.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Invalid` when the days are out of [`DELETION_DAYS`]; `Conflict` when it is deleted.
    pub fn schedule_key_deletion(&self, actor: &Actor, named: &str, days: u32) -> Result<CustomKey, Error> {
        if !DELETION_DAYS.contains(&days) {
            let (least, most) = (DELETION_DAYS.start(), DELETION_DAYS.end());
            return Err(Error::invalid(format!(
                "a custom key is deleted in {least} to {most} days, not in {days}"
            )));
        }
        let due = self.clock.now().plus_seconds(i64::from(days) * DAY_S);
        self.alter_custom_key(actor, named, Operation::DeleteCustomKey, move |key, act| {
            act.say(format!("on {}", due.rfc3339_seconds()));
            expect_there(key)?;
            key.state = KeyState::PendingDeletion(due);
            Ok(())
        })
    }

    /// Keeps a key whose deletion was scheduled. It is disabled then.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Conflict` when its deletion is not pending.
    pub fn keep_custom_key(&self, actor: &Actor, named: &str) -> Result<CustomKey, Error> {
        self.alter_custom_key(actor, named, Operation::KeepCustomKey, |key, _| {
            expect_there(key)?;
            if !matches!(key.state, KeyState::PendingDeletion(_)) {
                let (id, state) = (key.id, key.state.as_str());
                return Err(Error::conflict(format!(
                    "custom key {id} is {state}: nothing is to be cancelled"
                )));
            }
            key.state = KeyState::Disabled;
            Ok(())
        })
    }

    /// Gives a key other material, and seals all that it sealed with that. Safe beside uploads and downloads; `None`
    /// when it has sealed nothing yet.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Conflict` when the key is not enabled, or objects do not read back.
    pub fn rotate_custom_key(
        &self,
        actor: &Actor,
        named: &str,
        tell: &mut dyn FnMut(Step),
    ) -> Result<Option<SealedAnew>, Error> {
        let key = super::writable(&self.db.read()?, actor, named, Action::CustomKeysUpdate)?;
        if key.state != KeyState::Enabled {
            return Err(Error::conflict(format!("custom key {} is {}", key.id, key.state.as_str())));
        }
        let Some(domain) = self.domains_of(key.id).pop() else { return Ok(None) };
        self.change_domain_key(actor, domain, tell).map(Some)
    }

    /// Deletes the keys whose time has come, and what the ring still has of deleted ones; says how many.
    ///
    /// # Errors
    /// When the catalog or the ring fails; it can be repeated.
    pub fn delete_due_keys(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let due = move |key: &CustomKey| matches!(key.state, KeyState::PendingDeletion(due) if due <= now);
        let is_any_due = custom_keys::list(&self.db.read()?)?.iter().any(due);
        if is_any_due {
            let service = self.clone();
            self.db.write(move |txn| {
                for key in custom_keys::list(txn)?.into_iter().filter(due) {
                    let act = super::act_on(Operation::DeleteCustomKey, &key).saying("its time has come");
                    service.record_in(txn, &Actor::system(), act)?;
                    custom_keys::put(txn, &CustomKey { state: KeyState::Deleted(now), ..key })?;
                }
                Ok::<_, Error>(())
            })?;
        }
        let keys = custom_keys::list(&self.db.read()?)?.into_iter();
        let gone: HashSet<[u8; 16]> =
            keys.filter(|key| matches!(key.state, KeyState::Deleted(_))).map(|key| *key.id.bytes()).collect();
        if gone.is_empty() {
            return Ok(0);
        }
        let mut deleted = 0;
        for status in self.store.domains() {
            if let Some(Holder::Custom { key, .. }) = Holder::read(&status.note)
                && gone.contains(&key)
            {
                self.store.erase_domain(status.domain)?;
                self.litter.left(Reach::Released);
                tracing::info!(key = %hex::encode(key), domain = status.domain, "a custom key was deleted");
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    /// The domains in the ring that a key has, oldest first.
    fn domains_of(&self, id: KeyId) -> Vec<u32> {
        let is_its = |note: &[u8]| matches!(Holder::read(note), Some(Holder::Custom { key, .. }) if key == *id.bytes());
        self.store
            .domains()
            .into_iter()
            .filter(|status| is_its(&status.note))
            .map(|status| status.domain)
            .collect()
    }
}

fn expect_there(key: &CustomKey) -> Result<(), Error> {
    match key.state {
        KeyState::Deleted(at) => {
            Err(Error::conflict(format!("custom key {} was deleted on {}", key.id, at.rfc3339_seconds())))
        }
        _ => Ok(()),
    }
}
