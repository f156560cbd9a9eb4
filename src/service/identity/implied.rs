//! Which roles bring others along, as administrators see and say it.

use super::missing;
use super::roles::check_mutable;
use crate::catalog::identity as catalog;
use crate::db::Rows;
use crate::model::identity::Role;
use crate::model::{Operation, RoleId};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// The one that nothing brings along: whoever could say so of a role would be an administrator.
const NEVER_IMPLIED: &str = "admin";

impl Service {
    /// Each role that brings others along, and those that it does at once.
    ///
    /// # Errors
    /// Refused without the right.
    pub fn role_inferences(&self, actor: &Actor) -> Result<Vec<(Role, Vec<Role>)>, Error> {
        actor.expect(Action::RolesListInferences, Resource::None)?;
        let rows = self.db.read()?;
        let mut inferences = Vec::new();
        for prior in catalog::list::<Role>(&rows, |_| true)? {
            let implied = catalog::implied_by(&rows, &prior)?;
            if !implied.is_empty() {
                inferences.push((prior, implied));
            }
        }
        inferences.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        Ok(inferences)
    }

    /// A role, and those that it brings along at once.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when there is no such role.
    pub fn implied_roles(&self, actor: &Actor, prior: &RoleId) -> Result<(Role, Vec<Role>), Error> {
        actor.expect(Action::RolesListInferences, Resource::Id(prior.as_str()))?;
        let rows = self.db.read()?;
        let prior = role(&rows, prior)?;
        let implied = catalog::implied_by(&rows, &prior)?;
        Ok((prior, implied))
    }

    /// Two roles of which the first brings the second along.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when there is no such role, or it does not.
    pub fn implied_role(
        &self,
        actor: &Actor,
        prior: &RoleId,
        implied: &RoleId,
    ) -> Result<(Role, Role), Error> {
        let (prior, all) = self.implied_roles(actor, prior)?;
        role(&self.db.read()?, implied)?;
        match all.into_iter().find(|role| role.id == *implied) {
            Some(implied) => Ok((prior, implied)),
            None => Err(not_implied(&prior.id, implied)),
        }
    }

    /// Has one role bring another along, for everybody who holds it. One that does so already stays.
    ///
    /// # Errors
    /// Refused without the right, for the role `admin`, and for a role and itself; `NotFound` when a role is missing.
    pub fn imply_role(&self, actor: &Actor, prior: &RoleId, implied: &RoleId) -> Result<(Role, Role), Error> {
        actor.expect(Action::RolesImply, Resource::Id(prior.as_str()))?;
        let (prior, implied) = (prior.clone(), implied.clone());
        self.recorded(actor, Act::on(Operation::ImplyRole, &prior), move |txn, act| {
            let (prior, implied) = (role(txn, &prior)?, role(txn, &implied)?);
            act.name(&prior.id, &prior.name);
            act.say(format!("brings along {} ({})", implied.name, implied.id));
            if implied.name.eq_ignore_ascii_case(NEVER_IMPLIED) || prior.id == implied.id {
                return Err(Error::forbidden(format!("{} cannot be an implied role.", implied.id)));
            }
            if !catalog::is_built_in(&prior, &implied) {
                catalog::imply(txn, &prior.id, &implied.id)?;
            }
            Ok((prior, implied))
        })
    }

    /// Ends that one role brings another along.
    ///
    /// # Errors
    /// Refused without the right, and for what is built in; `NotFound` when it was not so.
    pub fn no_longer_imply_role(&self, actor: &Actor, prior: &RoleId, implied: &RoleId) -> Result<(), Error> {
        actor.expect(Action::RolesImply, Resource::Id(prior.as_str()))?;
        let (prior, implied) = (prior.clone(), implied.clone());
        self.recorded(actor, Act::on(Operation::EndImpliedRole, &prior), move |txn, act| {
            let (prior, implied) = (role(txn, &prior)?, role(txn, &implied)?);
            act.name(&prior.id, &prior.name);
            act.say(format!("no longer brings along {} ({})", implied.name, implied.id));
            if catalog::is_built_in(&prior, &implied) {
                check_mutable(&prior, "change what is implied by")?;
            }
            match catalog::no_longer_imply(txn, &prior.id, &implied.id)? {
                true => Ok(()),
                false => Err(not_implied(&prior.id, &implied.id)),
            }
        })
    }
}

fn role(rows: &impl Rows, id: &RoleId) -> Result<Role, Error> {
    catalog::get(rows, id)?.ok_or_else(|| missing("role", id))
}

fn not_implied(prior: &RoleId, implied: &RoleId) -> Error {
    Error::not_found(format!("{prior} does not imply {implied}."))
}
