//! What is known of users' passwords beside their hashes. Must not know any rule about them.

use super::error::Error;
use super::records::password::PasswordLifeRecord;
use crate::db::{Rows, Table, WriteTxn};
use crate::model::UserId;
use crate::model::password::PasswordLife;

/// User.
pub(super) const LIVES: Table = Table::facts("password-lives-1");

/// What is known of a user's password.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, user: &UserId) -> Result<Option<PasswordLife>, Error> {
    let record = rows.record::<PasswordLifeRecord>(&LIVES, user.as_str().as_bytes())?;
    Ok(record.map(PasswordLife::from))
}

/// Says what is known of a user's password.
///
/// # Errors
/// When the database fails.
pub fn put(txn: &WriteTxn, user: &UserId, life: &PasswordLife) -> Result<(), Error> {
    Ok(txn.put_record(&LIVES, user.as_str().as_bytes(), &PasswordLifeRecord::from(life))?)
}

/// Forgets what is known of a user's password.
///
/// # Errors
/// When the database fails.
pub fn delete(txn: &WriteTxn, user: &UserId) -> Result<(), Error> {
    txn.remove(&LIVES, user.as_str().as_bytes())?;
    Ok(())
}
