//! `GET /v2/info/usage`: what the caller's project may have, and what it has.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::call::{Call, json_response};
use super::error::Refusal;
use crate::service::quotas::ProjectQuotas;

/// The usage of the caller's project, sizes in MiB.
pub(super) async fn show(mut call: Call) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let quotas = call.run(|service, actor| service.own_quotas(actor)).await?;
    Ok(json_response(StatusCode::OK, body(&quotas).to_string().into_bytes()))
}

fn body(quotas: &ProjectQuotas) -> Value {
    let mut usage = Map::new();
    for quota in &quotas.quotas {
        let figures = json!({"limit": quota.applied.limit.number(), "usage": quota.used_units()});
        usage.insert(quota.resource.as_str().to_owned(), figures);
    }
    json!({ "usage": usage })
}
