//! Access keys: made, listed, switched and deleted by their users and by administrators.
//!
//! Invariant: a key belongs to one user and one project, in which the user held a role when it was made;
//! its secret is shown once. Whoever disables or deletes the user or the project ends its keys in
//! the same transaction. Must not know how a request is signed.

mod replays;
mod root;
mod signed;
mod temporary;
#[cfg(test)]
mod tests;

pub(in crate::service) use replays::Replays;
pub use root::{AccessRoot, AccessSecret};
pub use signed::SignedCall;
pub use temporary::{SecurityToken, TEMPORARY_LIFE_S, TemporaryKey};

use super::bootstrap::DEFAULT_DOMAIN;
use super::missing;
use super::standing::standing;
use crate::base::Time;
use crate::base::limits::ACCESS_KEYS_PER_USER_MAX;
use crate::catalog::{access_keys, identity as catalog};
use crate::db::{Rows, WriteTxn};
use crate::model::identity::{Project, Scope, User};
use crate::model::{AccessId, AccessKey, Operation, ProjectId, UserId};
use crate::service::audit::Act;
use crate::service::description::check_description;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// An access key to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewAccessKey {
    /// Id or name of its user; by default the caller.
    pub user: Option<String>,
    /// Id or name of its project; by default the caller's for the caller's own, else the user's default one.
    pub project: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// From when on it may not be used any more.
    pub expires_at: Option<Time>,
}

/// What to change in an access key; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessKeyChange {
    /// Whether it may be used.
    pub enabled: Option<bool>,
    /// Free text.
    pub description: Option<Option<String>>,
}

/// An access key with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// The key.
    pub key: AccessKey,
    /// Its user's name.
    pub user_name: Option<String>,
    /// Its project's name.
    pub project_name: Option<String>,
    /// Whether the root that its secret follows from is gone, so that no signature of it can be checked.
    pub is_secret_lost: bool,
}

impl Service {
    /// Makes an access key: one's own, or anyone's for administrators. The secret is told here only.
    ///
    /// # Errors
    /// `Forbidden` for other users' keys, and for whoever acts with an application credential; `NotFound` when there is
    /// no such user or project; `Invalid` when the
    /// user has no role there, or the end is past; `TooLarge` when the user has too many; `Conflict` where a cloud has the
    /// users.
    pub fn create_access_key(
        &self,
        actor: &Actor,
        new: NewAccessKey,
    ) -> Result<(KnownKey, AccessSecret), Error> {
        self.expect_own_identities("access keys")?;
        actor.rights.expect_own("an access key")?;
        check_description(new.description.as_deref())?;
        let now = self.clock.now();
        if let Some(end) = new.expires_at.filter(|end| *end <= now) {
            return Err(Error::invalid(format!("expires_at {} is past already", end.rfc3339_seconds())));
        }
        let access = root::new_access_id(&*self.entropy);
        let fresh = AccessRoot::generate(&*self.entropy);
        let (actor, service) = (actor.clone(), self.clone());
        self.recorded(&actor.clone(), Act::new(Operation::CreateAccessKey), move |txn, act| {
            let user = user_of(txn, &actor, new.user.as_deref())?;
            let project = project_of(txn, &actor, &user, new.project.as_deref())?;
            if standing(txn, &user.id, Some(&Scope::Project(project.id.clone())))?.is_none() {
                return Err(Error::invalid(format!(
                    "user {} holds no role and no policy in project {}, or one of them is disabled: give a role first",
                    user.name, project.name
                )));
            }
            if access_keys::list_of_user(txn, &user.id)?.len() >= ACCESS_KEYS_PER_USER_MAX {
                return Err(Error::too_large(format!(
                    "user {} has {ACCESS_KEYS_PER_USER_MAX} access keys, and no more are kept: delete one first",
                    user.name
                )));
            }
            let root = service.make_access_root(txn, &fresh)?;
            let key = AccessKey {
                access: access.clone(),
                user: user.id,
                project: project.id,
                enabled: true,
                description: new.description.clone(),
                created_at: now,
                expires_at: new.expires_at,
                last_used_day: None,
                root: root.name(),
            };
            access_keys::put(txn, &key)?;
            describe(act, &key);
            let secret = root.secret_of(&key.access);
            let (user_name, project_name) = (Some(user.name), Some(project.name));
            Ok((KnownKey { key, user_name, project_name, is_secret_lost: false }, secret))
        })
    }

