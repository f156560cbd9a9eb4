//! The image management API as it is described, and the audit query API of the same clouds.

use serde_json::{Value, json};

use super::operation::{Api, Operation, delete, get, patch, post, put};
use super::schema::{
    any, closed, either, flag, list, may, must, name, nullable, number, open, reference, text, text_of, time,
    uuid, whole, word,
};

/// The protocol.
pub(super) const API: Api = Api {
    tag: "Image management",
    about: "The image management API (IMS) with token or signature. Most refusals are 400 with a code. Requests to `/v1/images` \
            and `/v1.1/images`, which were abandoned, answer 410.",
    refusal,
    refusals: &[400, 401, 403, 404, 429, 503],
    refusals_of_changes: &[408, 413],
};

/// The audit query API.
pub(super) const AUDIT: Api = Api {
    tag: "Audit",
    about: "The query API of an audit service (CTS).",
    refusal: audit_refusal,
    refusals: &[400, 401, 403, 404, 429, 503],
    refusals_of_changes: &[],
};

fn refusal() -> Value {
    json!({"application/json": {"schema": either([reference("ImsRefusal"), reference("GatewayRefusal")])}})
}

fn audit_refusal() -> Value {
    json!({"application/json": {"schema": reference("GatewayRefusal")}})
}

/// The schemas that operations refer to.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let code = json!({"type": "string", "pattern": "^IMG\\.[0-9]{4}$"});
    let refused = closed([must("message", text()), must("code", code)]);
    let gateway =
        closed([must("error_code", text()), must("error_msg", text()), may("request_id", nullable(text()))]);
    vec![
        ("ImsRefusal", closed([must("error", refused)])),
        ("GatewayRefusal", gateway),
        ("ImsImage", image()),
        ("ImsMember", member()),
        ("ImsJob", job()),
        ("ImsTag", closed([must("key", text()), must("value", text())])),
        ("NewImsTag", open([must("key", text_of(36)), may("value", text_of(43))])),
        ("NewImsImage", new_image()),
        ("Trace", trace()),
    ]
}

fn image() -> Value {
    open([
        must("id", uuid()),
        must("name", text()),
        must("owner", text()),
        must("status", text()),
        must("visibility", word(&["public", "private", "shared", "community"])),
        must("__imagetype", word(&["gold", "private", "shared"])),
        must("__isregistered", word(&["true"])),
        must("__image_source_type", text()),
        must("__image_size", text()),
        must("__system_support_market", flag()),
        must("__os_type", text()),
        must("virtual_env_type", text()),
        must("enterprise_project_id", text()),
        must("protected", flag()),
        must("min_disk", whole()),
        must("min_ram", whole()),
        must("container_format", text()),
        must("disk_format", nullable(text())),
        must("size", nullable(whole())),
        must("virtual_size", nullable(whole())),
        must("checksum", nullable(text())),
        must("tags", list(text())),
        must("created_at", time()),
        must("updated_at", time()),
        may("active_at", time()),
        must("self", text()),
        must("file", text()),
        must("schema", text()),
    ])
}

fn member() -> Value {
    closed([
        must("member_id", text()),
        may("member_type", word(&["domain"])),
        must("image_id", uuid()),
        must("status", word(&["pending", "accepted", "rejected"])),
        must("created_at", time()),
        must("updated_at", time()),
        must("schema", text()),
    ])
}

fn job() -> Value {
    closed([
        must("status", word(&["INIT", "RUNNING", "SUCCESS", "FAIL"])),
        must("job_id", text()),
        must("job_type", text()),
        must("begin_time", time()),
        must("end_time", text()),
        must("error_code", nullable(text())),
        must("fail_reason", nullable(text())),
        must("entities", open([must("process_percent", number()), must("current_task", text())])),
    ])
}

/// What is said of an image that is made from a file.
fn new_image() -> Value {
    let amount = || either([whole(), text()]);
    open([
        must("name", text()),
        must("image_url", text()),
        must("min_disk", amount()),
        may("os_type", word(&["Linux", "Windows", "Other"])),
        may("os_version", text()),
        may("description", text()),
        may("type", text()),
        may("cmk_id", text()),
        may("min_ram", amount()),
        may("max_ram", amount()),
        may("architecture", word(&["x86", "arm"])),
        may("hw_firmware_type", word(&["bios", "uefi"])),
        may("is_config", flag()),
        may("is_quick_import", flag()),
        may("enterprise_project_id", text()),
        may("tags", list(text())),
        may("image_tags", list(reference("NewImsTag"))),
    ])
}

fn trace() -> Value {
    open([
        must("time", whole()),
        must("user", open([must("id", any()), must("name", any())])),
        must("trace_id", uuid()),
        must("trace_name", text()),
        must("trace_rating", word(&["normal", "warning", "incident"])),
        must("trace_type", word(&["ApiCall", "SystemAction"])),
        must("service_type", text()),
        must("resource_type", text()),
        must("code", text()),
        must("tracker_name", text()),
    ])
}

