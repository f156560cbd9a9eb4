//! What looks after the box, as it is described: the native API's upkeep, keys and audit, and what watches a server.

use serde_json::{Value, json};

use super::operation::{Api, Operation, delete, get, post};
use super::schema::{
    any, between, closed, flag, list, must, nullable, open, reference, text, time, whole, word,
};
use crate::service::audit::RECORDS_MAX;

/// What watches a server, and its pages.
pub(super) const WATCHING: Api = Api {
    tag: "Watching",
    about: "Signs of life, figures, the console's pages and this description. None needs a token.",
    refusal,
    refusals: &[],
    refusals_of_changes: &[],
};

fn refusal() -> Value {
    json!({"text/plain": {}})
}

/// The schemas that operations refer to.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![("AuditRecord", record()), ("Scrub", scrub())]
}

/// The operations that need no token.
pub(super) fn watching() -> Vec<Operation> {
    let page = |path, summary| get(path, summary).public().refuses(&[404]);
    vec![
        get("/healthcheck", "Tell that the server lives, as Glance does")
            .public()
            .gives_bytes(200, "text/plain"),
        get("/healthz", "Tell that the server lives").public().gives_bytes(200, "text/plain"),
        get("/readyz", "Tell whether requests can succeed")
            .public()
            .gives_bytes(200, "text/plain")
            .refuses(&[503]),
        get("/metrics", "Show the server's figures in the OpenMetrics format")
            .public()
            .gives_bytes(200, "application/openmetrics-text"),
        get(super::PATH, "Show this description")
            .public()
            .gives(200, open([must("openapi", text())]))
            .gives_nothing(304),
        get("/console", "Lead to the console").public().gives_nothing(308),
        page("/console/", "Show the console").gives_bytes(200, "text/html").gives_nothing(304),
        page("/console/{*path}", "Show a file of the console").gives_bytes(200, "*/*").gives_nothing(304),
    ]
}

fn record() -> Value {
    open([
        must("seq", whole()),
        must("id", text()),
        must("time", time()),
        must("recorded_at", time()),
        must("name", text()),
        must("rating", word(&["normal", "warning", "incident"])),
        must("user_name", any()),
        must("interface", text()),
        must("before", text()),
        must("hash", text()),
    ])
}

fn scrub() -> Value {
    closed([
        must("is_under_way", flag()),
        must("started_at", nullable(time())),
        must("completed_at", nullable(time())),
        must("objects", whole()),
        must("objects_total", whole()),
        must("scrubbed_bytes", whole()),
        must("total_bytes", whole()),
        must("parity_objects", whole()),
        must("parity_bytes", whole()),
    ])
}

/// The operations of the native API.
pub(super) fn operations() -> Vec<Operation> {
    let all = [store(), keys(), audit()];
    all.into_iter().flatten().collect()
}

/// Answers in lines of JSON: progress, then a result or an error.
fn works(operation: Operation) -> Operation {
    operation.gives_bytes(200, "application/x-ndjson")
}

fn store() -> Vec<Operation> {
    let stats = open([
        must("images", whole()),
        must("image_bytes", whole()),
        must("deleted_images", whole()),
        must("deleted_image_bytes", whole()),
        must("stored_bytes", whole()),
        must("chunks", whole()),
        must("packs", whole()),
        must("sealed", flag()),
        must("version", text()),
    ]);
    let event = closed([
        must("at", time()),
        must("event", text()),
        must("object", any()),
        must("detail", any()),
        must("images", list(text())),
    ]);
    let block = closed([must("first", whole()), must("count", whole())]);
    let damage = open([
        must("object", text()),
        must("found_at", time()),
        must("reason", text()),
        must("blocks", list(block)),
        must("images", list(open([must("image", text())]))),
    ]);
    let lock = closed([must("locked", flag()), must("until", nullable(time()))]);
    vec![
        get("/tintype/v1/stats", "Show what is stored").gives(200, stats),
        works(post("/tintype/v1/check", "Verify everything that is stored")),
        get("/tintype/v1/scrub", "Show how far the scrub is").gives(200, reference("Scrub")),
        works(post("/tintype/v1/scrub", "Compare stored objects with what was written")),
        get("/tintype/v1/damage", "List what is damaged").gives(200, closed([must("damage", list(damage))])),
        get("/tintype/v1/events", "List what happened to stored data")
            .gives(200, closed([must("events", list(event))])),
        works(post("/tintype/v1/gc", "Give back the space of what was deleted"))
            .query("dry_run", flag())
            .query("dedup", flag())
            .query("compact", flag())
            .query("recompress", flag())
            .query("recipes", flag()),
        get("/tintype/v1/users/{user}/lock", "Tell whether a user is locked out").gives(200, lock),
        delete("/tintype/v1/users/{user}/lock", "Let a user in again").gives_nothing(204),
    ]
}

fn keys() -> Vec<Operation> {
    let domain = open([must("images", whole()), must("revoked", flag())]);
    let ring = closed([
        must("version", whole()),
        must("copies", any()),
        must("other_versions", any()),
        must("at_open", text()),
        must("domains", list(domain)),
    ]);
    vec![
        get("/tintype/v1/key", "Show the key ring of a sealed box").gives(200, ring),
        get("/tintype/v1/key/backup", "Fetch a copy of the key ring")
            .gives_bytes(200, "application/octet-stream"),
        post("/tintype/v1/key/rotate", "Change the master key, from the server's machine alone")
            .takes_bytes("application/octet-stream")
            .gives(200, closed([must("version", whole())])),
        delete("/tintype/v1/key/domains/{domain}", "Erase the keys of a domain").gives_nothing(204),
        works(post("/tintype/v1/key/domains/{domain}/rotate", "Seal a domain anew")),
    ]
}

fn audit() -> Vec<Operation> {
    let most = i64::try_from(RECORDS_MAX).unwrap_or(i64::MAX);
    let page = closed([must("records", list(reference("AuditRecord"))), must("next", nullable(whole()))]);
    vec![
        get("/tintype/v1/audit/records", "Look for records of what was done")
            .query("limit", between(1, most))
            .query("after", whole())
            .query("order", word(&["newest", "oldest"]))
            .query("rating", word(&["normal", "warning", "incident"]))
            .query("interface", word(&["image", "ims", "identity", "native", "cts"]))
            .query("from", time())
            .query("to", time())
            .queries(&["user", "project", "name", "service", "type", "resource", "resource_name", "request"])
            .gives(200, page),
        get("/tintype/v1/audit/records/{record}", "Show a record of what was done")
            .gives(200, reference("AuditRecord")),
        get("/tintype/v1/audit/head", "Tell where the chain of records ends")
            .gives(200, closed([must("head", text())])),
        works(post("/tintype/v1/audit/verify", "Verify the chain of records")).query("head", text()),
    ]
}
