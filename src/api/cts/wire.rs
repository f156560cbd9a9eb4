//! An audit record as the reference's audit service prints one.

use serde_json::{Value, json};

use crate::base::Time;
use crate::model::Operation;
use crate::model::trace::{Interface, Rating, Trace};

/// Status of what was done, where the record has no other: it was taken.
const DONE: &str = "200";

pub(super) fn trace(trace: &Trace) -> Value {
    let content = &trace.content;
    let service = Operation::parse(&content.operation).map_or("TINTYPE", |known| known.service().name());
    let is_call = content.interface != Interface::None;
    let is_address = content.source.parse::<std::net::IpAddr>().is_ok();
    let code = match content.rating {
        Rating::Normal if content.code.is_empty() => DONE,
        _ => content.code.as_str(),
    };
    json!({
        "time": milliseconds(content.time),
        "user": {
            "id": content.user,
            "name": content.user_name,
            "domain": {"id": content.domain, "name": content.domain_name},
        },
        "request": content.request,
        "response": if content.rating == Rating::Normal { "" } else { content.message.as_str() },
        "code": code,
        "service_type": service,
        "resource_type": content.resource_type,
        "resource_name": content.resource_name,
        "resource_id": content.resource_id,
        "source_ip": if is_address { content.source.as_str() } else { "" },
        "trace_name": content.operation,
        "trace_rating": content.rating.as_str(),
        "trace_type": if is_call { "ApiCall" } else { "SystemAction" },
        "api_version": api_version(&content.call),
        "message": content.message,
        "record_time": milliseconds(content.recorded_at),
        "trace_id": trace.id().to_string(),
        "request_id": content.request_id,
        "location_info": content.source,
        "endpoint": content.interface.as_str(),
        "resource_url": content.call,
        "tracker_name": "system",
        "project_id": content.project,
    })
}

fn milliseconds(time: Time) -> i64 {
    time.0.div_euclid(1000)
}

/// The version in a call's path, `v2` of `GET /v2/images`.
fn api_version(call: &str) -> &str {
    let segments = call.split_once(' ').map_or("", |(_, path)| path).split('/');
    let is_version = |segment: &&str| {
        segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    segments.into_iter().find(is_version).unwrap_or_default()
}
