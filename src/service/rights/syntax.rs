//! A policy as it is written: the members of its JSON, no more and no fewer.
//!
//! Invariant: nothing is read twice, ignored, or taken for absent when it is there and empty: a member that nobody
//! knows, one that comes twice and a null are refused. Must not know what any text means.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// `1.0` for roles, `1.1` for policies.
    #[serde(rename = "Version")]
    pub version: String,
    /// What it says.
    #[serde(rename = "Statement")]
    pub statements: Vec<WrittenStatement>,
    /// The roles that one needs beside it to work at all.
    #[serde(
        rename = "Depends",
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub depends: Option<Vec<WrittenDependency>>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenStatement {
    /// Whether it allows or denies.
    #[serde(rename = "Effect")]
    pub effect: Effect,
    /// Names of actions, with `*` for any part.
    #[serde(rename = "Action")]
    pub actions: Vec<String>,
    /// Names of resources, with `*` for any part; all when absent.
    #[serde(
        rename = "Resource",
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub resources: Option<Vec<String>>,
    /// Operator to key to values.
    #[serde(
        rename = "Condition",
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub conditions: Option<Members<Members<Vec<String>>>>,
}

/// What a matching statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Lets the caller through, unless something denies.
    Allow,
    /// Turns the caller away, whatever allows.
    Deny,
}

/// A role that another one depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenDependency {
    /// The service that it belongs to; kept as it is written.
    pub catalog: String,
    /// Its name.
    pub display_name: String,
}

/// The members of an object, in their order, each name once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members<T>(pub Vec<(String, T)>);

impl<T: Serialize> Serialize for Members<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader(PhantomData))
    }
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
    type Value = Members<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<T>, A::Error> {
        let mut members: Vec<(String, T)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, T>()? {
            if members.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                return Err(A::Error::custom(format!("`{name}` is there twice; write it once")));
            }
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

/// A member that is there: null is no way to leave it out.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"Version":"1.1","Statement":[{"Effect":"Deny","Action":["ims:images:delete"],
        "Resource":["ims:*:*:image:*"],"Condition":{"StringEquals":{"g:UserName":["ann"]}}}],
        "Depends":[{"catalog":"BASE","display_name":"Tenant Administrator"}]}"#;

    #[test]
    fn a_document_is_written_as_it_was_read() {
        let written: Written = serde_json::from_str(WHOLE).unwrap();
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(text, WHOLE.replace("\n        ", ""));
    }

    #[test]
    fn what_is_unknown_double_or_null_is_refused() {
        for (from, to, expected) in [
            (r#""Effect":"#, r#""effect":"#, "unknown field `effect`"),
            (r#""Effect":"Deny","#, "", "missing field `Effect`"),
            (r#""Effect":"Deny""#, r#""Effect":"Permit""#, "unknown variant `Permit`"),
            (r#""Effect":"Deny""#, r#""Effect":"Deny","Effect":"Allow""#, "duplicate field `Effect`"),
            (r#"["ims:images:delete"]"#, r#""ims:images:delete""#, "expected a sequence"),
            (r#"["ims:images:delete"]"#, "[1]", "expected a string"),
            (r#"["ims:*:*:image:*"]"#, "null", "expected a sequence"),
            (r#"{"StringEquals":{"g:UserName":["ann"]}}"#, "null", "an object"),
            (r#"{"g:UserName":["ann"]}"#, r#"{"g:UserName":["ann"],"g:username":["bob"]}"#, "twice"),
            (r#""Version":"1.1","#, r#""Version":"1.1","Id":"x","#, "unknown field `Id`"),
            (r#""Version":"1.1","#, r#""Version":1.1,"#, "expected a string"),
            (r#""catalog":"BASE","#, "", "missing field `catalog`"),
        ] {
            let bad = WHOLE.replacen(from, to, 1);
            let error = serde_json::from_str::<Written>(&bad).unwrap_err().to_string();
            assert!(error.contains(expected), "{to}: {error}");
            assert!(error.contains("line"), "{error}");
        }
    }
}
