//! The engine beside a slow, obvious one that reads the documents anew for each question.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::base::Time;
use crate::model::policy::Reach;
use crate::model::{GroupId, ImageId, PolicyId};

const NAMES: [&str; 4] = ["A", "b", "C", "d"];
const ACTIONS: [&str; 10] = [
    "ims:images:get",
    "ims:images:delete",
    "IMS:IMAGES:LIST",
    "ims:*:create",
    "ims:images:*",
    "*:*:*",
    "*:users:get",
    "identity:*:*",
    "ims:*Images:*",
    "ecs:servers:get",
];
const RESOURCES: [&str; 6] = [
    "ims:*:*:image:*",
    "ims:RegionOne:default:image:*",
    "ims:*:other:image:*",
    "*:*:*:*:67e55044-10b1-426f-9247-bb680e5fe0c8",
    "ims:*:*:image:67e5*",
    "identity:*:*:user:*",
];
const CONDITIONS: [&str; 8] = [
    r#"{"StringEquals":{"g:UserName":["ann"]}}"#,
    r#"{"StringNotEquals":{"g:UserName":["ann","bob"]}}"#,
    r#"{"StringEqualsIfExists":{"g:ProjectName":["lab"]}}"#,
    r#"{"StringNotEquals":{"g:ProjectName":["lab"]}}"#,
    r#"{"DateLessThan":{"g:CurrentTime":["2026-01-01T00:00:00Z"]}}"#,
    r#"{"Bool":{"g:MFAPresent":["true"]}}"#,
    r#"{"StringEquals":{"g:ServiceName":["ims"]},"StringLike":{"g:UserName":["a*"]}}"#,
    r#"{"NumberLessThanIfExists":{"g:MFAAge":["60"]},"StringStartWith":{"g:DomainName":["Def"]}}"#,
];

/// A statement as indexes into the lists above.
#[derive(Debug, Clone)]
struct Draft {
    denies: bool,
    actions: Vec<usize>,
    resource: Option<usize>,
    condition: Option<usize>,
}

#[derive(Debug, Clone)]
struct Held {
    name: usize,
    statements: Vec<Draft>,
    depends: Vec<usize>,
    is_in_reach: bool,
}

#[derive(Debug, Clone)]
struct Question {
    action: usize,
    resource: usize,
    user: &'static str,
    project: Option<&'static str>,
    at: &'static str,
}

fn draft() -> impl Strategy<Value = Draft> {
    let actions = prop::collection::vec(0..ACTIONS.len(), 1..3);
    let narrow = (prop::option::of(0..RESOURCES.len()), prop::option::of(0..CONDITIONS.len()));
    (prop::bool::weighted(0.3), actions, narrow).prop_map(|(denies, actions, (resource, condition))| Draft {
        denies,
        actions,
        resource,
        condition,
    })
}

fn held() -> impl Strategy<Value = Held> {
    let statements = prop::collection::vec(draft(), 1..4);
    let depends = prop::collection::btree_set(0..NAMES.len(), 0..3);
    (0..NAMES.len(), statements, depends, prop::bool::weighted(0.8)).prop_map(
        |(name, statements, depends, is_in_reach)| Held {
            name,
            statements,
            depends: depends.into_iter().collect(),
            is_in_reach,
        },
    )
}

fn question() -> impl Strategy<Value = Question> {
    (
        0..Action::ALL.len(),
        0..3usize,
        prop::sample::select(vec!["ann", "bob", "carl"]),
        prop::sample::select(vec![None, Some("lab"), Some("den")]),
        prop::sample::select(vec!["2025-06-01T00:00:00Z", "2026-06-01T00:00:00Z"]),
    )
        .prop_map(|(action, resource, user, project, at)| Question {
            action,
            resource,
            user,
            project,
            at,
        })
}

