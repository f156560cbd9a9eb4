//! The cache: which images lie in it, bringing them there, and letting it go of them.

use axum::http::header::HeaderName;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::call::{Call, json_response, no_content};
use super::error::Refusal;
use crate::base::Time;
use crate::model::ImageId;
use crate::service::images::CacheTarget;

/// Says what is to be cleared.
const CLEAR_TARGET: HeaderName = HeaderName::from_static("x-image-cache-clear-target");

/// What lies there, and what is to come.
pub(super) async fn list(mut call: Call) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let listing = call.run(|service, actor| service.cached_images(actor)).await?;
    let cached = listing.cached.iter().map(|(note, size)| {
        json!({
            "image_id": note.image.to_string(),
            "size": size,
            "hits": note.hits,
            "last_accessed": seconds(note.accessed_at),
            "last_modified": seconds(note.cached_at),
            // Blocks have sums of their own.
            "checksum": null,
            "id": note.number,
        })
    });
    let queued: Vec<String> = listing.queued.iter().map(ToString::to_string).collect();
    let body = json!({ "cached_images": cached.collect::<Vec<_>>(), "queued_images": queued });
    Ok(json_response(StatusCode::OK, body.to_string().into_bytes()))
}

/// Has an image brought there.
pub(super) async fn add(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.cache_image(actor, &id)).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Lets it go of an image.
pub(super) async fn drop_one(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.drop_cached_image(actor, &id)).await?;
    Ok(no_content())
}

/// Lets it go of everything, ends what is to come, or both.
pub(super) async fn clear(mut call: Call) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    // Who may not look at it is not told what it takes.
    call.run(|service, actor| service.cached_images(actor).map(drop)).await?;
    let target = clear_target(call.headers())?;
    call.run(move |service, actor| service.clear_cache(actor, target)).await?;
    Ok(no_content())
}

/// Forgets what is noted of images that went by themselves.
pub(super) async fn clean(mut call: Call) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(|service, actor| service.clean_cache(actor)).await?;
    Ok(StatusCode::OK.into_response())
}

/// Lets it go of what is beyond its bound.
pub(super) async fn prune(mut call: Call) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let (blocks, bytes) = call.run(|service, actor| service.prune_cache(actor)).await?;
    let body = json!({ "total_files_pruned": blocks, "total_bytes_pruned": bytes });
    Ok(json_response(StatusCode::OK, body.to_string().into_bytes()))
}

/// The other boxes that have an image, of which a cache like this one knows none.
pub(super) async fn nodes(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    call.run(move |service, actor| service.cache_nodes(actor, &id)).await?;
    Ok(no_content())
}

fn clear_target(headers: &HeaderMap) -> Result<CacheTarget, Refusal> {
    let Some(value) = headers.get(CLEAR_TARGET) else { return Ok(CacheTarget::Both) };
    match value.as_bytes() {
        b"" => Ok(CacheTarget::Both),
        b"cache" => Ok(CacheTarget::Cache),
        b"queue" => Ok(CacheTarget::Queue),
        _ => Err(Refusal::bad(format!(
            "the header {CLEAR_TARGET} must be \"cache\", \"queue\" or empty, not {value:?}"
        ))),
    }
}

/// As the reference tells moments here: seconds since 1970, with a fraction.
fn seconds(time: Time) -> f64 {
    time.0 as f64 / Time::SECOND as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_cleared_is_one_of_three() {
        let target = |value: Option<&str>| {
            let headers = value.map(|value| (CLEAR_TARGET, value.parse().unwrap()));
            clear_target(&headers.into_iter().collect())
        };
        assert_eq!(target(None).unwrap(), CacheTarget::Both);
        assert_eq!(target(Some("")).unwrap(), CacheTarget::Both);
        assert_eq!(target(Some("cache")).unwrap(), CacheTarget::Cache);
        assert_eq!(target(Some("queue")).unwrap(), CacheTarget::Queue);
        assert_eq!(target(Some("all")).unwrap_err().status, StatusCode::BAD_REQUEST);
    }
}
