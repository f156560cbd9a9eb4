//! What a password has to be, for how long it is good, and when it may be changed.
//!
//! Invariant: whoever knows a password can always change it, once it is old enough, whatever else is wrong with it.

use super::Password;
use crate::base::Time;
use crate::catalog::passwords;
use crate::db::{Rows, WriteTxn};
use crate::model::UserId;
use crate::model::identity::{PasswordHash, User};
use crate::model::password::PasswordLife;
use crate::service::{Error, ErrorKind, Service};

/// What passwords have to be. The default asks for nothing, as the reference does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordRules {
    /// Least characters of a new one.
    pub chars_min: usize,
    /// How many of the latest, the present one included, a user may not choose again.
    pub history: usize,
    /// Seconds that one is kept at least, before its user may change it.
    pub age_min_s: i64,
    /// Seconds that one is good for; 0 for ever.
    pub life_s: i64,
    /// Whether users have to change one that somebody else set.
    pub change_first: bool,
}

/// Most passwords that are remembered of a user: each costs a hash when another one is chosen.
pub const PASSWORD_HISTORY_MAX: usize = 10;

impl Default for PasswordRules {
    fn default() -> PasswordRules {
        PasswordRules { chars_min: 1, history: 0, age_min_s: 0, life_s: 0, change_first: false }
    }
}

impl PasswordRules {
    /// From when on a password opens nothing; `None` for ever.
    fn end_of(&self, life: &PasswordLife) -> Option<Time> {
        match (life.must_change, self.life_s) {
            (true, _) => Some(life.changed_at),
            (false, 0) => None,
            (false, life_s) => Some(life.changed_at.plus_seconds(life_s)),
        }
    }

    /// Refuses a new password that is too short.
    ///
    /// # Errors
    /// `Invalid`, saying the bound.
    pub(super) fn check(&self, password: &Password) -> Result<(), Error> {
        let chars = password.expose().chars().count();
        if chars < self.chars_min {
            return Err(Error::invalid(format!(
                "The password does not meet the requirements: it has {chars} characters, and at least {} are needed.",
                self.chars_min
            )));
        }
        Ok(())
    }
}

impl Service {
    /// From when on each of these users' passwords opens nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub fn password_ends(&self, users: &[User]) -> Result<Vec<Option<Time>>, Error> {
        let rows = self.db.read()?;
        users.iter().map(|user| self.password_end(&rows, &user.id)).collect()
    }

    pub(super) fn password_end(&self, rows: &impl Rows, user: &UserId) -> Result<Option<Time>, Error> {
        let life = passwords::get(rows, user)?;
        Ok(life.and_then(|life| self.rules.passwords.end_of(&life)))
    }

    /// Refuses a password that was right and opens nothing any more. Only who proved it hears of that.
    pub(super) fn expect_password_good(&self, rows: &impl Rows, user: &UserId) -> Result<(), Error> {
        match self.password_end(rows, user)? {
            Some(end) if end <= self.clock.now() => Err(Error::new(
                ErrorKind::Unauthenticated,
                format!("The password is expired and needs to be changed for user: {user}."),
            )),
            _ => Ok(()),
        }
    }

    /// Refuses a password that its user may not choose, or not yet.
    pub(super) fn expect_choice(
        &self,
        rows: &impl Rows,
        user: &UserId,
        present: Option<&PasswordHash>,
        new: &Password,
    ) -> Result<(), Error> {
        let rules = &self.rules.passwords;
        rules.check(new)?;
        let life = passwords::get(rows, user)?;
        if let Some(life) = life.as_ref().filter(|life| !life.must_change) {
            // A clock that was set back holds nobody up.
            let age_us = self.clock.now().0.saturating_sub(life.changed_at.0);
            if age_us >= 0 && age_us < rules.age_min_s.saturating_mul(Time::SECOND) {
                return Err(Error::invalid(format!(
                    "Cannot change password before the minimum age is met: it may be changed from {} on.",
                    life.changed_at.plus_seconds(rules.age_min_s).rfc3339_seconds()
                )));
            }
        }
        let before = life.iter().flat_map(|life| &life.before);
        for hash in present.into_iter().chain(before).take(rules.history) {
            if self.passwords.matches(new, Some(hash))? {
                return Err(Error::invalid(format!(
                    "Changed password cannot be identical to the last {} passwords.",
                    rules.history
                )));
            }
        }
        Ok(())
    }

    /// Notes that a user's password was set; `present` is the one before.
    pub(super) fn note_password_set(
        &self,
        txn: &WriteTxn,
        user: &UserId,
        present: Option<&PasswordHash>,
        by_other: bool,
    ) -> Result<(), Error> {
        let mut before: Vec<PasswordHash> = present.cloned().into_iter().collect();
        before.extend(passwords::get(txn, user)?.map(|life| life.before).unwrap_or_default());
        before.truncate(self.rules.passwords.history.min(PASSWORD_HISTORY_MAX));
        let must_change = by_other && self.rules.passwords.change_first;
        let life = PasswordLife { changed_at: self.clock.now(), must_change, before };
        Ok(passwords::put(txn, user, &life)?)
    }
}
