//! Refusals as the Identity API prints them: `{"error": {"code", "message", "title"}}`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::service::{self, ErrorKind, Reason};

/// A refusal with its status. `details` go beside `code`.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    message: String,
    details: Option<(&'static str, Value)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into(), details: None }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, message)
    }

    /// An authentication method nobody knows; says which ones there are.
    pub(super) fn unsupported_method() -> Refusal {
        Refusal {
            status: StatusCode::UNAUTHORIZED,
            message: "Attempted to authenticate with an unsupported method.".into(),
            details: Some(("identity", json!({"methods": ["password", "token", "application_credential"]}))),
        }
    }

    pub(super) fn unauthenticated() -> Refusal {
        Refusal::new(StatusCode::UNAUTHORIZED, "The request you have made requires authentication.")
    }

    /// The body.
    pub(super) fn body(&self) -> Value {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let mut error = json!({"code": self.status.as_u16(), "message": self.message, "title": title});
        if let Some((name, value)) = &self.details {
            error[*name] = value.clone();
        }
        json!({ "error": error })
    }
}

impl From<service::Error> for Refusal {
    fn from(error: service::Error) -> Refusal {
        if let Some(internal) = &error.internal {
            tracing::error!(%internal, message = %error.message, "request failed");
        }
        let status = match error.kind {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::UnsupportedContent => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Gone => StatusCode::GONE,
            ErrorKind::Unavailable if error.reason == Some(Reason::TooManyRequests) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Corrupt | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refusal::new(status, error.message)
    }
}
