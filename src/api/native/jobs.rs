//! `jobs`: long work, listed and shown; `DELETE` ends it, `retry`, `pause` and `resume` do what they say.
//!
//! A project's members see its jobs, administrators all.

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::signed_in;
use crate::api::context::ApiState;
use crate::api::routing::{Routes, get, post};
use crate::base::Time;
use crate::model::job::{DataOrigin, Job, JobId, Task};
use crate::service::{Actor, Error, Service};

/// Jobs of a page when the client names no limit, and the most it gets.
const PAGE_DEFAULT: usize = 100;
/// See [`PAGE_DEFAULT`].
const PAGE_MAX: usize = 1000;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/jobs", get(list))
        .route("/tintype/v1/jobs/{job}", get(show).delete(cancel))
        .route("/tintype/v1/jobs/{job}/retry", post(retry))
        .route("/tintype/v1/jobs/{job}/pause", post(pause))
        .route("/tintype/v1/jobs/{job}/resume", post(resume))
}

/// Which jobs are listed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Page {
    /// The last job of the page before.
    marker: Option<String>,
    /// Jobs of the page, at most.
    limit: Option<usize>,
}

async fn list(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let Ok(Query(page)) = Query::<Page>::try_from_uri(&parts.uri) else {
        return Err(
            Error::invalid("the list of jobs takes marker, the id of a job, and limit, a number").into()
        );
    };
    let before = page.marker.as_deref().map(job_id).transpose()?;
    let limit = page.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX);
    let jobs = state.blocking(move |service| service.jobs(&actor, before, limit)).await?;
    let bodies: Vec<Value> = jobs.iter().map(|job| body(job, &state.service)).collect();
    Ok(Json(json!({ "jobs": bodies })).into_response())
}

async fn show(state: State<ApiState>, job: Path<String>, request: Request) -> Result<Response, Refusal> {
    let parts_of = |service: &Service, actor: &Actor, id| {
        let (job, parts) = (service.job(actor, id)?, service.job_parts(actor, id)?);
        let mut body = body(&job, service);
        if !parts.is_empty() {
            let ids: Vec<String> = parts.iter().map(|part| part.id.to_string()).collect();
            body["parts"] = json!(ids);
        }
        Ok(body)
    };
    answer(state, job, request, StatusCode::OK, parts_of).await
}

async fn cancel(state: State<ApiState>, job: Path<String>, request: Request) -> Result<Response, Refusal> {
    // It ends at its next step, not now.
    change(state, job, request, StatusCode::ACCEPTED, |service, actor, id| service.cancel_job(actor, id))
        .await
}

async fn retry(state: State<ApiState>, job: Path<String>, request: Request) -> Result<Response, Refusal> {
    change(state, job, request, StatusCode::ACCEPTED, |service, actor, id| service.retry_job(actor, id)).await
}

async fn pause(state: State<ApiState>, job: Path<String>, request: Request) -> Result<Response, Refusal> {
    change(state, job, request, StatusCode::OK, |service, actor, id| service.pause_job(actor, id, true)).await
}

async fn resume(state: State<ApiState>, job: Path<String>, request: Request) -> Result<Response, Refusal> {
    change(state, job, request, StatusCode::OK, |service, actor, id| service.pause_job(actor, id, false))
        .await
}

async fn change(
    state: State<ApiState>,
    job: Path<String>,
    request: Request,
    status: StatusCode,
    ask: fn(&Service, &Actor, JobId) -> Result<Job, Error>,
) -> Result<Response, Refusal> {
    answer(state, job, request, status, move |service, actor, id| {
        Ok(body(&ask(service, actor, id)?, service))
    })
    .await
}

async fn answer(
    State(state): State<ApiState>,
    Path(job): Path<String>,
    request: Request,
    status: StatusCode,
    ask: impl FnOnce(&Service, &Actor, JobId) -> Result<Value, Error> + Send + 'static,
) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let id = job_id(&job)?;
    let view = state.blocking(move |service| ask(service, &actor, id)).await?;
    Ok((status, Json(view)).into_response())
}

fn job_id(text: &str) -> Result<JobId, Error> {
    JobId::parse(text).ok_or_else(|| Error::not_found(format!("there is no job {text:?}")))
}

