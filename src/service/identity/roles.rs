//! Roles: the built-in ones never change; others are names that policies can use.

use super::values::{check_name, merge_extra};
use super::{NameFilter, missing, new_id};
use crate::catalog::identity as catalog;
use crate::model::identity::{Extra, Role};
use crate::model::{Operation, RoleId};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// A role to be made.
#[derive(Debug, Clone)]
pub struct NewRole {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// Members to keep.
    pub extra: Extra,
}

/// What to change in a role; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct RoleChange {
    /// Its name.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<Option<String>>,
    /// Members to set.
    pub extra: Extra,
}

impl Service {
    /// The roles with this name, or all.
    ///
    /// # Errors
    /// Refused without the right.
    pub fn list_roles(&self, actor: &Actor, filter: &NameFilter) -> Result<Vec<Role>, Error> {
        actor.expect(Action::RolesList, Resource::None)?;
        Ok(catalog::matching(&self.db.read()?, Some(""), filter.name.as_deref())?)
    }

    /// A role.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when there is none.
    pub fn get_role(&self, actor: &Actor, id: &RoleId) -> Result<Role, Error> {
        actor.expect(Action::RolesGet, Resource::Id(id.as_str()))?;
        catalog::get(&self.db.read()?, id)?.ok_or_else(|| missing("role", id))
    }

    /// Makes a role.
    ///
    /// # Errors
    /// Refused without the right, and when the name is taken, in whatever case.
    pub fn create_role(&self, actor: &Actor, new: NewRole) -> Result<Role, Error> {
        actor.expect(Action::RolesCreate, Resource::None)?;
        check_name("role", &new.name)?;
        let mut extra = Extra::new();
        merge_extra(&mut extra, &new.extra)?;
        let role = Role {
            id: RoleId(new_id(&*self.entropy)),
            name: new.name,
            domain: None,
            description: new.description,
            immutable: false,
            extra,
        };
        let act = Act::on(Operation::CreateRole, &role.id).named(&role.name);
        self.recorded(actor, act, move |txn, _| {
            catalog::insert(txn, &role)?;
            Ok(role.clone())
        })
    }

    /// Changes a role that is not built in.
    ///
    /// # Errors
    /// Refused without the right, for built-in roles, and when the new name is taken.
    pub fn update_role(&self, actor: &Actor, id: &RoleId, change: RoleChange) -> Result<Role, Error> {
        actor.expect(Action::RolesUpdate, Resource::Id(id.as_str()))?;
        if let Some(name) = &change.name {
            check_name("role", name)?;
        }
        let id = id.clone();
        self.recorded(actor, Act::new(Operation::UpdateRole), move |txn, act| {
            let mut role = catalog::get::<Role>(txn, &id)?.ok_or_else(|| missing("role", &id))?;
            act.name(&role.id, &role.name);
            check_mutable(&role, "update")?;
            role.name = change.name.clone().unwrap_or(role.name);
            role.description = change.description.clone().unwrap_or(role.description);
            merge_extra(&mut role.extra, &change.extra)?;
            catalog::update(txn, &role)?;
            Ok(role)
        })
    }

    /// Deletes a role that is not built in, and takes it from everyone.
    ///
    /// # Errors
    /// Refused without the right, and for built-in roles.
    pub fn delete_role(&self, actor: &Actor, id: &RoleId) -> Result<(), Error> {
        actor.expect(Action::RolesDelete, Resource::Id(id.as_str()))?;
        let id = id.clone();
        self.recorded(actor, Act::new(Operation::DeleteRole), move |txn, act| {
            let role = catalog::get::<Role>(txn, &id)?.ok_or_else(|| missing("role", &id))?;
            act.name(&role.id, &role.name);
            check_mutable(&role, "delete")?;
            catalog::delete_role(txn, &id)?;
            Ok(())
        })
    }
}

pub(super) fn check_mutable(role: &Role, verb: &str) -> Result<(), Error> {
    if role.immutable {
        return Err(Error::forbidden(format!(
            "Unable to {verb} immutable role resource: {} ({}) is built in.",
            role.id, role.name
        )));
    }
    Ok(())
}
