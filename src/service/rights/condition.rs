//! Conditions of statements: an operator, a key of the request, and values.
//!
//! A key that the request has no value for: with `IfExists` the condition holds; without, it holds exactly when its
//! operator is a negated one. Invariant: an operator or key that is not known is refused when a document is
//! read, so that no condition stands there without effect.

use std::net::IpAddr;

use ipnet::IpNet;

use super::pattern::matches;
use crate::base::Time;
use crate::model::UserId;

/// What conditions can look at, as of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When it was asked.
    pub at: Time,
    /// Who asks.
    pub user: UserId,
    /// The user's name.
    pub user_name: String,
    /// The name of the user's domain.
    pub domain_name: String,
    /// The name of the project the user acts in, if in one.
    pub project_name: Option<String>,
    /// The address that the request came from, if over the network.
    pub source: Option<IpAddr>,
}

/// A key of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    CurrentTime,
    DomainName,
    MfaPresent,
    MfaAge,
    ProjectName,
    ServiceName,
    SourceIp,
    UserId,
    UserName,
}

/// What a key's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Moment,
    Flag,
    Address,
}

const KEYS: [(&str, Key, Kind); 9] = [
    ("g:CurrentTime", Key::CurrentTime, Kind::Moment),
    ("g:DomainName", Key::DomainName, Kind::Text),
    ("g:MFAPresent", Key::MfaPresent, Kind::Flag),
    ("g:MFAAge", Key::MfaAge, Kind::Number),
    ("g:ProjectName", Key::ProjectName, Kind::Text),
    ("g:ServiceName", Key::ServiceName, Kind::Text),
    ("g:SourceIp", Key::SourceIp, Kind::Address),
    ("g:UserId", Key::UserId, Kind::Text),
    ("g:UserName", Key::UserName, Kind::Text),
];

/// How texts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    Equals,
    Starts,
    Ends,
    Like,
}

/// How numbers and moments are compared: the request's with the document's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equals,
    Less,
    LessOrEquals,
    Greater,
    GreaterOrEquals,
}

impl Order {
    fn holds(self, found: i64, wanted: i64) -> bool {
        match self {
            Order::Equals => found == wanted,
            Order::Less => found < wanted,
            Order::LessOrEquals => found <= wanted,
            Order::Greater => found > wanted,
            Order::GreaterOrEquals => found >= wanted,
        }
    }
}

/// What is compared, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Text { likeness: Likeness, folds_case: bool, values: Vec<String> },
    Number { order: Order, values: Vec<i64> },
    Moment { order: Order, values: Vec<i64> },
    Flag { values: Vec<bool> },
    Address { values: Vec<IpNet> },
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    key: Key,
    test: Test,
    is_negated: bool,
    if_exists: bool,
}

/// An operator taken apart.
struct Operator {
    kind: Kind,
    likeness: Likeness,
    order: Order,
    folds_case: bool,
    is_negated: bool,
    if_exists: bool,
}

const LIKENESSES: [(&str, Likeness); 5] = [
    ("Equals", Likeness::Equals),
    ("StartWith", Likeness::Starts),
    ("EndWith", Likeness::Ends),
    ("Like", Likeness::Like),
    ("Match", Likeness::Like),
];

const ORDERS: [(&str, Order); 5] = [
    ("Equals", Order::Equals),
    ("LessThan", Order::Less),
    ("LessThanEquals", Order::LessOrEquals),
    ("GreaterThan", Order::Greater),
    ("GreaterThanEquals", Order::GreaterOrEquals),
];

