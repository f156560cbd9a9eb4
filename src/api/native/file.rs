//! Image data out: as it is stored, or as a file of another format.
//!
//! Who may read what, and when, is the Image API's rule; its own path keeps to its reference instead.
//! Invariant: equal entity tags mean equal bytes: the tag is the data's digest, or follows from it.

use std::ops::ControlFlow;

use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::error::Refusal;
use super::named::Path;
use super::sending::{Sending, Wanted, wanted};
use super::{image_id, signed_in};
use crate::api::context::ApiState;
use crate::disk::writing::Form;
use crate::model::{Image, ImageId};
use crate::service::images::Download;
use crate::service::{Actor, Error};

/// What may be asked of the data.
#[derive(Debug, Deserialize)]
struct Asked {
    /// The format that it is wanted in; as it is stored without.
    format: Option<String>,
}

async fn open(state: &ApiState, actor: Actor, id: ImageId) -> Result<Download, Refusal> {
    // Held by nobody for longer than it takes to open the data, or to find that it cannot be reached.
    let turn = state.service.store().turn().await.map_err(Error::from)?;
    Ok(state.in_turn(turn, move |service| service.download_image(&actor, &id)).await?)
}

/// Hands out an image's data, or a part of it; to HEAD only what would come.
pub(super) async fn download(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let (actor, id) = (signed_in(&state, &parts).await?, image_id(&image)?);
    let Ok(Query(asked)) = Query::<Asked>::try_from_uri(&parts.uri) else {
        return Err(Refusal::bad("the query is format=FORMAT, or nothing"));
    };
    let form = asked.format.as_deref().map(form).transpose()?;
    send(&state, &parts, &actor, &id, form).await
}

/// Hands out what the caller may download of an image, in a form or as it is stored.
pub(super) async fn send(
    state: &ApiState,
    parts: &Parts,
    actor: &Actor,
    id: &ImageId,
    form: Option<Form>,
) -> Result<Response, Refusal> {
    let id = *id;
    let mut download = open(state, actor.clone(), id).await?;
    if download.awaits_data() {
        state.service.fetch_by_reference(&id).await?;
        download = open(state, actor.clone(), id).await?;
    }
    let Download { image, reader: Some(reader) } = download else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    if let Some(form) = form {
        return made(state, parts, (actor, &id), form).await;
    }
    let sending = Sending {
        image: &image,
        tag: tag(&image),
        size: Some(reader.size_bytes()),
        has_ranges: true,
        ending: None,
    };
    sending.answer(parts, |range| Ok(reader.stream(range))).await
}

/// Hands out the file that an image's disk is in a form, or a part of it.
async fn made(
    state: &ApiState,
    parts: &Parts,
    (actor, id): (&Actor, &ImageId),
    form: Form,
) -> Result<Response, Refusal> {
    let mut export = state.service.open_export(actor, id, form).await?;
    let tag = format!("\"{}\"", export.tag());
    // Tables come first in it, and follow from what is packed after them: not worth the while for HEAD, or for who gets nothing.
    let is_sent = || wanted(&parts.method, &parts.headers, Some(&tag), None) == Wanted::Whole;
    if form == Form::Qcow2Compressed && parts.method == Method::GET && is_sent() {
        export.measure(|_, _| ControlFlow::Continue(())).await?;
    }
    let (size, ending) = (export.size_bytes(), Some(form.disk_format()));
    let sending =
        Sending { image: &export.image, tag: Some(tag), size, has_ranges: form != Form::Vmdk, ending };
    sending.answer(parts, |range| Ok(export.stream(range)?)).await
}

/// The form of that name.
pub(super) fn form(name: &str) -> Result<Form, Refusal> {
    Form::parse(name).ok_or_else(|| {
        let forms = Form::ALL.map(Form::as_str).join(", ");
        Refusal::bad(format!("format \"{name}\" is none that images leave in: there are {forms}"))
    })
}

/// The data's entity tag: its BLAKE3.
fn tag(image: &Image) -> Option<String> {
    image.digests.as_ref().map(|digests| format!("\"{}\"", hex::encode(digests.blake3)))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
