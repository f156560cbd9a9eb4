//! Unified limits: what all projects may have, and what single ones may.
//!
//! Invariant: a project's limit is of something that all projects have one of, and ends with the project. What they
//! limit, and what is used of it, is [`crate::service::quotas`]'.

use super::{missing, new_id};
use crate::catalog::{self, identity, quotas};
use crate::db::Rows;
use crate::model::identity::Project;
use crate::model::quota::{Limit, LimitOf, ProjectLimit, RegisteredLimit};
use crate::model::{Operation, ProjectId};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// Characters of a description, at most.
const DESCRIPTION_CHARS_MAX: usize = 1024;

/// A limit to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLimit {
    /// What it is of.
    pub of: LimitOf,
    /// How much.
    pub limit: Limit,
    /// What it is for.
    pub description: Option<String>,
}

/// What to change in a limit; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitChange {
    /// What it is of; of a limit of all projects only.
    pub resource: Option<crate::model::quota::Resource>,
    /// Whether it names the region; likewise.
    pub regional: Option<bool>,
    /// How much.
    pub limit: Option<Limit>,
    /// What it is for.
    pub description: Option<Option<String>>,
}

impl Service {
    /// The limits of all projects. They are no secret.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn registered_limits(&self, _actor: &Actor) -> Result<Vec<RegisteredLimit>, Error> {
        Ok(quotas::Registered::read(&self.db.read()?)?.all().to_vec())
    }

    /// A limit of all projects.
    ///
    /// # Errors
    /// [`crate::service::ErrorKind::NotFound`] when there is none.
    pub fn registered_limit(&self, _actor: &Actor, id: &str) -> Result<RegisteredLimit, Error> {
        find_registered(&self.db.read()?, id)
    }

    /// Makes limits of all projects, all of them or none.
    ///
    /// # Errors
    /// Refused without the right, and when there is one of the same.
    pub fn create_registered_limits(
        &self,
        actor: &Actor,
        new: Vec<NewLimit>,
    ) -> Result<Vec<RegisteredLimit>, Error> {
        actor.expect(Action::RegisteredLimitsCreate, Resource::None)?;
        let mut made = Vec::new();
        for NewLimit { of, limit, description } in new {
            check_description(description.as_deref())?;
            made.push(RegisteredLimit { id: new_id(&*self.entropy), of, limit, description });
        }
        let (service, caller) = (self.clone(), actor.clone());
        let (first, rest) = made.split_first().ok_or_else(|| Error::invalid("no limit is named"))?;
        let acts: Vec<Act> =
            rest.iter().map(|limit| registered_act(Operation::CreateRegisteredLimit, limit)).collect();
        let act = registered_act(Operation::CreateRegisteredLimit, first);
        self.recorded(actor, act, move |txn, _| {
            made.iter().try_for_each(|limit| quotas::put_registered(txn, limit))?;
            acts.iter().try_for_each(|act| service.record_in(txn, &caller, act.clone()))?;
            Ok(made.clone())
        })
    }

    /// Changes a limit of all projects.
    ///
    /// # Errors
    /// Refused without the right, while projects have limits of the same, and when there would be two of the same.
    pub fn update_registered_limit(
        &self,
        actor: &Actor,
        id: &str,
        change: LimitChange,
    ) -> Result<RegisteredLimit, Error> {
        actor.expect(Action::RegisteredLimitsUpdate, Resource::Id(id))?;
        check_description(change.description.iter().flatten().next().map(String::as_str))?;
        let id = id.to_owned();
        self.recorded(actor, Act::new(Operation::UpdateRegisteredLimit), move |txn, act| {
            let old = find_registered(txn, &id)?;
            act.name(&old.id, old.of.resource.as_str());
            expect_unused(txn, &old)?;
            let of = LimitOf {
                resource: change.resource.unwrap_or(old.of.resource),
                regional: change.regional.unwrap_or(old.of.regional),
            };
            let new = RegisteredLimit {
                of,
                limit: change.limit.unwrap_or(old.limit),
                description: change.description.clone().unwrap_or(old.description),
                id: old.id,
            };
            act.say(told(new.limit));
            quotas::put_registered(txn, &new)?;
            Ok(new)
        })
    }

    /// Deletes a limit of all projects; what it was of is unlimited then.
    ///
    /// # Errors
    /// Refused without the right, and while projects have limits of the same.
    pub fn delete_registered_limit(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        actor.expect(Action::RegisteredLimitsDelete, Resource::Id(id))?;
        let id = id.to_owned();
        self.recorded(actor, Act::new(Operation::DeleteRegisteredLimit), move |txn, act| {
            let limit = find_registered(txn, &id)?;
            act.name(&limit.id, limit.of.resource.as_str());
            expect_unused(txn, &limit)?;
            Ok(quotas::delete_registered(txn, &limit)?)
        })
    }

    /// The limits of all single projects with the right; else those of the caller's own project.
    ///
    /// # Errors
    /// Refused where the caller may not see those either.
    pub fn project_limits(&self, actor: &Actor) -> Result<Vec<ProjectLimit>, Error> {
        let read = self.db.read()?;
        if actor.allows(Action::LimitsList, Resource::None) {
            return Ok(quotas::limits(&read)?);
        }
        match actor.project() {
            Some(project) if actor.allows(Action::QuotasGet, Resource::None) => {
                Ok(quotas::limits_of(&read, project)?)
            }
            _ => actor.expect(Action::LimitsList, Resource::None).map(|()| Vec::new()),
        }
    }

    /// A limit of a project.
    ///
    /// # Errors
    /// Refused without the right for other projects'; [`crate::service::ErrorKind::NotFound`] when there is none.
    pub fn project_limit(&self, actor: &Actor, id: &str) -> Result<ProjectLimit, Error> {
        let found = quotas::limit(&self.db.read()?, id)?;
        let is_own = |limit: &ProjectLimit| actor.project() == Some(&limit.project);
        if !(found.as_ref().is_some_and(is_own) && actor.allows(Action::QuotasGet, Resource::None)) {
            actor.expect(Action::LimitsGet, Resource::Id(id))?;
        }
        found.ok_or_else(|| missing("limit", id))
    }

    /// Makes limits of projects, all of them or none.
    ///
    /// # Errors
    /// Refused without the right, for a project that is not there, where all projects have no limit of the same, and
    /// where the project has one of the same.
    pub fn create_project_limits(
        &self,
        actor: &Actor,
        new: Vec<(ProjectId, NewLimit)>,
    ) -> Result<Vec<ProjectLimit>, Error> {
        actor.expect(Action::LimitsCreate, Resource::None)?;
        let mut made = Vec::new();
        for (project, NewLimit { of, limit, description }) in new {
            check_description(description.as_deref())?;
            made.push(ProjectLimit { project, of, limit, description });
        }
        let (service, caller) = (self.clone(), actor.clone());
        let (first, rest) = made.split_first().ok_or_else(|| Error::invalid("no limit is named"))?;
        let acts: Vec<Act> = rest.iter().map(|limit| project_act(Operation::CreateLimit, limit)).collect();
        let act = project_act(Operation::CreateLimit, first);
        self.recorded(actor, act, move |txn, _| {
            for limit in &made {
                if identity::get::<Project>(txn, &limit.project)?.is_none() {
                    return Err(Error::invalid(format!("Could not find project: {}.", limit.project)));
                }
                quotas::insert_limit(txn, limit).map_err(|error| match error {
                    catalog::Error::Missing(text) => Error::forbidden(text),
                    error => error.into(),
                })?;
            }
            acts.iter().try_for_each(|act| service.record_in(txn, &caller, act.clone()))?;
            Ok(made.clone())
        })
    }

    /// Changes a limit of a project.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when there is none.
    pub fn update_project_limit(
        &self,
        actor: &Actor,
        id: &str,
        change: LimitChange,
    ) -> Result<ProjectLimit, Error> {
        actor.expect(Action::LimitsUpdate, Resource::Id(id))?;
        check_description(change.description.iter().flatten().next().map(String::as_str))?;
        let id = id.to_owned();
        self.recorded(actor, Act::new(Operation::UpdateLimit), move |txn, act| {
            let old = quotas::limit(txn, &id)?.ok_or_else(|| missing("limit", &id))?;
            let new = ProjectLimit {
                limit: change.limit.unwrap_or(old.limit),
                description: change.description.clone().unwrap_or(old.description),
                ..old
            };
            *act = project_act(Operation::UpdateLimit, &new);
            quotas::put_limit(txn, &new)?;
            Ok(new)
        })
    }

    /// Deletes a limit of a project; that of all projects holds for it then.
    ///
    /// # Errors
    /// As [`Service::update_project_limit`].
    pub fn delete_project_limit(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        actor.expect(Action::LimitsDelete, Resource::Id(id))?;
        let id = id.to_owned();
        self.recorded(actor, Act::new(Operation::DeleteLimit), move |txn, act| {
            let limit = quotas::limit(txn, &id)?.ok_or_else(|| missing("limit", &id))?;
            *act = project_act(Operation::DeleteLimit, &limit);
            Ok(quotas::delete_limit(txn, &limit)?)
        })
    }
}

