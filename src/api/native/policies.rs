//! `policies`: which there are, writing them, where they are attached; and `policy-simulation`, which tells what a
//! user may do and why.
//!
//! A document is read straight from the body, so that a member that is there twice is not lost on the way.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::{read, signed_in};
use crate::api::context::ApiState;
use crate::api::routing::{Routes, get, post};
use crate::base::Time;
use crate::model::ProjectId;
use crate::service::Service;
use crate::service::rights::{
    Attached, Effect, Explained, Kind, KnownPolicy, NewAttachment, NewPolicy, PolicyChange, Simulation,
    Weighed, Written,
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/policies", get(list).post(create))
        .route("/tintype/v1/policies/{policy}", get(show).patch(update).delete(delete))
        .route("/tintype/v1/policies/{policy}/attachments", get(attachments))
        .route("/tintype/v1/policies/{policy}/attach", post(attach))
        .route("/tintype/v1/policies/{policy}/detach", post(detach))
        .route("/tintype/v1/policy-simulation", post(simulate))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    description: Option<String>,
    document: Written,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    document: Option<Written>,
}

/// A member that is there: null is a value, not a way to leave it out.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// Where to: one of the last two must be there, as "everywhere" is nothing to say by leaving a word out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    group: String,
    project: Option<String>,
    #[serde(default)]
    all_projects: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    user: String,
    action: String,
    resource: String,
    project: Option<String>,
    source_ip: Option<std::net::IpAddr>,
}

async fn list(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let policies = state.blocking(move |service| service.list_policies(&actor)).await?;
    let policies: Vec<Value> = policies.iter().map(body).collect();
    Ok(Json(json!({ "policies": policies })).into_response())
}

async fn create(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let New { name, description, document } = read(sent).await?;
    let new = NewPolicy { name, description, document };
    let policy = state.blocking(move |service| service.create_policy(&actor, new)).await?;
    Ok((StatusCode::CREATED, Json(body(&policy))).into_response())
}

async fn show(
    State(state): State<ApiState>,
    Path(named): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let policy = state.blocking(move |service| service.policy(&actor, &named)).await?;
    Ok(Json(body(&policy)).into_response())
}

async fn update(
    State(state): State<ApiState>,
    Path(named): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let Change { name, description, document } = read(sent).await?;
    let change = PolicyChange { name, description, document };
    let policy = state.blocking(move |service| service.update_policy(&actor, &named, change)).await?;
    Ok(Json(body(&policy)).into_response())
}

