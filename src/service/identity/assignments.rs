//! Giving roles to users, taking them away, and who holds what, directly or through a group.

use super::missing;
use super::standing::Place;
use crate::catalog::identity as catalog;
use crate::db::{ReadTxn, Rows};
use crate::model::identity::{Assignment, Domain, Group, GroupAssignment, Project, Role, Scope, User};
use crate::model::{GroupId, Operation, RoleId, UserId};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// A role given, taken or asked for.
pub type Grant = Assignment;

/// What a listing of assignments looks for; empty fields look for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssignmentFilter {
    /// Held by this user; through groups too when `effective`.
    pub user: Option<UserId>,
    /// Given to this group.
    pub group: Option<GroupId>,
    /// Held there.
    pub scope: Option<Scope>,
    /// This role.
    pub role: Option<RoleId>,
    /// Whether roles that others bring along count, and groups stand for their members.
    pub effective: bool,
}

/// Who holds a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A user, perhaps as member of a group that was given it.
    User(User, Option<Group>),
    /// A group.
    Group(Group),
}

/// A role that is held somewhere, with everything an answer shows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRole {
    /// Who.
    pub holder: Holder,
    /// The holder's domain.
    pub holder_domain: Domain,
    /// Where.
    pub place: Place,
    /// What.
    pub role: Role,
    /// The role that was given, when `role` only comes with it.
    pub given: Option<Role>,
}

impl Service {
    /// Gives a role; one that is held already stays.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when user, scope
    /// or role is missing.
    pub fn grant_role(&self, actor: &Actor, grant: Grant) -> Result<(), Error> {
        actor.expect(Action::GrantsCreate, Resource::None)?;
        self.recorded(actor, Act::new(Operation::GrantRole), move |txn, act| {
            check_parts(txn, &grant)?;
            describe_grant(txn, act, &grant)?;
            Ok(catalog::put_assignment(txn, &grant)?)
        })
    }

    /// Takes a role away. The last one on a scope takes the user's tokens there along.
    ///
    /// # Errors
    /// As [`Service::grant_role`], and when the role is not held.
    pub fn revoke_role(&self, actor: &Actor, grant: Grant) -> Result<(), Error> {
        actor.expect(Action::GrantsRevoke, Resource::None)?;
        self.recorded(actor, Act::new(Operation::RevokeRole), move |txn, act| {
            check_parts(txn, &grant)?;
            describe_grant(txn, act, &grant)?;
            match catalog::remove_assignment(txn, &grant)? {
                true => Ok(()),
                false => Err(not_held(&grant.scope, &grant.role, &grant.user)),
            }
        })
    }

    /// Succeeds when the role was given.
    ///
    /// # Errors
    /// As [`Service::revoke_role`].
    pub fn check_role(&self, actor: &Actor, grant: &Grant) -> Result<(), Error> {
        actor.expect(Action::GrantsCheck, Resource::None)?;
        let rows = self.db.read()?;
        check_parts(&rows, grant)?;
        match catalog::is_assigned(&rows, grant)? {
            true => Ok(()),
            false => Err(not_held(&grant.scope, &grant.role, &grant.user)),
        }
    }

    /// The roles a user was given on a scope.
    ///
    /// # Errors
    /// As [`Service::grant_role`].
    pub fn roles_of_user(&self, actor: &Actor, user: &UserId, scope: &Scope) -> Result<Vec<Role>, Error> {
        actor.expect(Action::GrantsList, Resource::None)?;
        let rows = self.db.read()?;
        check_user(&rows, user)?;
        check_scope(&rows, scope)?;
        let mut roles = Vec::new();
        for assignment in catalog::assigned_to(&rows, user, Some(scope))? {
            roles.extend(catalog::get::<Role>(&rows, &assignment.role)?);
        }
        Ok(roles)
    }

    /// Who holds what where.
    ///
    /// # Errors
    /// Refused without the right.
    pub fn list_assignments(&self, actor: &Actor, filter: &AssignmentFilter) -> Result<Vec<HeldRole>, Error> {
        actor.expect(Action::AssignmentsList, Resource::None)?;
        let rows = self.db.read()?;
        if filter.effective && filter.group.is_some() {
            return Err(Error::invalid(
                "Combining effective and group filter will always result in an empty list.",
            ));
        }
        let mut held = Vec::new();
        for given in given(&rows, filter)? {
            let along = if filter.effective { implied(&rows, &given)? } else { Vec::new() };
            held.push(given);
            held.extend(along);
        }
        if let Some(role) = &filter.role {
            held.retain(|held| held.role.id == *role);
        }
        Ok(held)
    }
}

