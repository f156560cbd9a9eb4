//! What the audit chain learns of a request: where it came from, what it said, and that it was refused.
//!
//! A layer around all routes. Invariants: what was done is recorded by the use case that does it, never here; here
//! is recorded what was refused, after the answer is known and before it is sent; of a body only a masked and
//! bounded copy is kept.

mod body;
mod mask;
mod operations;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use http_body::Body as _;
use http_body_util::BodyExt;

use super::context::{ApiState, Credentials, LocalAdmin, RequestId, authenticate};
use super::secret_paths;
use super::signature::claimed_access;
use crate::model::Operation;
use crate::service::audit::Refused;
use crate::service::{Origin, Source};
use operations::Known;

pub use mask::masked;

/// Longest answer that is read for what it says of a refusal, in bytes.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Goes along with an answer that does not say why it refuses: what records of it say.
#[derive(Debug, Clone)]
pub(super) struct Why(pub String);

/// Goes along with an answer that tells whoever may look that there is nothing: nothing was refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct NothingThere;

/// The layer around all routes.
pub async fn pass(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let origin = Arc::new(Origin::new(
        operations::interface(&path),
        source(&request),
        request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        format!("{method} {}", secret_paths::shown(&path)),
    ));
    request.extensions_mut().insert(origin.clone());
    let access = claimed_access(request.headers().get(AUTHORIZATION));
    let (parts, inner) = request.into_parts();
    let credentials = Credentials::of(&parts);
    let inner = body::keep(&parts, inner, origin.clone());
    let response = next.run(Request::from_parts(parts, inner)).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || origin.is_recorded() {
        return response;
    }
    if response.extensions().get::<NothingThere>().is_some() {
        return response;
    }
    if origin.caller().is_none() && status != StatusCode::UNAUTHORIZED {
        // Some routes read a body before they ask who sends it.
        let known = move |service: &crate::service::Service| authenticate(service, &credentials).map(drop);
        let _ = state.blocking(known).await;
    }
    let Some(mut refused) = refusal(&method, &path, &origin, status, access) else { return response };
    let (response, told) = read(response).await;
    refused.message = response.extensions().get::<Why>().map_or(told, |Why(why)| why.clone());
    let recorded = state.blocking(move |service| service.record_refusal(&origin, refused)).await;
    if let Err(error) = recorded {
        tracing::warn!(%error, "a refusal was not recorded");
    }
    response
}

/// The way a request took.
fn source(request: &Request) -> Source {
    let extensions = request.extensions();
    match (extensions.get::<Source>(), extensions.get::<LocalAdmin>()) {
        (Some(source), _) => *source,
        (None, Some(_)) => Source::Process,
        (None, None) => Source::Box,
    }
}

/// What to record of a refusal, if anything.
fn refusal(
    method: &Method,
    path: &str,
    origin: &Origin,
    status: StatusCode,
    access: Option<String>,
) -> Option<Refused> {
    let refused = Refused {
        code: status.as_u16().to_string(),
        is_fault: status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE,
        ..Refused::default()
    };
    if origin.caller().is_none() {
        // Who proves nothing is of interest where it tries to.
        let known = operations::find(method, path);
        return match (status, access, known) {
            (StatusCode::UNAUTHORIZED, Some(access), _) => Some(Refused {
                operation: Some(Operation::SignIn),
                resource_id: access.clone(),
                claimed: access,
                ..refused
            }),
            (StatusCode::UNAUTHORIZED, None, Known::Does(operation, id))
                if matches!(operation, Operation::SignIn | Operation::ChangePassword) =>
            {
                let claimed = mask::claimed_user(&origin.body()).unwrap_or_else(|| id.clone());
                Some(Refused { operation: Some(operation), resource_id: id, claimed, ..refused })
            }
            _ => None,
        };
    }
    match operations::find(method, path) {
        // Whoever may have the image and asks for a part that it has not was not refused anything.
        Known::Does(Operation::UseImageLink, _) if status != StatusCode::NOT_FOUND => None,
        Known::Does(operation, resource_id) => {
            Some(Refused { operation: Some(operation), resource_id, ..refused })
        }
        Known::Reads => None,
        Known::Unknown => {
            let no_such =
                [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED];
            (!no_such.contains(&status)).then_some(refused)
        }
    }
}

/// The answer, and what it says.
async fn read(response: Response) -> (Response, String) {
    if response.body().size_hint().exact().is_none_or(|bytes| bytes > ANSWER_BYTES_MAX) {
        return (response, String::new());
    }
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.map(|collected| collected.to_bytes()).unwrap_or_default();
    let told = mask::told(&bytes);
    (Response::from_parts(parts, bytes.into()), told)
}
