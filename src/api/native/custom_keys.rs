//! `custom-keys`: a project's keys for images that are sealed by choice. Named by id, or by alias within the
//! caller's project. `DELETE` schedules; `POST …/rotate` answers in lines of JSON.

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::{read, signed_in, work};
use crate::api::context::ApiState;
use crate::api::routing::{Routes, get, post, put};
use crate::base::Time;
use crate::model::{CustomKey, KeyState, ProjectId};
use crate::service::custom_keys::{CustomKeyChange, DELETION_DAYS, NewCustomKey};
use crate::service::resealing::{SealedAnew, figures};
use crate::service::{Actor, Error, Service};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/custom-keys", get(list).post(create))
        .route("/tintype/v1/custom-keys/{key}", get(show).patch(update).delete(delete))
        .route("/tintype/v1/custom-keys/{key}/keep", post(keep))
        .route("/tintype/v1/custom-keys/{key}/rotate", post(rotate))
        .route("/tintype/v1/custom-keys/{key}/grants/{project}", put(grant).delete(withdraw))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    alias: String,
    project_id: Option<String>,
    description: Option<String>,
}

/// The body of a change; `description` may be null.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    alias: Option<String>,
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
}

/// A member that is there, be it null.
fn given<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    deleted: bool,
}

#[derive(Deserialize)]
struct When {
    days: Option<u32>,
}

async fn list(
    State(state): State<ApiState>,
    which: Result<Query<Which>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let with_deleted = which.map_err(|error| Refusal::bad(error.body_text()))?.deleted;
    let keys = state.blocking(move |service| service.custom_keys(&actor, with_deleted)).await?;
    Ok(Json(json!({"custom_keys": keys.iter().map(body).collect::<Vec<_>>()})).into_response())
}

async fn create(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let new: New = read(sent).await?;
    let new = NewCustomKey { project: new.project_id, alias: new.alias, description: new.description };
    let key = state.blocking(move |service| service.create_custom_key(&actor, new)).await?;
    Ok((StatusCode::CREATED, Json(body(&key))).into_response())
}

async fn show(
    State(state): State<ApiState>,
    Path(key): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    told(state, request, move |service, actor| service.custom_key(actor, &key)).await
}

async fn update(
    State(state): State<ApiState>,
    Path(key): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let change: Change = read(sent).await?;
    let change =
        CustomKeyChange { alias: change.alias, description: change.description, enabled: change.enabled };
    let key = state.blocking(move |service| service.change_custom_key(&actor, &key, change)).await?;
    Ok(Json(body(&key)).into_response())
}

async fn delete(
    State(state): State<ApiState>,
    Path(key): Path<String>,
    when: Result<Query<When>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    let days = when.map_err(|error| Refusal::bad(error.body_text()))?.days;
    let days = days.unwrap_or(*DELETION_DAYS.start());
    told(state, request, move |service, actor| service.schedule_key_deletion(actor, &key, days)).await
}

async fn keep(
    State(state): State<ApiState>,
    Path(key): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    told(state, request, move |service, actor| service.keep_custom_key(actor, &key)).await
}

