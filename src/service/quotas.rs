//! Quotas as people look at them and set them: for each resource what holds for a project, and what it uses.
//!
//! Invariant: what is shown as used is what is compared with the limit. Limits themselves are the unified limits of
//! [`crate::service::identity`].

use std::collections::BTreeSet;

use super::audit::Act;
use super::rights::{Action, Resource as Asked};
use super::{Actor, Error, Service};
use crate::catalog::identity;
use crate::catalog::quotas::{self, Applied, Registered};
use crate::db::{Rows, WriteTxn};
use crate::model::identity::Project;
use crate::model::quota::{Limit, LimitOf, ProjectLimit, RegisteredLimit, Resource, Usage};
use crate::model::{Operation, ProjectId};

/// What a project may have, and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectQuotas {
    /// The project.
    pub project: ProjectId,
    /// Its name; a project that is gone may still have images.
    pub name: Option<String>,
    /// Each resource.
    pub quotas: Vec<Quota>,
    /// What is used.
    pub usage: Usage,
}

/// One resource of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Which.
    pub resource: Resource,
    /// What holds.
    pub applied: Applied,
    /// What is used, in bytes or images.
    pub used: u64,
}

impl Quota {
    /// What is used in the unit of the limit, rounded up: so that it is above the limit exactly when what is used is.
    pub fn used_units(&self) -> u64 {
        self.used.div_ceil(self.resource.unit())
    }
}

/// A limit that is set, of all projects or of one. `None`: a project's goes, and that of all projects holds again.
pub type Setting = (Resource, Option<Limit>);

impl Service {
    /// What the caller's project may have, and what it has.
    ///
    /// # Errors
    /// `Forbidden` without the right.
    pub fn own_quotas(&self, actor: &Actor) -> Result<ProjectQuotas, Error> {
        let Some(project) = actor.project() else {
            return Err(Error::forbidden("quotas are a project's; sign in to one"));
        };
        actor.expect(Action::QuotasGet, Asked::None)?;
        let read = self.db.read()?;
        quotas_of(self, &read, &Registered::read(&read)?, project.clone())
    }

    /// What a project may have, and what it has.
    ///
    /// # Errors
    /// `Forbidden` without the right for other projects; `NotFound` when there is no such project, and it has no images.
    pub fn project_quotas(&self, actor: &Actor, project: &ProjectId) -> Result<ProjectQuotas, Error> {
        if actor.project() == Some(project) {
            return self.own_quotas(actor);
        }
        actor.expect(Action::LimitsList, Asked::None)?;
        let read = self.db.read()?;
        let found = quotas_of(self, &read, &Registered::read(&read)?, project.clone())?;
        match self.keystone_url().is_some() || found.name.is_some() || found.usage != Usage::default() {
            true => Ok(found),
            false => Err(no_project(project)),
        }
    }

    /// Every project, and every other owner of images.
    ///
    /// # Errors
    /// `Forbidden` without the right.
    pub fn all_quotas(&self, actor: &Actor) -> Result<Vec<ProjectQuotas>, Error> {
        actor.expect(Action::LimitsList, Asked::None)?;
        let read = self.db.read()?;
        let known = identity::list::<Project>(&read, |_| true)?;
        let mut projects: BTreeSet<ProjectId> = known.into_iter().map(|project| project.id).collect();
        quotas::each_usage(&read, &mut |owner, _| projects.extend(owner))?;
        let registered = Registered::read(&read)?;
        projects.into_iter().map(|project| quotas_of(self, &read, &registered, project)).collect()
    }

