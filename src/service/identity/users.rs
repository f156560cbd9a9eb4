//! Users and their passwords.
//!
//! A password is hashed before the write that sets it: hashing inside would hold up everyone.

use std::sync::Arc;

use super::authorise::require_own;
use super::bootstrap::DEFAULT_DOMAIN;
use super::values::{check_name, check_same_domain, home_domain, merge_extra};
use super::{NameFilter, Password, missing, new_id, unauthenticated};
use crate::catalog::{access_keys, identity as catalog, tokens};
use crate::model::identity::{Extra, PasswordHash, User};
use crate::model::{DomainId, Operation, ProjectId, UserId};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Origin, Service};

/// A user to be made. No `Debug`: it holds a password.
#[derive(Clone)]
pub struct NewUser {
    /// Its name.
    pub name: String,
    /// Its domain; the caller's when `None`.
    pub domain: Option<DomainId>,
    /// Whether it may sign in.
    pub enabled: bool,
    /// The scope of its tokens when a sign-in names none.
    pub default_project: Option<ProjectId>,
    /// Its password; without one it cannot sign in.
    pub password: Option<Password>,
    /// Members to keep.
    pub extra: Extra,
}

/// What to change in a user; `None` leaves a field as it is. No `Debug`: it holds a password.
#[derive(Clone, Default)]
pub struct UserChange {
    /// Its name.
    pub name: Option<String>,
    /// Its domain: only the one it is in.
    pub domain: Option<DomainId>,
    /// Whether it may sign in.
    pub enabled: Option<bool>,
    /// The scope of its tokens when a sign-in names none.
    pub default_project: Option<Option<ProjectId>>,
    /// Its password; `Some(None)` takes it away.
    pub password: Option<Option<Password>>,
    /// Members to set.
    pub extra: Extra,
}

impl Service {
    /// The users in this domain or with this name, or all.
    ///
    /// # Errors
    /// Refused without the right.
    pub fn list_users(&self, actor: &Actor, filter: &NameFilter) -> Result<Vec<User>, Error> {
        actor.expect(Action::UsersList, Resource::None)?;
        let domain = filter.domain.as_ref().map(DomainId::as_str);
        Ok(catalog::matching(&self.db.read()?, domain, filter.name.as_deref())?)
    }

    /// A user: any for administrators, else oneself.
    ///
    /// # Errors
    /// Refused for others; [`crate::service::ErrorKind::NotFound`] when there is none.
    pub fn get_user(&self, actor: &Actor, id: &UserId) -> Result<User, Error> {
        require_own(actor.user == *id, actor, Action::UsersGet, id.as_str())?;
        catalog::get(&self.db.read()?, id)?.ok_or_else(|| missing("user", id))
    }

    /// Makes a user.
    ///
    /// # Errors
    /// Refused without the right, in no domain, and when the name is taken there.
    pub fn create_user(&self, actor: &Actor, new: NewUser) -> Result<User, Error> {
        actor.expect(Action::UsersCreate, Resource::None)?;
        check_name("user", &new.name)?;
        let mut extra = Extra::new();
        merge_extra(&mut extra, &new.extra)?;
        let password_hash = self.hash_optional(new.password.as_ref())?;
        let id = UserId(new_id(&*self.entropy));
        let (actor, service) = (actor.clone(), self.clone());
        self.recorded(&actor.clone(), Act::new(Operation::CreateUser), move |txn, act| {
            let user = User {
                id: id.clone(),
                domain: home_domain(txn, &actor, new.domain.as_ref())?,
                name: new.name.clone(),
                enabled: new.enabled,
                default_project: new.default_project.clone(),
                password_hash: password_hash.clone(),
                extra: extra.clone(),
            };
            catalog::insert(txn, &user)?;
            if user.password_hash.is_some() {
                service.note_password_set(txn, &user.id, None, true)?;
            }
            act.name(&user.id, &user.name);
            Ok(user)
        })
    }