async fn grant(
    State(state): State<ApiState>,
    Path((key, project)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    told(state, request, move |service, actor| {
        service.grant_custom_key(actor, &key, ProjectId(project), true)
    })
    .await
}

async fn withdraw(
    State(state): State<ApiState>,
    Path((key, project)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    told(state, request, move |service, actor| {
        service.grant_custom_key(actor, &key, ProjectId(project), false)
    })
    .await
}

async fn rotate(
    State(state): State<ApiState>,
    Path(key): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    // Refused before the answer begins, so that the status says so.
    let (asker, named) = (actor.clone(), key.clone());
    state.blocking(move |service| service.custom_key(&asker, &named)).await?;
    Ok(work::respond(state, move |service, tell| {
        let done = service.rotate_custom_key(&actor, &key, tell)?;
        let mut body = json!({"key": key, "job": done.as_ref().map(|SealedAnew { job, .. }| job.0)});
        if let (Some(members), Some(SealedAnew { done, .. })) = (body.as_object_mut(), &done) {
            members.extend(figures(done).into_iter().map(|(name, figure)| (name, figure.into())));
        }
        Ok(body)
    }))
}

/// Answers with the key that a use case gives back.
async fn told<F>(state: ApiState, request: Request, work: F) -> Result<Response, Refusal>
where
    F: FnOnce(&Service, &Actor) -> Result<CustomKey, Error> + Send + 'static,
{
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let key = state.blocking(move |service| work(service, &actor)).await?;
    Ok(Json(body(&key)).into_response())
}

fn body(key: &CustomKey) -> Value {
    let (due, deleted) = match key.state {
        KeyState::PendingDeletion(due) => (Some(due), None),
        KeyState::Deleted(at) => (None, Some(at)),
        KeyState::Enabled | KeyState::Disabled => (None, None),
    };
    json!({
        "id": key.id.to_string(),
        "alias": key.alias,
        "state": key.state.as_str(),
        "project_id": key.project.as_str(),
        "description": key.description,
        "created_at": key.created_at.rfc3339_seconds(),
        "deletion_at": due.map(Time::rfc3339_seconds),
        "deleted_at": deleted.map(Time::rfc3339_seconds),
        "grants": key.grants.iter().map(ProjectId::as_str).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::super::tests::state as plain_state;
    use super::*;
    use crate::api::context::LocalAdmin;
    use crate::service::testing;

    fn sealed_state() -> ApiState {
        ApiState { service: testing::sealed_service(testing::rules()).0, public_url: None }
    }

    async fn ask(state: &ApiState, method: &str, path: &str, sent: &str, admin: bool) -> (u16, Value) {
        let mut request =
            Request::builder().method(method).uri(path).body(Body::from(sent.to_owned())).unwrap();
        if admin {
            request.extensions_mut().insert(LocalAdmin);
        }
        let response = routes().into_router().with_state(state.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let last = bytes.split(|b| *b == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
        (status, serde_json::from_slice(last).unwrap_or_default())
    }

    #[tokio::test]
    async fn a_key_is_made_shown_switched_and_its_deletion_scheduled_and_cancelled() {
        let state = sealed_state();
        let (status, made) =
            ask(&state, "POST", "/tintype/v1/custom-keys", r#"{"alias": "gold", "description": "d"}"#, true)
                .await;
        assert_eq!((status, &made["state"], &made["alias"]), (201, &json!("enabled"), &json!("gold")));
        let path = format!("/tintype/v1/custom-keys/{}", made["id"].as_str().unwrap());
        assert_eq!(ask(&state, "GET", &path, "", true).await, (200, made.clone()));
        assert_eq!(ask(&state, "GET", "/tintype/v1/custom-keys/gold", "", true).await.1["id"], made["id"]);
        let sent = r#"{"enabled": false, "description": null, "alias": "silver"}"#;
        let (status, off) = ask(&state, "PATCH", &path, sent, true).await;
        assert_eq!((status, &off["state"], &off["description"]), (200, &json!("disabled"), &Value::Null));
        let (status, leaving) = ask(&state, "DELETE", &format!("{path}?days=30"), "", true).await;
        assert_eq!((status, &leaving["state"]), (200, &json!("pending deletion")));
        assert!(leaving["deletion_at"].is_string());
        assert_eq!(ask(&state, "PATCH", &path, r#"{"enabled": true}"#, true).await.0, 409);
        let (_, kept) = ask(&state, "POST", &format!("{path}/keep"), "", true).await;
        assert_eq!(kept["state"], "disabled");
        assert_eq!(ask(&state, "POST", &format!("{path}/keep"), "", true).await.0, 409);
        let (_, on) = ask(&state, "PATCH", &path, r#"{"enabled": true}"#, true).await;
        assert_eq!(on["state"], "enabled");
        // It sealed nothing yet.
        let (status, rotated) = ask(&state, "POST", &format!("{path}/rotate"), "", true).await;
        assert_eq!((status, &rotated["result"]["job"]), (200, &Value::Null));
        let (_, listed) = ask(&state, "GET", "/tintype/v1/custom-keys", "", true).await;
        assert_eq!(listed["custom_keys"], json!([on]));
    }

    #[tokio::test]
    async fn strangers_bad_bodies_and_plain_boxes_are_told_so() {
        let state = sealed_state();
        for (method, path) in [
            ("GET", "/tintype/v1/custom-keys"),
            ("POST", "/tintype/v1/custom-keys"),
            ("GET", "/tintype/v1/custom-keys/k"),
            ("PATCH", "/tintype/v1/custom-keys/k"),
            ("DELETE", "/tintype/v1/custom-keys/k"),
            ("POST", "/tintype/v1/custom-keys/k/keep"),
            ("POST", "/tintype/v1/custom-keys/k/rotate"),
            ("PUT", "/tintype/v1/custom-keys/k/grants/p"),
            ("DELETE", "/tintype/v1/custom-keys/k/grants/p"),
        ] {
            assert_eq!(ask(&state, method, path, "{}", false).await.0, 401, "{method} {path}");
            let sent =
                if method == "POST" && path.ends_with("custom-keys") { r#"{"alias": "a"}"# } else { "{}" };
            let known = ask(&state, method, path, sent, true).await.0;
            assert_eq!(
                known,
                if path.ends_with("keys") { if method == "GET" { 200 } else { 201 } } else { 404 }
            );
        }
        for sent in [
            "",
            "[]",
            "{}",
            r#"{"alias": ""}"#,
            r#"{"alias": "a b"}"#,
            r#"{"alias": 1}"#,
            r#"{"alias": "33ad552d-1149-471c-8190-ff6776174a00"}"#,
            r#"{"alias": "x", "material": "y"}"#,
        ] {
            assert_eq!(ask(&state, "POST", "/tintype/v1/custom-keys", sent, true).await.0, 400, "{sent}");
        }
        for days in ["0", "6", "1097", "-1", "soon"] {
            let path = format!("/tintype/v1/custom-keys/a?days={days}");
            assert_eq!(ask(&state, "DELETE", &path, "", true).await.0, 400, "{days}");
        }
        assert_eq!(ask(&state, "POST", "/tintype/v1/custom-keys", r#"{"alias": "a"}"#, true).await.0, 409);
        let (status, told) =
            ask(&plain_state(), "POST", "/tintype/v1/custom-keys", r#"{"alias": "a"}"#, true).await;
        assert_eq!(status, 409);
        assert!(told.to_string().contains("the box is plain"), "{told}");
    }
}
