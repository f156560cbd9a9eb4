//! The operator's rules about who may do what: the file that the settings name.
//!
//! YAML: the names of rules, each with an expression, or with lists of lists of checks. Invariant: a server starts with all of
//! the rules in it, or not at all. Must not know what rules there are.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::error::Error;
use crate::service::rights::{Overrides, Said, WrittenRule};

/// Settings of the section.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// File with rules in the place of the built-in ones; empty for none.
    pub file: String,
}

/// What a rule may be written as.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Lists(Vec<List>),
    /// Nothing of it; read all the same, so that its line can be told.
    Neither(serde::de::IgnoredAny),
}

/// One of the lists in a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum List {
    One(String),
    All(Vec<String>),
}

/// How a rule is written.
const EXPECTED: &str = "expected is NAME: \"EXPRESSION\" on each line, or NAME: [[\"CHECK\", …], …]";

/// The rules in the file that the settings name; `None` where they name none.
///
/// # Errors
/// When it cannot be read, or a rule in it is wrong: the file, the line, and what is expected.
pub(super) fn open(settings: &Policy) -> Result<Option<Overrides>, Error> {
    let path = settings.file.as_str();
    if path.is_empty() {
        return Ok(None);
    }
    let refused = |why: String| Error::Settings(format!("policy.file {path}: {why}"));
    let text = std::fs::read_to_string(Path::new(path)).map_err(|error| refused(error.to_string()))?;
    read(&text).map(Some).map_err(refused)
}

fn read(text: &str) -> Result<Overrides, String> {
    let rules: Option<BTreeMap<String, Spanned<Value>>> =
        serde_saphyr::from_str(text).map_err(|error| unread(&error))?;
    let written = rules.into_iter().flatten().map(rule).collect::<Result<Vec<_>, _>>();
    let mut written = written?;
    // As they stand in the file, so that the first fault is told first.
    written.sort_by_key(|rule| rule.line);
    Overrides::new(&written)
}

/// What is said of a text that is no YAML of this form: the first line, as the others repeat the text.
fn unread(error: &serde_saphyr::Error) -> String {
    let told = error.to_string();
    let first = told.lines().next().unwrap_or_default();
    format!("{}; {EXPECTED}", first.strip_prefix("error: ").unwrap_or(first))
}

fn rule((name, value): (String, Spanned<Value>)) -> Result<WrittenRule, String> {
    let line = value.referenced.line();
    let said = match value.value {
        Value::Text(text) => Said::Text(text),
        Value::Lists(lists) => Said::Lists(lists.into_iter().map(List::checks).collect()),
        Value::Neither(_) => {
            return Err(format!("line {line}: rule \"{name}\" is neither a text nor lists; {EXPECTED}"));
        }
    };
    Ok(WrittenRule { name, line, said })
}

impl List {
    fn checks(self) -> Vec<String> {
        match self {
            List::One(check) => vec![check],
            List::All(checks) => checks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_in_every_form_that_its_rules_take() {
        let text = "# ours\n\"publicize_image\": \"role:publisher\"\nadd_image: rule:makers\n'makers': [[\"role:admin\"], [role:member, \
                    \"project_id:lab\"], \"role:other\"]\nget_image: ''\ndelete_image: '!'\nget_tasks:\n  - [role:admin]\n  - - role:a\n    - role:b\n";
        read(text).unwrap();
        assert_eq!(read("").unwrap(), Overrides::default());
        assert_eq!(read("# nothing\n---\n").unwrap(), Overrides::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_file_line_and_what_is_expected() {
        for (text, wanted) in [
            ("get_image: '@'\n\nget_imag: '@'\n", &["line 3", "get_imag", "did you mean get_image?"][..]),
            ("get_image:\n  role:admin and\n", &["line 2", "ends where a check is expected"]),
            ("get_image: [[role:admin, {a: b}]]\n", &["line 1", "expected is NAME"]),
            ("get_image: 7\n", &["line 1"]),
            ("- get_image\n", &["line 1", "expected is NAME"]),
            ("get_image: '@'\nget_image: '!'\n", &["line 2", "get_image"]),
            ("get_image: '@\n", &["line 2 column 1", "expected is NAME"]),
        ] {
            let refused = read(text).unwrap_err();
            for part in wanted {
                assert!(refused.contains(part), "{text:?}: {refused:?} lacks {part:?}");
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.yaml");
        let named = Policy { file: file.to_str().unwrap().into() };
        assert!(open(&named).unwrap_err().to_string().starts_with("policy.file"));
        std::fs::write(&file, "get_image: rule:x\n").unwrap();
        let refused = open(&named).unwrap_err().to_string();
        assert!(refused.contains("policy.yaml: line 1: rule \"get_image\""), "{refused}");
        std::fs::write(&file, "get_image: '@'\n").unwrap();
        assert!(open(&named).unwrap().is_some() && open(&Policy::default()).unwrap().is_none());
    }
}
