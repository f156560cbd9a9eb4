//! `nbd/exports`: disks that are open, block by block, to whoever has a name for them. One's own, or all for whoever looks after
//! the box; `POST` tells the name, and nothing tells it again.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::{image_id, read, signed_in};
use crate::api::context::ApiState;
use crate::api::routing::{Routes, delete, get};
use crate::model::disk_export::is_export_id;
use crate::service::disk_exports::{KnownExport, NewExport, export_id_of};

/// How long an export is open where nobody says, in seconds.
const LIFE_S: i64 = 3600;
/// Hosts that a server listens at and nobody connects to.
const ANY_HOST: [&str; 2] = ["//0.0.0.0:", "//[::]:"];

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/nbd/exports", get(list).post(open))
        .route("/tintype/v1/nbd/exports/{export}", delete(close))
}

/// The body of an opening.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    image: String,
    ttl_s: Option<i64>,
    writable: Option<bool>,
    capture: Option<String>,
}

async fn list(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let exports = state.blocking(move |service| service.open_disk_exports(&actor)).await?;
    let exports: Vec<Value> = exports.iter().map(body).collect();
    Ok(Json(json!({"exports": exports})).into_response())
}

async fn open(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let new: New = read(sent).await?;
    let new = NewExport {
        image: image_id(&new.image)
            .map_err(|_| Refusal::bad(format!("image {:?} is no id of an image", new.image)))?,
        life_s: new.ttl_s.unwrap_or(LIFE_S),
        is_writable: new.writable.unwrap_or(false),
        capture: new.capture,
    };
    let (known, name) = state.blocking(move |service| service.open_disk_export(&actor, new)).await?;
    let mut body = body(&known);
    let reached = state.base_url(&parts.uri, &parts.headers);
    if let Some(place) = state.service.disk_exports().place() {
        body["uri"] = uri(&reached_by(&place, &reached), &name).into();
    }
    body["name"] = name.into();
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn close(
    State(state): State<ApiState>,
    Path(export): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    // A name is told nobody again.
    let id = if is_export_id(&export) { export.clone() } else { export_id_of(&export) };
    let cut = state.blocking(move |service| service.close_export(&actor, &export)).await?;
    let told = json!({
        "id": id,
        "connections": cut.connections,
        "lost_writes": cut.lost_writes,
        "captures": cut.captures,
    });
    Ok(Json(told).into_response())
}

/// Where clients connect to, if the server listens at any address: the host that this one reached it by.
fn reached_by(place: &str, base_url: &str) -> String {
    let behind = base_url.split("://").nth(1).unwrap_or_default();
    // The server may be reached at a path.
    let host = behind.split('/').next().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        // Colons inside brackets are the address's own.
        Some((host, port)) if !port.contains(']') => host,
        _ => host,
    };
    ANY_HOST.iter().fold(place.to_owned(), |place, any| place.replace(any, &format!("//{host}:")))
}

/// A name where disks are served, as clients take it.
fn uri(place: &str, name: &str) -> String {
    match place.split_once("/?") {
        Some((socket, query)) => format!("{socket}/{name}?{query}"),
        None => format!("{place}/{name}"),
    }
}

fn body(known: &KnownExport) -> Value {
    let export = &known.export;
    json!({
        "id": export.id(),
        "image_id": export.image.to_string(),
        "image": known.image_name,
        "writable": export.is_writable,
        "capture": export.capture,
        "user_id": export.opener.user.as_ref().map(|user| user.as_str()),
        "project_id": export.opener.project.as_str(),
        "opened_at": export.opened_at.rfc3339_seconds(),
        "expires_at": export.expires_at.rfc3339_seconds(),
        "connections": known.connections,
    })
}

#[cfg(test)]
#[path = "nbd_tests.rs"]
mod tests;
