//! Requests signed with an access key (SDK-HMAC-SHA256): checked in front of every protocol.
//!
//! Invariant: a signed request reaches a route only when its signature held, and its body's bytes
//! are those that were signed: a short one was hashed before, one that declares its digest is hashed as
//! it is read and broken off when it differs. Where both a signature and a token came, the signature decides.

mod canonical;
#[cfg(test)]
pub(super) mod tests;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use sha2::{Digest, Sha256};

use super::context::{self, ApiState, LocalAdmin, RequestId, SignedBy};
use super::gateway::Refusal;
use super::json;
use crate::base::limits::JSON_BODY_BYTES_MAX;
use crate::model::ProjectId;
use crate::service::identity::SignedCall;
use canonical::{ALGORITHM, Authorization, DATE};

/// Declares the body's digest, or that it is not signed.
const CONTENT_DIGEST: &str = "x-sdk-content-sha256";
/// Says that the body is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// Digest of no bytes.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Comes with a temporary key.
const SECURITY_TOKEN: &str = "x-security-token";
/// Names the project the caller acts in.
const PROJECT: &str = "x-project-id";
/// Longest public half of a key that is told of a request whose signature does not hold.
const ACCESS_CHARS_MAX: usize = 64;
/// Starts of other algorithms of the same clients, which they use only when told to.
const OTHER_ALGORITHMS: [&str; 2] = ["SDK-", "V11-HMAC-"];

/// The layer around all routes.
pub async fn pass(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let asked = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let is_ours = asked.is_some_and(|v| OTHER_ALGORITHMS.iter().any(|a| v.starts_with(a.as_bytes())));
    if !is_ours || request.extensions().get::<LocalAdmin>().is_some() {
        return next.run(request).await;
    }
    let id = request.extensions().get::<RequestId>().cloned();
    match checked(&state, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.respond(id.as_ref()),
    }
}

/// The request with who signed it, and a body that is what was signed.
async fn checked(state: &ApiState, request: Request) -> Result<Request, Refusal> {
    let (mut parts, body) = request.into_parts();
    let authorization = authorization(&parts).map_err(|why| Refusal::unauthenticated(&why))?;
    let (digest, body) = read_body(&parts, body).await?;
    let call = signed_call(&parts, authorization, &digest).map_err(|why| Refusal::unauthenticated(&why))?;
    let actor = state.blocking(move |service| service.authenticate_signed(&call)).await;
    let actor = actor.map_err(|error| Refusal::of(&error))?;
    context::origin(&parts).set_caller(context::caller(&actor));
    parts.extensions.insert(SignedBy(actor));
    Ok(Request::from_parts(parts, body))
}

/// The public half of the key that a request says it is signed with; `None` where it is not signed.
pub(super) fn claimed_access(authorization: Option<&HeaderValue>) -> Option<String> {
    let value = authorization?.to_str().ok()?;
    let is_ours = OTHER_ALGORITHMS.iter().any(|algorithm| value.starts_with(algorithm));
    let access = value.split_once("Access=").map_or("", |(_, rest)| rest);
    let end = access.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(access.len());
    is_ours.then(|| access[..end].chars().take(ACCESS_CHARS_MAX).collect())
}

fn authorization(parts: &Parts) -> Result<Authorization, String> {
    let value = canonical::header(parts, AUTHORIZATION.as_str())?;
    if !value.starts_with(&format!("{ALGORITHM} ")) {
        let named = value.split(' ').next().unwrap_or_default();
        return Err(format!("the algorithm {named} is not spoken here; {ALGORITHM} is"));
    }
    Authorization::parse(value)
}

fn signed_call(parts: &Parts, authorization: Authorization, digest: &str) -> Result<SignedCall, String> {
    let text = canonical::text(parts, &authorization.signed, digest)?;
    let date = canonical::header(parts, DATE)?;
    let signed_at = canonical::date(date).ok_or(format!("{DATE} must read YYYYMMDDTHHMMSSZ, in UTC"))?;
    let project = match parts.headers.contains_key(PROJECT) {
        true => Some(ProjectId::from(canonical::header(parts, PROJECT)?)),
        false => None,
    };
    let security_token = match parts.headers.contains_key(SECURITY_TOKEN) {
        true if !authorization.signed.iter().any(|name| name == SECURITY_TOKEN) => {
            return Err(format!("{SECURITY_TOKEN} must be among the signed headers"));
        }
        true => Some(canonical::header(parts, SECURITY_TOKEN)?.to_owned()),
        false => None,
    };
    Ok(SignedCall {
        access: authorization.access,
        text,
        signature: authorization.signature,
        security_token,
        signed_at,
        project,
        is_read: matches!(parts.method, Method::GET | Method::HEAD),
    })
}

/// What stands for the body in the signed text, and the body to go on with.
async fn read_body(parts: &Parts, body: Body) -> Result<(String, Body), Refusal> {
    if body.is_end_stream() || body.size_hint().exact() == Some(0) {
        return Ok((NOTHING.into(), Body::empty()));
    }
    if parts.headers.contains_key(CONTENT_DIGEST) {
        let declared =
            canonical::header(parts, CONTENT_DIGEST).map_err(|why| Refusal::unauthenticated(&why))?;
        if declared == UNSIGNED {
            return Ok((declared.into(), body));
        }
        let wanted = canonical::hex_32(declared).ok_or_else(|| {
            Refusal::unauthenticated(&format!("{CONTENT_DIGEST} is neither {UNSIGNED} nor 64 hex digits"))
        })?;
        return Ok((declared.into(), hashed(body, wanted)));
    }
    let bytes = json::read(body, JSON_BODY_BYTES_MAX).await.map_err(|error| {
        let hint = format!("{}; declare the digest of a longer one in {CONTENT_DIGEST}", error.message());
        Refusal::unread(error.status(), hint)
    })?;
    Ok((hex::encode(Sha256::digest(&bytes)), Body::from(bytes)))
}

/// The body, ended with an error where it would end otherwise than it was signed.
fn hashed(body: Body, wanted: [u8; 32]) -> Body {
    let start = Some((body.into_data_stream(), Sha256::new()));
    Body::from_stream(futures::stream::unfold(start, move |reading| async move {
        let (mut stream, mut hasher) = reading?;
        match stream.next().await {
            Some(Ok(bytes)) => {
                hasher.update(&bytes);
                Some((Ok::<Bytes, std::io::Error>(bytes), Some((stream, hasher))))
            }
            Some(Err(error)) => Some((Err(std::io::Error::other(error)), None)),
            None if <[u8; 32]>::from(hasher.finalize()) == wanted => None,
            None => Some((Err(std::io::Error::other("the body is not the one that was signed")), None)),
        }
    }))
}
