//! `families`: images of one kind that succeed each other, and the latest of them that is fit for use.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::signed_in;
use crate::api::context::ApiState;
use crate::api::routing::{Routes, get};
use crate::model::{Image, ImageId};
use crate::service::images::{FamilyEntry, Unfit};

pub(super) fn routes() -> Routes {
    Routes::new().route("/tintype/v1/families", get(list)).route("/tintype/v1/families/{family}", get(show))
}

async fn list(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let families = state.blocking(move |service| service.families(&actor)).await?;
    let families: Vec<Value> = families.iter().map(entry_body).collect();
    Ok(Json(json!({ "families": families })).into_response())
}

async fn show(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let asked = name.clone();
    let family = state.blocking(move |service| service.family(&actor, &asked)).await?;
    let body = json!({
        "family": name,
        "latest": family.latest.as_ref().map(image_body),
        "passed_over": family.passed_over.iter().map(unfit_body).collect::<Vec<_>>(),
    });
    Ok(Json(body).into_response())
}

fn entry_body(entry: &FamilyEntry) -> Value {
    json!({
        "family": entry.name,
        "images": entry.images,
        "latest": entry.latest.as_ref().map(image_body),
    })
}

fn image_body(image: &Image) -> Value {
    json!({
        "id": image.id.to_string(),
        "name": image.name,
        "created_at": image.created_at.rfc3339_seconds(),
    })
}

fn unfit_body((id, why): &(ImageId, Unfit)) -> Value {
    let why = match why {
        Unfit::NotActive(status) => format!("it is {}", status.as_str()),
        Unfit::Deprecated(text) => format!("deprecated: {text}"),
        Unfit::Damaged => "its data is damaged".to_owned(),
        Unfit::KeyClosed => "its custom key does not open it for you".to_owned(),
    };
    json!({"id": id.to_string(), "why": why})
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use bytes::Bytes;
    use futures::stream;

    use super::super::tests::{ask_of, state};
    use super::*;
    use crate::service::images::{Change, DEPRECATED_PROPERTY, Existing, FAMILY_PROPERTY, Field, NewImage};

    fn property(name: &str, value: &str) -> Change {
        Change::SetProperty { name: name.into(), value: value.into(), existing: Existing::Any }
    }

    async fn add(state: &ApiState, filled: bool) -> ImageId {
        let (service, actor) = (&state.service, state.service.local_admin().unwrap());
        let changes = vec![
            Change::Set(Field::DiskFormat(Some("raw".into()))),
            Change::Set(Field::ContainerFormat(Some("bare".into()))),
            property(FAMILY_PROPERTY, "deb"),
        ];
        let id = service.create_image(&actor, NewImage { id: None, changes }).unwrap().id;
        if filled {
            let upload = service.begin_upload(&actor, &id, None).unwrap();
            upload.receive(stream::iter([Ok(Bytes::from_static(b"data"))])).await.unwrap();
        }
        id
    }

    async fn asked(state: &ApiState, path: &str) -> Value {
        let (status, body) = ask_of(state, "GET", path, true).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_latest_is_the_newest_that_is_fit_for_use() {
        let state = state();
        let actor = state.service.local_admin().unwrap();
        let path = "/tintype/v1/families/deb";
        assert_eq!(ask_of(&state, "GET", path, true).await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask_of(&state, "GET", path, false).await.0, StatusCode::UNAUTHORIZED);
        let old = add(&state, true).await;
        let (switched_off, deprecated, queued) =
            (add(&state, true).await, add(&state, true).await, add(&state, false).await);
        assert_eq!(asked(&state, path).await["latest"]["id"], deprecated.to_string());
        state.service.deactivate_image(&actor, &switched_off).unwrap();
        let change = vec![property(DEPRECATED_PROPERTY, "use ubu")];
        state.service.update_image(&actor, &deprecated, change).unwrap();
        let told = asked(&state, path).await;
        assert_eq!(told["latest"]["id"], old.to_string());
        let why = |id: ImageId, why: &str| json!({"id": id.to_string(), "why": why});
        let passed_over = json!([
            why(queued, "it is queued"),
            why(deprecated, "deprecated: use ubu"),
            why(switched_off, "it is deactivated"),
        ]);
        assert_eq!(told["passed_over"], passed_over);
        let listed = asked(&state, "/tintype/v1/families").await;
        assert_eq!(listed["families"][0]["images"], 4);
        assert_eq!(listed["families"][0]["latest"]["id"], old.to_string());
        state.service.delete_image(&actor, &old).unwrap();
        assert_eq!(asked(&state, path).await["latest"], Value::Null);
    }
}