fn body(job: &Job, service: &Service) -> Value {
    let mut body = json!({
        "id": job.id.to_string(),
        "kind": job.kind.as_str(),
        "state": job.state.as_str(),
        "paused": job.paused,
        "phase": job.phase,
        "done_bytes": job.done_bytes,
        "total_bytes": job.total_bytes,
        "rate_bytes_s": job.rate_bytes_s(service.now()),
        "created_at": job.created_at.rfc3339_seconds(),
        "started_at": job.started_at.map(Time::rfc3339_seconds),
        "finished_at": job.finished_at.map(Time::rfc3339_seconds),
        "result": job.result,
        "error": job.error.as_ref().map(|error| &error.message),
        "error_code": job.error.as_ref().map(|error| &error.code).filter(|code| !code.is_empty()),
        "project": job.project.as_ref().map(|project| project.as_str()),
        "user": job.user.as_ref().map(|user| user.as_str()),
        "images": job.images.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "parent": job.parent.map(|parent| parent.to_string()),
        "attempts": job.attempts,
    });
    match &job.task {
        Some(Task::Import { from, .. }) => body["from"] = json!(from.to_string()),
        Some(Task::Machine { disks }) => {
            body["from"] = disks.iter().map(|disk| json!(disk.from.to_string())).collect();
        }
        Some(Task::Export { to, format, .. }) => {
            body["to"] = json!(to.to_string());
            body["format"] = json!(format);
        }
        Some(Task::CopyAcross { image, remote, region, project, .. }) => {
            body["source"] = json!(image.to_string());
            body["to"] = json!({"region": region, "project": project, "image": remote.to_string()});
        }
        Some(Task::Copy { source, .. }) => body["source"] = json!(source.to_string()),
        Some(Task::Intake(intake)) => {
            body["from"] = match &intake.origin {
                DataOrigin::Staged => json!("staged data"),
                DataOrigin::Web { url } => json!(url),
                DataOrigin::Region { region, image } => json!(format!("{region}:{image}")),
                DataOrigin::Own => json!("the image"),
            };
            if !intake.places.is_empty() {
                let stores = intake.places.iter();
                body["stores"] = stores.map(|place| json!(service.stores().name_of(*place))).collect();
            }
        }
        Some(Task::CopyToPlaces { places, .. }) => {
            body["stores"] = places.iter().map(|place| json!(service.stores().name_of(*place))).collect();
        }
        Some(Task::Cache { .. } | Task::Group) | None => {}
    }
    if !job.members.is_empty() {
        let member = |member: &crate::model::job::MemberOutcome| {
            json!({
                "image": member.image.to_string(),
                "project": member.project.as_str(),
                "succeeded": member.succeeded,
            })
        };
        body["members"] = job.members.iter().map(member).collect();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ask_of, state};
    use super::*;
    use crate::model::job::JobKind;

    #[tokio::test]
    async fn jobs_are_listed_shown_and_ended() {
        let state = state();
        let ended = state.service.begin_job(JobKind::Reclaim).unwrap();
        let first = ended.id();
        ended.finish(Ok([("packs".to_owned(), 2)].into())).unwrap();
        let running = state.service.begin_job(JobKind::Reclaim).unwrap();
        let second = running.id();
        let (status, body) = ask_of(&state, "GET", "/tintype/v1/jobs", true).await;
        let listed: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &listed["jobs"][0]["id"]), (StatusCode::OK, &json!(second.to_string())));
        assert_eq!(listed["jobs"][1]["result"], json!({"packs": 2}));
        let (_, body) =
            ask_of(&state, "GET", &format!("/tintype/v1/jobs?marker={second}&limit=5"), true).await;
        let listed: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(listed["jobs"].as_array().unwrap().len(), 1);
        for (method, path, expected) in [
            ("GET", format!("/{first}"), StatusCode::OK),
            ("GET", "/00000000000000000000000000000009".to_owned(), StatusCode::NOT_FOUND),
            ("GET", "/x".to_owned(), StatusCode::NOT_FOUND),
            ("GET", "?limit=x".to_owned(), StatusCode::BAD_REQUEST),
            ("DELETE", format!("/{first}"), StatusCode::CONFLICT),
            ("POST", format!("/{first}/retry"), StatusCode::CONFLICT),
            ("POST", format!("/{second}/pause"), StatusCode::OK),
            ("POST", format!("/{second}/resume"), StatusCode::OK),
            ("DELETE", format!("/{second}"), StatusCode::ACCEPTED),
        ] {
            let path = format!("/tintype/v1/jobs{path}");
            assert_eq!(ask_of(&state, method, &path, true).await.0, expected, "{method} {path}");
            assert_eq!(
                ask_of(&state, method, &path, false).await.0,
                StatusCode::UNAUTHORIZED,
                "{method} {path}"
            );
        }
    }
}