    /// Every access key for administrators, else one's own; or those of one user, by id or name.
    ///
    /// # Errors
    /// `Forbidden` for other users' keys; `NotFound` when there is no such user.
    pub fn access_keys(&self, actor: &Actor, user: Option<&str>) -> Result<Vec<KnownKey>, Error> {
        let rows = self.db.read()?;
        let keys = match user {
            None if may_all(actor) => access_keys::list(&rows)?,
            None => access_keys::list_of_user(&rows, &actor.user)?,
            Some(user) => access_keys::list_of_user(&rows, &user_of(&rows, actor, Some(user))?.id)?,
        };
        let root = self.access_root(&rows)?;
        keys.into_iter().map(|key| known(&rows, root.as_ref(), key)).collect()
    }

    /// One access key.
    ///
    /// # Errors
    /// `NotFound`, also for other users' keys.
    pub fn access_key(&self, actor: &Actor, access: &AccessId) -> Result<KnownKey, Error> {
        let rows = self.db.read()?;
        let key = own(&rows, actor, access)?;
        known(&rows, self.access_root(&rows)?.as_ref(), key)
    }

    /// Changes an access key.
    ///
    /// # Errors
    /// `NotFound`, also for other users' keys; `Invalid` when the description is too long.
    pub fn update_access_key(
        &self,
        actor: &Actor,
        access: &AccessId,
        change: AccessKeyChange,
    ) -> Result<KnownKey, Error> {
        self.expect_own_identities("access keys")?;
        actor.rights.expect_own("an access key")?;
        check_description(change.description.as_ref().and_then(Option::as_deref))?;
        let (actor, access, service) = (actor.clone(), access.clone(), self.clone());
        self.recorded(&actor.clone(), Act::new(Operation::UpdateAccessKey), move |txn, act| {
            let mut key = own(txn, &actor, &access)?;
            describe(act, &key);
            key.enabled = change.enabled.unwrap_or(key.enabled);
            key.description = change.description.clone().unwrap_or(key.description);
            access_keys::put(txn, &key)?;
            known(txn, service.access_root(txn)?.as_ref(), key)
        })
    }

    /// Deletes an access key.
    ///
    /// # Errors
    /// `NotFound`, also for other users' keys.
    pub fn delete_access_key(&self, actor: &Actor, access: &AccessId) -> Result<(), Error> {
        let (actor, access) = (actor.clone(), access.clone());
        self.recorded(&actor.clone(), Act::new(Operation::DeleteAccessKey), move |txn, act| {
            describe(act, &own(txn, &actor, &access)?);
            access_keys::delete(txn, &access)?;
            Ok(())
        })
    }

    /// The project that an access key's caller acts in.
    ///
    /// # Errors
    /// `NotFound` when the caller acts in none.
    pub fn own_project(&self, actor: &Actor) -> Result<Project, Error> {
        let project = actor.project().ok_or_else(|| missing("project", "of the caller"))?;
        catalog::get(&self.db.read()?, project)?.ok_or_else(|| missing("project", project))
    }

    /// What secrets follow from now; `None` in a sealed box that never had a key.
    pub(in crate::service) fn access_root(&self, rows: &impl Rows) -> Result<Option<AccessRoot>, Error> {
        match &self.access_root {
            Some(root) if !self.store.is_sealed() => Ok(Some(root.as_ref().clone())),
            _ => Ok(access_keys::root(rows)?.map(AccessRoot::new)),
        }
    }

