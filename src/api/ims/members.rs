//! Whom an image is shared with.

use axum::response::Response;
use serde_json::{Value, json};

use super::call::{Call, json_response};
use super::error::Refusal;
use super::wire;
use crate::base::limits::IMS_PAGE_ROWS_DEFAULT;
use crate::model::{ImageId, ProjectId};
use crate::service::Reason;
use crate::service::images::Shares;

/// `GET /v1/{project}/cloudimages/{image}/members`
pub(super) async fn list(call: Call, id: ImageId) -> Result<Response, Refusal> {
    let (mut limit, mut marker) = (IMS_PAGE_ROWS_DEFAULT, None);
    for (name, value) in call.query()? {
        match name.as_str() {
            "limit" => match value.parse() {
                Ok(number) if number > 0 => limit = number,
                _ => return Err(Refusal::bad("IMG.0017", format!("limit must be above 0, not {value:?}"))),
            },
            "marker" => marker = Some(ProjectId(value)),
            _ => {}
        }
    }
    let shares = call
        .run(move |service, actor| match service.image_shares(actor, &id) {
            // Nobody can be a member of it, so nobody is.
            Err(error) if error.reason == Some(Reason::NotShared) => Ok(Shares::default()),
            outcome => outcome,
        })
        .await?;
    let projects = shares.projects.iter().map(|member| (member.project.as_str(), wire::member(member)));
    let domains = shares.domains.iter().map(|share| (share.domain.as_str(), wire::domain_member(share)));
    let mut members: Vec<(&str, Value)> = projects.chain(domains).collect();
    members.sort_by_key(|(id, _)| *id);
    let mut rest =
        members.into_iter().filter(|(id, _)| marker.as_ref().is_none_or(|marker| *id > marker.as_str()));
    let page: Vec<(&str, Value)> = rest.by_ref().take(limit).collect();
    let mut page_info = json!({"current_count": page.len()});
    if let (Some((last, _)), Some(_)) = (page.last(), rest.next()) {
        page_info["next_marker"] = (*last).into();
    }
    let members: Vec<Value> = page.into_iter().map(|(_, member)| member).collect();
    let body = json!({"members": members, "page_info": page_info, "schema": "/v2/schemas/members"});
    Ok(json_response(body.to_string().into_bytes()))
}

/// `GET /v1/{project}/cloudimages/{image}/members/{member}`
pub(super) async fn show(call: Call, id: ImageId, member: ProjectId) -> Result<Response, Refusal> {
    let member = call.run(move |service, actor| service.show_image_member(actor, &id, &member)).await?;
    Ok(json_response(wire::member(&member).to_string().into_bytes()))
}
