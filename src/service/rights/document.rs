//! A policy ready to decide with: which of this server's actions each statement speaks of is known beforehand.
//!
//! Invariant: a document is either read whole or refused, with the place and what to do: nothing in it is
//! skipped. An action of a service that is none of ours stays without effect; one of ours must be there, so
//! that no denial is lost to a slip of the pen.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

use super::action::{Action, Actions};
use super::condition::{Asked, Condition};
use super::pattern::matches;
use super::syntax::{Effect, Written, WrittenDependency, WrittenStatement};
use super::{REGION, Resource};
use crate::base::limits::{
    NAME_CHARS_MAX, POLICY_BYTES_MAX, POLICY_DEPENDENCIES_MAX, POLICY_LIST_MAX, POLICY_STATEMENTS_MAX,
};
use crate::service::Error;

/// Services whose actions this server knows.
const OWN_SERVICES: [&str; 3] = ["ims", "identity", "tintype"];

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub(super) statements: Vec<Statement>,
    /// Names of the roles it depends on, in lower case.
    pub(super) depends: Vec<String>,
    written: Written,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) effect: Effect,
    pub(super) actions: Actions,
    resources: Vec<ResourceName>,
    conditions: Vec<Condition>,
}

/// `service:region:account:type:path`, each part with stars.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ResourceName {
    service: String,
    region: String,
    account: String,
    kind: String,
    path: String,
}

impl Document {
    /// Reads the text of a document.
    ///
    /// # Errors
    /// `Invalid` with what is wrong, where, and what to do.
    pub fn parse(text: &str) -> Result<Document, Error> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(too_long(text.len()));
        }
        let written = serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("the policy document cannot be read: {error}")))?;
        Document::new(written)
    }

    /// Makes sense of a document.
    ///
    /// # Errors
    /// `Invalid` with what is wrong, where, and what to do.
    pub fn new(written: Written) -> Result<Document, Error> {
        let is_role = match written.version.as_str() {
            "1.0" => true,
            "1.1" => false,
            other => {
                return Err(fault("Version", format!("{other:?} is neither 1.0 (roles) nor 1.1 (policies)")));
            }
        };
        expect_some("Statement", written.statements.len(), POLICY_STATEMENTS_MAX)?;
        let statements = written.statements.iter().enumerate();
        let statements = statements.map(|(at, statement)| Statement::new(at, statement, is_role));
        let statements = statements.collect::<Result<_, _>>()?;
        let depends = match &written.depends {
            None => Vec::new(),
            Some(_) if !is_role => {
                let problem = "only roles depend on others: leave it out, or make the version 1.0";
                return Err(fault("Depends", problem));
            }
            Some(depends) => dependencies(depends)?,
        };
        let document = Document { statements, depends, written };
        let bytes = document.text().len();
        if bytes > POLICY_BYTES_MAX { Err(too_long(bytes)) } else { Ok(document) }
    }

    /// Its text, without blanks.
    pub fn text(&self) -> String {
        // A document is lists and texts alone, which JSON can always say.
        serde_json::to_string(&self.written).unwrap_or_default()
    }

    /// It as JSON.
    pub fn json(&self) -> Value {
        serde_json::to_value(&self.written).unwrap_or_default()
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.written.version
    }

    /// The statement as it was written.
    pub(super) fn statement_json(&self, at: usize) -> Value {
        self.written
            .statements
            .get(at)
            .and_then(|statement| serde_json::to_value(statement).ok())
            .unwrap_or_default()
    }

    /// The actions that some statement speaks of with this effect.
    pub(super) fn actions(&self, effect: Effect) -> Actions {
        let of_effect = self.statements.iter().filter(|statement| statement.effect == effect);
        of_effect.fold(Actions::NONE, |all, statement| all.or(statement.actions))
    }
}

