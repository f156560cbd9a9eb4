//! Refusals with the codes of the reference: `{"error": {"message", "code": "IMG.…"}}`, or the
//! gateway's where nobody of the service was asked.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::api::context::RequestId;
use crate::api::gateway;
use crate::api::table::Misnamed;
use crate::service::{Error, ErrorKind, Hindrance, OVER_LIMIT, Reason};

/// A refusal.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The service's.
    Image {
        /// Nearly always 400.
        status: StatusCode,
        /// `IMG.` and four digits.
        code: &'static str,
        /// What was wrong.
        message: String,
    },
    /// The gateway's.
    Gateway(gateway::Refusal),
}

impl Refusal {
    /// The request is wrong, in a way that has a code.
    pub(super) fn bad(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::Image { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }

    /// No such path, or not for this method.
    pub(super) fn no_api() -> Refusal {
        Refusal::Gateway(gateway::Refusal::no_api())
    }

    /// An API that the reference abandoned.
    pub(super) fn abandoned() -> Refusal {
        let message = "versions 1 and 1.1 of the image API were abandoned; ask /v2/images".to_owned();
        Refusal::Image { status: StatusCode::GONE, code: "IMG.0105", message }
    }

    /// The response to the request with this id.
    pub(super) fn respond(self, id: Option<&RequestId>) -> Response {
        match self {
            Refusal::Gateway(refusal) => refusal.respond(id),
            Refusal::Image { status, code, message } => {
                (status, Json(json!({"error": {"message": message, "code": code}}))).into_response()
            }
        }
    }
}

impl From<Misnamed> for Refusal {
    /// Of what stands in paths, images alone have ids of a form.
    fn from(Misnamed { name, text }: Misnamed) -> Refusal {
        Refusal::bad("IMG.0027", format!("{text:?} is not the id of an {name}"))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        if error.kind == ErrorKind::Unauthenticated {
            return Refusal::Gateway(gateway::Refusal::of(&error));
        }
        if let Some(internal) = &error.internal {
            tracing::error!(%internal, message = %error.message, "request failed");
        }
        let (status, code) = match (error.reason, error.kind) {
            (Some(reason), _) => of_reason(reason),
            (None, ErrorKind::NotFound | ErrorKind::Gone) => (StatusCode::BAD_REQUEST, "IMG.0027"),
            (None, ErrorKind::Forbidden) => (StatusCode::FORBIDDEN, "IMG.0026"),
            (None, ErrorKind::Conflict) => (StatusCode::BAD_REQUEST, "IMG.0035"),
            (None, ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::UnsupportedContent) => {
                (StatusCode::BAD_REQUEST, "IMG.0001")
            }
            (None, ErrorKind::Unavailable) => (StatusCode::SERVICE_UNAVAILABLE, "IMG.0014"),
            (None, ErrorKind::Corrupt | ErrorKind::Internal | ErrorKind::Unauthenticated) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "IMG.0014")
            }
        };
        Refusal::Image { status, code, message: error.message }
    }
}