    /// Changes a user. A new password, and disabling, end every token of theirs; disabling also switches
    /// their access keys off, for good until each is switched on again.
    ///
    /// # Errors
    /// Refused without the right, and when the new name is taken.
    pub fn update_user(&self, actor: &Actor, id: &UserId, change: UserChange) -> Result<User, Error> {
        actor.expect(Action::UsersUpdate, Resource::Id(id.as_str()))?;
        if let Some(name) = &change.name {
            check_name("user", name)?;
        }
        let new_hash = match &change.password {
            Some(password) => Some(self.hash_optional(password.as_ref())?),
            None => None,
        };
        let (id, service) = (id.clone(), self.clone());
        let is_reset = new_hash.is_some();
        let changed = id.clone();
        let user = self.recorded(actor, Act::new(Operation::UpdateUser), move |txn, act| {
            let mut user = catalog::get::<User>(txn, &id)?.ok_or_else(|| missing("user", &id))?;
            act.name(&user.id, &user.name);
            check_same_domain("user", &user.domain, change.domain.as_ref())?;
            user.name = change.name.clone().unwrap_or(user.name);
            user.enabled = change.enabled.unwrap_or(user.enabled);
            user.default_project = change.default_project.clone().unwrap_or(user.default_project);
            merge_extra(&mut user.extra, &change.extra)?;
            if let Some(hash) = &new_hash {
                service.note_password_set(txn, &id, user.password_hash.as_ref(), true)?;
                user.password_hash = hash.clone();
            }
            if new_hash.is_some() || !user.enabled {
                tokens::delete_of_user(txn, &id, None)?;
            }
            if !user.enabled {
                access_keys::disable_of_user(txn, &id)?;
            }
            catalog::update(txn, &user)?;
            Ok(user)
        })?;
        if is_reset {
            self.attempts.forget(&changed);
        }
        Ok(user)
    }

    /// Sets a user's password without knowing the old one, and ends every token of theirs.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when there is none.
    pub fn reset_password(&self, actor: &Actor, id: &UserId, password: &Password) -> Result<(), Error> {
        let change = UserChange { password: Some(Some(password.clone())), ..UserChange::default() };
        self.update_user(actor, id, change).map(|_| ())
    }

    /// Sets a user's password by proving the old one, and ends every token of theirs.
    ///
    /// # Errors
    /// [`crate::service::ErrorKind::Unauthenticated`] when the old one is wrong or the user cannot
    /// sign in or is locked out; [`crate::service::ErrorKind::Invalid`] when the new one is empty, or the rules refuse it.
    pub fn change_password(
        &self,
        origin: &Arc<Origin>,
        id: &UserId,
        old: &Password,
        new: &Password,
    ) -> Result<(), Error> {
        let user = catalog::get::<User>(&self.db.read()?, id)?.filter(|user| user.enabled);
        let domain = user.as_ref().map_or_else(|| DEFAULT_DOMAIN.into(), |user| user.domain.clone());
        let old_hash = user.and_then(|user| user.password_hash);
        let is_right = self.passwords.matches(old, old_hash.as_ref())?;
        if old_hash.is_none() || !self.attempts.take(id, is_right, self.clock.now()) {
            return Err(unauthenticated());
        }
        self.expect_choice(&self.db.read()?, id, old_hash.as_ref(), new)?;
        let new_hash = self.passwords.hash(new, &*self.entropy)?;
        let (id, service) = (id.clone(), self.clone());
        // The old password proved who asks.
        let actor =
            Actor { user: id.clone(), user_domain: domain, origin: origin.clone(), ..Actor::system() };
        self.recorded(&actor, Act::on(Operation::ChangePassword, &id), move |txn, act| {
            let user = catalog::get::<User>(txn, &id)?;
            let user = user.filter(|user| user.enabled && user.password_hash == old_hash);
            let mut user = user.ok_or_else(unauthenticated)?;
            act.name(&user.id, &user.name);
            service.note_password_set(txn, &id, user.password_hash.as_ref(), false)?;
            user.password_hash = Some(new_hash.clone());
            tokens::delete_of_user(txn, &id, None)?;
            catalog::update(txn, &user)?;
            Ok(())
        })
    }

    /// Deletes a user with their roles, tokens and access keys.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when there is none.
    pub fn delete_user(&self, actor: &Actor, id: &UserId) -> Result<(), Error> {
        actor.expect(Action::UsersDelete, Resource::Id(id.as_str()))?;
        let id = id.clone();
        self.recorded(actor, Act::on(Operation::DeleteUser, &id), move |txn, act| {
            if let Some(user) = catalog::get::<User>(txn, &id)? {
                act.name(&user.id, &user.name);
            }
            match catalog::delete_user(txn, &id)? {
                true => Ok(()),
                false => Err(missing("user", &id)),
            }
        })
    }

    fn hash_optional(&self, password: Option<&Password>) -> Result<Option<PasswordHash>, Error> {
        let hash = |password: &Password| {
            self.rules.passwords.check(password)?;
            self.passwords.hash(password, &*self.entropy)
        };
        password.map(hash).transpose()
    }
}
