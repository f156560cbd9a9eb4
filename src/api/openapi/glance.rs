//! The Image API as it is described: images, their data, members and tags, imports, tasks, stores, schemas.
//!
//! Records are described by the schemas that the API itself hands out.

use serde_json::{Value, json};

use super::operation::{Api, Operation, delete, get, patch, post, put};
use super::schema::{
    closed, flag, list, map, may, must, name, nullable, number, open, reference, text, uuid, whole, word,
};
use crate::api::glance::schemas;
use crate::base::limits::PAGE_ROWS_MAX;
use crate::model::image::{CONTAINER_FORMATS, DISK_FORMATS};

/// The protocol.
pub(super) const API: Api = Api {
    tag: "Image",
    about: "OpenStack Image API v2. The version in a path may be that of any minor; refusals take the form that `Accept` \
            names.",
    refusal,
    refusals: &[400, 401, 403, 404, 503],
    refusals_of_changes: &[408, 409, 410, 413],
};

/// A refusal's body, in the forms it takes.
pub(super) fn refusal() -> Value {
    json!({
        "application/json": {"schema": reference("ImageRefusal")},
        "text/html": {"schema": text()},
        "text/plain": {"schema": text()},
    })
}

/// The schemas that operations refer to.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let named = |name: &str| schemas::find(name).unwrap_or_default();
    vec![
        ("ImageRefusal", closed([must("message", text()), must("code", text()), must("title", text())])),
        ("Image", record(named("image"), &["id", "status", "visibility", "tags", "self", "file", "schema"])),
        ("ImageMember", record(named("member"), &["member_id", "image_id", "status"])),
        ("ImageTask", record(named("task"), &["id", "type", "status", "created_at"])),
        ("ImageVersions", versions()),
        ("NewImage", new_image(&named("image"))),
        ("ImageStore", store()),
        ("ImagePatch", list(patch_operation())),
        ("ImagePatchDraft4", list(open([may("value", super::schema::any())]))),
    ]
}

/// A schema that clients fetch, with what is always there; what only they know by name is left out.
fn record(mut schema: Value, required: &[&str]) -> Value {
    if let Some(keys) = schema.as_object_mut() {
        keys.shift_remove("name");
        keys.shift_remove("links");
    }
    schema["type"] = json!("object");
    schema["required"] = json!(required);
    schema
}

/// A record without what only the service sets.
fn new_image(image: &Value) -> Value {
    let mut schema = record(image.clone(), &[]);
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.retain(|_, property| property.get("readOnly").is_none());
    }
    if let Some(keys) = schema.as_object_mut() {
        keys.shift_remove("required");
    }
    schema
}

fn versions() -> Value {
    let link = closed([must("rel", text()), must("href", text())]);
    let version = closed([
        must("id", text()),
        must("status", word(&["CURRENT", "SUPPORTED"])),
        must("links", list(link)),
    ]);
    closed([must("versions", list(version))])
}

fn patch_operation() -> Value {
    open([
        must("op", word(&["add", "replace", "remove"])),
        must("path", text()),
        may("value", super::schema::any()),
    ])
}

fn store() -> Value {
    closed([
        must("id", text()),
        may("description", text()),
        may("default", word(&["true"])),
        may("read-only", word(&["true"])),
        may("type", text()),
        may("weight", number()),
        may("properties", open([])),
    ])
}

fn page(of: &'static str, item: Value) -> Value {
    closed([must(of, list(item)), must("first", text()), may("next", text()), must("schema", text())])
}

/// The operations.
pub(super) fn operations() -> Vec<Operation> {
    let all = [versions_told(), images(), data(), sharing(), tasks(), about(), cache()];
    all.into_iter().flatten().collect()
}

fn versions_told() -> Vec<Operation> {
    vec![
        get("/", "List the versions of the Image API").public().gives(300, reference("ImageVersions")),
        get("/versions", "List the versions of the Image API")
            .public()
            .gives(200, reference("ImageVersions")),
    ]
}