impl Statement {
    fn new(at: usize, written: &WrittenStatement, is_role: bool) -> Result<Statement, Error> {
        let place = format!("Statement[{at}]");
        expect_some(&format!("{place}.Action"), written.actions.len(), POLICY_LIST_MAX)?;
        let mut actions = Actions::NONE;
        for (index, pattern) in written.actions.iter().enumerate() {
            let place = format!("{place}.Action[{index}]");
            actions = actions.or(named_actions(pattern, is_role).map_err(|problem| fault(&place, problem))?);
        }
        let mut resources = Vec::new();
        if let Some(names) = &written.resources {
            expect_some(&format!("{place}.Resource"), names.len(), POLICY_LIST_MAX)?;
            for (index, name) in names.iter().enumerate() {
                let place = format!("{place}.Resource[{index}]");
                resources.push(ResourceName::read(name).map_err(|problem| fault(&place, problem))?);
            }
        }
        let mut conditions = Vec::new();
        if let Some(operators) = &written.conditions {
            let place = format!("{place}.Condition");
            expect_some(&place, operators.0.len(), POLICY_LIST_MAX)?;
            for (operator, keys) in &operators.0 {
                expect_some(&format!("{place}.{operator}"), keys.0.len(), POLICY_LIST_MAX)?;
                for (key, values) in &keys.0 {
                    let place = format!("{place}.{operator}.{key}");
                    expect_some(&place, values.len(), POLICY_LIST_MAX)?;
                    let condition = Condition::read(operator, key, values);
                    conditions.push(condition.map_err(|problem| fault(&place, problem))?);
                }
            }
        }
        Ok(Statement { effect: written.effect, actions, resources, conditions })
    }

    /// The conditions that are left once it is known who asks and in which project; `None` when it can never
    /// hold then.
    pub(super) fn conditions_left(&self, asked: &Asked) -> Option<Vec<Condition>> {
        let mut left = Vec::new();
        for condition in &self.conditions {
            match condition.settled(asked) {
                Some(true) => {}
                Some(false) => return None,
                None => left.push(condition.clone()),
            }
        }
        Some(left)
    }

    /// Whether it speaks of every resource.
    pub(super) fn names_all(&self) -> bool {
        self.resources.is_empty()
    }

    /// The paths of the resources it speaks of, where each is a single one.
    pub(super) fn exact_paths(&self) -> Option<BTreeSet<&str>> {
        let is_exact = |name: &ResourceName| !name.path.contains('*');
        let names = &self.resources;
        (!names.is_empty() && names.iter().all(is_exact))
            .then(|| names.iter().map(|name| name.path.as_str()).collect())
    }

    /// Whether it speaks of the resource that is asked for.
    pub(super) fn names(&self, sought: &Sought<'_>) -> bool {
        self.names_all() || self.resources.iter().any(|name| name.is_for(sought))
    }

    /// Whether it is about what is asked. The action is the caller's to look at.
    pub(super) fn covers(&self, sought: &Sought<'_>) -> bool {
        self.names(sought) && sought.meets(&self.conditions)
    }
}

impl ResourceName {
    fn read(name: &str) -> Result<ResourceName, String> {
        check_text(name)?;
        let parts: Vec<&str> = name.splitn(5, ':').collect();
        let &[service, region, account, kind, path] = parts.as_slice() else {
            return Err(format!(
                "{name:?} is no resource; write service:region:account:type:path with * for any part, as in \
                 ims:*:*:image:*, or leave Resource out"
            ));
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(format!("{name:?} has an empty part; write * for any"));
        }
        Ok(ResourceName {
            service: service.to_ascii_lowercase(),
            region: region.to_owned(),
            account: account.to_owned(),
            kind: kind.to_ascii_lowercase(),
            path: path.to_owned(),
        })
    }

    fn is_for(&self, sought: &Sought<'_>) -> bool {
        // The path tells most resources apart.
        matches(&self.path, &sought.path)
            && matches(&self.service, sought.service)
            && matches(&self.region, REGION)
            && matches(&self.account, sought.account)
            && matches(&self.kind, &sought.kind)
    }
}

/// A question in the words that statements use, made once for all of them.
pub(super) struct Sought<'a> {
    service: &'static str,
    kind: String,
    path: Cow<'a, str>,
    account: &'a str,
    asked: &'a Asked,
}

impl<'a> Sought<'a> {
    /// `account` is the id of the caller's domain.
    pub(super) fn new(
        action: Action,
        resource: Resource<'a>,
        account: &'a str,
        asked: &'a Asked,
    ) -> Sought<'a> {
        let path = resource.path();
        let kind = action.resource_type().to_ascii_lowercase();
        Sought { service: action.service(), kind, path, account, asked }
    }

    /// Whether all of these hold.
    pub(super) fn meets(&self, conditions: &[Condition]) -> bool {
        conditions.iter().all(|condition| condition.holds(self.service, self.asked))
    }
}