    /// As [`Service::access_root`], making `fresh` the root of a sealed box that has none.
    pub(in crate::service) fn make_access_root(
        &self,
        txn: &WriteTxn,
        fresh: &AccessRoot,
    ) -> Result<AccessRoot, Error> {
        if let Some(root) = self.access_root(txn)? {
            return Ok(root);
        }
        if !self.store.is_sealed() {
            // In the clear it would lie in the store's log, where a bucket's owner can read it.
            return Err(Error::conflict(
                "this box was composed without a root, which access keys follow from and links are signed with: start it from its \
                 data directory",
            ));
        }
        access_keys::put_root(txn, fresh.bytes())?;
        Ok(fresh.clone())
    }
}

/// Whether the caller may treat everybody's keys as its own.
fn may_all(actor: &Actor) -> bool {
    actor.allows(Action::AccessKeysManageAll, Resource::None)
}

/// The user that a caller names, if the caller may act for it.
fn user_of(rows: &impl Rows, actor: &Actor, named: Option<&str>) -> Result<User, Error> {
    let own = catalog::get::<User>(rows, &actor.user)?;
    let Some(named) = named else {
        return match own {
            Some(own) => Ok(own),
            // The local administrator is nobody's account: its keys are those of the first user.
            None => catalog::find::<User>(rows, DEFAULT_DOMAIN, "admin")?.ok_or_else(|| {
                Error::invalid("name the user: the local administrator has no account of its own")
            }),
        };
    };
    if let Some(own) = own.filter(|own| own.id.as_str() == named || own.name == named) {
        return Ok(own);
    }
    if !may_all(actor) {
        return Err(Error::forbidden("only administrators may see or make access keys of other users"));
    }
    let by_id = catalog::get::<User>(rows, &UserId::from(named))?;
    let user = match by_id {
        Some(user) => Some(user),
        None => catalog::find::<User>(rows, actor.user_domain.as_str(), named)?,
    };
    user.ok_or_else(|| missing("user", named))
}

/// The project that a caller names for a key of `user`.
fn project_of(rows: &impl Rows, actor: &Actor, user: &User, named: Option<&str>) -> Result<Project, Error> {
    let Some(named) = named else {
        let others = user.default_project.as_ref().filter(|_| user.id != actor.user);
        let id = others.or(actor.project());
        let id = id.ok_or_else(|| Error::invalid("name the project: your token is for none"))?;
        return catalog::get(rows, id)?.ok_or_else(|| missing("project", id));
    };
    let by_id = catalog::get::<Project>(rows, &ProjectId::from(named))?;
    let project = match by_id {
        Some(project) => Some(project),
        None => catalog::find::<Project>(rows, user.domain.as_str(), named)?,
    };
    // Whoever is not in the project may not learn whether it is there.
    let is_open = |project: &Project| {
        Ok::<_, Error>(
            may_all(actor) || standing(rows, &user.id, Some(&Scope::Project(project.id.clone())))?.is_some(),
        )
    };
    match project {
        Some(project) if is_open(&project)? => Ok(project),
        _ => Err(missing("project", named)),
    }
}

/// The key, when it is the caller's own or the caller is an administrator.
fn own(rows: &impl Rows, actor: &Actor, access: &AccessId) -> Result<AccessKey, Error> {
    let key = access_keys::get(rows, access)?;
    let key = key.filter(|key| key.user == actor.user || may_all(actor));
    key.ok_or_else(|| missing("access key", access))
}

/// Says which key a record is about; its secret follows from nothing of that.
fn describe(act: &mut Act, key: &AccessKey) {
    act.name(&key.access, "");
    act.say(format!("of user {} for project {}", key.user, key.project));
}

fn known(rows: &impl Rows, root: Option<&AccessRoot>, key: AccessKey) -> Result<KnownKey, Error> {
    Ok(KnownKey {
        user_name: catalog::get::<User>(rows, &key.user)?.map(|user| user.name),
        project_name: catalog::get::<Project>(rows, &key.project)?.map(|project| project.name),
        is_secret_lost: root.is_none_or(|root| root.name() != key.root),
        key,
    })
}