async fn delete(
    State(state): State<ApiState>,
    Path(named): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    state.blocking(move |service| service.delete_policy(&actor, &named)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn attachments(
    State(state): State<ApiState>,
    Path(named): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let attached = state.blocking(move |service| service.policy_attachments(&actor, &named)).await?;
    let attached: Vec<Value> = attached.iter().map(attached_body).collect();
    Ok(Json(json!({ "attachments": attached })).into_response())
}

async fn attach(state: State<ApiState>, named: Path<String>, request: Request) -> Result<Response, Refusal> {
    settle(state, named, request, Service::attach_policy).await
}

async fn detach(state: State<ApiState>, named: Path<String>, request: Request) -> Result<Response, Refusal> {
    settle(state, named, request, Service::detach_policy).await
}

type Settle = fn(&Service, &crate::service::Actor, NewAttachment) -> Result<Attached, crate::service::Error>;

async fn settle(
    State(state): State<ApiState>,
    Path(policy): Path<String>,
    request: Request,
    work: Settle,
) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let Place { group, project, all_projects } = read(sent).await?;
    if project.is_some() == all_projects {
        return Err(Refusal::bad("name one project, or say \"all_projects\": true"));
    }
    let new = NewAttachment { policy, group, project };
    let attached = state.blocking(move |service| work(service, &actor, new)).await?;
    Ok(Json(attached_body(&attached)).into_response())
}

async fn simulate(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let Question { user, action, resource, project, source_ip } = read(sent).await?;
    let asked = Simulation { user, action, resource, project, source: source_ip };
    let explained = state.blocking(move |service| service.simulate(&actor, &asked)).await?;
    Ok(Json(explained_body(&explained)).into_response())
}

fn body(policy: &KnownPolicy) -> Value {
    let kind = match policy.kind {
        Kind::Custom => "custom",
        Kind::System => "system",
        Kind::Role => "keystone role",
    };
    json!({
        "id": policy.id.as_str(),
        "name": policy.name,
        "type": kind,
        "description": policy.description,
        "created_at": policy.times.map(|times| times.0).map(Time::rfc3339_seconds),
        "updated_at": policy.times.map(|times| times.1).map(Time::rfc3339_seconds),
        "document": policy.document.as_ref().ok().map(|document| document.json()),
        "unreadable": policy.document.as_ref().err(),
    })
}

fn attached_body(attached: &Attached) -> Value {
    let project = match &attached.attachment.reach {
        crate::model::policy::Reach::Project(project) => Some(project.as_str()),
        crate::model::policy::Reach::All => None,
    };
    json!({
        "policy_id": attached.attachment.policy.as_str(),
        "policy": attached.policy_name,
        "group_id": attached.attachment.group.as_str(),
        "group": attached.group_name,
        "project_id": project,
        "project": attached.project_name,
        "all_projects": project.is_none(),
    })
}

fn explained_body(explained: &Explained) -> Value {
    json!({
        "allowed": explained.is_allowed,
        "reason": explained.reason,
        "user_id": explained.user.as_str(),
        "project_id": explained.project.as_str(),
        "action": explained.action,
        "rule": explained.rule,
        "matches": explained.matches.iter().map(weighed_body).collect::<Vec<_>>(),
    })
}

fn weighed_body(weighed: &Weighed) -> Value {
    json!({
        "policy_id": weighed.policy.as_str(),
        "policy": weighed.policy_name,
        "group_id": weighed.group.as_ref().map(|(id, _)| id.as_str()),
        "group": weighed.group.as_ref().map(|(_, name)| name),
        "project_id": weighed.project.as_ref().map(ProjectId::as_str),
        "statement": weighed.statement,
        "effect": match weighed.effect {
            Effect::Allow => "Allow",
            Effect::Deny => "Deny",
        },
        "counts": weighed.idle_because.is_none(),
        "does_not_count_because": weighed.idle_because,
        "text": weighed.text,
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
    use crate::service::identity::NewGroup;

    const DOCUMENT: &str =
        r#"{"Version":"1.1","Statement":[{"Effect":"Deny","Action":["ims:images:delete"]}]}"#;

    async fn ask(state: &ApiState, method: &str, path: &str, sent: &str) -> (u16, Value) {
        let path = format!("/tintype/v1/{path}");
        let request = Request::builder().method(method).uri(path).body(Body::from(sent.to_owned()));
        let mut request = request.unwrap();
        request.extensions_mut().insert(LocalAdmin);
        let response = routes().into_router().with_state(state.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    fn message(body: &Value) -> &str {
        body["error"]["message"].as_str().unwrap_or_default()
    }

    #[tokio::test]
    async fn a_policy_is_written_shown_changed_attached_and_deleted() {
        let state = state();
        let admin = state.service.local_admin().unwrap();
        let new = NewGroup { name: "ops".into(), domain: None, description: None, extra: Default::default() };
        state.service.create_group(&admin, new).unwrap();
        let sent = format!(r#"{{"name":"No deleting","description":"x","document":{DOCUMENT}}}"#);
        let (status, made) = ask(&state, "POST", "policies", &sent).await;
        assert_eq!((status, &made["type"], &made["description"]), (201, &json!("custom"), &json!("x")));
        assert_eq!(made["document"], serde_json::from_str::<Value>(DOCUMENT).unwrap());
        let path = format!("policies/{}", made["id"].as_str().unwrap());
        let changed = DOCUMENT.replace("delete", "update");
        let sent = format!(r#"{{"description":null,"document":{changed}}}"#);
        let (status, shown) = ask(&state, "PATCH", &path, &sent).await;
        assert_eq!((status, &shown["description"]), (200, &Value::Null));
        assert_eq!(ask(&state, "GET", "policies/no%20DELETING", "").await.1, shown);
        let (_, listed) = ask(&state, "GET", "policies", "").await;
        let types: Vec<_> =
            listed["policies"].as_array().unwrap().iter().map(|p| p["type"].clone()).collect();
        assert_eq!(types.len(), 12);
        assert!(["system", "keystone role", "custom"].iter().all(|kind| types.contains(&json!(kind))));
        let everywhere = r#"{"group":"ops","all_projects":true}"#;
        let (status, attached) = ask(&state, "POST", &format!("{path}/attach"), everywhere).await;
        assert_eq!(
            (status, &attached["all_projects"], &attached["project"]),
            (200, &json!(true), &Value::Null)
        );
        let (_, attachments) = ask(&state, "GET", &format!("{path}/attachments"), "").await;
        assert_eq!(attachments["attachments"], json!([attached]));
        assert_eq!(ask(&state, "DELETE", &path, "").await.0, 409);
        assert_eq!(ask(&state, "POST", &format!("{path}/detach"), everywhere).await.0, 200);
        assert_eq!(ask(&state, "POST", &format!("{path}/detach"), everywhere).await.0, 404);
        assert_eq!(ask(&state, "DELETE", &path, "").await.0, 204);
        assert_eq!(ask(&state, "GET", &path, "").await.0, 404);
    }

    #[tokio::test]
    async fn bad_bodies_say_what_is_wrong_and_where() {
        let state = state();
        let twice = DOCUMENT.replace(r#""Effect":"Deny""#, r#""Effect":"Allow","Effect":"Deny""#);
        let slip = DOCUMENT.replace("images", "image");
        for (document, expected) in [
            (twice.as_str(), "duplicate field `Effect` at line 1"),
            (slip.as_str(), "Statement[0].Action[0]"),
            ("{}", "missing field `Version`"),
            ("null", "null"),
            ("\"text\"", "expected struct"),
        ] {
            let sent = format!(r#"{{"name":"n","document":{document}}}"#);
            let (status, body) = ask(&state, "POST", "policies", &sent).await;
            assert_eq!(status, 400, "{document}");
            assert!(message(&body).contains(expected), "{document}: {}", message(&body));
        }
        for (sent, path) in [
            (r#"{"name":"n"}"#, "policies"),
            (r#"{"group":"g"}"#, "policies/te_admin/attach"),
            (r#"{"group":"g","project":"p","all_projects":true}"#, "policies/te_admin/attach"),
            (r#"{"user":"admin","action":"ims:images:fly","resource":"*"}"#, "policy-simulation"),
            ("", "policy-simulation"),
        ] {
            assert_eq!(ask(&state, "POST", path, sent).await.0, 400, "{sent}");
        }
        assert_eq!(ask(&state, "PATCH", "policies/te_admin", r#"{"document":null}"#).await.0, 400);
    }

    #[tokio::test]
    async fn a_simulation_is_told_with_its_reasons() {
        let state = state();
        let sent = r#"{"user":"admin","action":"ims:images:delete","resource":"*","project":"admin"}"#;
        let (status, told) = ask(&state, "POST", "policy-simulation", sent).await;
        assert_eq!(
            (status, &told["allowed"], &told["action"]),
            (200, &json!(true), &json!("ims:images:delete"))
        );
        let found = &told["matches"][0];
        assert_eq!(
            (&found["policy"], &found["group"], &found["counts"]),
            (&json!("admin"), &Value::Null, &json!(true))
        );
        assert_eq!(found["text"]["Action"], json!(["*:*:*"]));
    }
}