impl Operator {
    fn named(name: &str) -> Option<Operator> {
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let plain = Operator {
            kind: Kind::Flag,
            likeness: Likeness::Equals,
            order: Order::Equals,
            folds_case: false,
            is_negated: false,
            if_exists,
        };
        match name {
            "Bool" => return Some(plain),
            "IpAddress" => return Some(Operator { kind: Kind::Address, ..plain }),
            "NotIpAddress" => return Some(Operator { kind: Kind::Address, is_negated: true, ..plain }),
            _ => {}
        }
        let negation = |name: &'static str, rest: &str| -> Option<(bool, String)> {
            let rest = rest.strip_prefix(name)?;
            let positive = rest.strip_prefix("Not");
            Some((positive.is_some(), positive.unwrap_or(rest).to_owned()))
        };
        if let Some((is_negated, rest)) = negation("String", name) {
            let (rest, folds_case) =
                rest.strip_suffix("IgnoreCase").map_or((rest.as_str(), false), |rest| (rest, true));
            let (_, likeness) = LIKENESSES.into_iter().find(|(known, _)| *known == rest)?;
            return Some(Operator { kind: Kind::Text, likeness, folds_case, is_negated, ..plain });
        }
        for (prefix, kind) in [("Number", Kind::Number), ("Date", Kind::Moment)] {
            if let Some((is_negated, rest)) = negation(prefix, name) {
                let (_, order) = ORDERS.into_iter().find(|(known, _)| *known == rest)?;
                // "NotLessThan" would be another way to say "GreaterThanEquals".
                let is_known = !is_negated || order == Order::Equals;
                return is_known.then_some(Operator { kind, order, is_negated, ..plain });
            }
        }
        None
    }
}

impl Condition {
    /// Reads a condition; says what is wrong with it and what to do.
    pub(super) fn read(operator: &str, key: &str, values: &[String]) -> Result<Condition, String> {
        let operator_name = operator;
        let operator = Operator::named(operator).ok_or_else(|| {
            format!(
                "{operator} is no operator; there are String[Not]Equals, StartWith, EndWith and Like (each also with \
                 IgnoreCase), Number and Date with Equals, NotEquals, LessThan[Equals] and GreaterThan[Equals], \
                 [Not]IpAddress and Bool, each also with IfExists"
            )
        })?;
        let known = KEYS.into_iter().find(|(name, ..)| name.eq_ignore_ascii_case(key));
        let (_, key, kind) = known.ok_or_else(|| {
            let names: Vec<&str> = KEYS.iter().map(|(name, ..)| *name).collect();
            format!("{key} is no key that this server knows; there are {}", names.join(", "))
        })?;
        if kind != operator.kind {
            let fitting = match kind {
                Kind::Text => "String…",
                Kind::Number => "Number…",
                Kind::Moment => "Date…",
                Kind::Flag => "Bool",
                Kind::Address => "IpAddress or NotIpAddress",
            };
            return Err(format!("{operator_name} does not fit this key; use an operator {fitting}"));
        }
        if values.is_empty() {
            return Err("there are no values, so that it could never hold; name one, or leave it out".into());
        }
        let test = operator.test(values)?;
        Ok(Condition { key, test, is_negated: operator.is_negated, if_exists: operator.if_exists })
    }

    /// Whether it holds for every request of the same user in the same project; `None` when that also depends on
    /// when and from where is asked, and for what.
    pub(super) fn settled(&self, asked: &Asked) -> Option<bool> {
        match self.key {
            Key::CurrentTime | Key::ServiceName | Key::SourceIp => None,
            _ => Some(self.holds("", asked)),
        }
    }

    /// Whether it holds.
    pub(super) fn holds(&self, service: &str, asked: &Asked) -> bool {
        let found = match self.key {
            Key::MfaAge => None,
            Key::ProjectName if asked.project_name.is_none() => None,
            Key::SourceIp if asked.source.is_none() => None,
            _ => Some(self.finds(service, asked)),
        };
        match found {
            Some(found) => found != self.is_negated,
            None => self.if_exists || self.is_negated,
        }
    }

