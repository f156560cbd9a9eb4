//! Expressions of rules: who they let through.
//!
//! `@` lets everybody through, `!` nobody; `role:NAME`, `rule:NAME`, `project_id:…` and `user_id:…` are joined by `and`,
//! `or`, `not` and parentheses. Invariant: what was read can be decided for any caller, and refers to rules that are there,
//! in no circle, which is found out by whoever has all of them.

use std::collections::BTreeMap;

use super::super::Resource;
use super::Said;
use crate::service::Actor;

/// Parentheses and `not`s inside each other, at most.
const DEPTH_MAX: usize = 32;

/// Who is let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    /// Everybody, or nobody.
    Always(bool),
    /// Whoever holds the role, by its name in lower case.
    Role(String),
    /// Whoever another rule lets through.
    Rule(String),
    /// Whoever acts in a project.
    Project(Value),
    /// A user.
    User(Value),
    Not(Box<Check>),
    All(Vec<Check>),
    Any(Vec<Check>),
}

/// What something of the caller's is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Itself.
    Literal(String),
    /// Whose the thing is that is asked about; of something that is to come, the caller's own.
    OfTarget(&'static str),
}

impl Check {
    /// Reads what was written.
    pub(super) fn parse(said: &Said) -> Result<Check, String> {
        match said {
            Said::Text(text) => Parser::new(text).parse(),
            Said::Lists(lists) if lists.is_empty() => Ok(Check::Always(true)),
            Said::Lists(lists) => {
                let one = |text: &String| single(text);
                let all = |checks: &Vec<String>| {
                    checks.iter().map(one).collect::<Result<Vec<_>, _>>().map(Check::All)
                };
                lists.iter().map(all).collect::<Result<Vec<_>, _>>().map(Check::Any)
            }
        }
    }

    /// Whether it lets a caller through; `rules` has what it refers to.
    pub(super) fn holds(
        &self,
        rules: &BTreeMap<String, Check>,
        actor: &Actor,
        resource: Resource<'_>,
    ) -> bool {
        let holds = |check: &Check| check.holds(rules, actor, resource);
        match self {
            Check::Always(everybody) => *everybody,
            Check::Role(role) => actor.roles.contains(role),
            Check::Rule(name) => rules.get(name).is_some_and(holds),
            Check::Project(value) => match (actor.project(), value) {
                (None, _) => false,
                (Some(own), Value::Literal(id)) => own.as_str() == id,
                (Some(own), Value::OfTarget(_)) => match resource {
                    Resource::None => true,
                    Resource::Image { owner, .. } => owner == Some(own),
                    Resource::Id(_) => false,
                },
            },
            Check::User(Value::Literal(id)) => actor.user.as_str() == id,
            // Images are projects', and no user's.
            Check::User(Value::OfTarget(_)) => resource == Resource::None,
            Check::Not(check) => !holds(check),
            Check::All(checks) => checks.iter().all(holds),
            Check::Any(checks) => checks.iter().any(holds),
        }
    }

    /// The names of the rules that it refers to.
    pub(super) fn references(&self) -> Vec<&str> {
        match self {
            Check::Rule(name) => vec![name],
            Check::Not(check) => check.references(),
            Check::All(checks) | Check::Any(checks) => checks.iter().flat_map(Check::references).collect(),
            _ => Vec::new(),
        }
    }

    /// What it looks at of the thing that is asked about, if it does.
    pub(super) fn attribute(&self) -> Option<&'static str> {
        match self {
            Check::Project(Value::OfTarget(name)) | Check::User(Value::OfTarget(name)) => Some(name),
            Check::Not(check) => check.attribute(),
            Check::All(checks) | Check::Any(checks) => checks.iter().find_map(Check::attribute),
            _ => None,
        }
    }
}

