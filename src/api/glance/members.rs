//! Sharing: an image's members.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::call::{Call, json_response, no_content};
use super::error::Refusal;
use super::wire;
use crate::model::image::MemberStatus;
use crate::model::{ImageId, ProjectId};

/// Offers an image to a project.
pub(super) async fn create(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    let project = ProjectId(text(call.json().await?, "member")?);
    let member = call.run(move |service, actor| service.add_image_member(actor, &id, project)).await?;
    // The reference answers 200 here, not 201, and clients compare.
    Ok(json_response(StatusCode::OK, wire::member(&member)))
}

/// Those the caller may see of an image's members.
pub(super) async fn list(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let members = call.run(move |service, actor| service.list_image_members(actor, &id)).await?;
    Ok(json_response(StatusCode::OK, wire::member_list(&members)))
}

/// One member.
pub(super) async fn show(mut call: Call, id: ImageId, project: ProjectId) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let member = call.run(move |service, actor| service.show_image_member(actor, &id, &project)).await?;
    Ok(json_response(StatusCode::OK, wire::member(&member)))
}

/// Accepts or rejects an offer.
pub(super) async fn update(mut call: Call, id: ImageId, project: ProjectId) -> Result<Response, Refusal> {
    let word = text(call.json().await?, "status")?;
    let status = MemberStatus::parse(&word)
        .ok_or_else(|| Refusal::bad(format!("status must be pending, accepted or rejected, not {word:?}")))?;
    let member =
        call.run(move |service, actor| service.answer_image_share(actor, &id, &project, status)).await?;
    Ok(json_response(StatusCode::OK, wire::member(&member)))
}

/// Takes an offer back.
pub(super) async fn delete(mut call: Call, id: ImageId, project: ProjectId) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.remove_image_member(actor, &id, &project)).await?;
    Ok(no_content())
}

fn text(body: Value, key: &str) -> Result<String, Refusal> {
    match wire::object(body)?.get(key).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Refusal::bad(format!("the body needs {key}, a string that is not empty"))),
    }
}
