//! All policies that hold for one user in one place, and what they decide.
//!
//! What can be known of conditions once it is known who asks and where is found out when a rulebook is made: a
//! statement about somebody else is not looked at again. Statements that name single resources are looked up by those.
//!
//! Invariant: a denial that matches beats everything that allows; what nothing allows is refused. A policy
//! that does not work (a role without those it depends on, one that reaches no further than its own
//! domain) allows nothing, and what it denies stays denied. Must not know who owns an image.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Resource;
use super::action::{Action, Actions};
use super::condition::{Asked, Condition};
use super::document::{Document, Sought, Statement};
use super::syntax::Effect;
use crate::model::policy::Reach;
use crate::model::{GroupId, PolicyId};

/// A policy that a group of the user's has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The policy's id.
    pub policy: PolicyId,
    /// The policy's name.
    pub name: String,
    /// The group that has it.
    pub group: GroupId,
    /// Where it holds.
    pub reach: Reach,
    /// What it says.
    pub document: Arc<Document>,
    /// Whether it is attached where it may allow something, which is not so outside of projects, nor in other
    /// domains than its group's.
    pub is_in_reach: bool,
}

/// A statement, as flat as deciding wants it.
#[derive(Debug, Clone)]
struct Rule {
    actions: Actions,
    /// Whether nothing else is to be looked at.
    is_bare: bool,
    holding: u32,
    statement: u32,
    /// What depends on when is asked, and for what.
    conditions: Vec<Condition>,
}

/// The statements of one effect.
#[derive(Debug, Default)]
struct Rules {
    /// Those to be looked at one by one; what needs no look at the request comes first.
    loose: Vec<Rule>,
    /// Those that name nothing but single resources, by the path of each.
    exact: HashMap<String, Vec<Rule>>,
    count: usize,
}

impl Rules {
    fn push(&mut self, rule: Rule, statement: &Statement) {
        self.count += 1;
        match statement.exact_paths() {
            None => self.loose.push(rule),
            Some(paths) => {
                for path in paths {
                    self.exact.entry(path.to_owned()).or_default().push(rule.clone());
                }
            }
        }
    }

    /// Whether one of them is about an action on the resource of this path, of those that `covers` says so of.
    fn any(&self, action: Action, resource: Resource<'_>, covers: &dyn Fn(&Rule) -> bool) -> bool {
        let holds = |rule: &Rule| rule.actions.has(action) && (rule.is_bare || covers(rule));
        self.loose.iter().any(holds)
            || !self.exact.is_empty()
                && self.exact.get(&*resource.path()).is_some_and(|rules| rules.iter().any(holds))
    }
}

/// What holds.
#[derive(Debug, Default)]
pub struct Rulebook {
    holdings: Vec<Holding>,
    /// Of each holding: whether what it allows counts.
    is_working: Vec<bool>,
    denies: Rules,
    allows: Rules,
    /// What the rules deny.
    denied: Actions,
    /// What any statement that works may allow, to whomever.
    allowed: Actions,
}

/// What policies say to an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A statement denies it.
    Denied,
    /// A statement allows it, and none denies it.
    Allowed,
    /// None speaks of it.
    Silent,
}

/// A statement that matches an action, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<'a> {
    /// Where it stands.
    pub holding: &'a Holding,
    /// Which one of the document's, from 0.
    pub statement: usize,
    /// What it does.
    pub effect: Effect,
    /// Why it does not count, although it matches.
    pub idle_because: Option<String>,
}

impl Rulebook {
    /// A rulebook of what is held, for who asks so; when does not matter.
    pub fn new(holdings: Vec<Holding>, asked: &Asked) -> Rulebook {
        let is_working = working(&holdings);
        let mut book = Rulebook { allowed: allowed_by(&holdings), ..Rulebook::default() };
        for (at, holding) in holdings.iter().enumerate() {
            for (number, statement) in holding.document.statements.iter().enumerate() {
                let is_idle = statement.effect == Effect::Allow && !is_working[at];
                if statement.actions.is_empty() || is_idle {
                    continue;
                }
                let Some(conditions) = statement.conditions_left(asked) else { continue };
                let rule = Rule {
                    actions: statement.actions,
                    is_bare: conditions.is_empty() && statement.names_all(),
                    holding: at as u32,
                    statement: number as u32,
                    conditions,
                };
                match statement.effect {
                    Effect::Deny => {
                        book.denied = book.denied.or(rule.actions);
                        book.denies.push(rule, statement);
                    }
                    Effect::Allow => book.allows.push(rule, statement),
                }
            }
        }
        // What needs no look at the request decides soonest.
        book.denies.loose.sort_by_key(|rule| !rule.is_bare);
        book.allows.loose.sort_by_key(|rule| !rule.is_bare);
        Rulebook { holdings, is_working, ..book }
    }

