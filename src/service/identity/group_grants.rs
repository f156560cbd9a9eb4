//! Giving roles to groups, and taking them away.

use super::assignments::{check_role_exists, check_scope, not_held, place};
use super::groups::group;
use crate::catalog::identity as catalog;
use crate::db::Rows;
use crate::model::identity::{GroupAssignment, Role, Scope};
use crate::model::{GroupId, Operation};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// A role given to a group, taken or asked for.
pub type GroupGrant = GroupAssignment;

impl Service {
    /// Gives a group a role; one that it has already stays.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when group, scope or role is missing.
    pub fn grant_role_to_group(&self, actor: &Actor, grant: GroupGrant) -> Result<(), Error> {
        actor.expect(Action::GrantsCreate, Resource::None)?;
        self.recorded(actor, act_on(Operation::GrantRole, &grant), move |txn, _| {
            check_parts(txn, &grant)?;
            Ok(catalog::put_group_assignment(txn, &grant)?)
        })
    }

    /// Takes a role from a group. Tokens of its members that stood on it alone end.
    ///
    /// # Errors
    /// As [`Service::grant_role_to_group`], and when the group has not the role.
    pub fn revoke_role_of_group(&self, actor: &Actor, grant: GroupGrant) -> Result<(), Error> {
        actor.expect(Action::GrantsRevoke, Resource::None)?;
        self.recorded(actor, act_on(Operation::RevokeRole, &grant), move |txn, _| {
            check_parts(txn, &grant)?;
            match catalog::remove_group_assignment(txn, &grant)? {
                true => Ok(()),
                false => Err(not_held(&grant.scope, &grant.role, &grant.group)),
            }
        })
    }

    /// Succeeds when the group has the role.
    ///
    /// # Errors
    /// As [`Service::revoke_role_of_group`].
    pub fn check_role_of_group(&self, actor: &Actor, grant: &GroupGrant) -> Result<(), Error> {
        actor.expect(Action::GrantsCheck, Resource::None)?;
        let rows = self.db.read()?;
        check_parts(&rows, grant)?;
        match catalog::is_group_assigned(&rows, grant)? {
            true => Ok(()),
            false => Err(not_held(&grant.scope, &grant.role, &grant.group)),
        }
    }

    /// The roles a group was given on a scope.
    ///
    /// # Errors
    /// As [`Service::grant_role_to_group`].
    pub fn roles_of_group(&self, actor: &Actor, id: &GroupId, scope: &Scope) -> Result<Vec<Role>, Error> {
        actor.expect(Action::GrantsList, Resource::None)?;
        let rows = self.db.read()?;
        group(&rows, id)?;
        check_scope(&rows, scope)?;
        let mut roles = Vec::new();
        for assignment in catalog::assigned_to_group(&rows, id, Some(scope))? {
            roles.extend(catalog::get::<Role>(&rows, &assignment.role)?);
        }
        Ok(roles)
    }
}

/// Says which group a record of a role is about, and which role it is.
fn act_on(operation: Operation, grant: &GroupGrant) -> Act {
    let told = format!("role {} on {}, to the group", grant.role, place(&grant.scope));
    Act::on(operation, &grant.group).saying(told)
}

fn check_parts(rows: &impl Rows, grant: &GroupGrant) -> Result<(), Error> {
    group(rows, &grant.group)?;
    check_scope(rows, &grant.scope)?;
    check_role_exists(rows, &grant.role)
}