fn of_reason(reason: Reason) -> (StatusCode, &'static str) {
    match reason {
        Reason::Role => (StatusCode::FORBIDDEN, "IMG.0026"),
        Reason::NotOwner => (StatusCode::BAD_REQUEST, "IMG.0047"),
        Reason::IsPublic => (StatusCode::BAD_REQUEST, "IMG.0083"),
        Reason::NotActive => (StatusCode::BAD_REQUEST, "IMG.0046"),
        Reason::NotShared => (StatusCode::BAD_REQUEST, "IMG.0084"),
        Reason::Exclusive => (StatusCode::BAD_REQUEST, "IMG.0035"),
        Reason::TooManyTags => (StatusCode::BAD_REQUEST, "IMG.0116"),
        Reason::NoSuchTag => (StatusCode::NOT_FOUND, "IMG.0121"),
        Reason::NoKey | Reason::KeyDeleted => (StatusCode::BAD_REQUEST, "IMG.0095"),
        Reason::SameKey => (StatusCode::BAD_REQUEST, "IMG.0096"),
        Reason::KeyDisabled => (StatusCode::BAD_REQUEST, "IMG.0097"),
        Reason::KeyNotGranted => (StatusCode::BAD_REQUEST, "IMG.0099"),
        Reason::ShareWithSelf => (StatusCode::BAD_REQUEST, "IMG.0076"),
        Reason::NoRecipient => (StatusCode::BAD_REQUEST, "IMG.0041"),
        Reason::UnknownProject | Reason::OtherProject => (StatusCode::BAD_REQUEST, "IMG.0067"),
        Reason::PublicShare => (StatusCode::BAD_REQUEST, "IMG.0089"),
        Reason::Encrypted => (StatusCode::BAD_REQUEST, "IMG.0098"),
        Reason::MarketImage => (StatusCode::BAD_REQUEST, "IMG.0107"),
        Reason::WholeImage => (StatusCode::BAD_REQUEST, "IMG.0135"),
        Reason::TooManyMembers => (StatusCode::BAD_REQUEST, "IMG.0088"),
        Reason::MemberExists => (StatusCode::BAD_REQUEST, "IMG.0112"),
        Reason::NoMember => (StatusCode::BAD_REQUEST, "IMG.0113"),
        Reason::NotOffered => (StatusCode::BAD_REQUEST, "IMG.0114"),
        Reason::NotAccepted => (StatusCode::BAD_REQUEST, "IMG.0196"),
        Reason::SharedAndEncrypted => (StatusCode::BAD_REQUEST, "IMG.0197"),
        Reason::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "IMG.0060"),
        Reason::OverLimit(_) => (StatusCode::BAD_REQUEST, "IMG.0015"),
        Reason::Transfer(Hindrance::BucketFails | Hindrance::BucketRefuses) => {
            (StatusCode::SERVICE_UNAVAILABLE, "IMG.0069")
        }
        Reason::Transfer(hindrance) => (StatusCode::BAD_REQUEST, of_hindrance(hindrance)),
    }
}

fn of_hindrance(hindrance: Hindrance) -> &'static str {
    match hindrance {
        Hindrance::TooManyJobs => "IMG.0060",
        Hindrance::NoBucket | Hindrance::BucketFails | Hindrance::BucketRefuses => "IMG.0069",
        Hindrance::BadKey => "IMG.0075",
        Hindrance::NoObject | Hindrance::BadContent | Hindrance::ObjectChanged => "IMG.0057",
        Hindrance::ObjectTooLarge => "IMG.0059",
        Hindrance::ObjectExists => "IMG.0070",
        Hindrance::DiskTooSmall => "IMG.0055",
        Hindrance::NotQuick => "IMG.0158",
        Hindrance::OtherFormat => "IMG.0072",
        Hindrance::PublicImage => "IMG.0077",
        Hindrance::InstallMedia => "IMG.0167",
        Hindrance::WholeMachine => "IMG.0128",
        Hindrance::ExportUnderWay => "IMG.0148",
        Hindrance::NotFillable => "IMG.0046",
        Hindrance::NotAccepted => "IMG.0196",
        Hindrance::Interrupted => "IMG.0014",
        Hindrance::NoBackup => "IMG.0020",
        Hindrance::BadBackup => "IMG.0032",
        Hindrance::BackupUsed => "IMG.0134",
        Hindrance::NoRegion => "IMG.0147",
        Hindrance::NoAgency | Hindrance::RegionRefuses => "IMG.0151",
        Hindrance::NoProjectThere => "IMG.0145",
        Hindrance::SealedHere => "IMG.0143",
        Hindrance::TooLargeThere => "IMG.0146",
        Hindrance::TooManyAcross => "IMG.0149",
        Hindrance::RegionFails | Hindrance::ArrivedOtherwise => "IMG.0014",
        // Of the Image API's imports alone.
        Hindrance::AddressRefused | Hindrance::ServerFails => "IMG.0057",
    }
}

/// The code of the word that a failed job keeps.
pub(super) fn code_of(word: &str) -> &'static str {
    match (Reason::parse(word), word) {
        (Some(reason), _) => of_reason(reason).1,
        (None, OVER_LIMIT) => "IMG.0015",
        (None, "not_found" | "gone") => "IMG.0027",
        (None, "forbidden") => "IMG.0026",
        (None, "unsupported_content") => "IMG.0057",
        (None, "too_large") => "IMG.0059",
        (None, "conflict") => "IMG.0046",
        (None, _) => "IMG.0014",
    }
}