    /// Whether there is no policy in it.
    pub fn is_empty(&self) -> bool {
        self.holdings.is_empty()
    }

    /// How many policies are in it.
    pub(super) fn len(&self) -> usize {
        self.holdings.len()
    }

    /// How many statements are in it.
    pub(super) fn rules(&self) -> usize {
        self.denies.count + self.allows.count
    }

    /// The actions that may be allowed to somebody, whatever is denied besides.
    pub fn allowed(&self) -> Actions {
        self.allowed
    }

    /// What the policies say. `account` is the id of the caller's domain; who asks is whom the rulebook was made for.
    pub fn decide(&self, action: Action, resource: Resource<'_>, account: &str, asked: &Asked) -> Verdict {
        let sought = OnceCell::new();
        let covers = |rule: &Rule| {
            let sought = sought.get_or_init(|| Sought::new(action, resource, account, asked));
            self.statement(rule).is_some_and(|statement| statement.names(sought))
                && sought.meets(&rule.conditions)
        };
        if self.denied.has(action) && self.denies.any(action, resource, &covers) {
            Verdict::Denied
        } else if self.allowed.has(action) && self.allows.any(action, resource, &covers) {
            Verdict::Allowed
        } else {
            Verdict::Silent
        }
    }

    /// Every statement that matches, in the order in which policies are held.
    pub fn matches(
        &self,
        action: Action,
        resource: Resource<'_>,
        account: &str,
        asked: &Asked,
    ) -> Vec<Match<'_>> {
        let sought = Sought::new(action, resource, account, asked);
        let mut found = Vec::new();
        for (holding, is_working) in self.holdings.iter().zip(&self.is_working) {
            for (at, statement) in holding.document.statements.iter().enumerate() {
                if statement.actions.has(action) && statement.covers(&sought) {
                    let is_idle = statement.effect == Effect::Allow && !is_working;
                    let idle_because = is_idle.then(|| self.why_idle(holding));
                    found.push(Match { holding, statement: at, effect: statement.effect, idle_because });
                }
            }
        }
        found
    }

    fn why_idle(&self, holding: &Holding) -> String {
        if !holding.is_in_reach {
            return "policies allow something in projects of their group's domain alone".into();
        }
        let works = |name: &String| {
            self.holdings
                .iter()
                .zip(&self.is_working)
                .any(|(other, works)| *works && other.name.to_lowercase() == *name)
        };
        let missing: Vec<&str> =
            holding.document.depends.iter().filter(|name| !works(name)).map(String::as_str).collect();
        format!("it depends on {}, which does not work here: attach it too", missing.join(" and "))
    }

    fn statement(&self, rule: &Rule) -> Option<&Statement> {
        self.holdings.get(rule.holding as usize)?.document.statements.get(rule.statement as usize)
    }
}

/// The actions that a policy that works may allow to somebody.
pub(super) fn allowed_by(holdings: &[Holding]) -> Actions {
    let works = working(holdings);
    let working = holdings.iter().zip(works).filter(|(_, works)| *works);
    working.fold(Actions::NONE, |all, (holding, _)| all.or(holding.document.actions(Effect::Allow)))
}

/// Of each holding, whether what it allows counts: it is in reach, and so is everything it depends on. Roles that
/// depend on each other in a circle never work.
fn working(holdings: &[Holding]) -> Vec<bool> {
    let mut works = vec![false; holdings.len()];
    let mut names = BTreeSet::new();
    loop {
        let mut more = false;
        for (at, holding) in holdings.iter().enumerate() {
            if !works[at]
                && holding.is_in_reach
                && holding.document.depends.iter().all(|name| names.contains(name))
            {
                works[at] = true;
                more = true;
                names.insert(holding.name.to_lowercase());
            }
        }
        if !more {
            return works;
        }
    }
}
