//! The stores of the box, and taking an image's data from one of them.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::call::{Call, json_response, no_content};
use super::error::Refusal;
use crate::model::ImageId;
use crate::service::Service;
use crate::service::stores::{StoreInfo, StoreKind};
use crate::store::PlaceStatus;

/// The stores that images may lie in, for everybody.
pub(super) async fn list(mut call: Call) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    expect_several(&call)?;
    let service = &call.state.service;
    let mut stores: Vec<Value> = service.stores().iter().map(|store| told(store).into()).collect();
    stores.extend(service.web_store().map(|name| told_web(name).into()));
    Ok(json_response(StatusCode::OK, json!({ "stores": stores }).to_string().into_bytes()))
}

/// The same with what they are on, for administrators.
pub(super) async fn details(mut call: Call) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let stores = call.run(|service, actor| service.store_details(actor)).await?;
    expect_several(&call)?;
    let mut told: Vec<Value> = stores.iter().map(|(store, status)| detailed(store, status)).collect();
    // Addresses of the web are asked for what no store has.
    let lightest = stores.iter().map(|(store, _)| store.weight).min().unwrap_or_default();
    told.extend(call.state.service.web_store().map(|name| detailed_web(name, lightest.saturating_sub(1))));
    let stores = told;
    Ok(json_response(StatusCode::OK, json!({ "stores": stores }).to_string().into_bytes()))
}

/// Takes an image's data from a store.
pub(super) async fn drop_copy(mut call: Call, store: String, id: ImageId) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.drop_copy(actor, &id, &store)).await?;
    Ok(no_content())
}

/// What clients may call a store by, the heaviest first; none where there is one store only.
pub(super) fn names(service: &Service) -> Vec<&str> {
    if !service.stores().are_several() {
        return Vec::new();
    }
    let names = service.stores().iter().map(|store| store.name.as_str());
    names.chain(service.web_store()).collect()
}

/// Where there is one store only, there is nothing to choose from.
fn expect_several(call: &Call) -> Result<(), Refusal> {
    match call.state.service.stores().are_several() {
        true => Ok(()),
        false => Err(Refusal::new(StatusCode::NOT_FOUND, "this box has one store only")),
    }
}

/// Switches are the word "true", and absent where they are off, as the reference has it.
fn told(store: &StoreInfo) -> Map<String, Value> {
    let mut keys = Map::new();
    keys.insert("id".into(), store.name.as_str().into());
    if !store.description.is_empty() {
        keys.insert("description".into(), store.description.as_str().into());
    }
    for (name, is_on) in [("default", store.is_default), ("read-only", store.read_only)] {
        if is_on {
            keys.insert(name.into(), "true".into());
        }
    }
    keys
}

/// The store that stands for addresses of the web, which takes no data.
fn told_web(name: &str) -> Map<String, Value> {
    [("id".to_owned(), name.into()), ("read-only".to_owned(), "true".into())].into_iter().collect()
}

fn detailed_web(name: &str, weight: i64) -> Value {
    let mut keys = told_web(name);
    keys.insert("type".into(), "http".into());
    keys.insert("weight".into(), weight.into());
    keys.insert("properties".into(), json!({}));
    keys.into()
}

fn detailed(store: &StoreInfo, status: &PlaceStatus) -> Value {
    let mut keys = told(store);
    keys.insert("type".into(), store.kind.as_str().into());
    keys.insert("weight".into(), store.weight.into());
    let place = if store.kind == StoreKind::File { "data_dir" } else { "location" };
    let properties = json!({
        place: store.location,
        // Zeros are never stored.
        "thin_provisioning": true,
        "stored_bytes": status.stats.stored_bytes,
        "free_bytes": status.free_bytes,
        "trouble": status.trouble,
    });
    keys.insert("properties".into(), properties);
    keys.into()
}
