//! Refusals as the native API prints them: a status and `{"error": {"code", "message"}}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::service::{Error, ErrorKind};

/// A refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    /// A refusal with an explanation for the caller.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into() }
    }

    /// The request is wrong.
    pub(super) fn bad(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, message)
    }

    /// Whether it tells that something is not there, or not for the caller.
    pub(super) fn hides(&self) -> bool {
        let hidden =
            [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::GONE];
        hidden.contains(&self.status)
    }

    /// Whether it tells that something is not there.
    pub(super) fn is_of_nothing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// What it says.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// No such path.
    pub(super) fn no_path() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "the resource could not be found")
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        log(&error);
        Refusal::new(status(error.kind), error.message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.status.as_u16(), "message": self.message}});
        (self.status, Json(body)).into_response()
    }
}

/// Keeps what the caller must not see.
pub(super) fn log(error: &Error) {
    if let Some(internal) = &error.internal {
        tracing::error!(%internal, message = %error.message, "request failed");
    }
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::UnsupportedContent => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Gone => StatusCode::GONE,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Corrupt | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
