//! `GET images/ID/extents` and `GET images/ID/changes`: where a guest's disk has data, and where it differs from another.

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::{image_id, signed_in};
use crate::api::context::ApiState;
use crate::api::routing::{Routes, get};
use crate::model::{ByteRange, ImageId};
use crate::service::Error;
use crate::service::images::{Page, Stretch};

/// What may be asked of extents.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    /// The byte to begin at.
    from: u64,
}

/// What may be asked of changes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedOfTwo {
    /// The other image.
    since: String,
    /// The byte to begin at.
    #[serde(default)]
    from: u64,
    /// Whether what may differ is read and compared.
    #[serde(default)]
    exact: bool,
}

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/images/{image}/extents", get(extents))
        .route("/tintype/v1/images/{image}/changes", get(changes))
}

async fn extents(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let (actor, id) = (signed_in(&state, &parts).await?, image_id(&image)?);
    let asked: Asked = asked(&parts.uri, "extents takes from, a number of bytes")?;
    let turn = state.service.store().turn().await.map_err(Error::from)?;
    let page = state.in_turn(turn, move |service| service.extents(&actor, &id, asked.from)).await?;
    let extent = |stretch: &Stretch| json!({"offset": stretch.at, "bytes": stretch.extent.bytes, "zero": stretch.extent.is_zero});
    Ok(body(&page, "extents", extent))
}

async fn changes(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let (actor, id) = (signed_in(&state, &parts).await?, image_id(&image)?);
    let told = "changes takes since, the id of an image, from, a number of bytes, and exact, true or false";
    let asked: AskedOfTwo = asked(&parts.uri, told)?;
    let since = ImageId::parse(&asked.since).ok_or_else(|| Error::invalid(told))?;
    let changes = move |service: &crate::service::Service| {
        service.changes(&actor, &id, &since, asked.from, asked.exact)
    };
    let turn = state.service.store().turn().await.map_err(Error::from)?;
    let page = state.in_turn(turn, changes).await?;
    Ok(body(&page, "changes", |range: &ByteRange| json!({"offset": range.start, "bytes": range.len()})))
}

fn asked<T: DeserializeOwned>(uri: &Uri, told: &'static str) -> Result<T, Error> {
    Query::try_from_uri(uri).map(|Query(asked)| asked).map_err(|_| Error::invalid(told))
}

fn body<T>(page: &Page<T>, name: &str, record: impl Fn(&T) -> Value) -> Response {
    let found: Vec<Value> = page.found.iter().map(record).collect();
    Json(json!({"size_bytes": page.size_bytes, name: found, "next": page.next})).into_response()
}
