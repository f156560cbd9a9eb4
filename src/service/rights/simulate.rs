//! Explaining decisions: what a user may do, and which statements say so.
//!
//! Invariant: the outcome is the engine's own, for the rights the user has now; nothing is decided here.

use std::net::IpAddr;

use super::action::Action;
use super::document;
use super::held::roles_allow;
use super::syntax::Effect;
use super::{Decided, Resource, Verdict, built_in};
use crate::catalog::{identity as catalog, images};
use crate::db::Rows;
use crate::model::identity::{Group, Project, Scope, User};
use crate::model::policy::Reach;
use crate::model::{GroupId, ImageId, PolicyId, ProjectId, UserId};
use crate::service::{Actor, Error, Service};

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulation {
    /// Id of the user, or its name in the caller's domain.
    pub user: String,
    /// The action's name.
    pub action: String,
    /// An image's id, another id, or `*` for nothing in particular.
    pub resource: String,
    /// Id of the project, or its name in the user's domain; by default the user's own.
    pub project: Option<String>,
    /// The address that is asked from; by default, of one's own rights, that of the request.
    pub source: Option<IpAddr>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Whether the engine lets the user through.
    pub is_allowed: bool,
    /// Why, in a sentence.
    pub reason: String,
    /// The user.
    pub user: UserId,
    /// The project.
    pub project: ProjectId,
    /// The action's name as it is written.
    pub action: &'static str,
    /// The operator's rule that speaks of it, whatever it says.
    pub rule: Option<String>,
    /// Every statement that matches.
    pub matches: Vec<Weighed>,
}

/// A statement that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed {
    /// The policy's id.
    pub policy: PolicyId,
    /// The policy's name.
    pub policy_name: String,
    /// The group that has the policy: its id and its name; `None` for a role of the user's.
    pub group: Option<(GroupId, String)>,
    /// Where it is attached: a project, or `None` for all.
    pub project: Option<ProjectId>,
    /// Which statement of the document it is, from 0.
    pub statement: usize,
    /// What it does.
    pub effect: Effect,
    /// The statement.
    pub text: serde_json::Value,
    /// Why it does not count, although it matches.
    pub idle_because: Option<String>,
}

