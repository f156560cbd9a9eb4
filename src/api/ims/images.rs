//! Images: the listing, changes of a record, and the quota.

use axum::response::Response;
use serde_json::json;

use super::call::{Call, json_response};
use super::error::Refusal;
use super::query::ListQuery;
use super::{patch, wire};
use crate::model::ImageId;
use crate::model::quota::{Limit, Resource};

/// The range that the reference says quotas to be in; what an administrator sets beyond it widens it.
const QUOTA_MIN: u32 = 1;
/// Its upper end.
const QUOTA_MAX: u32 = 1000;

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
    let quotas = call.run(|service, actor| service.own_quotas(actor)).await?;
    let count = quotas.quotas.iter().find(|quota| quota.resource == Resource::ImageCountTotal);
    let (used, limit) = count.map_or((0, Limit::Unlimited), |quota| (quota.used, quota.applied.limit));
    let (quota, min, max) = match limit {
        Limit::Unlimited => (-1, -1, -1),
        Limit::AtMost(most) => {
            (limit.number(), i64::from(most.min(QUOTA_MIN)), i64::from(most.max(QUOTA_MAX)))
        }
    };
    let resource = json!({"type": "image", "used": used, "quota": quota, "min": min, "max": max});
    Ok(json_response(json!({"quotas": {"resources": [resource]}}).to_string().into_bytes()))
}
