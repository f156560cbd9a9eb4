//! One authenticated call on its way to a use case: who asks, and what came with it.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::error::Refusal;
use crate::api::context::ApiState;
use crate::api::json::{self, BodyError};
use crate::base::limits::JSON_BODY_BYTES_MAX;
use crate::service::{Actor, Error, Service};

/// A call whose sender is known.
pub(super) struct Call {
    pub(super) state: ApiState,
    pub(super) actor: Actor,
    pub(super) parts: Parts,
    pub(super) body: Body,
}

impl Call {
    /// The request's headers.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

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

    /// Refuses a body where there must be none.
    pub(super) async fn expect_no_body(&mut self) -> Result<(), Refusal> {
        match json::read(std::mem::take(&mut self.body), 0).await {
            Ok(_) => Ok(()),
            Err(BodyError::TooLarge) => Err(Refusal::bad("this request takes no body")),
            Err(error) => Err(unread(error)),
        }
    }

    /// Whether the body says `{"delete_backup": true}`, as clients of the image management service may; refuses one
    /// that says anything else.
    pub(super) async fn asks_to_delete_backup(&mut self) -> Result<bool, Refusal> {
        let bytes = json::read(std::mem::take(&mut self.body), JSON_BODY_BYTES_MAX).await.map_err(unread)?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let wish = match json::parse(&bytes) {
            Ok(Value::Object(keys)) if keys.len() == 1 => keys.get("delete_backup").and_then(Value::as_bool),
            _ => None,
        };
        match wish {
            Some(wish) => Ok(wish),
            None => Err(Refusal::bad("this request takes no body, or only delete_backup with true or false")),
        }
    }

    /// The body as JSON, whatever its declared type.
    pub(super) async fn json(&mut self) -> Result<Value, Refusal> {
        let bytes = json::read(std::mem::take(&mut self.body), JSON_BODY_BYTES_MAX).await.map_err(unread)?;
        json::parse(&bytes).map_err(Refusal::bad)
    }
}

fn unread(error: BodyError) -> Refusal {
    Refusal::new(error.status(), error.message())
}

/// A JSON response.
pub(super) fn json_response(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// A response without a body.
pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
