//! One authenticated call on its way to a use case: who asks, and what came with it.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::error::Refusal;
use crate::api::context::ApiState;
use crate::api::{gateway, json};
use crate::base::limits::JSON_BODY_BYTES_MAX;
use crate::model::ImageId;
use crate::service::{Actor, Error, Service};

/// A call whose sender is known.
pub(super) struct Call {
    pub(super) state: ApiState,
    pub(super) actor: Actor,
    pub(super) parts: Parts,
    pub(super) body: Body,
}

impl Call {
    /// Runs a use case for the sender, where blocking is allowed.
    pub(super) fn run<T, F>(&self, work: F) -> impl Future<Output = Result<T, Refusal>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Service, &Actor) -> Result<T, Error> + Send + 'static,
    {
        // The future must not hold the call: its body can be sent to another thread, not shared.
        let (state, actor) = (self.state.clone(), self.actor.clone());
        async move { Ok(state.blocking(move |service| work(service, &actor)).await?) }
    }

    /// The query's pairs, decoded, in order.
    pub(super) fn query(&self) -> Result<Vec<(String, String)>, Refusal> {
        pairs(self.parts.uri.query().unwrap_or_default())
    }

    /// The body as JSON, whatever its declared type.
    pub(super) async fn json(&mut self) -> Result<Value, Refusal> {
        let bytes = json::read(std::mem::take(&mut self.body), JSON_BODY_BYTES_MAX)
            .await
            .map_err(|error| Refusal::Gateway(gateway::Refusal::unread(error.status(), error.message())))?;
        if bytes.is_empty() {
            return Err(Refusal::bad("IMG.0007", "this request needs a JSON body"));
        }
        json::parse(&bytes).map_err(|why| Refusal::bad("IMG.0001", why))
    }

    /// The body as a JSON object.
    pub(super) async fn object(&mut self) -> Result<Map<String, Value>, Refusal> {
        match self.json().await? {
            Value::Object(keys) => Ok(keys),
            _ => Err(Refusal::bad("IMG.0001", "the body must be a JSON object")),
        }
    }

    /// Refuses a path that names another project than the caller acts in.
    pub(super) fn expect_project(&self, named: &str) -> Result<(), Refusal> {
        // A client that was told no project leaves the placeholder of its template in the path.
        let own = self.actor.project().map(|project| project.as_str());
        if named == "{project_id}" || own == Some(named) {
            return Ok(());
        }
        Err(Refusal::bad(
            "IMG.0030",
            format!("the path names project {named}, but you act in {}", own.unwrap_or("none")),
        ))
    }
}

/// Pairs of a query, decoded, in order. A plus is a blank.
pub(super) fn pairs(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().map(|text| text.into_owned());
        decoded.map_err(|_| Refusal::bad("IMG.0017", "the query is not valid UTF-8"))
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

/// The image that a path or a body names.
pub(super) fn image_id(text: &str) -> Result<ImageId, Refusal> {
    ImageId::parse(text)
        .ok_or_else(|| Refusal::bad("IMG.0027", format!("{text:?} is not the id of an image")))
}

/// A text in a body.
pub(super) fn text<'a>(keys: &'a Map<String, Value>, name: &str) -> Result<&'a str, Refusal> {
    let found = keys.get(name).and_then(Value::as_str);
    found.ok_or_else(|| Refusal::bad("IMG.0001", format!("the body needs {name}, a string")))
}

/// A key of a body that is there and not null.
pub(super) fn optional<'a>(keys: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    keys.get(name).filter(|value| !value.is_null())
}

/// A text in a body that may be left out; clients send empty ones for what they leave out.
pub(super) fn optional_text<'a>(
    keys: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a str>, Refusal> {
    match optional(keys, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(Refusal::bad("IMG.0001", format!("{name} must be a string"))),
    }
}

/// A JSON response.
pub(super) fn json_response(body: Vec<u8>) -> Response {
    (StatusCode::OK, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// A response without a body.
pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
