//! Types of resources, and which of them a namespace applies to.

use axum::http::StatusCode;
use axum::response::Response;

use super::super::call::{Call, json_response, no_content};
use super::super::error::Refusal;
use super::{created, in_path, print, read};

/// All that the caller may know of.
pub(super) async fn list(mut call: Call) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let types = call.run(|service, actor| service.resource_types(actor)).await?;
    Ok(json_response(StatusCode::OK, print::resource_types(&types)))
}

/// Those that a namespace applies to.
pub(super) async fn list_of(mut call: Call, namespace: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let found = call.run(move |service, actor| service.metadef_associations(actor, &namespace)).await?;
    Ok(json_response(StatusCode::OK, print::associations(&found)))
}

/// Lets a namespace apply to one.
pub(super) async fn associate(mut call: Call, namespace: String) -> Result<Response, Refusal> {
    let new = read::association(call.json().await?)?;
    let path =
        format!("{}/resource_types/{}", print::namespace_path(&namespace), in_path(&new.resource_type));
    let made = call.run(move |service, actor| service.associate_metadefs(actor, &namespace, new)).await?;
    Ok(created(&path, print::association(&made)))
}

/// Lets a namespace no longer apply to one.
pub(super) async fn dissociate(mut call: Call, namespace: String, name: String) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.dissociate_metadefs(actor, &namespace, &name)).await?;
    Ok(no_content())
}
