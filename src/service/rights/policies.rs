//! Policies: those that are there from the start, and those that administrators write.
//!
//! Invariant: every policy in the catalog was read whole when it was written; what a role depends on is there,
//! and no role depends on itself in a circle; names are unique, those of built-in policies included.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Resource;
use super::action::Action;
use super::built_in::{self, BuiltIn};
use super::document::Document;
use super::syntax::Written;
use crate::base::Time;
use crate::base::limits::{NAME_CHARS_MAX, POLICIES_MAX};
use crate::catalog::identity as catalog;
use crate::db::Rows;
use crate::model::policy::Policy;
use crate::model::{Operation, PolicyId};
use crate::service::audit::Act;
use crate::service::description::check_description;
use crate::service::{Actor, Error, Service};

/// Where a policy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody wrote it.
    Custom,
    /// It is there from the start.
    System,
    /// It is what a role of the Identity API is worth; roles are given, not attached.
    Role,
}

/// A policy with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPolicy {
    /// What it is attached by.
    pub id: PolicyId,
    /// What people call it.
    pub name: String,
    /// Where it comes from.
    pub kind: Kind,
    /// What it is for.
    pub description: Option<String>,
    /// What it says, or why that cannot be read.
    pub document: Result<Arc<Document>, String>,
    /// When it was made and changed last; `None` for built-in ones.
    pub times: Option<(Time, Time)>,
}

/// A policy to be written.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it says.
    pub document: Written,
}

/// What to change in a policy; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct PolicyChange {
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<Option<String>>,
    /// What it says.
    pub document: Option<Written>,
}

impl Service {
    /// Every policy: built-in ones first, then those that were written, by their ids.
    ///
    /// # Errors
    /// `Forbidden` without `tintype:policies:list`.
    pub fn list_policies(&self, actor: &Actor) -> Result<Vec<KnownPolicy>, Error> {
        actor.expect(Action::PoliciesList, Resource::None)?;
        let system = built_in::policies().iter().map(|policy| known_built_in(policy, Kind::System));
        let roles = built_in::keystone_roles().map(|policy| known_built_in(policy, Kind::Role));
        let mut found: Vec<KnownPolicy> = system.chain(roles).collect();
        for policy in catalog::list::<Policy>(&self.db.read()?, |_| true)? {
            found.push(known(policy));
        }
        Ok(found)
    }

    /// The policy with this id, or else with this name.
    ///
    /// # Errors
    /// `Forbidden` without `tintype:policies:get`; `NotFound`.
    pub fn policy(&self, actor: &Actor, named: &str) -> Result<KnownPolicy, Error> {
        actor.expect(Action::PoliciesGet, Resource::Id(named))?;
        find(&self.db.read()?, named)
    }