/// The operations.
pub(super) fn operations() -> Vec<Operation> {
    let all = [versions(), images(), makes(), moves(), shares(), tags()];
    all.into_iter().flatten().collect()
}

/// The operations of the audit query API.
pub(super) fn audit() -> Vec<Operation> {
    let page = closed([
        must("traces", list(reference("Trace"))),
        must("meta_data", closed([must("count", whole()), must("marker", nullable(text()))])),
    ]);
    vec![
        get("/v3/{project_id}/traces", "Look for what was done in a project")
            .query("limit", super::schema::between(1, 200))
            .query("trace_type", word(&["system"]))
            .query("trace_rating", word(&["normal", "warning", "incident"]))
            .queries(&["from", "to", "next", "user", "service_type", "resource_type", "resource_id"])
            .queries(&["resource_name", "trace_name", "trace_id", "tracker_name"])
            .gives(200, page),
    ]
}

fn versions() -> Vec<Operation> {
    let told = |version: &&str| {
        get(version, "Show a version, or all where it is not spoken")
            .public()
            .gives(300, reference("ImageVersions"))
    };
    crate::api::ims::VERSIONS.iter().map(told).collect()
}

fn begins(operation: Operation) -> Operation {
    operation.gives(200, closed([must("job_id", text())]))
}

fn images() -> Vec<Operation> {
    let page = closed([
        must("images", list(reference("ImsImage"))),
        must("first", text()),
        may("next", text()),
        must("page_info", closed([may("next_marker", uuid())])),
        must("schema", text()),
    ]);
    let change = open([
        must("op", word(&["add", "replace", "remove"])),
        must("path", text()),
        may("value", either([text(), number(), flag()])),
    ]);
    let quota = closed([
        must("type", text()),
        must("used", super::schema::integer()),
        must("quota", super::schema::integer()),
        must("min", super::schema::integer()),
        must("max", super::schema::integer()),
    ]);
    let version = closed([
        must("platform", text()),
        must("os_version_key", text()),
        must("os_version", text()),
        must("os_bit", super::schema::integer()),
        must("os_type", text()),
    ]);
    let job = || reference("ImsJob");
    vec![
        get("/v2/cloudimages", "List the images that the caller's project has or was given")
            .query("limit", super::schema::between(1, 1000))
            .query("marker", uuid())
            .query("__imagetype", word(&["gold", "private", "shared"]))
            .query("visibility", word(&["public", "private", "shared"]))
            .query("member_status", word(&["accepted", "pending", "rejected"]))
            .query("sort_dir", word(&["asc", "desc"]))
            .queries(&["id", "name", "status", "owner", "tag", "sort_key", "created_at", "updated_at"])
            .queries(&["__os_type", "__platform", "virtual_env_type", "disk_format", "protected"])
            .any_query()
            .gives(200, page),
        patch("/v2/cloudimages/{image}", "Change an image's record")
            .takes(list(change))
            .gives(200, reference("ImsImage")),
        get("/v1/cloudimages/quota", "Show the quota of images")
            .gives(200, closed([must("quotas", closed([must("resources", list(quota))]))])),
        get("/v1/cloudimages/os_version", "List the systems that images can have")
            .query("tag", word(&["kvm", "x86", "uefi", "arm", "bms"]))
            .gives(200, list(closed([must("platform", text()), must("version_list", list(version))]))),
        get("/v1/cloudimages/job/{job}", "Show a job").gives(200, job()),
        get("/v1/{project}/jobs/{job}", "Show a job").gives(200, job()),
    ]
}

/// Images that are made from files.
fn makes() -> Vec<Operation> {
    let machine = open([
        must("name", text()),
        must("backup_id", text()),
        may("whole_image_type", word(&["CBR"])),
        may("description", text()),
        may("image_tags", list(reference("NewImsTag"))),
    ]);
    let file = open([must("image_url", text())]);
    let mut all = vec![
        begins(
            post("/v1/cloudimages/wholeimages/action", "Make the images of a machine from a backup")
                .takes(machine),
        ),
        begins(put("/v1/cloudimages/{image}/upload", "Fill a registered image from a file").takes(file)),
    ];
    for (versions, path, summary) in [
        (["v2", "v2.1"], "cloudimages/action", "Make an image from a file"),
        (["v2", "v2.1"], "cloudimages/quickimport/action", "Make an image from a file as it is"),
        (["v1", "v2.1"], "cloudimages/dataimages/action", "Make a data disk image from a file"),
    ] {
        for version in versions {
            all.push(begins(post(&format!("/{version}/{path}"), summary).takes(reference("NewImsImage"))));
        }
    }
    all
}

