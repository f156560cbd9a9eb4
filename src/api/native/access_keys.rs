//! `access-keys`: what programs sign their requests with. One's own, or everybody's for
//! administrators; `POST` tells the secret, and nothing tells it again.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::{read, signed_in};
use crate::api::context::ApiState;
use crate::api::routing::{Routes, get};
use crate::base::Time;
use crate::model::AccessId;
use crate::service::Service;
use crate::service::identity::{AccessKeyChange, KnownKey, NewAccessKey};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/access-keys", get(list).post(create))
        .route("/tintype/v1/access-keys/{access}", get(show).patch(update).delete(delete))
}

/// The body of a create.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    user: Option<String>,
    project: Option<String>,
    description: Option<String>,
    expires_at: Option<String>,
}

/// The body of a change; `description` may be null.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    description: Option<Value>,
}

/// A member that is there, be it null.
fn given<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

#[derive(Deserialize)]
struct Filter {
    user: Option<String>,
}

async fn list(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let filter = axum::extract::Query::<Filter>::try_from_uri(&parts.uri);
    let user = filter.map_err(|error| Refusal::bad(error.body_text()))?.0.user;
    let keys = state.blocking(move |service| service.access_keys(&actor, user.as_deref())).await?;
    let now = state.service.now();
    let keys: Vec<Value> = keys.iter().map(|known| body(known, now)).collect();
    Ok(Json(json!({"access_keys": keys})).into_response())
}

async fn create(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let new: New = read(sent).await?;
    let expires_at = new.expires_at.as_deref().map(|text| {
        Time::parse(text).ok_or_else(|| Refusal::bad(format!("expires_at {text:?} is no time in ISO 8601")))
    });
    let new = NewAccessKey {
        user: new.user,
        project: new.project,
        description: new.description,
        expires_at: expires_at.transpose()?,
    };
    let (known, secret) = state.blocking(move |service| service.create_access_key(&actor, new)).await?;
    let mut body = body(&known, state.service.now());
    body["secret"] = secret.expose().into();
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn show(
    State(state): State<ApiState>,
    Path(access): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let known = state.blocking(move |service| service.access_key(&actor, &AccessId(access))).await?;
    Ok(Json(body(&known, state.service.now())).into_response())
}

async fn update(
    State(state): State<ApiState>,
    Path(access): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let change: Change = read(sent).await?;
    let description = change.description.map(|value| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(Refusal::bad("description must be a text or null")),
    });
    let change = AccessKeyChange { enabled: change.enabled, description: description.transpose()? };
    let changed = move |service: &Service| service.update_access_key(&actor, &AccessId(access), change);
    let known = state.blocking(changed).await?;
    Ok(Json(body(&known, state.service.now())).into_response())
}

async fn delete(
    State(state): State<ApiState>,
    Path(access): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    state.blocking(move |service| service.delete_access_key(&actor, &AccessId(access))).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn body(known: &KnownKey, now: Time) -> Value {
    let key = &known.key;
    let last_used = key.last_used_day.map(|day| {
        let date = Time(0).plus_seconds(day.saturating_mul(86_400)).rfc3339_seconds();
        date.split('T').next().unwrap_or_default().to_owned()
    });
    let state = match key {
        _ if known.is_secret_lost => "secret lost",
        _ if !key.enabled => "disabled",
        _ if key.expires_at.is_some_and(|end| end <= now) => "expired",
        _ => "usable",
    };
    json!({
        "access": key.access.as_str(),
        "state": state,
        "enabled": key.enabled,
        "user_id": key.user.as_str(),
        "user": known.user_name,
        "project_id": key.project.as_str(),
        "project": known.project_name,
        "description": key.description,
        "created_at": key.created_at.rfc3339_seconds(),
        "expires_at": key.expires_at.map(Time::rfc3339_seconds),
        "last_used_on": last_used,
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::super::tests::state;
    use super::*;
    use crate::api::context::LocalAdmin;

    async fn ask(state: &ApiState, method: &str, path: &str, sent: &str, admin: bool) -> (u16, Value) {
        let mut request =
            Request::builder().method(method).uri(path).body(Body::from(sent.to_owned())).unwrap();
        if admin {
            request.extensions_mut().insert(LocalAdmin);
        }
        let response = routes().into_router().with_state(state.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn a_key_is_made_shown_switched_and_deleted() {
        let state = state();
        let sent = r#"{"description": "ci", "expires_at": "2030-01-01T00:00:00Z"}"#;
        let (status, made) = ask(&state, "POST", "/tintype/v1/access-keys", sent, true).await;
        assert_eq!((status, &made["user"], &made["project"]), (201, &json!("admin"), &json!("admin")));
        assert_eq!((&made["state"], &made["last_used_on"]), (&json!("usable"), &Value::Null));
        assert_eq!(made["secret"].as_str().unwrap().len(), 40);
        let path = format!("/tintype/v1/access-keys/{}", made["access"].as_str().unwrap());
        let (_, shown) = ask(&state, "GET", &path, "", true).await;
        assert_eq!((&shown["description"], &shown["secret"]), (&json!("ci"), &Value::Null));
        let (status, off) =
            ask(&state, "PATCH", &path, r#"{"enabled": false, "description": null}"#, true).await;
        assert_eq!((status, &off["state"], &off["description"]), (200, &json!("disabled"), &Value::Null));
        let (_, listed) = ask(&state, "GET", "/tintype/v1/access-keys?user=admin", "", true).await;
        assert_eq!(listed["access_keys"][0], off);
        assert_eq!(ask(&state, "GET", "/tintype/v1/access-keys?user=nobody", "", true).await.0, 404);
        assert_eq!(ask(&state, "DELETE", &path, "", true).await.0, 204);
        assert_eq!(ask(&state, "DELETE", &path, "", true).await.0, 404);
    }

    #[tokio::test]
    async fn strangers_and_bad_bodies_are_turned_away() {
        let state = state();
        for (method, path) in [
            ("GET", "/tintype/v1/access-keys"),
            ("POST", "/tintype/v1/access-keys"),
            ("GET", "/tintype/v1/access-keys/A"),
            ("PATCH", "/tintype/v1/access-keys/A"),
            ("DELETE", "/tintype/v1/access-keys/A"),
        ] {
            assert_eq!(ask(&state, method, path, "{}", false).await.0, 401, "{method} {path}");
        }
        for sent in
            ["", "[]", r#"{"secret": "x"}"#, r#"{"expires_at": "soon"}"#, r#"{"expires_at": "2001-01-01"}"#]
        {
            assert_eq!(ask(&state, "POST", "/tintype/v1/access-keys", sent, true).await.0, 400, "{sent}");
        }
        let sent = r#"{"description": 1}"#;
        assert_eq!(ask(&state, "PATCH", "/tintype/v1/access-keys/A", sent, true).await.0, 400);
    }
}
