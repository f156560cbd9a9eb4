//! Images: the listing, changes of a record, and the quota.

use axum::response::Response;
use serde_json::json;

use super::call::{Call, json_response};
use super::error::Refusal;
use super::query::ListQuery;
use super::{patch, wire};
use crate::model::ImageId;

/// `GET /v2/cloudimages`
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    let query = ListQuery::parse(call.query()?)?;
    if query.is_empty {
        return Ok(json_response(wire::image_page(&[], &query.first(), None)));
    }
    let body = call
        .run(move |service, actor| {
            let limit = query.limit;
            // One more than is shown tells whether there is another page.
            let mut page = service.list_project_images(actor, query.listing(limit + 1))?;
            let is_last = page.len() <= limit;
            page.truncate(limit);
            let last = page.last().map(|(image, _)| image.id).filter(|_| !is_last);
            let next = last.map(|last| (last, query.next(&last)));
            Ok(wire::image_page(&page, &query.first(), next.as_ref()))
        })
        .await?;
    Ok(json_response(body))
}

/// `PATCH /v2/cloudimages/{image}`
pub(super) async fn update(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    let changes = patch::read(call.json().await?)?;
    let (image, kind) = call.run(move |service, actor| service.update_own_image(actor, &id, changes)).await?;
    Ok(json_response(wire::image(&image, kind)))
}

/// `GET /v1/cloudimages/quota`
pub(super) async fn quota(call: Call) -> Result<Response, Refusal> {
    let used = call.run(|service, actor| service.count_project_images(actor)).await?;
    // Images are not limited in number here, which is what -1 says.
    let resource = json!({"type": "image", "used": used, "quota": -1, "min": -1, "max": -1});
    Ok(json_response(json!({"quotas": {"resources": [resource]}}).to_string().into_bytes()))
}
