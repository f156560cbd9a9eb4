//! `key`: the key ring of a sealed box. A new master key is taken from the control socket only, as
//! there is no TLS here and none but this machine may know it.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::error::Refusal;
use super::named::Path;
use super::{permitted, work};
use crate::api::context::{ApiState, Credentials};
use crate::api::routing::{Routes, delete, get, post};
use crate::service::images::Holder;
use crate::service::keys::KeyDomain;
use crate::service::resealing::{SealedAnew, figures};
use crate::service::rights::Action;
use crate::service::{Error, Service};
use crate::store::{AtOpen, MasterKey, RingStatus};

/// Longest form of a key, and a line end.
const KEY_BYTES_MAX: usize = 66;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/key", get(status))
        .route("/tintype/v1/key/backup", get(backup))
        .route("/tintype/v1/key/rotate", post(rotate))
        .route("/tintype/v1/key/domains/{domain}", delete(erase))
        .route("/tintype/v1/key/domains/{domain}/rotate", post(rotate_domain))
}

async fn status(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = permitted(&state, request, Action::KeysGet).await?;
    let asked = move |service: &Service| Ok((service.ring_status(&actor)?, service.key_domains(&actor)?));
    let (status, domains) = state.blocking(asked).await?;
    Ok(Json(status_body(&status, &domains)).into_response())
}

async fn backup(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = permitted(&state, request, Action::KeysGet).await?;
    let ring = state.blocking(move |service| service.ring_backup(&actor)).await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], ring).into_response())
}

async fn rotate(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let is_local = Credentials::of(&parts).is_local();
    let request = Request::from_parts(parts, axum::body::Body::empty());
    let actor = permitted(&state, request, Action::KeysManage).await?;
    if !is_local {
        return Err(Error::forbidden(
            "a master key must not travel over a network: use \"tintype --data DIR key rotate\" on the server's machine",
        )
        .into());
    }
    let too_long = |_| Error::invalid("the new master key is too long, or did not arrive whole");
    let bytes = Zeroizing::new(to_bytes(body, KEY_BYTES_MAX).await.map_err(too_long)?.to_vec());
    let new = MasterKey::parse(&bytes).map_err(|reason| Error::invalid(reason.to_string()))?;
    let version = state.blocking(move |service| service.rotate_master(&actor, new)).await?;
    Ok(Json(json!({"version": version})).into_response())
}

async fn erase(
    State(state): State<ApiState>,
    Path(domain): Path<u32>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = permitted(&state, request, Action::KeysManage).await?;
    state.blocking(move |service| service.erase_domain(&actor, domain)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn rotate_domain(
    State(state): State<ApiState>,
    Path(domain): Path<u32>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = permitted(&state, request, Action::KeysManage).await?;
    Ok(work::respond(state, move |service, tell| {
        let SealedAnew { job, done } = service.rotate_domain(&actor, domain, tell)?;
        let mut body = json!({"job": job.to_string(), "domain": domain});
        if let Some(members) = body.as_object_mut() {
            members.extend(figures(&done).into_iter().map(|(name, figure)| (name, figure.into())));
        }
        Ok(body)
    }))
}

fn domain_body(domain: &KeyDomain) -> Value {
    let (key, image) = match &domain.holder {
        Some(Holder::Named { name, .. }) => (Some(name.as_str()), None),
        Some(Holder::Image { image, .. }) => (None, Some(Uuid::from_bytes(*image).to_string())),
        Some(Holder::Project { .. } | Holder::Custom { .. }) | None => (None, None),
    };
    let custom_key = match &domain.holder {
        Some(Holder::Custom { key, .. }) => Some(Uuid::from_bytes(*key).to_string()),
        _ => None,
    };
    let project_id = domain.holder.as_ref().map(Holder::project).filter(|project| !project.is_empty());
    json!({
        "domain": domain.domain,
        "project_id": project_id,
        "project": domain.project.as_ref().map(|project| &project.name),
        "key": key,
        "image_id": image,
        "custom_key": custom_key,
        "images": domain.images,
        "key_version": domain.key_versions.last(),
        "older_keys": domain.key_versions.len().saturating_sub(1),
        "revoked": domain.is_revoked(),
    })
}

fn status_body(status: &RingStatus, domains: &[KeyDomain]) -> Value {
    json!({
        "version": status.version,
        "copies": status.copies,
        "other_versions": status.others,
        "at_open": match status.at_open {
            AtOpen::Settled => "settled",
            AtOpen::Finished => "a change was finished",
            AtOpen::Undone => "a change of the master key was undone",
        },
        "domains": domains.iter().map(domain_body).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ask_of, state};
    use super::*;
    use crate::service::testing::{rules, sealed_service};
    use crate::store::Scope;

    #[tokio::test]
    async fn domains_are_listed_and_sealed_anew_by_administrators_alone() {
        let (service, _) = sealed_service(rules());
        let holder = Holder::Named { project: "p".into(), name: "gold".into() };
        let note = crate::db::codec::encode(&holder);
        service.store().sealed_for(holder.scope(), &note, Scope::STORE).unwrap();
        let state = ApiState { service, ..state() };
        let (status, body) = ask_of(&state, "POST", "/tintype/v1/key/domains/2/rotate", true).await;
        let last: Value = serde_json::from_str(body.lines().last().unwrap()).unwrap();
        assert_eq!((status, &last["result"]["older_keys_dropped"]), (StatusCode::OK, &json!(1)), "{body}");
        let (status, body) = ask_of(&state, "GET", "/tintype/v1/key", true).await;
        let listed: Value = serde_json::from_str(&body).unwrap();
        let expected = json!({
            "domain": 2, "project_id": "p", "project": null, "key": "gold", "image_id": null, "custom_key": null, "images": 0,
            "key_version": 1, "older_keys": 0, "revoked": false,
        });
        assert_eq!((status, &listed["domains"][1]), (StatusCode::OK, &expected));
        let (_, body) = ask_of(&state, "POST", "/tintype/v1/key/domains/9/rotate", true).await;
        assert!(body.contains("no key for domain 9"), "{body}");
        for (method, path) in [("GET", "/tintype/v1/key"), ("POST", "/tintype/v1/key/domains/2/rotate")] {
            let refused = ask_of(&state, method, path, false).await.0;
            assert_eq!(refused, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
}