fn text(held: &Held) -> String {
    let list = |texts: Vec<&str>| serde_json::to_string(&texts).unwrap();
    let statements: Vec<String> = held
        .statements
        .iter()
        .map(|draft| {
            let effect = if draft.denies { "Deny" } else { "Allow" };
            let mut text = format!(
                r#"{{"Effect":"{effect}","Action":{}"#,
                list(draft.actions.iter().map(|at| ACTIONS[*at]).collect())
            );
            if let Some(at) = draft.resource {
                text += &format!(r#","Resource":{}"#, list(vec![RESOURCES[at]]));
            }
            if let Some(at) = draft.condition {
                text += &format!(r#","Condition":{}"#, CONDITIONS[at]);
            }
            text + "}"
        })
        .collect();
    let depends: Vec<String> = held
        .depends
        .iter()
        .map(|at| format!(r#"{{"catalog":"x","display_name":"{}"}}"#, NAMES[*at].to_uppercase()))
        .collect();
    let depends =
        if depends.is_empty() { String::new() } else { format!(r#","Depends":[{}]"#, depends.join(",")) };
    format!(r#"{{"Version":"1.0","Statement":[{}]{depends}}}"#, statements.join(","))
}

/// `*` by trying every way.
fn slow_match(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => (0..=text.len()).any(|cut| slow_match(&pattern[1..], &text[cut..])),
        Some(c) => text.starts_with(c) && slow_match(&pattern[1..], &text[1..]),
    }
}

struct Slow<'a> {
    held: &'a [Held],
    question: &'a Question,
    action: &'a str,
    path: String,
}

impl Slow<'_> {
    fn condition(&self, at: usize) -> bool {
        let q = self.question;
        match at {
            0 => q.user == "ann",
            1 => q.user != "ann" && q.user != "bob",
            2 => q.project.is_none_or(|name| name == "lab"),
            3 => q.project != Some("lab"),
            4 => q.at < "2026-01-01",
            5 => false,
            6 => self.action.starts_with("ims:") && q.user.starts_with('a'),
            _ => true,
        }
    }

    fn resource(&self, at: usize) -> bool {
        let kind = match self.action.split(':').nth(1).unwrap() {
            types if types.to_lowercase().ends_with("images") => "image".to_owned(),
            "policies" => "policy".to_owned(),
            types => types.trim_end_matches('s').to_lowercase(),
        };
        let service = self.action.split(':').next().unwrap();
        let wanted = [service, "RegionOne", "default", &kind, &self.path];
        RESOURCES[at].splitn(5, ':').zip(wanted).all(|(pattern, text)| slow_match(pattern, text))
    }

    fn matches(&self, draft: &Draft) -> bool {
        let name = self.action.to_lowercase();
        draft.actions.iter().any(|at| {
            let parts = ACTIONS[*at].to_lowercase();
            parts.split(':').zip(name.split(':')).all(|(pattern, part)| slow_match(pattern, part))
        }) && draft.resource.is_none_or(|at| self.resource(at))
            && draft.condition.is_none_or(|at| self.condition(at))
    }

    /// Whether what this one allows counts. `above`: those that wait for it, which it cannot lean on.
    fn works(&self, at: usize, above: &mut Vec<usize>) -> bool {
        let one = &self.held[at];
        if !one.is_in_reach || above.contains(&at) {
            return false;
        }
        above.push(at);
        let works = one.depends.iter().all(|name| {
            (0..self.held.len()).any(|other| self.held[other].name == *name && self.works(other, above))
        });
        above.pop();
        works
    }

    fn verdict(&self) -> Verdict {
        let any = |denies: bool| {
            self.held.iter().enumerate().any(|(at, one)| {
                (denies || self.works(at, &mut Vec::new()))
                    && one.statements.iter().any(|draft| draft.denies == denies && self.matches(draft))
            })
        };
        match (any(true), any(false)) {
            (true, _) => Verdict::Denied,
            (false, true) => Verdict::Allowed,
            (false, false) => Verdict::Silent,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_engine_decides_as_the_obvious_one(
        held in prop::collection::vec(held(), 0..6),
        questions in prop::collection::vec(question(), 8),
    ) {
        let holdings: Vec<Holding> = held
            .iter()
            .enumerate()
            .map(|(at, one)| Holding {
                policy: PolicyId(at.to_string()),
                name: NAMES[one.name].into(),
                group: GroupId("g".into()),
                reach: Reach::All,
                document: Arc::new(Document::parse(&text(one)).unwrap()),
                is_in_reach: one.is_in_reach,
            })
            .collect();
        let image = ImageId::parse("67e55044-10b1-426f-9247-bb680e5fe0c8").unwrap();
        for question in &questions {
            let action = Action::ALL[question.action];
            let resource = match question.resource {
                0 => Resource::None,
                1 => Resource::Image { id: &image, owner: None },
                _ => Resource::Id("some"),
            };
            let path = match resource {
                Resource::None => String::new(),
                Resource::Image { id, .. } => id.to_string(),
                Resource::Id(id) => id.to_owned(),
            };
            let asked = Asked {
                at: Time::parse(question.at).unwrap(),
                user: "u".into(),
                user_name: question.user.into(),
                domain_name: "Default".into(),
                project_name: question.project.map(str::to_owned),
                source: None,
            };
            // Made by somebody who asked at another time.
            let book = Rulebook::new(holdings.clone(), &Asked { at: Time(0), ..asked.clone() });
            let slow = Slow { held: &held, question, action: action.name(), path };
            let verdict = book.decide(action, resource, "default", &asked);
            prop_assert_eq!(verdict, slow.verdict());
            // What is explained is what was decided.
            let found = book.matches(action, resource, "default", &asked);
            let counts = |effect| found.iter().any(|m| m.effect == effect && m.idle_because.is_none());
            let explained = match (counts(Effect::Deny), counts(Effect::Allow)) {
                (true, _) => Verdict::Denied,
                (false, true) => Verdict::Allowed,
                (false, false) => Verdict::Silent,
            };
            prop_assert_eq!(explained, verdict);
        }
    }
}
