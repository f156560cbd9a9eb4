//! `audit`: the records of what was done, for administrators and, of one project, for its managers.
//!
//! `GET audit/records` lists them in pages, `GET audit/records/SEQ` shows one, `GET audit/head` tells where the chain
//! ends, `POST audit/verify` looks at all of it and answers in lines, as other long work.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::{caller, signed_in, work};
use crate::api::context::ApiState;
use crate::api::query;
use crate::api::routing::{Routes, get, post};
use crate::base::Time;
use crate::model::trace::{Interface, Rating, Trace, TraceHead};
use crate::service::audit::{Query, RECORDS_MAX, Verified};
use crate::service::{Error, Service};

/// Records of a page when the caller names no limit.
const LIMIT_DEFAULT: usize = 50;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/audit/records", get(list))
        .route("/tintype/v1/audit/records/{record}", get(show))
        .route("/tintype/v1/audit/head", get(head))
        .route("/tintype/v1/audit/verify", post(verify))
}

async fn list(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let query = asked(&parts.uri)?;
    let page = state.blocking(move |service| service.audit_traces(&actor, &query)).await?;
    let records: Vec<Value> = page.traces.iter().map(body).collect();
    Ok(Json(json!({"records": records, "next": page.next})).into_response())
}

async fn show(
    State(state): State<ApiState>,
    Path(record): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let seq = match record.parse() {
        Ok(seq) => seq,
        Err(_) => uuid::Uuid::try_parse(&record)
            .map(|id| crate::model::trace::seq_of(&id))
            .map_err(|_| Error::not_found(format!("there is no audit record {record:?}")))?,
    };
    let trace = state.blocking(move |service| service.audit_trace(&actor, seq)).await?;
    Ok(Json(body(&trace)).into_response())
}

async fn head(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    caller(&state, request).await?;
    let head = state.blocking(Service::audit_head).await?;
    Ok(Json(json!({"head": head.to_string()})).into_response())
}

async fn verify(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let mut kept = None;
    for (name, value) in pairs(request.uri())? {
        match name.as_str() {
            "head" => kept = Some(TraceHead::parse(&value).ok_or_else(|| wrong("head", "SEQ:HASH"))?),
            _ => return Err(Refusal::bad(format!("verify takes head, not {name:?}"))),
        }
    }
    let actor = caller(&state, request).await?;
    Ok(work::respond(state, move |service, _| Ok(verified(&service.verify_audit(&actor, kept)?))))
}

fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, Refusal> {
    query::pairs(uri).ok_or_else(|| Refusal::bad("the query is not valid UTF-8"))
}

fn wrong(name: &str, form: &str) -> Refusal {
    Refusal::bad(format!("{name} must be {form}"))
}

fn asked(uri: &Uri) -> Result<Query, Refusal> {
    let mut query = Query { limit: LIMIT_DEFAULT, ..Query::default() };
    let time = |name: &str, value: &str| {
        Time::parse(value).ok_or_else(|| wrong(name, "a time as 2026-11-24T10:00:00Z"))
    };
    for (name, value) in pairs(uri)? {
        let whole = || value.parse::<u64>().map_err(|_| wrong(&name, "a whole number"));
        match name.as_str() {
            "user" => query.user = Some(value),
            "project" => query.project = Some(value.as_str().into()),
            "name" => query.operation = Some(value),
            "service" => query.service = Some(value),
            "type" => query.resource_type = Some(value),
            "resource" => query.resource_id = Some(value),
            "resource_name" => query.resource_name = Some(value),
            "request" => query.request_id = Some(value),
            "rating" => {
                let rating = Rating::parse(&value).ok_or_else(|| wrong(&name, "normal, warning or incident"));
                query.rating = Some(rating?);
            }
            "interface" => {
                let known = Interface::parse(&value);
                query.interface =
                    Some(known.ok_or_else(|| wrong(&name, "image, ims, identity, native or cts"))?);
            }
            "from" => query.from = Some(time(&name, &value)?),
            "to" => query.to = Some(time(&name, &value)?),
            "after" => query.after = Some(whole()?),
            "limit" => {
                let limit = usize::try_from(whole()?).ok().filter(|limit| (1..=RECORDS_MAX).contains(limit));
                query.limit = limit.ok_or_else(|| wrong(&name, &format!("1 to {RECORDS_MAX}")))?;
            }
            "order" => match value.as_str() {
                "newest" => query.oldest_first = false,
                "oldest" => query.oldest_first = true,
                _ => return Err(wrong(&name, "newest or oldest")),
            },
            _ => return Err(Refusal::bad(format!("records are not looked for by {name:?}"))),
        }
    }
    Ok(query)
}

fn body(trace: &Trace) -> Value {
    let content = &trace.content;
    json!({
        "seq": trace.seq,
        "id": trace.id().to_string(),
        "time": content.time.rfc3339_micros(),
        "recorded_at": content.recorded_at.rfc3339_micros(),
        "name": content.operation,
        "rating": content.rating.as_str(),
        "user": {
            "id": content.user,
            "name": content.user_name,
            "domain": {"id": content.domain, "name": content.domain_name},
        },
        "user_name": content.user_name,
        "project": content.project,
        "owner": content.owner,
        "resource_type": content.resource_type,
        "resource_id": content.resource_id,
        "resource_name": content.resource_name,
        "interface": content.interface.as_str(),
        "source": content.source,
        "request_id": content.request_id,
        "call": content.call,
        "request": content.request,
        "code": content.code,
        "message": content.message,
        "before": hex::encode(trace.before),
        "hash": hex::encode(trace.hash),
    })
}

fn verified(verified: &Verified) -> Value {
    json!({
        "records": verified.records,
        "head": verified.head.to_string(),
        "anchor": verified.anchor.map(|anchor| anchor.to_string()),
        "since": verified.since.map(Time::rfc3339_seconds),
        "flaws": verified.flaws.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "flaws_total": verified.flaws_total,
    })
}
