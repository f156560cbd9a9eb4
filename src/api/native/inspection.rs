//! `images/ID/inspection`: what lies inside an image, and setting properties that follow from it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::Refusal;
use super::named::Path;
use super::{image_id, signed_in};
use crate::api::context::ApiState;
use crate::api::json as bodies;
use crate::api::routing::{Routes, get};
use crate::base::limits::JSON_BODY_BYTES_MAX;
use crate::disk::inside::partitions::TableKind;
use crate::model::Image;
use crate::service::images::{Driver, DriverState, Finding, Inspection, Kernel, Mount, Volume};

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    /// Whether properties that are set already become what is proposed.
    overwrite: bool,
}

pub(super) fn routes() -> Routes {
    Routes::new().route("/tintype/v1/images/{image}/inspection", get(show).post(describe))
}

async fn show(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (actor, id) = (signed_in(&state, &request.into_parts().0).await?, image_id(&image)?);
    let turn = state.service.look_turn().await?;
    let (image, inspection) = state.in_turn(turn, move |service| service.inspect_image(&actor, &id)).await?;
    Ok(Json(body(&image, &inspection)).into_response())
}

async fn describe(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let (actor, id) = (signed_in(&state, &parts).await?, image_id(&image)?);
    let sent: Bytes = bodies::read(sent, JSON_BODY_BYTES_MAX)
        .await
        .map_err(|error| Refusal::new(error.status(), error.message()))?;
    let asked: Asked =
        if sent.is_empty() { Asked::default() } else { bodies::parse_into(&sent).map_err(Refusal::bad)? };
    let turn = state.service.look_turn().await?;
    let described =
        state.in_turn(turn, move |service| service.describe_image(&actor, &id, asked.overwrite)).await?;
    let answer = json!({
        "id": id.to_string(),
        "set": properties(&described.set),
        "kept": properties(&described.kept),
    });
    Ok(Json(answer).into_response())
}

fn properties(pairs: &[(&'static str, String)]) -> Value {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn body(image: &Image, inspection: &Inspection) -> Value {
    let (system, boot) = (&inspection.system, &inspection.boot);
    json!({
        "id": image.id.to_string(),
        "name": image.name,
        "size_bytes": inspection.size_bytes,
        "container": inspection.container,
        "partition_table": inspection.table.map(|table| match table {
            TableKind::Gpt => "gpt",
            TableKind::Mbr => "mbr",
        }),
        "partitions": inspection.volumes.iter().map(volume).collect::<Vec<_>>(),
        "root_partition": inspection.root,
        "os": {
            "id": system.id,
            "version": system.version,
            "name": system.name,
            "architecture": system.architecture,
        },
        "boot": {"uefi": boot.uefi, "bios": boot.bios},
        "kernels": inspection.kernels.iter().map(kernel).collect::<Vec<_>>(),
        "mounts": inspection.mounts.iter().map(mount).collect::<Vec<_>>(),
        "cloud_init": inspection.cloud_init.as_ref().map(|found| json!({"datasources": found.datasources})),
        "log_bytes": inspection.log_bytes,
        "findings": inspection.findings.iter().map(finding).collect::<Vec<_>>(),
        "proposed": properties(&inspection.proposed),
    })
}

fn volume(volume: &Volume) -> Value {
    json!({
        "number": volume.number,
        "start_bytes": volume.start_bytes,
        "size_bytes": volume.size_bytes,
        "type": volume.type_name,
        "type_code": volume.type_code,
        "name": volume.name,
        "file_system": volume.file_system,
        "label": volume.label,
        "uuid": volume.id,
        "used_bytes": volume.managed_bytes.zip(volume.free_bytes).map(|(all, free)| all.saturating_sub(free)),
        "free_bytes": volume.free_bytes,
        "readable": volume.is_read,
    })
}

fn kernel(kernel: &Kernel) -> Value {
    let drivers = kernel.drivers.iter().map(|Driver { name, state }| {
        let state = match state {
            DriverState::BuiltIn => "built-in",
            DriverState::Module => "module",
            DriverState::Absent => "absent",
        };
        ((*name).to_owned(), Value::from(state))
    });
    json!({
        "version": kernel.version,
        "path": kernel.path,
        "initramfs": kernel.initramfs,
        "drivers": Value::Object(drivers.collect::<Map<_, _>>()),
    })
}

fn mount(Mount { device, at, kind }: &Mount) -> Value {
    json!({"device": device, "at": at, "type": kind})
}

fn finding(Finding { code, path, sentence }: &Finding) -> Value {
    json!({"code": code.as_str(), "severity": code.severity().as_str(), "path": path, "sentence": sentence})
}
