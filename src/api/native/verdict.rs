//! `GET images/ID/verdict`: what was found out about an image's data when it arrived.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::{image_id, signed_in};
use crate::api::context::ApiState;
use crate::api::routing::{Routes, get};
use crate::disk::NoteCode;
use crate::model::{Finding, Image, Verdict};

pub(super) fn routes() -> Routes {
    Routes::new().route("/tintype/v1/images/{image}/verdict", get(show))
}

async fn show(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (actor, id) = (signed_in(&state, &request.into_parts().0).await?, image_id(&image)?);
    let image = state.blocking(move |service| service.show_image(&actor, &id)).await?;
    Ok(Json(body(&image)).into_response())
}

fn body(image: &Image) -> Value {
    json!({
        "id": image.id.to_string(),
        "size_bytes": image.size_bytes,
        "virtual_size_bytes": image.virtual_size_bytes,
        "verdict": image.verdict.as_ref().map(verdict),
    })
}

fn verdict(verdict: &Verdict) -> Value {
    json!({
        "format": verdict.format,
        "reader": verdict.reader,
        "findings": verdict.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    // A word of a later release, in a catalog that was put back, means nothing here.
    let code = NoteCode::parse(&finding.code);
    json!({
        "code": finding.code,
        "severity": if code.is_some_and(NoteCode::is_warning) { "warning" } else { "note" },
        "field": finding.field,
        "value": finding.value,
        "meaning": code.map(NoteCode::meaning),
    })
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
