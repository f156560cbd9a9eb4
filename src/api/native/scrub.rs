//! The scrub and the damage it finds: `GET` and `POST scrub`, `GET damage`, `GET events`.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::Refusal;
use super::{permitted, work};
use crate::api::context::ApiState;
use crate::base::Time;
use crate::model::ByteRange;
use crate::service::events::Event;
use crate::service::rights::Action;
use crate::service::scrub::{DamagedObject, HitImage, ScrubReport};
use crate::store::ScrubStatus;

pub(super) async fn status(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = permitted(&state, request, Action::StoreGet).await?;
    let status = state.blocking(move |service| service.scrub_status(&actor)).await?;
    Ok(Json(status_body(&status)).into_response())
}

pub(super) async fn scrub(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = permitted(&state, request, Action::StoreScrub).await?;
    Ok(work::respond(state, move |service, tell| Ok(report_body(&service.scrub(&actor, tell)?))))
}

pub(super) async fn damage(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = permitted(&state, request, Action::StoreGet).await?;
    let damage = state.blocking(move |service| service.damage(&actor)).await?;
    Ok(Json(json!({"damage": damage.iter().map(object_body).collect::<Vec<_>>()})).into_response())
}

pub(super) async fn events(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = permitted(&state, request, Action::StoreGet).await?;
    let events = state.blocking(move |service| service.events(&actor)).await?;
    Ok(Json(json!({"events": events.iter().map(event_body).collect::<Vec<_>>()})).into_response())
}

fn event_body(event: &Event) -> Value {
    json!({
        "at": event.at.rfc3339_seconds(),
        "event": event.event,
        "object": event.object,
        "detail": event.detail,
        "images": event.images.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn status_body(status: &ScrubStatus) -> Value {
    json!({
        "is_under_way": status.is_under_way,
        "started_at": status.started_at.map(Time::rfc3339_seconds),
        "completed_at": status.completed_at.map(Time::rfc3339_seconds),
        "objects": status.objects,
        "objects_total": status.objects_total,
        "scrubbed_bytes": status.bytes,
        "total_bytes": status.bytes_total,
        "parity_objects": status.parity.objects,
        "parity_bytes": status.parity.bytes,
    })
}

fn report_body(report: &ScrubReport) -> Value {
    let mut body = status_body(&report.status);
    body["damaged_objects"] = report.damaged_objects.into();
    body["healed_packs"] = report.mended.packs.into();
    body["healed_chunks"] = report.mended.chunks.into();
    body["healed_manifests"] = report.mended.manifests.into();
    body["incidents"] = report.incidents.iter().map(ToString::to_string).collect::<Vec<_>>().into();
    body
}

fn object_body(object: &DamagedObject) -> Value {
    let block = |(first, count): &(u32, u32)| json!({"first": first, "count": count});
    json!({
        "object": object.object,
        "found_at": object.found_at.rfc3339_seconds(),
        "reason": object.reason,
        "blocks": object.blocks.iter().map(block).collect::<Vec<_>>(),
        "lost_chunks": object.lost_chunks.map_or_else(|| json!("all"), Value::from),
        "images": object.images.iter().map(image_body).collect::<Vec<_>>(),
    })
}

fn image_body(hit: &HitImage) -> Value {
    let range = |range: &ByteRange| json!({"start": range.start, "end": range.end});
    json!({
        "image": hit.image.to_string(),
        "name": hit.name,
        "ranges": hit.ranges.iter().map(range).collect::<Vec<_>>(),
    })
}
