//! One request and its answer: who asks, the query, the body within bounds, links, and the
//! headers that every response of this API carries.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts as _, OriginalUri, RawPathParams, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::error::Refusal;
use crate::api::context::{self, ApiState, Credentials, SignedBy};
use crate::api::json;
use crate::base::limits::JSON_BODY_BYTES_MAX;
use crate::service::{self, Actor, Origin, Service};

/// Carries the token that is looked at, made or revoked.
pub(super) const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// What a handler answers.
pub(super) type Outcome = Result<Answer, Refusal>;

/// A request taken apart, its body read.
pub(super) struct Call {
    pub state: ApiState,
    parts: Parts,
    path: Vec<(String, String)>,
    body: Bytes,
}

impl FromRequest<ApiState> for Call {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &ApiState) -> Result<Call, Refusal> {
        let (mut parts, body) = request.into_parts();
        let path = RawPathParams::from_request_parts(&mut parts, state)
            .await
            .map_err(|_| Refusal::invalid("the request's path is not UTF-8"))?
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let body = json::read(body, JSON_BODY_BYTES_MAX)
            .await
            .map_err(|error| Refusal::new(error.status(), error.message()))?;
        Ok(Call { state: state.clone(), parts, path, body })
    }
}

impl Call {
    /// Runs a use case on behalf of whoever asks.
    pub(super) async fn act<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service, Actor) -> Result<T, service::Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        let credentials = Credentials::of(&self.parts);
        let work = move |service: &Service| work(service, context::authenticate(service, &credentials)?);
        Ok(self.state.blocking(work).await?)
    }

    /// Where the request comes from.
    pub(super) fn origin(&self) -> Arc<Origin> {
        context::origin(&self.parts)
    }

    /// Whether an access key signed the request.
    pub(super) fn is_signed(&self) -> bool {
        self.parts.extensions.get::<SignedBy>().is_some()
    }

    /// The part of the path that `routes.rs` calls `name`, decoded.
    pub(super) fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The value of a header, when it is text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The query's pairs, decoded, in order.
    pub(super) fn query(&self) -> Vec<(String, String)> {
        let query = self.parts.uri.query().unwrap_or_default();
        query.split('&').filter(|pair| !pair.is_empty()).map(split_pair).collect()
    }

    /// The first value of a query name.
    pub(super) fn filter(&self, name: &str) -> Option<String> {
        self.query().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Whether a flag is set: present, and neither `0` nor `false`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.filter(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    /// `scheme://host:port`.
    pub(super) fn base_url(&self) -> String {
        self.state.base_url(&self.parts.uri, &self.parts.headers)
    }

    /// Where this API's version 3 is, as the client sees it.
    pub(super) fn root_url(&self) -> String {
        root_url(&self.state, &self.original_uri(), &self.parts.headers)
    }

    /// Where a thing of a collection is.
    pub(super) fn url_of(&self, collection: &str, id: &str) -> String {
        format!("{}/{collection}/{id}", self.root_url())
    }

    /// This request's own address, with its query.
    pub(super) fn self_url(&self) -> String {
        let uri = self.original_uri();
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{}{query}", self.base_url(), uri.path())
    }

    // Nested routers see the path without their prefix.
    fn original_uri(&self) -> Uri {
        self.parts.extensions.get::<OriginalUri>().map_or_else(|| self.parts.uri.clone(), |uri| uri.0.clone())
    }

    /// The JSON object in the body.
    pub(super) fn json(&self) -> Result<Map<String, Value>, Refusal> {
        match json::parse(&self.body).map_err(Refusal::invalid)? {
            Value::Object(object) => Ok(object),
            _ => Err(Refusal::invalid("the request body must be a JSON object")),
        }
    }
}

/// `…/v3`, with `/identity` in front when the client came that way.
fn root_url(state: &ApiState, uri: &Uri, headers: &HeaderMap) -> String {
    let prefix = if uri.path().starts_with("/identity") { "/identity" } else { "" };
    format!("{}{prefix}/v3", state.base_url(uri, headers))
}

/// Adds what every response of this API carries: `Vary`, and where to sign in on a 401.
pub(super) async fn finish(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let root_url = root_url(&state, request.uri(), request.headers());
    let mut response = next.run(request).await;
    let is_refused = response.status() == StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("X-Auth-Token"));
    if is_refused && let Ok(value) = HeaderValue::from_str(&format!("Keystone uri=\"{root_url}\"")) {
        headers.insert(WWW_AUTHENTICATE, value);
    }
    response
}

fn split_pair(pair: &str) -> (String, String) {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decode(key), decode(value))
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// A response before it has headers.
pub(super) struct Answer {
    status: StatusCode,
    body: Option<Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    pub(super) fn json(status: StatusCode, body: Value) -> Answer {
        Answer { status, body: Some(body), headers: Vec::new() }
    }

    pub(super) fn ok(body: Value) -> Answer {
        Answer::json(StatusCode::OK, body)
    }

    pub(super) fn created(body: Value) -> Answer {
        Answer::json(StatusCode::CREATED, body)
    }

    pub(super) fn empty() -> Answer {
        Answer { status: StatusCode::NO_CONTENT, body: None, headers: Vec::new() }
    }

    /// Adds a header; one whose value no header can hold is left out.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Answer {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Some(body) => {
                let json = HeaderValue::from_static("application/json");
                ([(CONTENT_TYPE, json)], body.to_string()).into_response()
            }
            None => Response::new(Body::empty()),
        };
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let answer = Answer::json(self.status, self.body());
        match self.status {
            // Only a crowd of sign-ins or a restart says so: both are over in seconds.
            StatusCode::SERVICE_UNAVAILABLE => answer.header(RETRY_AFTER, "2"),
            // An address that failed too often within a minute.
            StatusCode::TOO_MANY_REQUESTS => answer.header(RETRY_AFTER, "60"),
            _ => answer,
        }
        .into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_pairs_are_decoded() {
        assert_eq!(split_pair("name=a+b%2Fc"), ("name".into(), "a b/c".into()));
        assert_eq!(split_pair("nocatalog"), ("nocatalog".into(), String::new()));
    }

    #[test]
    fn who_is_turned_away_for_now_is_told_when_to_come_back() {
        let busy = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy").into_response();
        assert_eq!(busy.headers()[RETRY_AFTER], "2");
        assert!(!Refusal::unauthenticated().into_response().headers().contains_key(RETRY_AFTER));
    }
}