    /// Whether the request's value is one of those that are named.
    fn finds(&self, service: &str, asked: &Asked) -> bool {
        match &self.test {
            Test::Text { likeness, folds_case, values } => {
                let text = match self.key {
                    Key::DomainName => &asked.domain_name,
                    Key::ProjectName => asked.project_name.as_deref().unwrap_or_default(),
                    Key::ServiceName => service,
                    Key::UserId => asked.user.as_str(),
                    _ => &asked.user_name,
                };
                values.iter().any(|value| is_like(*likeness, *folds_case, value, text))
            }
            // Nobody signs in with a second factor here.
            Test::Flag { values } => values.contains(&false),
            Test::Moment { order, values } => values.iter().any(|value| order.holds(asked.at.0, *value)),
            Test::Number { .. } => false,
            Test::Address { values } => {
                // An address of IPv4 may come in the clothes of IPv6.
                let source = asked.source.map(|source| source.to_canonical());
                source.is_some_and(|source| values.iter().any(|network| network.contains(&source)))
            }
        }
    }
}

impl Operator {
    fn test(&self, values: &[String]) -> Result<Test, String> {
        Ok(match self.kind {
            Kind::Text => {
                let fold =
                    |value: &String| if self.folds_case { value.to_lowercase() } else { value.clone() };
                Test::Text {
                    likeness: self.likeness,
                    folds_case: self.folds_case,
                    values: values.iter().map(fold).collect(),
                }
            }
            Kind::Flag => Test::Flag { values: each(values, "true or false", |text| text.parse().ok())? },
            Kind::Number => {
                let values = each(values, "a whole number", |text| text.parse().ok())?;
                Test::Number { order: self.order, values }
            }
            Kind::Address => {
                let form = "an address or a network, such as 10.1.0.0/16 or 2001:db8::/32";
                Test::Address { values: each(values, form, network)? }
            }
            Kind::Moment => {
                let form = "a time such as 2027-01-31T12:00:00Z";
                let values = each(values, form, |text| Time::parse(text).map(|time| time.0))?;
                Test::Moment { order: self.order, values }
            }
        })
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn each<T>(values: &[String], form: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    let read = |text: &String| read(text).ok_or_else(|| format!("{text:?} is not {form}"));
    values.iter().map(read).collect()
}

fn is_like(likeness: Likeness, folds_case: bool, value: &str, text: &str) -> bool {
    let folded;
    let text = if folds_case {
        folded = text.to_lowercase();
        &folded
    } else {
        text
    };
    match likeness {
        Likeness::Equals => text == value,
        Likeness::Starts => text.starts_with(value),
        Likeness::Ends => text.ends_with(value),
        Likeness::Like => matches(value, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            at: Time::parse("2026-06-01T12:00:00Z").unwrap(),
            user: "u1".into(),
            user_name: "Ann".into(),
            domain_name: "Default".into(),
            project_name: Some("Lab".into()),
            source: Some("10.1.2.3".parse().unwrap()),
        }
    }

    fn holds(operator: &str, key: &str, value: &str, asked: &Asked) -> bool {
        Condition::read(operator, key, &[value.to_owned()]).unwrap().holds("ims", asked)
    }

    #[test]
    fn every_operator_compares_as_it_says() {
        let asked = asked();
        for (operator, key, value, expected) in [
            ("StringEquals", "g:UserName", "Ann", true),
            ("StringEquals", "g:UserName", "ann", false),
            ("StringEqualsIgnoreCase", "g:username", "ANN", true),
            ("StringNotEquals", "g:UserName", "Ann", false),
            ("StringNotEqualsIgnoreCase", "g:UserName", "bob", true),
            ("StringStartWith", "g:ProjectName", "La", true),
            ("StringEndWith", "g:ProjectName", "La", false),
            ("StringNotEndWithIgnoreCase", "g:ProjectName", "AB", false),
            ("StringLike", "g:DomainName", "De*t", true),
            ("StringNotMatch", "g:DomainName", "De*t", false),
            ("StringEquals", "g:ServiceName", "ims", true),
            ("StringEquals", "g:UserId", "u1", true),
            ("DateLessThan", "g:CurrentTime", "2026-06-01T12:00:00Z", false),
            ("DateLessThanEquals", "g:CurrentTime", "2026-06-01T12:00:00Z", true),
            ("DateGreaterThan", "g:CurrentTime", "2026-06-01T11:59:59Z", true),
            ("DateNotEquals", "g:CurrentTime", "2026-06-01T12:00:00Z", false),
            ("Bool", "g:MFAPresent", "false", true),
            ("Bool", "g:MFAPresent", "true", false),
            ("IpAddress", "g:SourceIp", "10.1.0.0/16", true),
            ("IpAddress", "g:SourceIp", "10.1.2.3", true),
            ("IpAddress", "g:SourceIp", "10.2.0.0/16", false),
            ("IpAddress", "g:SourceIp", "::/0", false),
            ("NotIpAddress", "g:SourceIp", "10.1.0.0/16", false),
            ("NotIpAddressIfExists", "g:SourceIp", "192.168.0.1", true),
        ] {
            assert_eq!(holds(operator, key, value, &asked), expected, "{operator} {key} {value}");
        }
        let either = ["bob".to_owned(), "Ann".to_owned()];
        assert!(Condition::read("StringEquals", "g:UserName", &either).unwrap().holds("ims", &asked));
        assert!(!Condition::read("StringNotEquals", "g:UserName", &either).unwrap().holds("ims", &asked));
    }

    #[test]
    fn a_key_without_a_value_holds_where_the_operator_says_so() {
        let nowhere = Asked { project_name: None, source: None, ..asked() };
        for (operator, key, value, expected) in [
            ("StringEquals", "g:ProjectName", "Lab", false),
            ("StringEqualsIfExists", "g:ProjectName", "Lab", true),
            ("StringNotEquals", "g:ProjectName", "Lab", true),
            ("NumberLessThan", "g:MFAAge", "60", false),
            ("NumberGreaterThanEqualsIfExists", "g:MFAAge", "60", true),
            ("NumberNotEquals", "g:MFAAge", "60", true),
            ("IpAddress", "g:SourceIp", "0.0.0.0/0", false),
            ("NotIpAddress", "g:SourceIp", "0.0.0.0/0", true),
        ] {
            assert_eq!(holds(operator, key, value, &nowhere), expected, "{operator}");
        }
        assert!(!holds("StringEqualsIfExists", "g:ProjectName", "Else", &asked()));
        let mapped = Asked { source: Some("::ffff:10.1.2.3".parse().unwrap()), ..asked() };
        assert!(holds("IpAddress", "g:SourceIp", "10.1.0.0/16", &mapped));
    }

    #[test]
    fn what_could_never_work_is_refused() {
        for (operator, key, value, expected) in [
            ("StringIs", "g:UserName", "a", "no operator"),
            ("Equals", "g:UserName", "a", "no operator"),
            ("NumberNotLessThan", "g:MFAAge", "1", "no operator"),
            ("StringEquals", "g:Nobody", "a", "no key"),
            ("StringEquals", "g:SourceIp", "10.0.0.1", "does not fit"),
            ("IpAddress", "g:SourceIp", "10.0.0.0/40", "such as"),
            ("IpAddress", "g:SourceIp", "home", "such as"),
            ("IpAddress", "g:UserName", "10.0.0.1", "does not fit"),
            ("StringEquals", "g:CurrentTime", "a", "Date"),
            ("Bool", "g:UserName", "true", "String"),
            ("Bool", "g:MFAPresent", "yes", "true or false"),
            ("DateLessThan", "g:CurrentTime", "soon", "a time"),
            ("NumberEquals", "g:MFAAge", "1.5", "whole number"),
        ] {
            let refusal = Condition::read(operator, key, &[value.to_owned()]).unwrap_err();
            assert!(refusal.contains(expected), "{operator} {key}: {refusal}");
        }
        assert!(Condition::read("StringEquals", "g:UserName", &[]).is_err());
    }
}
