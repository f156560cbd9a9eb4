//! Attaching policies to groups.
//!
//! Invariant: a policy, a group and a project are there when they are attached to each other, checked in the
//! commit that does it; but for groups and projects of a cloud, which alone knows of them.

use super::Resource;
use super::action::Action;
use super::policies::{self, Kind, KnownPolicy};
use crate::base::limits::GROUP_POLICIES_MAX;
use crate::catalog::identity as catalog;
use crate::db::Rows;
use crate::model::identity::{Group, Project};
use crate::model::policy::{Attachment, Reach};
use crate::model::{GroupId, Operation, ProjectId};
use crate::service::audit::Act;
use crate::service::{Actor, Error, Service};

/// Longest id of a cloud's group or project, in bytes.
const ID_BYTES_MAX: usize = 255;

/// What to attach, or to take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAttachment {
    /// Id or name of the policy.
    pub policy: String,
    /// Id of the group, or its name in the caller's domain; where a cloud has the groups, the id alone.
    pub group: String,
    /// Id of a project, or its name in the group's domain; `None` for all projects of that domain.
    pub project: Option<String>,
}

/// An attachment with the names in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The attachment.
    pub attachment: Attachment,
    /// The policy's name.
    pub policy_name: String,
    /// The group's name.
    pub group_name: String,
    /// The project's name; `None` for all projects.
    pub project_name: Option<String>,
}

impl Service {
    /// Where a policy is attached.
    ///
    /// # Errors
    /// `Forbidden` without `tintype:policies:list`; `NotFound`.
    pub fn policy_attachments(&self, actor: &Actor, policy: &str) -> Result<Vec<Attached>, Error> {
        actor.expect(Action::PoliciesList, Resource::None)?;
        let rows = self.db.read()?;
        let policy = policies::find(&rows, policy)?;
        let attachments = catalog::attachments_of(&rows, &policy.id)?;
        attachments.into_iter().map(|attachment| describe(&rows, &policy, attachment)).collect()
    }

    /// Attaches a policy to a group; one that is attached already stays.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound` when policy, group or project is missing; `Invalid` for what a role is worth,
    /// which is given as a role; `TooLarge` when the group has too many.
    pub fn attach_policy(&self, actor: &Actor, new: NewAttachment) -> Result<Attached, Error> {
        actor.expect(Action::PoliciesAttach, Resource::Id(&new.policy))?;
        let (service, caller) = (self.clone(), actor.clone());
        self.recorded(actor, Act::on(Operation::AttachPolicy, &new.policy), move |txn, act| {
            let (policy, attachment) = find(&service, txn, &caller, &new)?;
            describe_act(act, &policy, &attachment);
            if policy.kind == Kind::Role {
                return Err(Error::invalid(format!(
                    "{} is a role: give the role to the group instead of attaching it",
                    policy.name
                )));
            }
            if !catalog::is_attached(txn, &attachment)?
                && catalog::attached_to(txn, &attachment.group, None)?.len() >= GROUP_POLICIES_MAX
            {
                return Err(Error::too_large(format!(
                    "the group has {GROUP_POLICIES_MAX} policies, and takes no more: detach one first"
                )));
            }
            catalog::attach(txn, &attachment)?;
            describe(txn, &policy, attachment)
        })
    }

    /// Takes a policy from a group. Tokens of the group's members that stood on it alone end.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound`, also when it is not attached so.
    pub fn detach_policy(&self, actor: &Actor, new: NewAttachment) -> Result<Attached, Error> {
        actor.expect(Action::PoliciesDetach, Resource::Id(&new.policy))?;
        let (service, caller) = (self.clone(), actor.clone());
        self.recorded(actor, Act::on(Operation::DetachPolicy, &new.policy), move |txn, act| {
            let (policy, attachment) = find(&service, txn, &caller, &new)?;
            describe_act(act, &policy, &attachment);
            let told = describe(txn, &policy, attachment.clone())?;
            if catalog::detach(txn, &attachment)? {
                return Ok(told);
            }
            let place = told.project_name.map_or("all projects".to_owned(), |name| format!("project {name}"));
            Err(Error::not_found(format!(
                "policy {} is not attached to group {} for {place}",
                policy.name, told.group_name
            )))
        })
    }
}

/// Says which policy a record is about, and whose it became or was.
fn describe_act(act: &mut Act, policy: &KnownPolicy, attachment: &Attachment) {
    act.name(&policy.id, &policy.name);
    act.say(match &attachment.reach {
        Reach::All => format!("group {} in all projects", attachment.group),
        Reach::Project(project) => format!("group {} in project {project}", attachment.group),
    });
}

fn find(
    service: &Service,
    rows: &impl Rows,
    actor: &Actor,
    new: &NewAttachment,
) -> Result<(KnownPolicy, Attachment), Error> {
    let policy = policies::find(rows, &new.policy)?;
    if service.keystone_url().is_some() {
        // Only the cloud knows which groups and projects it has: they are named by their ids.
        let group = GroupId(named_id(&new.group)?);
        let reach = match &new.project {
            None => Reach::All,
            Some(project) => Reach::Project(ProjectId(named_id(project)?)),
        };
        let attachment = Attachment { group, reach, policy: policy.id.clone() };
        return Ok((policy, attachment));
    }
    let group = match catalog::get::<Group>(rows, &GroupId::from(new.group.as_str()))? {
        Some(group) => Some(group),
        None => catalog::find::<Group>(rows, actor.user_domain.as_str(), &new.group)?,
    };
    let group = group.ok_or_else(|| missing("group", &new.group))?;
    let reach = match &new.project {
        None => Reach::All,
        Some(named) => {
            let project = match catalog::get::<Project>(rows, &ProjectId::from(named.as_str()))? {
                Some(project) => Some(project),
                None => catalog::find::<Project>(rows, group.domain.as_str(), named)?,
            };
            Reach::Project(project.ok_or_else(|| missing("project", named))?.id)
        }
    };
    let attachment = Attachment { group: group.id, reach, policy: policy.id.clone() };
    Ok((policy, attachment))
}

/// An id of the cloud's, as far as it can be told to be one.
fn named_id(text: &str) -> Result<String, Error> {
    let is_good = (1..=ID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if is_good {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(format!(
        "an id has 1 to {ID_BYTES_MAX} bytes, all of them printable; this has others"
    )))
}

fn describe(rows: &impl Rows, policy: &KnownPolicy, attachment: Attachment) -> Result<Attached, Error> {
    let group = catalog::get::<Group>(rows, &attachment.group)?;
    let project_name = match &attachment.reach {
        Reach::All => None,
        Reach::Project(id) => {
            let project = catalog::get::<Project>(rows, id)?;
            Some(project.map_or_else(|| id.0.clone(), |project| project.name))
        }
    };
    Ok(Attached {
        policy_name: policy.name.clone(),
        group_name: group.map_or_else(|| attachment.group.0.clone(), |group| group.name),
        project_name,
        attachment,
    })
}

fn missing(kind: &str, named: &str) -> Error {
    Error::not_found(format!("Could not find {kind}: {named}."))
}