/// Every action with the parts of its name in lower case.
static FOLDED_NAMES: LazyLock<Vec<(Action, [String; 3])>> = LazyLock::new(|| {
    let fold = |action: &Action| {
        let mut parts = action.name().split(':').map(str::to_ascii_lowercase);
        (*action, std::array::from_fn(|_| parts.next().unwrap_or_default()))
    };
    Action::ALL.iter().map(fold).collect()
});

/// This server's actions that a pattern names.
fn named_actions(pattern: &str, is_role: bool) -> Result<Actions, String> {
    check_text(pattern)?;
    let mut parts: Vec<&str> = pattern.split(':').collect();
    if is_role {
        // Roles of the reference are loose: "::Get", "identity:*".
        if parts.len() == 2 {
            parts.push("*");
        }
        parts.iter_mut().filter(|part| part.is_empty()).for_each(|part| *part = "*");
    }
    let &[service, kind, operation] = parts.as_slice() else {
        return Err(format!(
            "{pattern:?} is no action; write service:type:operation with * for any part, as in ims:images:get"
        ));
    };
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"*-_".contains(&b))
    };
    if let Some(part) = parts.iter().find(|part| !is_part(part)) {
        return Err(format!(
            "{pattern:?}: {part:?} is no part of an action's name; it takes letters, digits and *"
        ));
    }
    let wanted = [service, kind, operation].map(str::to_ascii_lowercase);
    let named = |name: &[String; 3]| wanted.iter().zip(name).all(|(part, name)| matches(part, name));
    let actions: Actions =
        FOLDED_NAMES.iter().filter(|(_, name)| named(name)).map(|(action, _)| *action).collect();
    let is_own = OWN_SERVICES.iter().any(|own| own.eq_ignore_ascii_case(service));
    if is_own && actions.is_empty() {
        return Err(match nearest(pattern) {
            Some(near) => {
                format!("{pattern:?} names no action of this server; did you mean {}?", near.name())
            }
            None => format!("{pattern:?} names no action of this server; see the list in the manual"),
        });
    }
    Ok(actions)
}

/// The action that somebody may have meant.
pub(super) fn nearest(name: &str) -> Option<Action> {
    let name = name.to_lowercase();
    let score = |action: &Action| strsim::jaro_winkler(&action.name().to_lowercase(), &name);
    let best = Action::ALL.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(&best) > 0.85).then_some(best)
}

fn dependencies(depends: &[WrittenDependency]) -> Result<Vec<String>, Error> {
    expect_some("Depends", depends.len(), POLICY_DEPENDENCIES_MAX)?;
    let mut names = Vec::new();
    for (at, dependency) in depends.iter().enumerate() {
        let place = format!("Depends[{at}]");
        check_text(&dependency.display_name).map_err(|problem| fault(&place, problem))?;
        check_text(&dependency.catalog).map_err(|problem| fault(&place, problem))?;
        let name = dependency.display_name.to_lowercase();
        if names.contains(&name) {
            return Err(fault(&place, format!("{:?} is there twice", dependency.display_name)));
        }
        names.push(name);
    }
    Ok(names)
}

fn check_text(text: &str) -> Result<(), String> {
    match text.chars().count() {
        0 => Err("it is empty".into()),
        chars if chars > NAME_CHARS_MAX => {
            Err(format!("it has {chars} characters, at most {NAME_CHARS_MAX} are read"))
        }
        _ if text.chars().any(char::is_control) => Err("it has control characters".into()),
        _ => Ok(()),
    }
}

/// An empty list matches nothing or everything, depending on who reads it.
fn expect_some(place: &str, count: usize, most: usize) -> Result<(), Error> {
    match count {
        0 => Err(fault(place, "it is empty: name something, or leave it out where it may be left out")),
        _ if count > most => Err(fault(place, format!("it has {count} entries, at most {most} are read"))),
        _ => Ok(()),
    }
}

fn fault(place: &str, problem: impl std::fmt::Display) -> Error {
    Error::invalid(format!("the policy document's {place}: {problem}"))
}

fn too_long(bytes: usize) -> Error {
    Error::invalid(format!(
        "the policy document has {bytes} bytes, at most {POLICY_BYTES_MAX} are read; make two policies of it"
    ))
}
