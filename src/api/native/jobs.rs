//! `jobs`: long work, listed and shown; `DELETE` ends it, `pause` and `resume` do what they say.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::caller;
use super::error::Refusal;
use crate::api::context::ApiState;
use crate::base::Time;
use crate::model::job::{Job, JobId};
use crate::service::{Actor, Error, Service};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/tintype/v1/jobs", get(list))
        .route("/tintype/v1/jobs/{job}", get(show).delete(cancel))
        .route("/tintype/v1/jobs/{job}/pause", post(pause))
        .route("/tintype/v1/jobs/{job}/resume", post(resume))
}

async fn list(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = caller(&state, request).await?;
    let jobs = state.blocking(move |service| service.jobs(&actor)).await?;
    Ok(Json(json!({"jobs": jobs.iter().map(body).collect::<Vec<_>>()})).into_response())
}

async fn show(state: State<ApiState>, job: Path<String>, request: Request) -> Result<Response, Refusal> {
    answer(state, job, request, StatusCode::OK, |service, actor, id| service.job(actor, id)).await
}

async fn cancel(state: State<ApiState>, job: Path<String>, request: Request) -> Result<Response, Refusal> {
    // It ends at its next step, not now.
    answer(state, job, request, StatusCode::ACCEPTED, |service, actor, id| service.cancel_job(actor, id))
        .await
}

async fn pause(state: State<ApiState>, job: Path<String>, request: Request) -> Result<Response, Refusal> {
    answer(state, job, request, StatusCode::OK, |service, actor, id| service.pause_job(actor, id, true)).await
}

async fn resume(state: State<ApiState>, job: Path<String>, request: Request) -> Result<Response, Refusal> {
    answer(state, job, request, StatusCode::OK, |service, actor, id| service.pause_job(actor, id, false))
        .await
}

async fn answer(
    State(state): State<ApiState>,
    Path(job): Path<String>,
    request: Request,
    status: StatusCode,
    ask: fn(&Service, &Actor, JobId) -> Result<Job, Error>,
) -> Result<Response, Refusal> {
    let actor = caller(&state, request).await?;
    let id = job.parse().map(JobId).map_err(|_| Error::not_found(format!("there is no job {job:?}")))?;
    let view = state.blocking(move |service| ask(service, &actor, id)).await?;
    Ok((status, Json(body(&view))).into_response())
}

fn body(job: &Job) -> Value {
    json!({
        "id": job.id.0,
        "kind": job.kind.as_str(),
        "state": job.state.as_str(),
        "paused": job.paused,
        "phase": job.phase,
        "done_bytes": job.done_bytes,
        "total_bytes": job.total_bytes,
        "created_at": job.created_at.rfc3339_seconds(),
        "started_at": job.started_at.map(Time::rfc3339_seconds),
        "finished_at": job.finished_at.map(Time::rfc3339_seconds),
        "result": job.result,
        "error": job.error,
    })
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
        ended.finish(Ok([("packs".to_owned(), 2)].into())).unwrap();
        let _running = state.service.begin_job(JobKind::Reclaim).unwrap();
        let (status, body) = ask_of(&state, "GET", "/tintype/v1/jobs", true).await;
        let listed: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &listed["jobs"][0]["id"]), (StatusCode::OK, &json!(2)));
        assert_eq!(listed["jobs"][1]["result"], json!({"packs": 2}));
        for (method, path, expected) in [
            ("GET", "/tintype/v1/jobs/1", StatusCode::OK),
            ("GET", "/tintype/v1/jobs/9", StatusCode::NOT_FOUND),
            ("GET", "/tintype/v1/jobs/x", StatusCode::NOT_FOUND),
            ("DELETE", "/tintype/v1/jobs/1", StatusCode::CONFLICT),
            ("POST", "/tintype/v1/jobs/2/pause", StatusCode::OK),
            ("POST", "/tintype/v1/jobs/2/resume", StatusCode::OK),
            ("DELETE", "/tintype/v1/jobs/2", StatusCode::ACCEPTED),
        ] {
            assert_eq!(ask_of(&state, method, path, true).await.0, expected, "{method} {path}");
            assert_eq!(
                ask_of(&state, method, path, false).await.0,
                StatusCode::UNAUTHORIZED,
                "{method} {path}"
            );
        }
    }
}
