//! Properties of a namespace. They are listed as a map, as they lie in a namespace.

use axum::http::StatusCode;
use axum::response::Response;

use super::super::call::{Call, json_response, no_content};
use super::super::error::Refusal;
use super::page::Page;
use super::{created, in_path, print, read};
use crate::model::metadef::Property;

/// All of a namespace's.
pub(super) async fn list(mut call: Call, namespace: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let found = call.run(move |service, actor| service.metadef_items::<Property>(actor, &namespace)).await?;
    Ok(json_response(StatusCode::OK, print::properties(&found)))
}

/// Defines one.
pub(super) async fn create(mut call: Call, namespace: String) -> Result<Response, Refusal> {
    let new = read::property(call.json().await?)?;
    let path = format!("{}/properties/{}", print::namespace_path(&namespace), in_path(&new.name));
    let property =
        call.run(move |service, actor| service.create_metadef_property(actor, &namespace, new)).await?;
    Ok(created(&path, print::property(&property)))
}

/// One of them. With a type of resources, by the name it has there.
pub(super) async fn show(mut call: Call, namespace: String, name: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let page = Page::read("", &call.parts.uri)?;
    let property = call
        .run(move |service, actor| match page.get("resource_type") {
            Some(resource_type) => service.prefixed_metadef_property(actor, &namespace, resource_type, &name),
            None => service.metadef_item::<Property>(actor, &namespace, &name),
        })
        .await?;
    Ok(json_response(StatusCode::OK, print::property(&property)))
}

/// Replaces one.
pub(super) async fn update(mut call: Call, namespace: String, name: String) -> Result<Response, Refusal> {
    let new = read::property(call.json().await?)?;
    let property = call
        .run(move |service, actor| service.update_metadef_property(actor, &namespace, &name, new))
        .await?;
    Ok(json_response(StatusCode::OK, print::property(&property)))
}

/// Takes one away.
pub(super) async fn delete(mut call: Call, namespace: String, name: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.remove_metadef_item::<Property>(actor, &namespace, &name)).await?;
    Ok(no_content())
}

/// Takes all away.
pub(super) async fn clear(mut call: Call, namespace: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.clear_metadef_items::<Property>(actor, &namespace)).await?;
    Ok(no_content())
}
