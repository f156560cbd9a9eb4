//! The native API, under `/tintype/v1`: what no other protocol has.
//!
//! Image data, for whoever may read or fill the image: [`file`] hands it out as HTTP has it,
//! [`links`] does so for fetchers without a token, [`uploads`] takes it in parts; [`inspection`] tells what lies inside it, [`tree`] hands single files of that out; [`copies`] has it in more stores; [`verdict`] tells what was found out about it; [`extents`] tells where there is data, and where two images differ; [`families`] tells the latest of a kind; [`deleted_images`] are retained for a while. [`access_keys`], for their users; [`custom_keys`], for their projects. [`quotas`]: what projects may have, and have. [`nbd`]: disks that are open to whoever has their names. [`metadefs`] takes whole namespaces. Upkeep, for administrators: `GET stats`, `GET scrub`, `GET damage`,
//! `GET events` and what is below `key` answer at once; `POST check`, `POST scrub`, `POST gc` and
//! `POST key/domains/ID/rotate` answer in lines of JSON: any number of `{"progress": …}`, then one
//! `{"result": …}` or `{"error": "…"}`. Work that has begun goes on when the client leaves; what the
//! last two do is a job, under `jobs`.

mod access_keys;
mod audit;
mod copies;
mod custom_keys;
mod deleted_images;
mod error;
mod extents;
mod families;
mod file;
mod gc;
mod inspection;
mod jobs;
mod keys;
mod links;
mod locks;
mod metadefs;
mod named;
mod nbd;
mod places;
mod policies;
mod quotas;
mod scrub;
mod sending;
mod tree;
mod uploads;
mod verdict;
mod work;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::context::{ApiState, Credentials, authenticate};
use super::json as bodies;
use crate::api::routing::{Routes, get, post};
use crate::base::Time;
use crate::base::limits::JSON_BODY_BYTES_MAX;
use crate::model::ImageId;
use crate::service::rights::{Action, Resource};
use crate::service::stores::StoreInfo;
use crate::service::upkeep::{Checked, Damage, Usage};
use crate::service::{Actor, Error, Service};
use crate::store::PlaceStatus;
use error::Refusal;

/// The native routes.
pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/stats", get(stats))
        .route("/tintype/v1/check", post(check))
        .route("/tintype/v1/scrub", get(scrub::status).post(scrub::scrub))
        .route("/tintype/v1/damage", get(scrub::damage))
        .route("/tintype/v1/events", get(scrub::events))
        .route("/tintype/v1/gc", post(gc::gc))
        .route("/tintype/v1/images/{image}/file", get(file::download))
        .merge(access_keys::routes())
        .merge(copies::routes())
        .merge(custom_keys::routes())
        .merge(deleted_images::routes())
        .merge(extents::routes())
        .merge(families::routes())
        .merge(inspection::routes())
        .merge(audit::routes())
        .merge(jobs::routes())
        .merge(keys::routes())
        .merge(links::routes())
        .merge(locks::routes())
        .merge(metadefs::routes())
        .merge(nbd::routes())
        .merge(places::routes())
        .merge(policies::routes())
        .merge(quotas::routes())
        .merge(tree::routes())
        .merge(uploads::routes())
        .merge(verdict::routes())
}

async fn stats(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = permitted(&state, request, Action::StoreGet).await?;
    let figures = move |service: &Service| {
        let mut body = usage_body(&service.usage(&actor)?);
        if service.stores().are_several() {
            let stores = service.store_details(&actor)?;
            body["stores"] = stores.iter().map(|(store, status)| store_body(store, status)).collect();
        }
        Ok(body)
    };
    Ok(Json(state.blocking(figures).await?).into_response())
}

async fn check(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = permitted(&state, request, Action::StoreCheck).await?;
    Ok(work::respond(state, move |service, tell| Ok(checked_body(&service.check(&actor, tell)?))))
}

/// Who asks, once it is known to be allowed to look after the box.
async fn caller(state: &ApiState, request: Request) -> Result<Actor, Error> {
    permitted(state, request, Action::UpkeepManage).await
}

/// Who asks, once it is known to be allowed to do this.
async fn permitted(state: &ApiState, request: Request, action: Action) -> Result<Actor, Error> {
    let credentials = Credentials::of(&request.into_parts().0);
    let authorised = move |service: &Service| {
        let actor = authenticate(service, &credentials)?;
        actor.expect(action, Resource::None)?;
        Ok(actor)
    };
    state.blocking(authorised).await
}

/// Who asks, whatever it may do.
async fn signed_in(state: &ApiState, parts: &Parts) -> Result<Actor, Refusal> {
    let credentials = Credentials::of(parts);
    Ok(state.blocking(move |service| authenticate(service, &credentials)).await?)
}

/// A JSON body that has exactly the members of a `T`.
async fn read<T: serde::de::DeserializeOwned>(sent: Body) -> Result<T, Refusal> {
    let bytes = bodies::read(sent, JSON_BODY_BYTES_MAX)
        .await
        .map_err(|error| Refusal::new(error.status(), error.message()))?;
    bodies::parse_into(&bytes).map_err(Refusal::bad)
}

/// The image that a path names.
fn image_id(text: &str) -> Result<ImageId, Refusal> {
    ImageId::parse(text).ok_or_else(Refusal::no_path)
}