impl Service {
    /// What a user may do, and why: one's own rights, or anyone's with `tintype:policies:simulate`.
    ///
    /// # Errors
    /// `Forbidden` for others; `NotFound` when user or project is missing; `Invalid` for an action that this
    /// server does not have; `Conflict` where a cloud has the users.
    pub fn simulate(&self, actor: &Actor, asked: &Simulation) -> Result<Explained, Error> {
        let action = Action::named(&asked.action).ok_or_else(|| {
            let near = document::nearest(&asked.action);
            let hint = near.map_or(String::new(), |near| format!("; did you mean {}?", near.name()));
            Error::invalid(format!("{:?} is no action of this server{hint}", asked.action))
        })?;
        self.expect_own_identities("simulations")?;
        let rows = self.db.read()?;
        let own = catalog::get::<User>(&rows, &actor.user)?;
        let own = own.filter(|own| own.id.as_str() == asked.user || own.name == asked.user);
        let (user, is_own) = match own {
            Some(own) => (own, true),
            None => (other_user(&rows, actor, &asked.user)?, false),
        };
        let project = match &asked.project {
            None => {
                let default = user.default_project.clone().or_else(|| actor.project().cloned());
                default.ok_or_else(|| Error::invalid("name the project: the user has none by default"))?
            }
            Some(named) => match find_project(&rows, &user, named)? {
                Some(project) => project,
                // Whoever asks for themself does not learn which projects there are.
                None if is_own => ProjectId::from(named.as_str()),
                None => return Err(Error::not_found(format!("Could not find project: {named}."))),
            },
        };
        let scope = Scope::Project(project.clone());
        let Some(mut worth) = self.worth(&rows, &user.id, Some(&scope))? else {
            return Ok(Explained {
                is_allowed: false,
                reason: "the user cannot act in this project: it holds no role and no policy there, or one of user, \
                         project and their domains is disabled"
                    .into(),
                user: user.id,
                project: match (&asked.project, is_own) {
                    (Some(named), true) => ProjectId::from(named.as_str()),
                    _ => project,
                },
                action: action.name(),
                rule: None,
                matches: Vec::new(),
            });
        };
        let here = actor.origin.source.address().filter(|_| is_own);
        worth.asked.source = asked.source.or(here);
        let image = ImageId::parse(&asked.resource);
        let record = image.map(|id| images::get(&rows, &id)).transpose()?.flatten();
        let owner = record.as_ref().and_then(|image| image.owner.as_ref());
        let resource = match (asked.resource.as_str(), &image) {
            ("*" | "", _) => Resource::None,
            (_, Some(id)) => Resource::Image { id, owner },
            (id, None) => Resource::Id(id),
        };
        let account = user.domain.as_str();
        let mut matches = Vec::new();
        for found in worth.book.matches(action, resource, account, &worth.asked) {
            let name = catalog::get::<Group>(&rows, &found.holding.group)?.map(|group| group.name);
            let project = match &found.holding.reach {
                Reach::Project(project) => Some(project.clone()),
                Reach::All => None,
            };
            matches.push(Weighed {
                policy: found.holding.policy.clone(),
                policy_name: found.holding.name.clone(),
                group: Some((found.holding.group.clone(), name.unwrap_or_default())),
                project,
                statement: found.statement,
                effect: found.effect,
                text: found.holding.document.statement_json(found.statement),
                idle_because: found.idle_because,
            });
        }
        let verdict = worth.book.decide(action, resource, account, &worth.asked);
        let actor = worth.actor(Some(scope));
        let role = roles_allow(actor.roles.iter().map(String::as_str), action);
        if let Some(role) = role.and_then(built_in::keystone_role) {
            let statements = role.policy.document.statements.iter();
            let at = statements.take_while(|statement| !statement.actions.has(action)).count();
            matches.push(Weighed {
                policy: PolicyId::from(role.policy.id),
                policy_name: role.policy.name.into(),
                group: None,
                project: Some(project.clone()),
                statement: at,
                effect: Effect::Allow,
                text: role.policy.document.statement_json(at),
                idle_because: None,
            });
        }
        let rule = actor.overridden(action, resource);
        let reason = match (verdict, rule, role) {
            (Verdict::Denied, ..) => "a policy denies it, which beats everything that allows".into(),
            (_, Some(Decided { rule, text, lets_through: true }), _) => {
                format!("the operator's rule {rule} ({text}) lets the user through, and no policy denies it")
            }
            (_, Some(Decided { rule, text, .. }), _) => {
                format!(
                    "the operator's rule {rule} ({text}) does not let the user through, whatever else allows it"
                )
            }
            (Verdict::Allowed, None, _) => "a policy allows it, and none denies it".into(),
            (Verdict::Silent, None, Some(role)) => {
                format!("the role {role} allows it, and no policy denies it")
            }
            (Verdict::Silent, None, None) => "nothing allows it".into(),
        };
        let rule = rule.map(|decided| decided.rule.to_owned());
        Ok(Explained {
            is_allowed: actor.allows(action, resource),
            reason,
            user: user.id,
            project,
            action: action.name(),
            rule,
            matches,
        })
    }
}

/// Another user, for who may ask for others.
fn other_user(rows: &impl Rows, actor: &Actor, named: &str) -> Result<User, Error> {
    actor.expect(Action::PoliciesSimulate, Resource::Id(named))?;
    let user = match catalog::get::<User>(rows, &UserId::from(named))? {
        Some(user) => Some(user),
        None => catalog::find::<User>(rows, actor.user_domain.as_str(), named)?,
    };
    user.ok_or_else(|| Error::not_found(format!("Could not find user: {named}.")))
}

fn find_project(rows: &impl Rows, user: &User, named: &str) -> Result<Option<ProjectId>, Error> {
    let project = match catalog::get::<Project>(rows, &ProjectId::from(named))? {
        Some(project) => Some(project),
        None => catalog::find::<Project>(rows, user.domain.as_str(), named)?,
    };
    Ok(project.map(|project| project.id))
}
