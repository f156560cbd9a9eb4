//! Custom keys: a key management service of the box's own, for images that are sealed by choice.
//!
//! Owns who may see, change and use a key. Invariants: a key belongs to one project, and nobody outside
//! learns whether it is there; what a key that is not enabled sealed is handed out to nobody. Must not know key
//! material: a key's domain in the ring has that, and is made when the key seals for the first time.

mod life;
mod usable;

#[cfg(test)]
mod tests;

pub use life::DELETION_DAYS;
pub(super) use usable::{expect_opens, expect_seals, expect_shares};

use super::description::check_description;
use super::{Actor, Error, ErrorKind, Reason, Service};
use crate::base::limits::NAME_CHARS_MAX;
use crate::catalog::custom_keys;
use crate::db::Rows;
use crate::model::{CustomKey, KeyId, KeyState, Operation, ProjectId};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};

/// The alias of the key that a project uses when it names none: made when it is asked for first.
pub const DEFAULT_ALIAS: &str = "ims/default";
/// Projects that one key may be granted to.
const GRANTS_MAX: usize = 128;

/// A custom key to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewCustomKey {
    /// Id of its project; by default the caller's.
    pub project: Option<String>,
    /// Its name.
    pub alias: String,
    /// Free text.
    pub description: Option<String>,
}

/// What to change in a custom key; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomKeyChange {
    /// Its name.
    pub alias: Option<String>,
    /// Free text.
    pub description: Option<Option<String>>,
    /// Whether it seals and opens.
    pub enabled: Option<bool>,
}

impl Service {
    /// Makes a custom key for the caller's project, or for any for administrators.
    ///
    /// # Errors
    /// `Forbidden` without the role member, or for another project; `Conflict` in a plain box, or when the alias is
    /// taken; `Invalid` for a bad name; `TooLarge` when the project has as many keys as it may.
    pub fn create_custom_key(&self, actor: &Actor, new: NewCustomKey) -> Result<CustomKey, Error> {
        actor.expect(Action::CustomKeysCreate, Resource::None)?;
        self.expect_sealed()?;
        check_alias(&new.alias)?;
        check_description(new.description.as_deref())?;
        let project = own_project(actor, new.project.as_deref())?;
        let key = CustomKey {
            id: KeyId(self.entropy.uuid()),
            project,
            alias: new.alias,
            description: new.description,
            state: KeyState::Enabled,
            created_at: self.clock.now(),
            grants: Default::default(),
        };
        let most = self.rules.project_keys_max;
        let act = act_on(Operation::CreateCustomKey, &key);
        let service = self.clone();
        self.recorded(actor, act, move |txn, _| {
            if !service.may_be_project(txn, &key.project)? {
                return Err(Error::not_found(format!("there is no project {}", key.project)));
            }
            expect_room(txn, &key.project, most)?;
            custom_keys::put(txn, &key)?;
            Ok(key.clone())
        })
    }

    /// The keys of the caller's project and those granted to it, or all for administrators, by project and alias.
    /// Deleted ones only when asked for.
    ///
    /// # Errors
    /// `Forbidden` without the role reader in a project.
    pub fn custom_keys(&self, actor: &Actor, with_deleted: bool) -> Result<Vec<CustomKey>, Error> {
        expect_project(actor)?;
        actor.expect(Action::CustomKeysList, Resource::None)?;
        let mut keys = custom_keys::list(&self.db.read()?)?;
        keys.retain(|key| is_visible(actor, key));
        keys.retain(|key| with_deleted || !matches!(key.state, KeyState::Deleted(_)));
        keys.sort_by(|a, b| (&a.project, &a.alias, a.id).cmp(&(&b.project, &b.alias, b.id)));
        Ok(keys)
    }

    /// One key, by id, or by alias within the caller's project.
    ///
    /// # Errors
    /// `Forbidden` without the role reader in a project; `NotFound`, also for a key that is not the caller's to see.
    pub fn custom_key(&self, actor: &Actor, named: &str) -> Result<CustomKey, Error> {
        expect_project(actor)?;
        actor.expect(Action::CustomKeysGet, Resource::None)?;
        visible(&self.db.read()?, actor, named)
    }

    /// Changes a key: its names, and whether it seals and opens.
    ///
    /// # Errors
    /// As [`Service::custom_key`]; `Forbidden` for a key of another project; `Conflict` when it is pending deletion or
    /// deleted, or the alias is taken; `Invalid` for a bad name.
    pub fn change_custom_key(
        &self,
        actor: &Actor,
        named: &str,
        change: CustomKeyChange,
    ) -> Result<CustomKey, Error> {
        change.alias.as_deref().map(check_alias).transpose()?;
        check_description(change.description.as_ref().and_then(Option::as_deref))?;
        self.alter_custom_key(actor, named, Operation::UpdateCustomKey, move |key, act| {
            if let Some(enabled) = change.enabled {
                act.say(if enabled { "enabled" } else { "disabled" });
            }
            if !matches!(key.state, KeyState::Enabled | KeyState::Disabled) {
                return Err(Error::conflict(format!(
                    "custom key {} is {}; keep it first, if it is not too late",
                    key.id,
                    key.state.as_str()
                )));
            }
            if let Some(enabled) = change.enabled {
                key.state = if enabled { KeyState::Enabled } else { KeyState::Disabled };
            }
            key.alias = change.alias.clone().unwrap_or(std::mem::take(&mut key.alias));
            key.description = change.description.clone().unwrap_or(key.description.take());
            Ok(())
        })
    }