fn usage_body(usage: &Usage) -> Value {
    json!({
        "images": usage.images,
        "image_bytes": usage.image_bytes,
        "deleted_images": usage.deleted_images,
        "deleted_image_bytes": usage.deleted_image_bytes,
        "stored_bytes": usage.stored_bytes,
        "chunks": usage.chunks,
        "packs": usage.packs,
        "sealed": usage.sealed,
        "version": env!("CARGO_PKG_VERSION"),
    })
}

fn store_body(store: &StoreInfo, status: &PlaceStatus) -> Value {
    json!({
        "name": store.name,
        "location": store.location,
        "packs": status.stats.packs,
        "chunk_bytes": status.stats.chunk_bytes,
        "stored_bytes": status.stats.stored_bytes,
        "free_bytes": status.free_bytes,
        "trouble": status.trouble,
    })
}

fn checked_body(checked: &Checked) -> Value {
    json!({
        "started_at": checked.started_at.rfc3339_seconds(),
        "images": checked.images,
        "image_bytes": checked.image_bytes,
        "damaged": checked.damaged.iter().map(damage_body).collect::<Vec<_>>(),
        "revoked": checked.revoked.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "damaged_objects": checked.damaged_objects,
        "differing_indexes": checked.differing_indexes,
        "described_commits": checked.description.commits,
        "described_at": checked.description.written_at.map(Time::rfc3339_seconds),
        "description_damage": checked.description.damage,
        "incidents": checked.incidents.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn damage_body(damage: &Damage) -> Value {
    json!({"image": damage.image.to_string(), "name": damage.name, "reason": damage.reason})
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::api::context::LocalAdmin;
    use crate::service::testing;

    pub fn state() -> ApiState {
        ApiState { service: testing::service().0, public_url: None }
    }

    async fn ask(method: &str, path: &str, admin: bool) -> (StatusCode, String) {
        ask_of(&state(), method, path, admin).await
    }

    pub async fn ask_of(state: &ApiState, method: &str, path: &str, admin: bool) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        if admin {
            request.extensions_mut().insert(LocalAdmin);
        }
        let response = routes().into_router().with_state(state.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn strangers_are_turned_away_before_any_work() {
        for (method, path) in [
            ("GET", "/tintype/v1/stats"),
            ("POST", "/tintype/v1/check"),
            ("POST", "/tintype/v1/gc"),
            ("GET", "/tintype/v1/scrub"),
            ("POST", "/tintype/v1/scrub"),
            ("GET", "/tintype/v1/damage"),
            ("GET", "/tintype/v1/events"),
            ("GET", "/tintype/v1/key"),
            ("GET", "/tintype/v1/key/backup"),
            ("POST", "/tintype/v1/key/rotate"),
            ("DELETE", "/tintype/v1/key/domains/2"),
            ("POST", "/tintype/v1/key/domains/2/rotate"),
        ] {
            assert_eq!(ask(method, path, false).await.0, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn long_work_ends_with_its_result() {
        let (status, lines) = ask("POST", "/tintype/v1/check", true).await;
        assert_eq!(status, StatusCode::OK);
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!(last["result"]["damaged"], json!([]));
        assert_eq!(last["result"]["damaged_objects"], json!([]));
        assert_eq!(last["result"]["differing_indexes"], json!([]));
        assert_eq!(last["result"]["description_damage"], json!([]));
        assert_eq!(last["result"]["incidents"], json!([]));
        assert!(last["result"]["described_commits"].as_u64().is_some_and(|commits| commits > 0));
    }

    #[tokio::test]
    async fn a_scrub_of_an_empty_box_is_complete_and_finds_no_damage() {
        let (status, lines) = ask("POST", "/tintype/v1/scrub", true).await;
        assert_eq!(status, StatusCode::OK);
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!(last["result"]["damaged_objects"], 0);
        assert_eq!(last["result"]["is_under_way"], false);
        assert!(last["result"]["completed_at"].is_string());
        let (_, body) = ask("GET", "/tintype/v1/scrub", true).await;
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["completed_at"], Value::Null);
        let (_, body) = ask("GET", "/tintype/v1/damage", true).await;
        assert_eq!(body, r#"{"damage":[]}"#);
        let (_, body) = ask("GET", "/tintype/v1/events", true).await;
        assert_eq!(body, r#"{"events":[]}"#);
    }

    #[tokio::test]
    async fn a_plain_box_has_no_keys() {
        for path in ["/tintype/v1/key", "/tintype/v1/key/backup"] {
            let (status, body) = ask("GET", path, true).await;
            assert_eq!(status, StatusCode::CONFLICT);
            assert!(body.contains("the store is plain"), "{body}");
        }
    }

    #[tokio::test]
    async fn an_empty_box_holds_nothing() {
        let (status, body) = ask("GET", "/tintype/v1/stats", true).await;
        let figures: Value = serde_json::from_str(&body).unwrap();
        let nothing = json!({
            "images": 0, "image_bytes": 0, "deleted_images": 0, "deleted_image_bytes": 0, "stored_bytes": 0, "chunks": 0, "packs": 0, "sealed": false,
            "version": env!("CARGO_PKG_VERSION"),
        });
        assert_eq!((status, figures), (StatusCode::OK, nothing));
    }
}
