//! Objects of a namespace: properties that belong together.

use axum::http::StatusCode;
use axum::response::Response;

use super::super::call::{Call, json_response, no_content};
use super::super::error::Refusal;
use super::{created, in_path, print, read};
use crate::model::metadef::Object;

/// All of a namespace's.
pub(super) async fn list(mut call: Call, namespace: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let body = call
        .run(move |service, actor| {
            Ok(print::objects(&namespace, &service.metadef_items::<Object>(actor, &namespace)?))
        })
        .await?;
    Ok(json_response(StatusCode::OK, body))
}

/// Defines one.
pub(super) async fn create(mut call: Call, namespace: String) -> Result<Response, Refusal> {
    let new = read::object(call.json().await?)?;
    let path = format!("{}/objects/{}", print::namespace_path(&namespace), in_path(&new.name));
    let body = call
        .run(move |service, actor| {
            Ok(print::object(&namespace, &service.create_metadef_object(actor, &namespace, new)?))
        })
        .await?;
    Ok(created(&path, body))
}

/// One of them.
pub(super) async fn show(mut call: Call, namespace: String, name: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let body = call
        .run(move |service, actor| {
            Ok(print::object(&namespace, &service.metadef_item::<Object>(actor, &namespace, &name)?))
        })
        .await?;
    Ok(json_response(StatusCode::OK, body))
}

/// Replaces one.
pub(super) async fn update(mut call: Call, namespace: String, name: String) -> Result<Response, Refusal> {
    let new = read::object(call.json().await?)?;
    let body = call
        .run(move |service, actor| {
            Ok(print::object(&namespace, &service.update_metadef_object(actor, &namespace, &name, new)?))
        })
        .await?;
    Ok(json_response(StatusCode::OK, body))
}

/// Takes one away.
pub(super) async fn delete(mut call: Call, namespace: String, name: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.remove_metadef_item::<Object>(actor, &namespace, &name)).await?;
    Ok(no_content())
}

/// Takes all away.
pub(super) async fn clear(mut call: Call, namespace: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.clear_metadef_items::<Object>(actor, &namespace)).await?;
    Ok(no_content())
}
