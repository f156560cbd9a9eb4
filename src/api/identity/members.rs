//! The members of one object in a request body: known ones are taken out with their type
//! checked, the rest is kept as it is and given back.

use serde_json::{Map, Value};

use super::call::Call;
use super::error::Refusal;
use crate::model::identity::Extra;

/// What is left of the object.
pub(super) struct Members {
    kind: &'static str,
    rest: Map<String, Value>,
}

impl Members {
    /// The object under `kind` in the request's body.
    pub(super) fn of(call: &Call, kind: &'static str) -> Result<Members, Refusal> {
        match call.json()?.remove(kind) {
            Some(Value::Object(rest)) => Ok(Members { kind, rest }),
            Some(_) => Err(Refusal::invalid(format!(
                "Invalid input for field/attribute {kind}: an object is needed."
            ))),
            None => Err(Refusal::invalid(format!("Expecting to find {kind} in request body."))),
        }
    }

    /// The objects in the list under `many` in the request's body, each of which is one `kind`: one at least.
    pub(super) fn list(call: &Call, many: &str, kind: &'static str) -> Result<Vec<Members>, Refusal> {
        let wrong = || {
            Refusal::invalid(format!(
                "Invalid input for field/attribute {many}: a list of one or more objects is needed."
            ))
        };
        match call.json()?.remove(many) {
            Some(Value::Array(list)) if !list.is_empty() => list
                .into_iter()
                .map(|one| match one {
                    Value::Object(rest) => Ok(Members { kind, rest }),
                    _ => Err(wrong()),
                })
                .collect(),
            Some(_) => Err(wrong()),
            None => Err(Refusal::invalid(format!("Expecting to find {many} in request body."))),
        }
    }

    /// A text that must be there.
    pub(super) fn required_text(&mut self, name: &str) -> Result<String, Refusal> {
        let kind = self.kind;
        self.text(name)?.ok_or_else(|| {
            Refusal::invalid(format!(
                "Invalid input for field/attribute {kind}: '{name}' is a required property"
            ))
        })
    }

    /// A text; null counts as absent.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        Ok(self.nullable_text(name)?.flatten())
    }

    /// A text or null; `None` when absent.
    pub(super) fn nullable_text(&mut self, name: &str) -> Result<Option<Option<String>>, Refusal> {
        match self.rest.remove(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) => Ok(Some(Some(text))),
            Some(_) => Err(self.wrong(name, "a text")),
        }
    }

    /// A text, or an object, which counts as the text of it; null counts as absent.
    pub(super) fn text_or_object(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.rest.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(object @ Value::Object(_)) => Ok(Some(object.to_string())),
            Some(_) => Err(self.wrong(name, "a text or an object")),
        }
    }

    /// A whole number.
    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        match self.rest.remove(name) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(name, "a whole number")),
            },
        }
    }

    /// A whole number that must be there.
    pub(super) fn required_integer(&mut self, name: &str) -> Result<i64, Refusal> {
        let kind = self.kind;
        self.integer(name)?.ok_or_else(|| {
            Refusal::invalid(format!(
                "Invalid input for field/attribute {kind}: '{name}' is a required property"
            ))
        })
    }

    /// Refuses members that nobody took.
    pub(super) fn expect_no_more(&self) -> Result<(), Refusal> {
        match self.rest.keys().next() {
            None => Ok(()),
            Some(name) => Err(Refusal::invalid(format!(
                "Invalid input for field/attribute {}: additional properties are not allowed ('{name}' was unexpected)",
                self.kind
            ))),
        }
    }

    /// A truth value.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.rest.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(value) = self.rest.remove(name) else { return Ok(None) };
        match serde_json::from_value(value) {
            Ok(texts) => Ok(Some(texts)),
            Err(_) => Err(self.wrong(name, "a list of texts")),
        }
    }

    /// A list of objects, empty where it is absent or null; each is named as this member in what is said of it.
    pub(super) fn objects(&mut self, name: &'static str) -> Result<Vec<Members>, Refusal> {
        let list = match self.rest.remove(name) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(self.wrong(name, "a list of objects")),
        };
        let members = list.into_iter().map(|one| match one {
            Value::Object(rest) => Ok(Members { kind: name, rest }),
            _ => Err(self.wrong(name, "a list of objects")),
        });
        members.collect()
    }

    /// Drops a member that may be sent, but that answers make up.
    pub(super) fn ignore(&mut self, name: &str) {
        self.rest.remove(name);
    }

    /// A member that may be sent, but only empty: what it would set does not exist here.
    pub(super) fn only_empty(&mut self, name: &str) -> Result<(), Refusal> {
        match self.rest.remove(name) {
            None | Some(Value::Null) | Some(Value::Bool(false)) => Ok(()),
            Some(Value::Object(map)) if map.is_empty() => Ok(()),
            Some(_) => Err(self.wrong(name, "left out; it is not supported")),
        }
    }

    /// Everything else, to be kept. Members that answers make up are dropped.
    pub(super) fn extra(mut self) -> Extra {
        for made_up in ["id", "links", "password_expires_at"] {
            self.rest.remove(made_up);
        }
        self.rest.into_iter().map(|(name, value)| (name, value.to_string())).collect()
    }

    fn wrong(&self, name: &str, form: &str) -> Refusal {
        Refusal::invalid(format!(
            "Invalid input for field/attribute {name} of {}: it must be {form}.",
            self.kind
        ))
    }
}

/// Adds kept members to an answer's object; what the service itself says comes first.
pub(super) fn print_extra(object: &mut Value, extra: &Extra) {
    let Value::Object(members) = object else { return };
    for (name, text) in extra {
        // Only JSON texts are ever kept; one that is none is shown as it is.
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
        members.entry(name.as_str()).or_insert(value);
    }
}