/// What was given, as the filter has it, but for its role.
fn given(rows: &ReadTxn, filter: &AssignmentFilter) -> Result<Vec<HeldRole>, Error> {
    let mut given = Vec::new();
    if filter.group.is_none() {
        let assigned = match (&filter.user, &filter.scope) {
            (Some(user), scope) => catalog::assigned_to(rows, user, scope.as_ref())?,
            (None, Some(scope)) => catalog::assigned_at(rows, scope)?,
            (None, None) => catalog::assignments(rows)?,
        };
        for Assignment { user, scope, role } in assigned {
            let Some(user) = catalog::get::<User>(rows, &user)? else { continue };
            given.extend(describe(rows, Holder::User(user, None), &scope, &role)?);
        }
    }
    if filter.user.is_some() && !filter.effective {
        return Ok(given);
    }
    let assigned = match (&filter.group, &filter.scope) {
        (Some(group), scope) => catalog::assigned_to_group(rows, group, scope.as_ref())?,
        (None, Some(scope)) => catalog::groups_assigned_at(rows, scope)?,
        (None, None) => catalog::group_assignments(rows)?,
    };
    for GroupAssignment { group, scope, role } in assigned {
        let Some(group) = catalog::get::<Group>(rows, &group)? else { continue };
        if !filter.effective {
            given.extend(describe(rows, Holder::Group(group), &scope, &role)?);
            continue;
        }
        for user in catalog::members_of(rows, &group.id)? {
            if filter.user.as_ref().is_some_and(|wanted| *wanted != user) {
                continue;
            }
            let Some(user) = catalog::get::<User>(rows, &user)? else { continue };
            given.extend(describe(rows, Holder::User(user, Some(group.clone())), &scope, &role)?);
        }
    }
    Ok(given)
}

/// The whole of an assignment; `None` when a part of it has just gone.
fn describe(
    rows: &impl Rows,
    holder: Holder,
    scope: &Scope,
    role: &RoleId,
) -> Result<Option<HeldRole>, Error> {
    let domain = match &holder {
        Holder::User(user, _) => &user.domain,
        Holder::Group(group) => &group.domain,
    };
    let Some(holder_domain) = catalog::get::<Domain>(rows, domain)? else { return Ok(None) };
    let Some(role) = catalog::get::<Role>(rows, role)? else { return Ok(None) };
    let place = match scope {
        Scope::System => Some(Place::System),
        Scope::Domain(id) => catalog::get::<Domain>(rows, id)?.map(Place::Domain),
        Scope::Project(id) => match catalog::get::<Project>(rows, id)? {
            Some(project) => {
                catalog::get::<Domain>(rows, &project.domain)?.map(|domain| Place::Project(project, domain))
            }
            None => None,
        },
    };
    Ok(place.map(|place| HeldRole { holder, holder_domain, place, role, given: None }))
}

/// What comes with a given role.
fn implied(rows: &impl Rows, given: &HeldRole) -> Result<Vec<HeldRole>, Error> {
    let mut roles = catalog::with_implied(rows, vec![given.role.clone()])?;
    roles.retain(|role| role.id != given.role.id);
    let held = |role| HeldRole { role, given: Some(given.role.clone()), ..given.clone() };
    Ok(roles.into_iter().map(held).collect())
}

fn check_parts(rows: &impl Rows, grant: &Grant) -> Result<(), Error> {
    check_user(rows, &grant.user)?;
    check_scope(rows, &grant.scope)?;
    check_role_exists(rows, &grant.role)
}

pub(super) fn check_role_exists(rows: &impl Rows, role: &RoleId) -> Result<(), Error> {
    match catalog::get::<Role>(rows, role)? {
        Some(_) => Ok(()),
        None => Err(missing("role", role)),
    }
}

fn check_user(rows: &impl Rows, user: &UserId) -> Result<(), Error> {
    match catalog::get::<User>(rows, user)? {
        Some(_) => Ok(()),
        None => Err(missing("user", user)),
    }
}

pub(super) fn check_scope(rows: &impl Rows, scope: &Scope) -> Result<(), Error> {
    match scope {
        Scope::System => Ok(()),
        Scope::Project(id) => match catalog::get::<Project>(rows, id)? {
            Some(_) => Ok(()),
            None => Err(missing("project", id)),
        },
        Scope::Domain(id) => match catalog::get::<Domain>(rows, id)? {
            Some(_) => Ok(()),
            None => Err(missing("domain", id)),
        },
    }
}

/// Says whom a record of a role is about, and which role it is.
fn describe_grant(rows: &impl Rows, act: &mut Act, grant: &Grant) -> Result<(), Error> {
    let user = catalog::get::<User>(rows, &grant.user)?.map(|user| user.name).unwrap_or_default();
    let role = catalog::get::<Role>(rows, &grant.role)?.map(|role| role.name).unwrap_or_default();
    act.name(&grant.user, &user);
    act.say(format!("role {role} ({}) on {}", grant.role, place(&grant.scope)));
    Ok(())
}

pub(super) fn place(scope: &Scope) -> &str {
    match scope {
        Scope::Project(project) => project.as_str(),
        Scope::Domain(domain) => domain.as_str(),
        Scope::System => "system",
    }
}

pub(super) fn not_held(scope: &Scope, role: &RoleId, holder: impl std::fmt::Display) -> Error {
    let place = place(scope);
    Error::not_found(format!(
        "Could not find role assignment with role: {role}, user or group: {holder}, project, domain, or system: {place}."
    ))
}