fn find_registered(rows: &impl Rows, id: &str) -> Result<RegisteredLimit, Error> {
    quotas::registered(rows, id)?.ok_or_else(|| missing("registered limit", id))
}

fn expect_unused(rows: &impl Rows, limit: &RegisteredLimit) -> Result<(), Error> {
    if quotas::has_limits(rows, limit.of)? {
        return Err(Error::forbidden(format!(
            "Unable to update or delete registered limit {} because there are project limits associated with it.",
            limit.id
        )));
    }
    Ok(())
}

fn check_description(description: Option<&str>) -> Result<(), Error> {
    if description.is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
        return Err(Error::invalid(format!(
            "Invalid input for field/attribute description: it has at most {DESCRIPTION_CHARS_MAX} characters."
        )));
    }
    Ok(())
}

fn told(limit: Limit) -> String {
    match limit {
        Limit::Unlimited => "unlimited".to_owned(),
        Limit::AtMost(most) => format!("at most {most}"),
    }
}

fn registered_act(operation: Operation, limit: &RegisteredLimit) -> Act {
    Act::on(operation, &limit.id).named(limit.of.resource.as_str()).saying(told(limit.limit))
}

fn project_act(operation: Operation, limit: &ProjectLimit) -> Act {
    Act::on(operation, limit.id())
        .named(limit.of.resource.as_str())
        .of_project(&limit.project)
        .saying(format!("project {}: {}", limit.project, told(limit.limit)))
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
