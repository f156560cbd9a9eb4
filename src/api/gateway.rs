//! Refusals as the gateway in front of the reference's services prints them: nobody of a service
//! was asked yet. `{"error_code", "error_msg", "request_id"}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::context::RequestId;
use crate::service::{ErrorKind, Reason};

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    /// Whoever sent the request did not prove who it is.
    pub(super) fn unauthenticated(why: &str) -> Refusal {
        let message = format!("Incorrect IAM authentication information: {why}");
        Refusal { status: StatusCode::UNAUTHORIZED, code: "APIGW.0301", message }
    }

    /// No such path, or not for this method.
    pub(super) fn no_api() -> Refusal {
        let message = "The API does not exist or has not been published in the environment";
        Refusal { status: StatusCode::NOT_FOUND, code: "APIGW.0101", message: message.into() }
    }

    /// The request could not be read.
    pub(super) fn unread(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { status, code: "APIGW.0201", message: message.into() }
    }

    /// Why a caller is not known, out of a use case's refusal.
    pub(super) fn of(error: &crate::service::Error) -> Refusal {
        if let Some(internal) = &error.internal {
            tracing::error!(%internal, message = %error.message, "request failed");
        }
        match error.kind {
            ErrorKind::Unauthenticated => Refusal::unauthenticated(&error.message),
            ErrorKind::Unavailable if error.reason == Some(Reason::TooManyRequests) => {
                let (status, message) = (StatusCode::TOO_MANY_REQUESTS, error.message.clone());
                Refusal { status, code: "APIGW.0308", message }
            }
            ErrorKind::Unavailable => Refusal::unread(StatusCode::SERVICE_UNAVAILABLE, error.message.clone()),
            _ => Refusal::unread(StatusCode::INTERNAL_SERVER_ERROR, error.message.clone()),
        }
    }

    /// The response to the request with this id.
    pub(super) fn respond(self, id: Option<&RequestId>) -> Response {
        let body = json!({
            "error_code": self.code,
            "error_msg": self.message,
            "request_id": id.map(|id| id.0.as_str()),
        });
        (self.status, Json(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Error;

    #[test]
    fn a_crowd_and_a_restart_are_told_apart() {
        let busy = Error::new(ErrorKind::Unavailable, "busy");
        assert_eq!(Refusal::of(&busy).status, StatusCode::SERVICE_UNAVAILABLE);
        let crowd = Refusal::of(&busy.because(Reason::TooManyRequests));
        assert_eq!((crowd.status, crowd.code), (StatusCode::TOO_MANY_REQUESTS, "APIGW.0308"));
        let stranger = Refusal::of(&Error::new(ErrorKind::Unauthenticated, "no"));
        assert_eq!((stranger.status, stranger.code), (StatusCode::UNAUTHORIZED, "APIGW.0301"));
    }
}