/// One check, without anything that joins.
fn single(word: &str) -> Result<Check, String> {
    let expected = "expected @, !, role:NAME, rule:NAME, project_id:%(project_id)s, user_id:%(user_id)s, or either with an id";
    let (kind, value) = match (word, word.split_once(':')) {
        ("@" | "", _) => return Ok(Check::Always(true)),
        ("!", _) => return Ok(Check::Always(false)),
        (_, Some((kind, value))) if !value.is_empty() => (kind, value),
        _ => return Err(format!("\"{word}\" is no check: {expected}")),
    };
    let of =
        |names: [&'static str; 2]| match value.strip_prefix("%(").and_then(|rest| rest.strip_suffix(")s")) {
            None if value.contains(['%', '\'', '"']) => Err(format!("\"{word}\": {expected}")),
            None => Ok(Value::Literal(value.to_owned())),
            Some(name) => {
                names.into_iter().find(|known| *known == name).map(Value::OfTarget).ok_or_else(|| {
                    format!("\"{word}\": {name} is not known here, only {}", names.join(" and "))
                })
            }
        };
    match kind {
        "role" => Ok(Check::Role(value.to_lowercase())),
        "rule" => Ok(Check::Rule(value.to_owned())),
        "project_id" => of(["project_id", "owner"]).map(Check::Project),
        "user_id" => of(["user_id", "user"]).map(Check::User),
        _ => Err(format!(
            "\"{word}\": {kind} cannot be asked about: {expected} (who sees an image, and whose it is, is decided beside the rules)"
        )),
    }
}

/// Reads an expression, the words in order.
struct Parser<'t> {
    words: std::iter::Peekable<std::vec::IntoIter<&'t str>>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Parser<'t> {
        Parser { words: words(text).into_iter().peekable() }
    }

    fn parse(mut self) -> Result<Check, String> {
        if self.words.peek().is_none() {
            return Ok(Check::Always(true));
        }
        let check = self.any(0)?;
        match self.words.next() {
            None => Ok(check),
            Some(word) => Err(format!("\"{word}\" is one too many: expected \"and\", \"or\" or the end")),
        }
    }

    fn any(&mut self, depth: usize) -> Result<Check, String> {
        let mut checks = vec![self.all(depth)?];
        while self.takes("or") {
            checks.push(self.all(depth)?);
        }
        Ok(if checks.len() == 1 { checks.remove(0) } else { Check::Any(checks) })
    }

    fn all(&mut self, depth: usize) -> Result<Check, String> {
        let mut checks = vec![self.one(depth)?];
        while self.takes("and") {
            checks.push(self.one(depth)?);
        }
        Ok(if checks.len() == 1 { checks.remove(0) } else { Check::All(checks) })
    }

    fn one(&mut self, depth: usize) -> Result<Check, String> {
        if depth > DEPTH_MAX {
            return Err(format!("it goes more than {DEPTH_MAX} parentheses deep"));
        }
        if self.takes("not") {
            return Ok(Check::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes("(") {
            let inside = self.any(depth + 1)?;
            return if self.takes(")") {
                Ok(inside)
            } else {
                Err("a parenthesis is not closed: expected \")\"".to_owned())
            };
        }
        match self.words.next() {
            None => Err("it ends where a check is expected".to_owned()),
            Some(word @ (")" | "and" | "or")) => Err(format!("\"{word}\" stands where a check is expected")),
            Some(word) => single(word),
        }
    }

    /// Takes the next word if it is this one, in any case.
    fn takes(&mut self, wanted: &str) -> bool {
        self.words.next_if(|word| word.eq_ignore_ascii_case(wanted)).is_some()
    }
}

/// The words of an expression; parentheses are words, but for those of `%(name)s`.
fn words(text: &str) -> Vec<&str> {
    let (mut found, mut start) = (Vec::new(), None);
    let mut names = false;
    for (at, letter) in text.char_indices() {
        let after_percent = text[..at].ends_with('%');
        let ends_name = names && letter == ')';
        match letter {
            '(' if after_percent => names = true,
            ')' if ends_name => names = false,
            '(' | ')' => {
                found.extend(start.take().map(|start| &text[start..at]));
                found.push(&text[at..at + 1]);
                continue;
            }
            _ if letter.is_whitespace() => {
                found.extend(start.take().map(|start| &text[start..at]));
                names = false;
                continue;
            }
            _ => {}
        }
        start.get_or_insert(at);
    }
    found.extend(start.map(|start| &text[start..]));
    found
}
