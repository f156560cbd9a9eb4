//! Records of the native API as they are described: jobs, keys, quotas and policies.

use serde_json::Value;

use super::schema::{
    any, closed, flag, integer, list, map, may, must, nullable, open, text, time, uuid, whole, word,
};
use crate::model::quota::Resource;

/// The schemas that operations refer to.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let error = closed([must("code", integer()), must("message", text())]);
    vec![
        ("Refusal", closed([must("error", error)])),
        ("Job", job()),
        ("AccessKey", access_key()),
        ("CustomKey", custom_key()),
        ("DiskExport", disk_export()),
        ("Quotas", quotas()),
        ("Policy", policy()),
        ("PolicyDocument", document()),
        ("Attachment", attachment()),
        (
            "FamilyImage",
            closed([must("id", uuid()), must("name", nullable(text())), must("created_at", time())]),
        ),
    ]
}

fn job() -> Value {
    open([
        must("id", text()),
        must("kind", text()),
        must("state", word(&["queued", "running", "succeeded", "failed", "cancelled", "interrupted"])),
        must("paused", flag()),
        must("phase", text()),
        must("done_bytes", whole()),
        must("total_bytes", nullable(whole())),
        must("rate_bytes_s", nullable(whole())),
        must("created_at", time()),
        must("started_at", nullable(time())),
        must("finished_at", nullable(time())),
        must("result", map(any())),
        must("error", nullable(text())),
        must("error_code", nullable(text())),
        must("project", nullable(text())),
        must("user", nullable(text())),
        must("images", list(uuid())),
        must("parent", nullable(text())),
        must("attempts", whole()),
    ])
}

fn disk_export() -> Value {
    closed([
        must("id", text()),
        must("image_id", uuid()),
        must("image", nullable(text())),
        must("writable", flag()),
        must("capture", nullable(text())),
        must("user_id", nullable(text())),
        must("project_id", text()),
        must("opened_at", time()),
        must("expires_at", time()),
        must("connections", whole()),
        may("name", text()),
        may("uri", text()),
    ])
}

fn access_key() -> Value {
    closed([
        must("access", text()),
        must("state", word(&["usable", "disabled", "expired", "secret lost"])),
        must("enabled", flag()),
        must("user_id", text()),
        must("user", nullable(text())),
        must("project_id", text()),
        must("project", nullable(text())),
        must("description", nullable(text())),
        must("created_at", time()),
        must("expires_at", nullable(time())),
        must("last_used_on", nullable(text())),
        may("secret", text()),
    ])
}

fn custom_key() -> Value {
    closed([
        must("id", uuid()),
        must("alias", text()),
        must("state", text()),
        must("project_id", text()),
        must("description", nullable(text())),
        must("created_at", time()),
        must("deletion_at", nullable(time())),
        must("deleted_at", nullable(time())),
        must("grants", list(text())),
    ])
}

fn quotas() -> Value {
    let quota = closed([
        must("resource", word(&Resource::ALL.map(Resource::as_str))),
        must("unit", word(&["MiB", "images"])),
        must("limit", integer()),
        must("own_limit", nullable(integer())),
        must("default_limit", integer()),
        must("used", whole()),
    ]);
    closed([
        must("project_id", text()),
        must("project_name", nullable(text())),
        must("quotas", list(quota)),
        must("images", whole()),
        must("images_killed", whole()),
        must("images_uploading", whole()),
        must("image_bytes", whole()),
        must("deleted_images", whole()),
        must("deleted_image_bytes", whole()),
        must("reserved_bytes", whole()),
    ])
}

fn document() -> Value {
    let one_or_many = || super::schema::either([text(), list(text())]);
    let statement = open([
        must("Effect", word(&["Allow", "Deny"])),
        must("Action", one_or_many()),
        may("Resource", any()),
        may("Condition", open([])),
    ]);
    open([must("Version", text()), must("Statement", list(statement))])
}

fn policy() -> Value {
    closed([
        must("id", text()),
        must("name", text()),
        must("type", word(&["custom", "system", "keystone role"])),
        must("description", nullable(text())),
        must("created_at", nullable(time())),
        must("updated_at", nullable(time())),
        must("document", nullable(any())),
        must("unreadable", nullable(text())),
    ])
}

fn attachment() -> Value {
    closed([
        must("policy_id", text()),
        must("policy", nullable(text())),
        must("group_id", text()),
        must("group", nullable(text())),
        must("project_id", nullable(text())),
        must("project", nullable(text())),
        must("all_projects", flag()),
    ])
}
