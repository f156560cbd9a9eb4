//! Policies that somebody wrote.
//!
//! Invariant: none goes while it is attached. Must not know what a document says.

use super::{attachments, entity, revision};
use crate::catalog::Error;
use crate::db::WriteTxn;
use crate::model::PolicyId;
use crate::model::policy::Policy;

/// Adds a policy.
///
/// # Errors
/// [`Error::Exists`] when its id or name is taken.
pub fn insert_policy(txn: &WriteTxn, policy: &Policy) -> Result<(), Error> {
    entity::insert(txn, policy)?;
    revision::step(txn)
}

/// Replaces a policy.
///
/// # Errors
/// [`Error::Exists`] when its new name is taken.
pub fn update_policy(txn: &WriteTxn, policy: &Policy) -> Result<(), Error> {
    entity::update(txn, policy)?;
    revision::step(txn)
}

/// Removes a policy; says whether there was one.
///
/// # Errors
/// [`Error::Exists`] when it is still attached.
pub fn delete_policy(txn: &WriteTxn, id: &PolicyId) -> Result<bool, Error> {
    let Some(policy) = entity::get::<Policy>(txn, id)? else { return Ok(false) };
    if let Some(attached) = attachments::attachments_of(txn, id)?.first() {
        return Err(Error::Exists(format!(
            "policy {} is attached to group {}: detach it first, or what it denies would be allowed unnoticed",
            policy.name, attached.group
        )));
    }
    entity::remove(txn, &policy)?;
    revision::step(txn)?;
    Ok(true)
}
