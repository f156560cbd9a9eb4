//! One operation as it is described: what goes in, and what can come out.
//!
//! Invariant: what follows from an operation's form is derived, never written beside it: parameters of its path, and the
//! refusals that its protocol has for such a request.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::schema::{text, uuid};

/// A protocol: how its operations are grouped, and how it refuses.
pub(super) struct Api {
    /// Its name.
    pub tag: &'static str,
    /// A sentence on it.
    pub about: &'static str,
    /// The bodies of its refusals, by media type.
    pub refusal: fn() -> Value,
    /// Statuses with which it can refuse any request.
    pub refusals: &'static [u16],
    /// Statuses with which it can refuse a request that changes something, besides.
    pub refusals_of_changes: &'static [u16],
}

impl Api {
    /// What a refusal of this status is called among the document's components.
    pub(super) fn refusal_name(&self, status: u16) -> String {
        format!("{}-{status}", self.tag.replace(' ', "-"))
    }

    /// Such a refusal.
    pub(super) fn print_refusal(&self, status: u16) -> Value {
        json!({"description": reason(status), "content": (self.refusal)()})
    }
}

/// A described operation.
#[derive(Clone)]
pub(super) struct Operation {
    /// The method.
    pub method: Method,
    /// The path, parameters in braces.
    pub path: String,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Whether it needs nobody who signed in.
    pub is_public: bool,
    parameters: Vec<Value>,
    body: Map<String, Value>,
    needs_body: bool,
    answers: Vec<(u16, Option<(&'static str, Value)>)>,
    refusals: Vec<u16>,
}

macro_rules! operations {
    ($($name:ident $method:ident),*) => {
        $(
            #[doc = concat!("A ", stringify!($method), ", and what it does.")]
            pub(super) fn $name(path: &str, summary: &'static str) -> Operation {
                Operation::new(Method::$method, path, summary)
            }
        )*
    };
}

operations!(get GET, head HEAD, post POST, put PUT, patch PATCH, delete DELETE, options OPTIONS);

impl Operation {
    fn new(method: Method, path: &str, summary: &'static str) -> Operation {
        Operation {
            method,
            path: path.to_owned(),
            summary,
            is_public: false,
            parameters: Vec::new(),
            body: Map::new(),
            needs_body: true,
            answers: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Needs nobody who signed in.
    pub(super) fn public(mut self) -> Operation {
        self.is_public = true;
        self
    }

    /// Has a parameter in its query.
    pub(super) fn query(self, name: &str, schema: Value) -> Operation {
        self.parameter(json!({"name": name, "in": "query", "schema": schema}))
    }

    /// Has parameters in its query that are texts.
    pub(super) fn queries(self, names: &[&str]) -> Operation {
        names.iter().fold(self, |operation, name| operation.query(name, text()))
    }

    /// Takes any other name in its query too.
    pub(super) fn any_query(self) -> Operation {
        let names = json!({"type": "object", "additionalProperties": {"type": "string"}});
        self.parameter(
            json!({"name": "others", "in": "query", "style": "form", "explode": true, "schema": names}),
        )
    }

    /// Has a header that may be left out.
    pub(super) fn header(self, name: &str, schema: Value) -> Operation {
        self.parameter(json!({"name": name, "in": "header", "schema": schema}))
    }

    /// Has a header that must be there.
    pub(super) fn needed_header(self, name: &str, schema: Value) -> Operation {
        self.parameter(json!({"name": name, "in": "header", "required": true, "schema": schema}))
    }

    fn parameter(mut self, parameter: Value) -> Operation {
        self.parameters.push(parameter);
        self
    }

    /// Takes a body of JSON.
    pub(super) fn takes(self, schema: Value) -> Operation {
        self.takes_as("application/json", schema)
    }

    /// Takes a body of this type, beside those that were said before.
    pub(super) fn takes_as(mut self, media: &str, schema: Value) -> Operation {
        self.body.insert(media.to_owned(), json!({"schema": schema}));
        self
    }

    /// Takes a body of bytes.
    pub(super) fn takes_bytes(mut self, media: &str) -> Operation {
        self.body.insert(media.to_owned(), json!({}));
        self
    }

    /// The body may be left out.
    pub(super) fn or_none(mut self) -> Operation {
        self.needs_body = false;
        self
    }

    /// Answers with JSON.
    pub(super) fn gives(self, status: u16, schema: Value) -> Operation {
        self.gives_as(status, "application/json", json!({"schema": schema}))
    }

    /// Answers with bytes of this type.
    pub(super) fn gives_bytes(self, status: u16, media: &'static str) -> Operation {
        self.gives_as(status, media, json!({}))
    }

    fn gives_as(mut self, status: u16, media: &'static str, content: Value) -> Operation {
        self.answers.push((status, Some((media, content))));
        self
    }

    /// Answers without a body.
    pub(super) fn gives_nothing(mut self, status: u16) -> Operation {
        self.answers.push((status, None));
        self
    }

    /// Can refuse with these statuses too.
    pub(super) fn refuses(mut self, statuses: &[u16]) -> Operation {
        self.refusals.extend(statuses);
        self
    }

    /// The same below another prefix.
    pub(super) fn below(&self, prefix: &str) -> Operation {
        Operation { path: format!("{prefix}{}", self.path), ..self.clone() }
    }

    /// The operation as the document has it.
    pub(super) fn print(&self, api: &Api) -> Value {
        let mut printed = json!({
            "operationId": self.id(),
            "tags": [api.tag],
            "summary": self.summary,
            "responses": self.responses(api),
        });
        let mut parameters: Vec<Value> = names(&self.path).map(path_parameter).collect();
        parameters.extend(self.parameters.iter().cloned());
        if !parameters.is_empty() {
            printed["parameters"] = parameters.into();
        }
        if !self.body.is_empty() {
            printed["requestBody"] = json!({"required": self.needs_body, "content": self.body});
        }
        if self.is_public {
            printed["security"] = json!([]);
        }
        printed
    }

    /// A name that no other operation has: methods and paths are unique.
    fn id(&self) -> String {
        let words = self.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let trailing = self.path.ends_with('/').then_some("root");
        let words: Vec<&str> = std::iter::once(self.method.as_str()).chain(words).chain(trailing).collect();
        words.join("_").to_ascii_lowercase()
    }

    fn responses(&self, api: &Api) -> Value {
        let mut responses = std::collections::BTreeMap::new();
        for (status, content) in &self.answers {
            let response = responses
                .entry(status.to_string())
                .or_insert_with(|| json!({"description": reason(*status)}));
            if let Some((media, content)) = content {
                response["content"][*media] = content.clone();
            }
        }
        for status in self.all_refusals(api) {
            let refusal = json!({"$ref": format!("#/components/responses/{}", api.refusal_name(status))});
            responses.entry(status.to_string()).or_insert(refusal);
        }
        json!(responses)
    }

    /// Statuses with which it can be refused.
    pub(super) fn all_refusals(&self, api: &Api) -> Vec<u16> {
        let mut statuses = self.refusals.clone();
        statuses.extend(api.refusals);
        if self.is_public {
            statuses.retain(|status| *status != 401 && *status != 403 || self.refusals.contains(status));
        }
        if !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS) {
            statuses.extend(api.refusals_of_changes);
        }
        statuses
    }
}

/// The names in braces of a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    // The rest of a path is one parameter too.
    names.map(|name| name.trim_start_matches('*'))
}

fn path_parameter(name: &str) -> Value {
    let schema = match name {
        "image" | "task" => uuid(),
        _ => json!({"type": "string", "minLength": 1}),
    };
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

fn reason(status: u16) -> &'static str {
    let known = StatusCode::from_u16(status).ok();
    known.and_then(|status| status.canonical_reason()).unwrap_or("Answer")
}
