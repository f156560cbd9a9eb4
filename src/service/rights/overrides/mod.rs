//! The operator's overrides: rules in a file, by the names that the Image API and the Identity API have for them.
//!
//! Invariants: a rule says who may do what it is about, in the place of roles and of what policies allow; a policy that denies
//! beats it, and whose a thing is, and who sees it, is decided beside it, as ever. What cannot be read, or is about
//! nothing, is refused whole. Must not know the file's form.

mod check;
mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use names::Point;

use self::check::Check;
use self::names::{About, Known};
use super::Resource;
use super::action::Action;
use crate::service::{Actor, Error, Reason};

/// A rule as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenRule {
    /// Its name.
    pub name: String,
    /// The line it stands on, from 1.
    pub line: u64,
    /// Who it lets through.
    pub said: Said,
}

/// Who a rule lets through, in either form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// An expression.
    Text(String),
    /// Lists of checks: all of an inner list must hold, of any.
    Lists(Vec<Vec<String>>),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Text(text) => f.write_str(text),
            Said::Lists(lists) => {
                let all: Vec<String> = lists.iter().map(|checks| checks.join(" and ")).collect();
                f.write_str(&all.join(" or "))
            }
        }
    }
}

/// A rule that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    name: String,
    text: String,
    check: Check,
}

/// All rules of the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    by_action: BTreeMap<Action, Arc<Rule>>,
    by_point: BTreeMap<Point, Arc<Rule>>,
    /// Checks of all rules, by name: what `rule:` refers to.
    checks: BTreeMap<String, Check>,
}

/// What a rule says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided<'o> {
    /// The rule's name.
    pub rule: &'o str,
    /// Who it lets through, as it was written.
    pub text: &'o str,
    /// Whether it lets this caller through.
    pub lets_through: bool,
}

impl Overrides {
    /// Makes rules ready to decide with.
    ///
    /// # Errors
    /// The first that is wrong: its line, what is wrong with it, and what is expected.
    pub fn new(written: &[WrittenRule]) -> Result<Overrides, String> {
        let mut overrides = Overrides::default();
        for rule in written {
            let told = |why: String| format!("line {}: rule \"{}\": {why}", rule.line, rule.name);
            let check = Check::parse(&rule.said).map_err(told)?;
            if overrides.checks.insert(rule.name.clone(), check).is_some() {
                return Err(told("it is there twice".to_owned()));
            }
        }
        let referred: Vec<&str> = overrides.checks.values().flat_map(Check::references).collect();
        for rule in written {
            let told = |why: String| format!("line {}: rule \"{}\": {why}", rule.line, rule.name);
            let known = names::find(&rule.name);
            if known.is_none() && !referred.contains(&rule.name.as_str()) {
                return Err(told(names::unknown(&rule.name)));
            }
            overrides.expect_sound(&rule.name, known.as_ref(), &mut Vec::new()).map_err(told)?;
        }
        for rule in written {
            let (Some(known), Some(check)) = (names::find(&rule.name), overrides.checks.get(&rule.name))
            else {
                continue;
            };
            let (name, text) = (rule.name.clone(), rule.said.to_string());
            let ready = Arc::new(Rule { name, text, check: check.clone() });
            match known.about {
                About::Actions(actions) => {
                    for action in actions {
                        overrides.by_action.insert(action, ready.clone());
                    }
                }
                About::Point(point) => drop(overrides.by_point.insert(point, ready)),
            }
        }
        Ok(overrides)
    }

    /// Refuses a rule that refers to one that is not there, to itself, or to what is not known where it counts.
    fn expect_sound<'o>(
        &'o self,
        name: &'o str,
        known: Option<&Known>,
        above: &mut Vec<&'o str>,
    ) -> Result<(), String> {
        if above.contains(&name) {
            return Err(format!("it refers to itself, by {}", above.join(", then ")));
        }
        let Some(check) = self.checks.get(name) else {
            return Err(format!("it refers to rule:{name}, which is not in the file"));
        };
        if known.is_some_and(|known| !known.has_owner)
            && let Some(attribute) = check.attribute()
        {
            return Err(format!(
                "{attribute} is not known where it counts: the rule is about nothing that is a project's or a user's"
            ));
        }
        above.push(name);
        for other in check.references() {
            self.expect_sound(other, known, above)?;
        }
        above.pop();
        Ok(())
    }

    fn decided<'o>(&'o self, rule: &'o Rule, actor: &Actor, resource: Resource<'_>) -> Decided<'o> {
        let lets_through = rule.check.holds(&self.checks, actor, resource);
        Decided { rule: &rule.name, text: &rule.text, lets_through }
    }
}

impl Actor {
    /// What the operator's rule about an action says; `None` without one, and for the local administrator.
    pub fn overridden(&self, action: Action, resource: Resource<'_>) -> Option<Decided<'_>> {
        let overrides = self.rights.overrides()?;
        Some(overrides.decided(overrides.by_action.get(&action)?, self, resource))
    }

    /// Refuses whoever the operator's rule about a part of an action does not let through. The action itself was allowed.
    ///
    /// # Errors
    /// `Forbidden`, with the rule's name.
    pub fn obey(&self, point: Point, resource: Resource<'_>) -> Result<(), Error> {
        let decided = self
            .rights
            .overrides()
            .and_then(|overrides| Some(overrides.decided(overrides.by_point.get(&point)?, self, resource)));
        match decided.filter(|decided| !decided.lets_through) {
            None => Ok(()),
            Some(decided) => {
                decided.log(self);
                Err(decided.refusal())
            }
        }
    }
}

impl Decided<'_> {
    /// What a caller hears that the rule does not let through.
    pub fn refusal(&self) -> Error {
        let message = format!("the operator's rule {} ({}) does not let you do this", self.rule, self.text);
        Error::forbidden(message).because(Reason::Role)
    }

    /// Tells the log who was refused by which rule.
    pub(super) fn log(&self, actor: &Actor) {
        let project = actor.project().map(|project| project.as_str()).unwrap_or_default();
        tracing::info!(rule = self.rule, text = self.text, user = %actor.user, project, "a rule of policy.file refuses");
    }
}