    /// Lets another project open what the key sealed, as far as that is shared with it; or no more.
    ///
    /// # Errors
    /// As [`Service::change_custom_key`]; `Invalid` for the key's own project, and for a default key, which serves
    /// its project alone; `NotFound` when there is no such project; `TooLarge` when there are too many grants.
    pub fn grant_custom_key(
        &self,
        actor: &Actor,
        named: &str,
        project: ProjectId,
        granted: bool,
    ) -> Result<CustomKey, Error> {
        if granted && !self.may_be_project(&self.db.read()?, &project)? {
            return Err(Error::not_found(format!("there is no project {project}")));
        }
        let operation = if granted { Operation::GrantCustomKey } else { Operation::WithdrawCustomKey };
        self.alter_custom_key(actor, named, operation, move |key, act| {
            act.say(format!("project {project}"));
            if !granted {
                key.grants.remove(&project);
                return Ok(());
            }
            if key.project == project {
                return Err(Error::invalid("a custom key serves its own project without a grant"));
            }
            if key.alias == DEFAULT_ALIAS {
                return Err(Error::invalid(format!(
                    "{DEFAULT_ALIAS} serves its own project alone: seal the image with another key to share it"
                )));
            }
            key.grants.insert(project.clone());
            if key.grants.len() > GRANTS_MAX {
                return Err(Error::too_large(format!("a custom key takes at most {GRANTS_MAX} grants")));
            }
            Ok(())
        })
    }

    /// One commit: finds the key, authorises, lets `change` work, saves.
    fn alter_custom_key(
        &self,
        actor: &Actor,
        named: &str,
        operation: Operation,
        change: impl Fn(&mut CustomKey, &mut Act) -> Result<(), Error> + Send + 'static,
    ) -> Result<CustomKey, Error> {
        let (caller, named, action) = (actor.clone(), named.to_owned(), action_of(operation));
        self.recorded(actor, Act::new(operation), move |txn, act| {
            let mut key = writable(txn, &caller, &named, action)?;
            *act = act_on(operation, &key);
            change(&mut key, act)?;
            custom_keys::put(txn, &key)?;
            Ok(key)
        })
    }

    fn expect_sealed(&self) -> Result<(), Error> {
        if self.store.is_sealed() {
            return Ok(());
        }
        let message = "the box is plain and has no keys; only a box that was made sealed has some";
        Err(Error::conflict(message).because(Reason::NoKey))
    }
}

/// What is done to a key, for its record.
fn act_on(operation: Operation, key: &CustomKey) -> Act {
    Act::on(operation, key.id).named(&key.alias)
}

/// Refuses a key more than a project may have.
fn expect_room(rows: &impl Rows, project: &ProjectId, most: usize) -> Result<(), Error> {
    if custom_keys::count(rows, project)? < most {
        return Ok(());
    }
    Err(Error::too_large(format!(
        "the project has {most} custom keys, which is the most (seal.project_keys_max); delete one first"
    )))
}

/// The key that a caller names, where it is the caller's to see.
fn visible(rows: &impl Rows, actor: &Actor, named: &str) -> Result<CustomKey, Error> {
    let found = match KeyId::parse(named) {
        Some(id) => custom_keys::get(rows, id)?,
        None => match actor.project() {
            Some(project) => custom_keys::find(rows, project, named)?,
            None => None,
        },
    };
    let found = found.filter(|key| is_visible(actor, key));
    found.ok_or_else(|| Error::not_found(format!("there is no custom key {named}")))
}

/// The same, where it is the caller's to change and the caller has the right.
fn writable(rows: &impl Rows, actor: &Actor, named: &str, action: Action) -> Result<CustomKey, Error> {
    let key = visible(rows, actor, named)?;
    actor.expect(action, Resource::Id(&key.id.to_string()))?;
    if sees_all(actor) || actor.project() == Some(&key.project) {
        return Ok(key);
    }
    Err(Error::forbidden(format!("custom key {} was granted to your project and belongs to another", key.id)))
}

/// The right that an operation on a key takes.
fn action_of(operation: Operation) -> Action {
    match operation {
        Operation::DeleteCustomKey | Operation::KeepCustomKey => Action::CustomKeysDelete,
        Operation::GrantCustomKey | Operation::WithdrawCustomKey => Action::CustomKeysGrant,
        _ => Action::CustomKeysUpdate,
    }
}

/// Whether every project's keys are the caller's.
fn sees_all(actor: &Actor) -> bool {
    actor.allows(Action::CustomKeysAccessAll, Resource::None)
}

fn is_visible(actor: &Actor, key: &CustomKey) -> bool {
    sees_all(actor) || actor.project().is_some_and(|project| key.is_open_to(project))
}

fn own_project(actor: &Actor, named: Option<&str>) -> Result<ProjectId, Error> {
    match (named, actor.project()) {
        (Some(named), own) if sees_all(actor) || own.is_some_and(|own| own.as_str() == named) => {
            Ok(named.into())
        }
        (Some(_), _) => Err(Error::forbidden("only administrators may make custom keys for another project")),
        (None, Some(own)) => Ok(own.clone()),
        (None, None) => Err(Error::forbidden("custom keys belong to projects: sign in to one")),
    }
}

fn expect_project(actor: &Actor) -> Result<(), Error> {
    if sees_all(actor) || actor.project().is_some() {
        return Ok(());
    }
    Err(Error::forbidden("custom keys belong to projects: sign in to one"))
}

fn check_alias(alias: &str) -> Result<(), Error> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
    if (1..=NAME_CHARS_MAX).contains(&alias.len()) && alias.bytes().all(fits) && KeyId::parse(alias).is_none()
    {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        format!(
            "{alias:?} is no alias of a custom key: it takes 1 to {NAME_CHARS_MAX} letters, digits, dots, underscores, hyphens \
             or slashes, and may not look like an id"
        ),
    ))
}
