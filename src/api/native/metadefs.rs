//! `metadefs`: a whole namespace of metadata definitions at once, as files have them. All else about them is the Image
//! API's.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Refusal;
use super::{read, signed_in};
use crate::api::context::ApiState;
use crate::api::glance::metadefs::new_namespace;
use crate::api::routing::{Routes, post};
use crate::service::metadefs::{Loaded, Mode};

pub(super) fn routes() -> Routes {
    Routes::new().route("/tintype/v1/metadefs", post(load))
}

/// The body of a request to load: what to do with a namespace of the name, and the namespace as the Image API takes
/// it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    mode: Word,
    namespace: Value,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Word {
    Create,
    Skip,
    Merge,
    Overwrite,
}

async fn load(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let load: Load = read(sent).await?;
    let mode = match load.mode {
        Word::Create => Mode::Create,
        Word::Skip => Mode::Skip,
        Word::Merge => Mode::Merge,
        Word::Overwrite => Mode::Overwrite,
    };
    let new = new_namespace(load.namespace)?;
    let name = new.fields.name.clone();
    let loaded = state.blocking(move |service| service.load_namespace(&actor, new, mode)).await?;
    let outcome = match loaded {
        Loaded::Created => "created",
        Loaded::Skipped => "skipped",
        Loaded::Merged => "merged",
        Loaded::Overwritten => "overwritten",
    };
    Ok(Json(json!({"namespace": name, "outcome": outcome})).into_response())
}
