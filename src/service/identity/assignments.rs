//! Giving roles to users, taking them away, and who holds what.

use super::authorise::require_admin;
use super::missing;
use super::standing::{IMPLIED_ROLES, Place};
use crate::catalog::identity as catalog;
use crate::db::Rows;
use crate::model::identity::{Assignment, Domain, Project, Role, Scope, User};
use crate::model::{Operation, RoleId, UserId};
use crate::service::audit::Act;
use crate::service::{Actor, Error, Service};

/// A role given, taken or asked for.
pub type Grant = Assignment;

/// What a listing of assignments looks for; empty fields look for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssignmentFilter {
    /// Held by this user.
    pub user: Option<UserId>,
    /// Held there.
    pub scope: Option<Scope>,
    /// This role.
    pub role: Option<RoleId>,
    /// Whether roles that others bring along count.
    pub effective: bool,
}

/// A role that a user holds somewhere, with everything an answer shows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRole {
    /// Who.
    pub user: User,
    /// The user's domain.
    pub user_domain: Domain,
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
    /// Refused to all but administrators; [`crate::service::ErrorKind::NotFound`] when user, scope
    /// or role is missing.
    pub fn grant_role(&self, actor: &Actor, grant: Grant) -> Result<(), Error> {
        require_admin(actor, "create_grant")?;
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
        require_admin(actor, "revoke_grant")?;
        self.recorded(actor, Act::new(Operation::RevokeRole), move |txn, act| {
            check_parts(txn, &grant)?;
            describe_grant(txn, act, &grant)?;
            match catalog::remove_assignment(txn, &grant)? {
                true => Ok(()),
                false => Err(not_held(&grant)),
            }
        })
    }

    /// Succeeds when the role was given.
    ///
    /// # Errors
    /// As [`Service::revoke_role`].
    pub fn check_role(&self, actor: &Actor, grant: &Grant) -> Result<(), Error> {
        require_admin(actor, "check_grant")?;
        let rows = self.db.read()?;
        check_parts(&rows, grant)?;
        if catalog::is_assigned(&rows, grant)? { Ok(()) } else { Err(not_held(grant)) }
    }

    /// The roles a user was given on a scope.
    ///
    /// # Errors
    /// As [`Service::grant_role`].
    pub fn roles_of_user(&self, actor: &Actor, user: &UserId, scope: &Scope) -> Result<Vec<Role>, Error> {
        require_admin(actor, "list_grants")?;
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
    /// Refused to all but administrators.
    pub fn list_assignments(&self, actor: &Actor, filter: &AssignmentFilter) -> Result<Vec<HeldRole>, Error> {
        require_admin(actor, "list_role_assignments")?;
        let rows = self.db.read()?;
        let assigned = match (&filter.user, &filter.scope) {
            (Some(user), scope) => catalog::assigned_to(&rows, user, scope.as_ref())?,
            (None, Some(scope)) => catalog::assigned_at(&rows, scope)?,
            (None, None) => catalog::assignments(&rows)?,
        };
        let mut held = Vec::new();
        for assignment in assigned {
            let Some(given) = describe(&rows, &assignment)? else { continue };
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

/// The whole of an assignment; `None` when a part of it has just gone.
fn describe(rows: &impl Rows, assignment: &Assignment) -> Result<Option<HeldRole>, Error> {
    let Some(user) = catalog::get::<User>(rows, &assignment.user)? else { return Ok(None) };
    let Some(user_domain) = catalog::get::<Domain>(rows, &user.domain)? else { return Ok(None) };
    let Some(role) = catalog::get::<Role>(rows, &assignment.role)? else { return Ok(None) };
    let place = match &assignment.scope {
        Scope::System => Some(Place::System),
        Scope::Domain(id) => catalog::get::<Domain>(rows, id)?.map(Place::Domain),
        Scope::Project(id) => match catalog::get::<Project>(rows, id)? {
            Some(project) => {
                catalog::get::<Domain>(rows, &project.domain)?.map(|domain| Place::Project(project, domain))
            }
            None => None,
        },
    };
    Ok(place.map(|place| HeldRole { user, user_domain, place, role, given: None }))
}

/// What comes with a given role, nearest first.
fn implied(rows: &impl Rows, given: &HeldRole) -> Result<Vec<HeldRole>, Error> {
    let mut held = Vec::new();
    let mut prior = given.role.name.to_lowercase();
    for (from, to) in IMPLIED_ROLES {
        if from == prior
            && let Some(role) = catalog::find::<Role>(rows, "", to)?
        {
            held.push(HeldRole { role, given: Some(given.role.clone()), ..given.clone() });
            prior = to.to_owned();
        }
    }
    Ok(held)
}

fn check_parts(rows: &impl Rows, grant: &Grant) -> Result<(), Error> {
    check_user(rows, &grant.user)?;
    check_scope(rows, &grant.scope)?;
    match catalog::get::<Role>(rows, &grant.role)? {
        Some(_) => Ok(()),
        None => Err(missing("role", &grant.role)),
    }
}

fn check_user(rows: &impl Rows, user: &UserId) -> Result<(), Error> {
    match catalog::get::<User>(rows, user)? {
        Some(_) => Ok(()),
        None => Err(missing("user", user)),
    }
}

fn check_scope(rows: &impl Rows, scope: &Scope) -> Result<(), Error> {
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
    act.say(format!("role {role} ({}) on {}", grant.role, place(grant)));
    Ok(())
}

fn place(grant: &Grant) -> &str {
    match &grant.scope {
        Scope::Project(project) => project.as_str(),
        Scope::Domain(domain) => domain.as_str(),
        Scope::System => "system",
    }
}

fn not_held(grant: &Grant) -> Error {
    let place = place(grant);
    Error::not_found(format!(
        "Could not find role assignment with role: {}, user or group: {}, project, domain, or system: {place}.",
        grant.role, grant.user
    ))
}
