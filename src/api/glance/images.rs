//! Images and what is done to their records.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use axum::response::Response;

use super::call::{Call, json_response, no_content};
use super::error::Refusal;
use super::patch::{Dialect, Patch};
use super::query::ListQuery;
use super::wire;
use crate::api::ims;
use crate::model::{Image, ImageId};
use crate::service::images::ImportMethod;
use crate::service::{Actor, Error, Service};

/// Tells clients which ways in there are besides an upload.
const IMPORT_METHODS: HeaderName = HeaderName::from_static("openstack-image-import-methods");
/// Tells clients which stores they may choose from.
const STORE_IDS: HeaderName = HeaderName::from_static("openstack-image-store-ids");

/// A page of what the caller may list.
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    let query = ListQuery::parse(call.parts.uri.query().unwrap_or(""))?;
    let body = call
        .run(move |service, actor| {
            let limit = query.listing.limit;
            let page = service.list_images(actor, query.listing.clone())?;
            let next = page.last().filter(|_| page.len() == limit).map(|last| query.next(&last.id));
            // Printed here, beside the other blocking work, to leave the network threads alone.
            let beside = service.beside(actor, &page)?;
            Ok(wire::image_page(&page, service.stores(), &beside, &query.first(), next.as_deref()))
        })
        .await?;
    Ok(json_response(StatusCode::OK, body))
}

/// Registers an image.
pub(super) async fn create(mut call: Call) -> Result<Response, Refusal> {
    let new = wire::read_new_image(call.json().await?)?;
    // Who names a system speaks the image management API, and hears its form.
    let names_system = ims::names_system(&new);
    let new = ims::registration(new).map_err(Refusal::bad)?;
    let image = call.run(move |service, actor| service.create_image(actor, new)).await?;
    let printed = match names_system {
        true => ims::registered(&image),
        false => printed(&call, image.clone()).await?,
    };
    let mut response = json_response(StatusCode::CREATED, printed);
    let base_url = call.state.base_url(&call.parts.uri, call.headers());
    if let Ok(location) = HeaderValue::from_str(&format!("{base_url}/v2/images/{}", image.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    let methods: Vec<&str> = call.state.service.import_methods().map(ImportMethod::as_str).collect();
    let stores = super::stores::names(&call.state.service);
    for (header, names) in [(IMPORT_METHODS, methods.join(",")), (STORE_IDS, stores.join(","))] {
        // An empty list is that of a box with one store, which tells of none.
        if let Some(names) = HeaderValue::from_str(&names).ok().filter(|names| !names.is_empty()) {
            response.headers_mut().insert(header, names);
        }
    }
    Ok(response)
}

/// One image.
pub(super) async fn show(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let image = call.run(move |service, actor| service.show_image(actor, &id)).await?;
    Ok(json_response(StatusCode::OK, printed(&call, image).await?))
}

/// Patches a record.
pub(super) async fn update(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    let dialect = Dialect::of(call.headers().get(CONTENT_TYPE))?;
    let Patch { changes, locations } =
        dialect.read(call.json().await?, call.state.service.shows_locations())?;
    let image = match locations.is_empty() {
        true => call.run(move |service, actor| service.update_image(actor, &id, changes)).await?,
        false => {
            let service = &call.state.service;
            service.update_image_and_locations(&call.actor, &id, changes, locations).await?
        }
    };
    Ok(json_response(StatusCode::OK, printed(&call, image).await?))
}

/// A record as the caller is told it.
fn printed(call: &Call, image: Image) -> impl Future<Output = Result<Vec<u8>, Refusal>> + Send + use<> {
    let print = move |service: &Service, actor: &Actor| {
        let beside = service.beside(actor, std::slice::from_ref(&image))?;
        Ok(wire::image(&image, service.stores(), &beside.into_iter().next().unwrap_or_default()))
    };
    call.run(print)
}

/// Deletes an image.
pub(super) async fn delete(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    match call.asks_to_delete_backup().await? {
        true => call.run(move |service, actor| service.delete_machine(actor, &id)).await?,
        false => call.run(move |service, actor| service.delete_image(actor, &id)).await?,
    }
    Ok(no_content())
}

/// Stops handing out an image's data.
pub(super) async fn deactivate(call: Call, id: ImageId) -> Result<Response, Refusal> {
    act(call, move |service, actor| service.deactivate_image(actor, &id).map(dropped)).await
}

/// Hands out an image's data again.
pub(super) async fn reactivate(call: Call, id: ImageId) -> Result<Response, Refusal> {
    act(call, move |service, actor| service.reactivate_image(actor, &id).map(dropped)).await
}

/// Puts a tag on an image.
pub(super) async fn add_tag(call: Call, id: ImageId, tag: String) -> Result<Response, Refusal> {
    act(call, move |service, actor| service.add_image_tag(actor, &id, tag).map(dropped)).await
}

/// Takes a tag off an image.
pub(super) async fn remove_tag(call: Call, id: ImageId, tag: String) -> Result<Response, Refusal> {
    act(call, move |service, actor| service.remove_image_tag(actor, &id, tag).map(dropped)).await
}

/// A call without a body, answered without one.
async fn act(
    mut call: Call,
    work: impl FnOnce(&Service, &Actor) -> Result<(), Error> + Send + 'static,
) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(work).await?;
    Ok(no_content())
}

fn dropped(_: Image) {}
