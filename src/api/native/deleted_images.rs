//! `deleted-images`: those that are retained for a while; `POST …/restore` brings one back, `DELETE` purges it.

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::{image_id, signed_in};
use crate::api::context::ApiState;
use crate::api::routing::{Routes, delete, get, post};
use crate::base::Time;
use crate::base::limits::PAGE_ROWS_MAX;
use crate::model::{Image, ImageId, ProjectId};
use crate::service::Service;
use crate::service::images::Retained;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/deleted-images", get(list))
        .route("/tintype/v1/deleted-images/{image}", delete(purge))
        .route("/tintype/v1/deleted-images/{image}/restore", post(restore))
}

/// Which page: after the image `marker`.
#[derive(Deserialize)]
struct Page {
    marker: Option<String>,
    limit: Option<usize>,
}

async fn list(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let page = Query::<Page>::try_from_uri(&parts.uri).map_err(|error| Refusal::bad(error.body_text()))?.0;
    let after = page.marker.as_deref().map(|text| {
        ImageId::parse(text).ok_or_else(|| Refusal::bad(format!("marker {text:?} is not the id of an image")))
    });
    let after = after.transpose()?;
    let limit = page.limit.unwrap_or(PAGE_ROWS_MAX).min(PAGE_ROWS_MAX);
    let listed = move |service: &Service| {
        let found = service.deleted_images(&actor, after.as_ref(), limit)?;
        Ok(found.iter().map(|retained| body(retained, service.purges_at(retained))).collect::<Vec<_>>())
    };
    Ok(Json(json!({"deleted_images": state.blocking(listed).await?})).into_response())
}

async fn restore(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (actor, id) = (signed_in(&state, &request.into_parts().0).await?, image_id(&image)?);
    let images = state.blocking(move |service| service.undelete_image(&actor, &id)).await?;
    let told = |image: &Image| json!({"id": image.id.to_string(), "name": image.name, "status": image.status.as_str()});
    let mut others: Vec<Value> = images.iter().map(told).collect();
    let mut told = others.remove(0);
    if !others.is_empty() {
        told["others_of_machine"] = others.into();
    }
    Ok(Json(told).into_response())
}

async fn purge(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (actor, id) = (signed_in(&state, &request.into_parts().0).await?, image_id(&image)?);
    state.blocking(move |service| service.purge_image(&actor, &id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn body(retained: &Retained, purges_at: Time) -> Value {
    let image = &retained.image;
    json!({
        "id": image.id.to_string(),
        "name": image.name,
        "owner": image.owner.as_ref().map(ProjectId::as_str),
        "size": image.size_bytes,
        "deleted_at": retained.deleted_at.rfc3339_seconds(),
        "purged_at": purges_at.rfc3339_seconds(),
    })
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::super::tests::{ask_of, state};

    #[tokio::test]
    async fn strangers_and_bad_names_are_turned_away() {
        let state = state();
        let id = "33ad552d-1149-471c-8190-ff6776174a00";
        for (method, path, known) in [
            ("GET", "/tintype/v1/deleted-images".to_owned(), StatusCode::OK),
            ("GET", "/tintype/v1/deleted-images?marker=x".to_owned(), StatusCode::BAD_REQUEST),
            ("GET", "/tintype/v1/deleted-images?limit=x".to_owned(), StatusCode::BAD_REQUEST),
            ("DELETE", format!("/tintype/v1/deleted-images/{id}"), StatusCode::NOT_FOUND),
            ("POST", format!("/tintype/v1/deleted-images/{id}/restore"), StatusCode::NOT_FOUND),
            ("POST", "/tintype/v1/deleted-images/x/restore".to_owned(), StatusCode::NOT_FOUND),
        ] {
            assert_eq!(ask_of(&state, method, &path, false).await.0, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(ask_of(&state, method, &path, true).await.0, known, "{path}");
        }
    }
}
