//! What a property's definition may say: a part of JSON Schema, and which operators a filter may use.
//!
//! Invariant: a definition that is kept is one object of these facets in compact JSON, without nulls; so that whoever
//! shows one need not look at it again.

use serde_json::{Map, Value};

use crate::service::Error;

/// Types that a property, and an item of one, may have.
pub const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// What the value of a facet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One of [`TYPES`].
    Type,
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// A number.
    Number,
    /// A whole number, not negative.
    Count,
    /// True or false.
    Flag,
    /// A list of anything.
    List,
    /// A `type` and an `enum`, for each item of an array.
    Items,
    /// Anything.
    Any,
}

/// All that a definition may have, each with what it is for. The first two must be there.
pub const FACETS: [(&str, Form, &str); 18] = [
    ("title", Form::Text, "What people see"),
    ("type", Form::Type, "What its values are"),
    ("description", Form::Text, "What it is for"),
    ("operators", Form::Texts, "Words that may stand before a value where it is searched for"),
    ("required", Form::Texts, "Members that an object must have"),
    ("minimum", Form::Number, "Least value"),
    ("maximum", Form::Number, "Largest value"),
    ("minLength", Form::Count, "Least length of a string"),
    ("maxLength", Form::Count, "Largest length of a string"),
    ("pattern", Form::Text, "A regular expression that a string matches"),
    ("enum", Form::List, "The values there may be"),
    ("readonly", Form::Flag, "Whether it is for looking at only"),
    ("default", Form::Any, "The value where none is set"),
    ("items", Form::Items, "What the items of an array are"),
    ("minItems", Form::Count, "Least number of items"),
    ("maxItems", Form::Count, "Largest number of items"),
    ("uniqueItems", Form::Flag, "Whether no item is there twice"),
    ("additionalItems", Form::Flag, "Whether there may be more items"),
];
/// How many of [`FACETS`] must be there.
pub const REQUIRED_FACETS: usize = 2;

/// Checks a definition; gives it back as it is kept. `place` says where it stands.
///
/// # Errors
/// `Invalid`, saying which facet is wrong and what it should be.
pub(super) fn checked(place: &str, definition: &Map<String, Value>) -> Result<String, Error> {
    let mut kept = Map::new();
    for (name, value) in definition {
        let Some((_, form, _)) = FACETS.iter().find(|(known, ..)| known == name) else {
            let known: Vec<&str> = FACETS.iter().map(|(name, ..)| *name).collect();
            return Err(Error::invalid(format!(
                "{place} has {name:?}, which no definition has; there is: {}",
                known.join(", ")
            )));
        };
        // As clients send what they leave unset.
        if value.is_null() {
            continue;
        }
        if let Some(wanted) = form.missing(value) {
            return Err(Error::invalid(format!("{place}.{name} must be {wanted}")));
        }
        kept.insert(name.clone(), value.clone());
    }
    for (name, ..) in &FACETS[..REQUIRED_FACETS] {
        if !kept.contains_key(*name) {
            return Err(Error::invalid(format!("{place} needs {name}")));
        }
    }
    Ok(Value::Object(kept).to_string())
}

impl Form {
    /// What a value should be, where it is not.
    fn missing(self, value: &Value) -> Option<String> {
        let is_right = match self {
            Form::Type => value.as_str().is_some_and(|word| TYPES.contains(&word)),
            Form::Text => value.is_string(),
            Form::Texts => value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
            Form::Number => value.is_number(),
            Form::Count => value.as_u64().is_some(),
            Form::Flag => value.is_boolean(),
            Form::List => value.is_array(),
            Form::Items => value.as_object().is_some_and(are_items),
            Form::Any => true,
        };
        (!is_right).then(|| self.words())
    }

    fn words(self) -> String {
        match self {
            Form::Type => format!("one of {}", TYPES.join(", ")),
            Form::Text => "a string".into(),
            Form::Texts => "a list of strings".into(),
            Form::Number => "a number".into(),
            Form::Count => "a whole number, not negative".into(),
            Form::Flag => "true or false".into(),
            Form::List => "a list".into(),
            Form::Items => {
                format!("an object with type (one of {}), enum (a list), or both", TYPES.join(", "))
            }
            Form::Any => "anything".into(),
        }
    }
}

fn are_items(items: &Map<String, Value>) -> bool {
    items.iter().all(|(name, value)| match name.as_str() {
        "type" => Form::Type.missing(value).is_none(),
        "enum" => value.is_array(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(definition: Value) -> Result<String, String> {
        checked("p", definition.as_object().unwrap()).map_err(|error| error.message)
    }

    #[test]
    fn a_definition_of_every_facet_is_kept_and_nulls_are_not() {
        let whole = json!({
            "title": "T", "type": "array", "description": "d", "operators": ["<in>"], "required": ["a"], "minimum": 0.5,
            "maximum": -1, "minLength": 0, "maxLength": 9, "pattern": "^a", "enum": [1, "b"], "readonly": false,
            "default": {"a": []}, "items": {"type": "string", "enum": ["x"]}, "minItems": 1, "maxItems": 2,
            "uniqueItems": true, "additionalItems": false,
        });
        assert_eq!(whole.as_object().unwrap().len(), FACETS.len());
        assert_eq!(check(whole.clone()), Ok(whole.to_string()));
        let nulls = json!({"title": "T", "type": "string", "enum": null});
        assert_eq!(check(nulls), Ok(r#"{"title":"T","type":"string"}"#.into()));
    }

    #[test]
    fn every_wrong_facet_is_named() {
        for (facet, wrong) in [
            ("title", json!(1)),
            ("type", json!("text")),
            ("operators", json!(["a", 1])),
            ("minimum", json!("1")),
            ("maxLength", json!(-1)),
            ("maxLength", json!(1.5)),
            ("enum", json!({})),
            ("readonly", json!("no")),
            ("items", json!({"type": "text"})),
            ("items", json!({"minimum": 1})),
            ("items", json!([])),
            ("colour", json!("red")),
        ] {
            let mut definition = json!({"title": "T", "type": "string"});
            definition[facet] = wrong.clone();
            let refused = check(definition).unwrap_err();
            assert!(refused.contains(facet), "{facet}: {wrong}: {refused}");
        }
        assert_eq!(check(json!({"title": "T"})), Err("p needs type".into()));
        assert_eq!(check(json!({"type": "string", "title": null})), Err("p needs title".into()));
    }
}