fn images() -> Vec<Operation> {
    let image = || reference("Image");
    let sorts = word(&[
        "name",
        "status",
        "container_format",
        "disk_format",
        "size",
        "id",
        "created_at",
        "updated_at",
    ]);
    vec![
        get("/v2/images", "List the images that the caller may see")
            .query("limit", json!({"type": "integer", "minimum": 0, "description": format!("{PAGE_ROWS_MAX} at most are shown")}))
            .query("marker", uuid())
            .query("sort_key", sorts)
            .query("sort_dir", word(&["asc", "desc"]))
            .query("visibility", word(&["public", "private", "shared", "community", "all"]))
            .query("member_status", word(&["accepted", "pending", "rejected", "all"]))
            .query("protected", flag())
            .query("os_hidden", flag())
            .query("size_min", whole())
            .query("size_max", whole())
            .query("disk_format", word(&DISK_FORMATS))
            .query("container_format", word(&CONTAINER_FORMATS))
            .queries(&["sort", "id", "name", "status", "owner", "tag", "created_at", "updated_at", "checksum"])
            .queries(&["os_hash_algo", "os_hash_value"])
            .any_query()
            .gives(200, page("images", image())),
        post("/v2/images", "Register an image").takes(reference("NewImage")).gives(201, image()),
        get("/v2/images/{image}", "Show an image").gives(200, image()),
        patch("/v2/images/{image}", "Change an image's record")
            .takes_as("application/openstack-images-v2.1-json-patch", reference("ImagePatch"))
            .takes_as("application/openstack-images-v2.0-json-patch", reference("ImagePatchDraft4"))
            .refuses(&[415])
            .gives(200, image()),
        delete("/v2/images/{image}", "Delete an image")
            .takes(closed([must("delete_backup", flag())]))
            .or_none()
            .gives_nothing(204),
        post("/v2/images/{image}/actions/deactivate", "Stop handing out an image's data").gives_nothing(204),
        post("/v2/images/{image}/actions/reactivate", "Hand out an image's data again").gives_nothing(204),
        put("/v2/images/{image}/tags/{tag}", "Put a tag on an image").gives_nothing(204),
        delete("/v2/images/{image}/tags/{tag}", "Take a tag off an image").gives_nothing(204),
    ]
}

fn data() -> Vec<Operation> {
    let method = open([
        must("name", word(&["glance-direct", "web-download", "glance-download", "copy-image"])),
        may("uri", text()),
        may("glance_region", text()),
        may("glance_image_id", text()),
    ]);
    let import = open([
        must("method", method),
        may("stores", list(name())),
        may("all_stores", flag()),
        may("all_stores_must_succeed", flag()),
        may("tintype_convert", nullable(word(&["raw", "qcow2"]))),
    ]);
    let expected = open([may("os_hash_algo", word(&["sha256", "sha512"])), may("os_hash_value", text())]);
    let location = closed([must("url", text()), must("metadata", map(nullable(text())))]);
    vec![
        get("/v2/images/{image}/file", "Download an image's data, or a range of it")
            .query("prefer", text())
            .header("Range", text())
            .header("Content-Range", text())
            .refuses(&[409, 410, 416])
            .gives_bytes(200, "application/octet-stream")
            .gives_nothing(204)
            .gives_bytes(206, "application/octet-stream"),
        put("/v2/images/{image}/file", "Upload an image's data")
            .takes_bytes("application/octet-stream")
            .header("X-Image-Meta-Store", text())
            .header("X-OpenStack-Image-Size", whole())
            .refuses(&[415])
            .gives_nothing(204),
        put("/v2/images/{image}/stage", "Stage data for a later import")
            .takes_bytes("application/octet-stream")
            .refuses(&[415])
            .gives_nothing(204),
        post("/v2/images/{image}/import", "Import staged data, or data from elsewhere")
            .header("X-Image-Meta-Store", text())
            .takes(import)
            .gives_nothing(202),
        get("/v2/images/{image}/locations", "List where an image's data came from")
            .gives(200, list(location)),
        post("/v2/images/{image}/locations", "Fetch an image's data from an address")
            .takes(open([must("url", text()), may("validation_data", nullable(expected))]))
            .gives_nothing(202),
        delete("/v2/stores/{store}/{image}", "Take an image's data from a store").gives_nothing(204),
    ]
}

