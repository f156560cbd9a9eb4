//! Which versions there are: what clients ask before anything else.

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};

/// `GET /identity`: the versions there are, each with its address.
pub(super) async fn list(call: Call) -> Outcome {
    let href = format!("{}/identity/v3/", call.base_url());
    // The extra level of `values` is what gophercloud reads; keystoneauth takes it too.
    let body = json!({"versions": {"values": [version(&href)]}});
    Ok(Answer::json(StatusCode::MULTIPLE_CHOICES, body).header(LOCATION, &href))
}

/// `GET /v3`: this version.
pub(super) async fn show(call: Call) -> Outcome {
    Ok(Answer::ok(json!({"version": version(&format!("{}/", call.root_url()))})))
}

fn version(href: &str) -> Value {
    json!({
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": href}],
        "media-types": [{
            "base": "application/json",
            "type": "application/vnd.openstack.identity-v3+json",
        }],
    })
}