    /// The limits of projects that have none of their own.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn default_quotas(&self, _actor: &Actor) -> Result<Vec<(Resource, Limit)>, Error> {
        let registered = Registered::read(&self.db.read()?)?;
        let limit = |resource| registered.of_all(resource);
        Ok(Resource::ALL.into_iter().map(|resource| (resource, limit(resource))).collect())
    }

    /// Sets limits of all projects, all of them or none. What is there stays, also where it is more.
    ///
    /// # Errors
    /// `Forbidden` without the right; `Invalid` where a limit is to go: say unlimited instead.
    pub fn set_default_quotas(&self, actor: &Actor, settings: Vec<Setting>) -> Result<(), Error> {
        actor.expect(Action::RegisteredLimitsUpdate, Asked::None)?;
        let mut limits = Vec::new();
        for (resource, limit) in &settings {
            let message = || format!("{} needs a limit; -1 is unlimited", resource.as_str());
            limits.push((*resource, limit.ok_or_else(|| Error::invalid(message()))?, self.new_limit_id()));
        }
        let act = Act::on(Operation::SetQuotas, "default").saying(told(&settings));
        let service = self.clone();
        self.recorded(actor, act, move |txn, _| {
            service.expect_own_limits(txn, limits.iter().map(|(resource, ..)| *resource))?;
            for (resource, limit, id) in &limits {
                let limit = RegisteredLimit { limit: *limit, ..registered_for(txn, *resource, id)? };
                quotas::put_registered(txn, &limit)?;
            }
            Ok(())
        })
    }

    /// Sets limits of one project, all of them or none. What is there stays, also where it is more.
    ///
    /// # Errors
    /// `Forbidden` without the right; `NotFound` when there is no such project.
    pub fn set_quotas(
        &self,
        actor: &Actor,
        project: &ProjectId,
        settings: Vec<Setting>,
    ) -> Result<(), Error> {
        actor.expect(Action::LimitsUpdate, Asked::None)?;
        let ids: Vec<String> = settings.iter().map(|_| self.new_limit_id()).collect();
        let project = project.clone();
        let act = Act::on(Operation::SetQuotas, &project).of_project(&project).saying(told(&settings));
        let service = self.clone();
        self.recorded(actor, act, move |txn, act| {
            if !service.may_be_project(txn, &project)? {
                return Err(no_project(&project));
            }
            service.expect_own_limits(txn, settings.iter().map(|(resource, _)| *resource))?;
            let known = service.known_project(txn, &project)?;
            act.name(&project, known.as_ref().map_or("", |known| &known.name));
            for ((resource, limit), id) in settings.iter().zip(&ids) {
                set_one(txn, &project, *resource, *limit, id)?;
            }
            Ok(())
        })
    }

    /// Counts what every project uses anew; says whether anything was counted wrong. Everybody else waits meanwhile.
    ///
    /// # Errors
    /// `Forbidden` without the right, or when the catalog fails.
    pub fn recount_usage(&self, actor: &Actor) -> Result<bool, Error> {
        self.authorise_upkeep(actor)?;
        self.recorded(actor, Act::new(Operation::RecountUsage), |txn, act| {
            let was_wrong = quotas::recount(txn)?;
            act.say(if was_wrong { "it was wrong" } else { "it was right" });
            Ok(was_wrong)
        })
    }

    /// Refuses limits that the Keystone of a cloud says.
    fn expect_own_limits(
        &self,
        rows: &impl Rows,
        mut resources: impl Iterator<Item = Resource>,
    ) -> Result<(), Error> {
        let registered = Registered::read(rows)?;
        match resources.find(|resource| registered.is_told(*resource)) {
            None => Ok(()),
            Some(resource) => Err(Error::conflict(format!(
                "limits of {} are those of the cloud's Keystone at {}: set them there, or delete its registered limit",
                resource.as_str(),
                self.keystone_url().unwrap_or_default()
            ))),
        }
    }

    fn new_limit_id(&self) -> String {
        hex::encode(self.entropy.id())
    }
}

fn set_one(
    txn: &WriteTxn,
    project: &ProjectId,
    resource: Resource,
    limit: Option<Limit>,
    id: &str,
) -> Result<(), Error> {
    // A limit of one project stands on one of all, which says nothing where nobody said anything.
    let registered = registered_for(txn, resource, id)?;
    let old = quotas::limits_of(txn, project)?.into_iter().find(|own| own.of == registered.of);
    match (limit, old) {
        (None, None) => {}
        (None, Some(old)) => quotas::delete_limit(txn, &old)?,
        (Some(limit), old) => {
            quotas::put_registered(txn, &registered)?;
            let (project, of) = (project.clone(), registered.of);
            let description = old.and_then(|old| old.description);
            quotas::put_limit(txn, &ProjectLimit { project, of, limit, description })?;
        }
    }
    Ok(())
}

/// The limit of all projects that is said of a resource; a new one, without a bound, where there is none.
fn registered_for(rows: &impl Rows, resource: Resource, id: &str) -> Result<RegisteredLimit, Error> {
    let of = LimitOf { resource, regional: false };
    let new = RegisteredLimit { id: id.to_owned(), of, limit: Limit::Unlimited, description: None };
    Ok(Registered::read(rows)?.said(resource).cloned().unwrap_or(new))
}

fn quotas_of(
    service: &Service,
    rows: &impl Rows,
    registered: &Registered,
    project: ProjectId,
) -> Result<ProjectQuotas, Error> {
    let usage = quotas::usage_of(rows, Some(&project))?;
    let name = service.known_project(rows, &project)?.map(|project| project.name);
    let mut all = Vec::new();
    for resource in Resource::ALL {
        let applied = registered.applied(rows, &project, resource)?;
        all.push(Quota { resource, applied, used: usage.amount(resource) });
    }
    Ok(ProjectQuotas { project, name, quotas: all, usage })
}

fn no_project(project: &ProjectId) -> Error {
    Error::not_found(format!("there is no project {project}"))
}

fn told(settings: &[Setting]) -> String {
    let one = |(resource, limit): &Setting| {
        let limit = limit.map_or_else(|| "default".to_owned(), |limit| limit.number().to_string());
        format!("{}={limit}", resource.as_str())
    };
    settings.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "quotas_tests.rs"]
mod tests;