    /// Writes a policy.
    ///
    /// # Errors
    /// `Forbidden`; `Invalid` when the document or the name is wrong, or the document depends on what is not
    /// there; `Conflict` when the name is taken; `TooLarge` when there are too many.
    pub fn create_policy(&self, actor: &Actor, new: NewPolicy) -> Result<KnownPolicy, Error> {
        actor.expect(Action::PoliciesCreate, Resource::None)?;
        check_name(&new.name)?;
        check_description(new.description.as_deref())?;
        let document = Document::new(new.document)?;
        let now = self.clock.now();
        let policy = Policy {
            id: PolicyId(hex::encode(self.entropy.id())),
            name: new.name,
            description: new.description,
            document: document.text(),
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        let act = Act::on(Operation::CreatePolicy, &policy.id).named(&policy.name);
        self.recorded(actor, act, move |txn, _| {
            if catalog::count::<Policy>(txn)? >= POLICIES_MAX as u64 {
                return Err(Error::too_large(format!(
                    "there are {POLICIES_MAX} policies, and no more are kept: delete one first"
                )));
            }
            check_dependencies(txn, &policy, &document)?;
            catalog::insert_policy(txn, &policy)?;
            Ok(known(policy.clone()))
        })
    }

    /// Changes a policy that was written. Its new document counts from the next request on.
    ///
    /// # Errors
    /// As [`Service::create_policy`]; `NotFound`; `Forbidden` for built-in ones; `Conflict` when another role
    /// depends on its name.
    pub fn update_policy(
        &self,
        actor: &Actor,
        named: &str,
        change: PolicyChange,
    ) -> Result<KnownPolicy, Error> {
        actor.expect(Action::PoliciesUpdate, Resource::Id(named))?;
        if let Some(name) = &change.name {
            check_name(name)?;
        }
        check_description(change.description.as_ref().and_then(|text| text.as_deref()))?;
        let document = change.document.map(Document::new).transpose()?;
        let (named, now) = (named.to_owned(), self.clock.now());
        let (name, description) = (change.name, change.description);
        self.recorded(actor, Act::on(Operation::UpdatePolicy, &named), move |txn, act| {
            let mut policy = find_written(txn, &named, "changed")?;
            act.name(&policy.id, &policy.name);
            if let Some(name) = &name {
                if name.to_lowercase() != policy.name.to_lowercase() {
                    expect_no_dependents(txn, &policy)?;
                }
                policy.name.clone_from(name);
            }
            policy.description = description.clone().unwrap_or(policy.description);
            if let Some(document) = &document {
                policy.document = document.text();
                policy.revision += 1;
            }
            policy.updated_at = now;
            let document = read(&policy)?;
            check_dependencies(txn, &policy, &document)?;
            catalog::update_policy(txn, &policy)?;
            Ok(known(policy))
        })
    }

    /// Deletes a policy that was written; gives back its id.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound`; `Conflict` while it is attached, or another role depends on it.
    pub fn delete_policy(&self, actor: &Actor, named: &str) -> Result<PolicyId, Error> {
        actor.expect(Action::PoliciesDelete, Resource::Id(named))?;
        let named = named.to_owned();
        self.recorded(actor, Act::on(Operation::DeletePolicy, &named), move |txn, act| {
            let policy = find_written(txn, &named, "deleted")?;
            act.name(&policy.id, &policy.name);
            expect_no_dependents(txn, &policy)?;
            catalog::delete_policy(txn, &policy.id)?;
            Ok(policy.id)
        })
    }
}

/// The policy with this id or name that may be changed.
fn find_written(rows: &impl Rows, named: &str, verb: &str) -> Result<Policy, Error> {
    if let Some(policy) = written(rows, named)? {
        return Ok(policy);
    }
    let found = find(rows, named)?;
    Err(Error::forbidden(format!(
        "policy {} is built in and cannot be {verb}; write one of your own",
        found.name
    )))
}

fn written(rows: &impl Rows, named: &str) -> Result<Option<Policy>, Error> {
    match catalog::get::<Policy>(rows, &PolicyId::from(named))? {
        Some(policy) => Ok(Some(policy)),
        None => Ok(catalog::find::<Policy>(rows, "", named)?),
    }
}

/// The policy with this id or name.
pub(super) fn find(rows: &impl Rows, named: &str) -> Result<KnownPolicy, Error> {
    if let Some(policy) = written(rows, named)? {
        return Ok(known(policy));
    }
    let is_it = |policy: &&BuiltIn| policy.id == named || policy.name.eq_ignore_ascii_case(named);
    if let Some(policy) = built_in::policies().iter().find(is_it) {
        return Ok(known_built_in(policy, Kind::System));
    }
    match built_in::keystone_roles().find(is_it) {
        Some(policy) => Ok(known_built_in(policy, Kind::Role)),
        None => {
            Err(Error::not_found(format!("there is no policy {named:?}; list them to see which there are")))
        }
    }
}

fn known_built_in(policy: &BuiltIn, kind: Kind) -> KnownPolicy {
    KnownPolicy {
        id: PolicyId::from(policy.id),
        name: policy.name.into(),
        kind,
        description: Some(policy.description.into()),
        document: Ok(policy.document.clone()),
        times: None,
    }
}

fn known(policy: Policy) -> KnownPolicy {
    let document = read(&policy).map_err(|error| error.message);
    let times = Some((policy.created_at, policy.updated_at));
    let Policy { id, name, description, .. } = policy;
    KnownPolicy { id, name, kind: Kind::Custom, description, document, times }
}

fn read(policy: &Policy) -> Result<Arc<Document>, Error> {
    Ok(Arc::new(Document::parse(&policy.document)?))
}

/// Refuses a role that depends on what is not there, or on itself, and the name or id of a built-in policy as its name.
fn check_dependencies(rows: &impl Rows, policy: &Policy, document: &Document) -> Result<(), Error> {
    let own_name = policy.name.to_lowercase();
    if let Some(taken) = built_in_document(&own_name) {
        return Err(Error::conflict(format!(
            "the name {} is a built-in policy's; choose another",
            taken.name
        )));
    }
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<String> = document.depends.clone();
    while let Some(name) = waiting.pop() {
        if name == own_name {
            return Err(Error::invalid(format!(
                "the policy document's Depends: {name:?} leads back to {}; a role in a circle never works",
                policy.name
            )));
        }
        if !seen.insert(name.clone()) {
            continue;
        }
        match built_in_document(&name).filter(|found| found.name.to_lowercase() == name) {
            Some(found) => waiting.extend(found.document.depends.iter().cloned()),
            None => match catalog::find::<Policy>(rows, "", &name)? {
                Some(found) => waiting.extend(read(&found)?.depends.iter().cloned()),
                None => {
                    return Err(Error::invalid(format!(
                        "the policy document's Depends: there is no policy {name:?}; write that one first"
                    )));
                }
            },
        }
    }
    Ok(())
}

fn built_in_document(name: &str) -> Option<&'static BuiltIn> {
    let is_it = |policy: &&BuiltIn| policy.name.to_lowercase() == name || policy.id == name;
    built_in::policies().iter().chain(built_in::keystone_roles()).find(is_it)
}

/// Refuses to take a name away that others depend on.
fn expect_no_dependents(rows: &impl Rows, policy: &Policy) -> Result<(), Error> {
    let name = policy.name.to_lowercase();
    for other in catalog::list::<Policy>(rows, |other| other.id != policy.id)? {
        // One that cannot be read allows nothing anyway.
        if read(&other).is_ok_and(|document| document.depends.contains(&name)) {
            return Err(Error::conflict(format!(
                "policy {} depends on {}, and would stop working: change that one first",
                other.name, policy.name
            )));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Error> {
    let chars = name.chars().count();
    if name.trim().is_empty()
        || name.trim() != name
        || chars > NAME_CHARS_MAX
        || name.chars().any(char::is_control)
    {
        return Err(Error::invalid(format!(
            "a policy's name has 1 to {NAME_CHARS_MAX} characters, no blanks at its ends and no control characters"
        )));
    }
    Ok(())
}
