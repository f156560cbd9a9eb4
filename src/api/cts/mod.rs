//! The query API of an audit service, as clients of the reference's cloud know it: `GET /v3/{project}/traces`.
//!
//! Shows what concerns one project, to its managers and to administrators. Must not decide who may see what: it
//! parses, asks, prints. Refusals are `{"error_code": "CTS.…", "error_msg"}`.

mod wire;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, http::Uri};
use serde_json::json;
use uuid::Uuid;

use super::context::{ApiState, Credentials, authenticate};
use super::{gateway, query};
use crate::api::routing::{Routes, get};
use crate::base::Time;
use crate::model::trace::{Rating, seq_of};
use crate::service::audit::{Page, Query};
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, ErrorKind, Service};

/// Traces of a page when the client names no limit, and the most it gets (the reference's).
const LIMIT_DEFAULT: usize = 10;
/// See [`LIMIT_DEFAULT`].
const LIMIT_MAX: usize = 200;
/// Digits of a time in milliseconds.
const TIME_DIGITS: usize = 13;

/// The routes.
pub(super) fn routes() -> Routes {
    Routes::new().route("/v3/{project_id}/traces", get(list))
}

/// A refusal.
enum Refusal {
    /// The service's.
    Cts(StatusCode, &'static str, String),
    /// The gateway's: nobody knows who asks.
    Gateway(gateway::Refusal),
}

impl Refusal {
    fn bad(message: impl Into<String>) -> Refusal {
        Refusal::Cts(StatusCode::BAD_REQUEST, "CTS.0003", message.into())
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
        match error.kind {
            ErrorKind::Forbidden => Refusal::Cts(StatusCode::FORBIDDEN, "CTS.0002", error.message),
            ErrorKind::Unavailable => {
                Refusal::Cts(StatusCode::SERVICE_UNAVAILABLE, "CTS.0300", error.message)
            }
            _ => Refusal::Cts(StatusCode::INTERNAL_SERVER_ERROR, "CTS.0300", error.message),
        }
    }
}

async fn list(
    State(state): State<ApiState>,
    project: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let id = parts.extensions.get().cloned();
    let Ok(Path(project)) = project else { return gateway::Refusal::no_api().respond(id.as_ref()) };
    match answer(state, project, &parts.uri, Credentials::of(&parts)).await {
        Ok(response) => response,
        Err(Refusal::Gateway(refusal)) => refusal.respond(id.as_ref()),
        Err(Refusal::Cts(status, code, message)) => {
            (status, Json(json!({"error_code": code, "error_msg": message}))).into_response()
        }
    }
}

async fn answer(
    state: ApiState,
    project: String,
    uri: &Uri,
    credentials: Credentials,
) -> Result<Response, Refusal> {
    let actor = state.blocking(move |service| authenticate(service, &credentials)).await?;
    let own = actor.project().map(|own| own.as_str());
    if own != Some(project.as_str()) && !actor.allows(Action::AuditGetAll, Resource::None) {
        let message = format!("the path names project {project}, but you act in {}", own.unwrap_or("none"));
        return Err(Refusal::Cts(StatusCode::FORBIDDEN, "CTS.0002", message));
    }
    let asked = asked(uri, project)?;
    let page = state.blocking(move |service| look_up(service, &actor, asked)).await?;
    let marker = page.marker();
    let traces: Vec<_> = page.traces.iter().map(wire::trace).collect();
    let body = json!({"traces": traces, "meta_data": {"count": page.traces.len(), "marker": marker}});
    Ok(Json(body).into_response())
}

/// What is asked for: one record, or a listing.
enum Asked {
    One(Uuid, Query),
    Many(Query),
}

fn look_up(service: &Service, actor: &Actor, asked: Asked) -> Result<Page, Error> {
    match asked {
        Asked::Many(query) => service.audit_traces(actor, &query),
        Asked::One(id, query) => {
            let seq = seq_of(&id);
            // The page that has it alone, so that the same rules hold.
            let just = Query {
                after: Some(seq.saturating_sub(1)),
                oldest_first: true,
                limit: 1,
                project: query.project,
                ..Query::default()
            };
            let mut page = service.audit_traces(actor, &just)?;
            page.traces.retain(|trace| trace.id() == id);
            page.next = None;
            Ok(page)
        }
    }
}

impl Page {
    /// Where the next page begins, as the reference tells it: the id of the last record of this one.
    fn marker(&self) -> Option<String> {
        // Where a page ends without a record of its own, the place is told by number alone.
        let next = self.next?;
        let last = self.traces.last().filter(|last| last.seq == next);
        Some(last.map_or_else(|| next.to_string(), |last| last.id().to_string()))
    }
}

fn asked(uri: &Uri, project: String) -> Result<Asked, Refusal> {
    let mut query =
        Query { project: Some(project.as_str().into()), limit: LIMIT_DEFAULT, ..Query::default() };
    let mut one = None;
    for (name, value) in pairs(uri)? {
        match name.as_str() {
            "trace_type" if value == "system" => {}
            "trace_type" => {
                return Err(Refusal::bad(format!(
                    "trace_type must be system, not {value:?}: no data events are kept"
                )));
            }
            "tracker_name" if value == "system" => {}
            "tracker_name" => {
                return Err(Refusal::bad(format!("there is no tracker {value:?} but system")));
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                query.limit = limit.ok_or_else(|| Refusal::bad(format!("limit must be 1 to {LIMIT_MAX}")))?;
            }
            "from" => query.from = Some(Time(time(&name, &value)?.0 + MILLISECOND)),
            "to" => query.to = Some(time(&name, &value)?),
            "next" => query.after = Some(marker(&value)?),
            "service_type" => query.service = Some(value),
            "user" => query.user = Some(value),
            "resource_id" => query.resource_id = Some(value),
            "resource_name" => query.resource_name = Some(value),
            "resource_type" => query.resource_type = Some(value),
            "trace_name" => query.operation = Some(value),
            "trace_rating" => {
                let rating = Rating::parse(&value)
                    .ok_or_else(|| Refusal::bad("trace_rating must be normal, warning or incident"));
                query.rating = Some(rating?);
            }
            "trace_id" => {
                one = Some(Uuid::try_parse(&value).map_err(|_| Refusal::bad("trace_id must be a UUID"))?);
            }
            // Others are of trackers and clouds that are not here.
            _ => {}
        }
    }
    if query.from.is_some() != query.to.is_some() {
        return Err(Refusal::bad("from and to go together"));
    }
    Ok(match one {
        // Nothing else counts beside it, as in the reference.
        Some(id) => Asked::One(id, query),
        None => Asked::Many(query),
    })
}

/// Microseconds of a millisecond.
const MILLISECOND: i64 = 1000;

fn time(name: &str, value: &str) -> Result<Time, Refusal> {
    let digits = value.parse::<i64>().ok().filter(|_| value.len() == TIME_DIGITS);
    let ms = digits.filter(|ms| *ms >= 0);
    let ms =
        ms.ok_or_else(|| Refusal::bad(format!("{name} must be a time of {TIME_DIGITS} digits, in ms")))?;
    Ok(Time(ms * MILLISECOND))
}

fn marker(value: &str) -> Result<u64, Refusal> {
    let seq = value.parse().ok().or_else(|| Uuid::try_parse(value).ok().map(|id| seq_of(&id)));
    seq.ok_or_else(|| Refusal::bad("next must be the marker of a page before"))
}

fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, Refusal> {
    query::pairs(uri).ok_or_else(|| Refusal::bad("the query is not valid UTF-8"))
}

#[cfg(test)]
mod tests;