fn sharing() -> Vec<Operation> {
    let member = || reference("ImageMember");
    vec![
        get("/v2/images/{image}/members", "List an image's members")
            .gives(200, closed([must("members", list(member())), must("schema", text())])),
        post("/v2/images/{image}/members", "Offer an image to a project")
            .takes(open([must("member", name())]))
            .gives(200, member()),
        get("/v2/images/{image}/members/{member}", "Show a member of an image").gives(200, member()),
        put("/v2/images/{image}/members/{member}", "Answer an offered image")
            .takes(open([must("status", word(&["pending", "accepted", "rejected"]))]))
            .gives(200, member()),
        delete("/v2/images/{image}/members/{member}", "Take an offer back").gives_nothing(204),
    ]
}

fn tasks() -> Vec<Operation> {
    let task = || reference("ImageTask");
    let input = open([
        must("import_from", name()),
        must("import_from_format", word(&DISK_FORMATS)),
        must("image_properties", reference("NewImage")),
    ]);
    // Beside their image they are printed in another form.
    let of_image = open([
        must("id", uuid()),
        must("status", text()),
        must("created_at", text()),
        must("deleted", flag()),
    ]);
    vec![
        get("/v2/tasks", "List the caller's tasks")
            .query("limit", whole())
            .query("marker", uuid())
            .query("status", word(&["pending", "processing", "success", "failure"]))
            .query("sort_dir", word(&["asc", "desc"]))
            .queries(&["type", "sort_key"])
            .gives(200, page("tasks", task())),
        post("/v2/tasks", "Make an image and import it from an address")
            .takes(open([must("type", word(&["import"])), must("input", input)]))
            .gives(201, task()),
        get("/v2/tasks/{task}", "Show a task").gives(200, task()),
        get("/v2/images/{image}/tasks", "List the tasks of an image")
            .gives(200, closed([must("tasks", list(of_image))])),
    ]
}

fn about() -> Vec<Operation> {
    let methods = closed([must("description", text()), must("type", text()), must("value", list(text()))]);
    let usage = map(closed([must("limit", super::schema::integer()), must("usage", whole())]));
    let stores = || closed([must("stores", list(reference("ImageStore")))]);
    vec![
        get("/v2/schemas/{schema}", "Show the schema of a record").gives(200, open([must("name", text())])),
        get("/v2/info/import", "List the ways of importing data")
            .gives(200, closed([must("import-methods", methods)])),
        get("/v2/info/usage", "Show what the caller's project may have, and has")
            .gives(200, closed([must("usage", usage)])),
        get("/v2/info/stores", "List the stores").gives(200, stores()),
        get("/v2/info/stores/detail", "List the stores with what they are on").gives(200, stores()),
    ]
}

/// The cache in front of a bucket.
fn cache() -> Vec<Operation> {
    let cached = closed([
        must("image_id", uuid()),
        must("size", whole()),
        must("hits", whole()),
        must("last_accessed", number()),
        must("last_modified", number()),
        must("checksum", nullable(text())),
        must("id", whole()),
    ]);
    let listing = closed([must("cached_images", list(cached)), must("queued_images", list(uuid()))]);
    let pruned = closed([must("total_files_pruned", whole()), must("total_bytes_pruned", whole())]);
    vec![
        get("/v2/cache", "List the images that lie in the cache, or are to").gives(200, listing),
        delete("/v2/cache", "Let the cache go of all images")
            .header("x-image-cache-clear-target", word(&["cache", "queue", ""]))
            .gives_nothing(204),
        post("/v2/cache/clean", "Forget images that left the cache by themselves").gives_nothing(200),
        post("/v2/cache/prune", "Let the cache go of what is beyond its bound").gives(200, pruned),
        put("/v2/cache/{image}", "Have an image brought into the cache").gives_nothing(202),
        delete("/v2/cache/{image}", "Let the cache go of an image").gives_nothing(204),
        get("/v2/cache/nodes/{image}", "Ask which boxes have an image in their caches")
            .gives(200, list(text()))
            .refuses(&[409]),
    ]
}