/// Images that leave or are copied.
fn moves() -> Vec<Operation> {
    let export = open([
        must("bucket_url", text()),
        may("file_format", word(&["qcow2", "vhd", "zvhd", "vmdk", "raw"])),
        may("is_quick_export", flag()),
    ]);
    let copy = open([
        must("name", text()),
        may("description", text()),
        may("cmk_id", text()),
        may("enterprise_project_id", text()),
    ]);
    let across = open([
        must("name", text()),
        must("region", text()),
        must("project_name", text()),
        must("agency_name", text()),
        may("description", text()),
    ]);
    let mut all = vec![begins(
        post("/v1/cloudimages/{image}/cross_region_copy", "Copy an image to another region").takes(across),
    )];
    for version in ["v1", "v2.1"] {
        let path = format!("/{version}/cloudimages/{{image}}");
        all.push(begins(post(&format!("{path}/file"), "Export an image to a file").takes(export.clone())));
        all.push(begins(
            post(&format!("{path}/copy"), "Copy an image within the region").takes(copy.clone()),
        ));
    }
    all
}

fn shares() -> Vec<Operation> {
    let many = || [must("images", list(uuid())), may("projects", list(text())), may("domains", list(text()))];
    let answer = open([
        must("images", list(uuid())),
        must("project_id", text()),
        must("status", word(&["accepted", "rejected"])),
    ]);
    let page = closed([
        must("members", list(reference("ImsMember"))),
        must("page_info", closed([must("current_count", whole()), may("next_marker", text())])),
        must("schema", text()),
    ]);
    let members = "/v1/{project}/cloudimages/{image}/members";
    vec![
        begins(post("/v1/cloudimages/members", "Share images with projects and domains").takes(open(many()))),
        begins(put("/v1/cloudimages/members", "Answer shared images").takes(answer)),
        begins(delete("/v1/cloudimages/members", "End the sharing of images").takes(open(many()))),
        get(members, "List whom an image is shared with")
            .query("limit", whole())
            .query("marker", text())
            .gives(200, page),
        get(&format!("{members}/{{member}}"), "Show whether an image is shared with a project")
            .gives(200, reference("ImsMember")),
    ]
}

fn tags() -> Vec<Operation> {
    let tag = || reference("NewImsTag");
    let sought = || {
        let keys = open([must("key", name()), may("values", list(text()))]);
        list(keys)
    };
    let search = open([
        must("action", word(&["filter", "count"])),
        may("tags", sought()),
        may("tags_any", sought()),
        may("not_tags", sought()),
        may("not_tags_any", sought()),
        may("without_any_tag", flag()),
        may("limit", either([whole(), text()])),
        may("offset", either([whole(), text()])),
        may(
            "matches",
            list(open([must("key", word(&["resource_name", "resource_id"])), must("value", text())])),
        ),
    ]);
    let found = closed([
        must("resource_id", uuid()),
        must("resource_name", text()),
        must("resource_detail", closed([must("status", text())])),
        must("tags", list(reference("ImsTag"))),
    ]);
    let values = closed([must("key", text()), must("values", list(text()))]);
    let put_one = either([
        open([must("image_id", uuid()), must("tag", text())]),
        open([must("image_id", uuid()), must("image_tag", tag())]),
    ]);
    let change = open([must("action", word(&["create", "delete"])), must("tags", list(tag()))]);
    let (of_image, of_project) = ("/v2/{project}/images/{image}/tags", "/v2/{project}/images");
    vec![
        get("/v1/cloudimages/tags", "List the tags of the project's images")
            .query("page", whole())
            .query("limit", super::schema::between(1, 1000))
            .any_query()
            .gives(200, closed([must("tags", list(text()))])),
        put("/v1/cloudimages/tags", "Put a tag on an image").takes(put_one).gives_nothing(204),
        delete("/v1/{project}/cloudimages/{image}/tags/delete", "Take tags off an image")
            .takes(open([must("tags", list(open([must("key", name())])))]))
            .gives_nothing(204),
        get(&format!("{of_project}/tags"), "List the keys of tags with their values")
            .gives(200, closed([must("tags", list(values))])),
        post(&format!("{of_project}/resource_instances/action"), "Find or count images by their tags")
            .takes(search)
            .gives(200, closed([may("resources", list(found)), must("total_count", whole())])),
        get(of_image, "List the tags of an image")
            .gives(200, closed([must("tags", list(reference("ImsTag")))])),
        post(of_image, "Put a tag on an image").takes(open([must("tag", tag())])).gives_nothing(204),
        post(&format!("{of_image}/action"), "Put tags on an image, or take them off")
            .takes(change)
            .gives_nothing(204),
        delete(&format!("{of_image}/{{key}}"), "Take a tag off an image").gives_nothing(204),
    ]
}
