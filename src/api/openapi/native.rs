//! The native API as it is described: images, jobs, keys, quotas and rights. Links are in
//! [`native_links`](super::native_links), what looks after the box in [`upkeep`](super::upkeep), what is printed in [`native_records`](super::native_records).

use serde_json::{Value, json};

use super::operation::{Api, Operation, delete, get, head, options, patch, post, put};
use super::schema::{
    any, between, closed, flag, integer, list, map, may, must, name, nullable, open, reference, text, time,
    uuid, whole, word,
};
use crate::disk::writing::Form;
use crate::model::quota::{Limit, Resource};

/// The protocol.
pub(super) const API: Api = Api {
    tag: "Tintype",
    about: "What no other protocol has: data with entity tags and in parts, jobs, keys, quotas, policies, upkeep.",
    refusal,
    refusals: &[400, 401, 403, 404, 409, 503],
    refusals_of_changes: &[408, 410, 413],
};

fn refusal() -> Value {
    json!({"application/json": {"schema": reference("Refusal")}})
}

/// The operations.
pub(super) fn operations() -> Vec<Operation> {
    let all = [
        images(),
        super::native_inside::operations(),
        super::native_links::operations(),
        uploads(),
        jobs(),
        access_keys(),
        custom_keys(),
        disk_exports(),
        limits(),
        policies(),
        super::upkeep::operations(),
    ];
    all.into_iter().flatten().collect()
}

fn images() -> Vec<Operation> {
    let retained = closed([
        must("id", uuid()),
        must("name", nullable(text())),
        must("owner", nullable(text())),
        must("size", nullable(whole())),
        must("deleted_at", time()),
        must("purged_at", time()),
    ]);
    let restored = open([must("id", uuid()), must("name", nullable(text())), must("status", text())]);
    let latest = || must("latest", nullable(reference("FamilyImage")));
    let family = closed([must("family", text()), must("images", whole()), latest()]);
    let unfit = closed([must("id", uuid()), must("why", text())]);
    let bucket =
        closed([must("name", text()), must("read", flag()), must("write", flag()), must("backups", any())]);
    let copies = closed([must("stores", list(name())), may("all_must_succeed", flag())]);
    let load = closed([
        must("mode", word(&["create", "skip", "merge", "overwrite"])),
        must("namespace", reference("MetadefNamespace")),
    ]);
    let outcome = word(&["created", "skipped", "merged", "overwritten"]);
    vec![
        get(
            "/tintype/v1/images/{image}/file",
            "Download an image's data, in any format, with entity tags and ranges",
        )
        .query("format", word(&Form::ALL.map(Form::as_str)))
        .header("Range", text())
        .header("If-Match", text())
        .header("If-None-Match", text())
        .header("If-Range", text())
        .refuses(&[410, 412, 413, 415, 416])
        .gives_bytes(200, "application/octet-stream")
        .gives_nothing(204)
        .gives_bytes(206, "application/octet-stream")
        .gives_nothing(304),
        post("/tintype/v1/images/{image}/copies", "Copy an image's data to more stores")
            .takes(copies)
            .gives(202, closed([must("job_id", text())])),
        get("/tintype/v1/images/{image}/verdict", "Tell what was found out about an image's data")
            .gives(200, verdict()),
        get("/tintype/v1/images/{image}/extents", "Tell where the disk that a guest sees has data")
            .query("from", whole())
            .refuses(&[415])
            .gives(
                200,
                page(
                    "extents",
                    closed([must("offset", whole()), must("bytes", whole()), must("zero", flag())]),
                ),
            ),
        get("/tintype/v1/images/{image}/changes", "Tell where the disk differs from that of another image")
            .query("since", uuid())
            .query("from", whole())
            .query("exact", flag())
            .refuses(&[415])
            .gives(200, page("changes", closed([must("offset", whole()), must("bytes", whole())]))),
        get("/tintype/v1/deleted-images", "List the deleted images that are retained")
            .query("marker", uuid())
            .query("limit", whole())
            .gives(200, closed([must("deleted_images", list(retained))])),
        post("/tintype/v1/deleted-images/{image}/restore", "Bring a deleted image back").gives(200, restored),
        delete("/tintype/v1/deleted-images/{image}", "Purge a deleted image").gives_nothing(204),
        get("/tintype/v1/families", "List the families of images, with the latest of each")
            .gives(200, closed([must("families", list(family))])),
        get("/tintype/v1/families/{family}", "Show the latest image of a family that is fit for use")
            .gives(200, closed([must("family", text()), latest(), must("passed_over", list(unfit))])),
        get("/tintype/v1/places", "List the buckets and regions that the caller's project may use")
            .gives(200, closed([must("buckets", list(bucket)), must("regions", list(any()))])),
        post("/tintype/v1/metadefs", "Load a whole namespace of metadata definitions")
            .takes(load)
            .gives(200, closed([must("namespace", text()), must("outcome", outcome)])),
    ]
}

/// What was found out about an image's data.
fn verdict() -> Value {
    let finding = closed([
        must("code", text()),
        must("severity", word(&["warning", "note"])),
        must("field", text()),
        must("value", nullable(text())),
        must("meaning", nullable(text())),
    ]);
    let verdict = closed([must("format", text()), must("reader", whole()), must("findings", list(finding))]);
    closed([
        must("id", uuid()),
        must("size_bytes", nullable(whole())),
        must("virtual_size_bytes", nullable(whole())),
        must("verdict", nullable(verdict)),
    ])
}

/// A part of a list about a guest's disk.
fn page(name: &'static str, record: Value) -> Value {
    closed([must("size_bytes", whole()), must(name, list(record)), must("next", nullable(whole()))])
}

fn uploads() -> Vec<Operation> {
    let upload = closed([
        must("id", text()),
        must("offset", whole()),
        must("length", nullable(whole())),
        must("blake3", text()),
        must("complete", flag()),
        must("created_at", time()),
        must("expires_at", time()),
    ]);
    let (all, one) = ("/tintype/v1/images/{image}/uploads", "/tintype/v1/images/{image}/uploads/{upload}");
    let tus = |operation: Operation| {
        operation.header("Tus-Resumable", word(&["1.0.0"])).refuses(&[410, 412, 413, 415])
    };
    let part = |operation: Operation| {
        operation
            .header("Upload-Offset", whole())
            .header("Upload-Length", whole())
            .takes_bytes("application/offset+octet-stream")
            .or_none()
            .gives_nothing(204)
    };
    vec![
        options(all, "Tell how data may be sent in parts").public().gives_nothing(204),
        get(all, "List the upload of an image that is under way")
            .gives(200, closed([must("uploads", list(upload))])),
        tus(post(all, "Begin to send an image's data in parts"))
            .header("Upload-Length", whole())
            .header("Upload-Defer-Length", word(&["1"]))
            .header("Upload-Metadata", text())
            .gives_nothing(201),
        options(one, "Tell how data may be sent in parts").public().gives_nothing(204),
        tus(head(one, "Tell how much has arrived")).gives_nothing(200),
        part(tus(patch(one, "Send a part"))),
        tus(delete(one, "Give an upload up")).gives_nothing(204),
        part(tus(post(
            one,
            "Do what X-HTTP-Method-Override says, where a proxy lets no other method through",
        )))
        .header("X-HTTP-Method-Override", word(&["PATCH", "HEAD", "DELETE"]))
        .refuses(&[405])
        .gives_nothing(200),
    ]
}

fn jobs() -> Vec<Operation> {
    let job = || reference("Job");
    vec![
        get("/tintype/v1/jobs", "List the jobs")
            .query("marker", text())
            .query("limit", whole())
            .gives(200, closed([must("jobs", list(job()))])),
        get("/tintype/v1/jobs/{job}", "Show a job").gives(200, job()),
        delete("/tintype/v1/jobs/{job}", "End a job").gives(202, job()),
        post("/tintype/v1/jobs/{job}/retry", "Try a failed job again").gives(202, job()),
        post("/tintype/v1/jobs/{job}/pause", "Pause a job").gives(200, job()),
        post("/tintype/v1/jobs/{job}/resume", "Let a paused job go on").gives(200, job()),
    ]
}

fn access_keys() -> Vec<Operation> {
    let key = || reference("AccessKey");
    let new = closed([
        may("user", nullable(text())),
        may("project", nullable(text())),
        may("description", nullable(text())),
        may("expires_at", nullable(time())),
    ]);
    let change = closed([may("enabled", nullable(flag())), may("description", nullable(text()))]);
    vec![
        get("/tintype/v1/access-keys", "List access keys")
            .query("user", text())
            .gives(200, closed([must("access_keys", list(key()))])),
        post("/tintype/v1/access-keys", "Make an access key, and tell its secret")
            .takes(new)
            .gives(201, key()),
        get("/tintype/v1/access-keys/{access}", "Show an access key").gives(200, key()),
        patch("/tintype/v1/access-keys/{access}", "Change an access key").takes(change).gives(200, key()),
        delete("/tintype/v1/access-keys/{access}", "Delete an access key").gives_nothing(204),
    ]
}

fn disk_exports() -> Vec<Operation> {
    let export = || reference("DiskExport");
    let new = closed([
        must("image", uuid()),
        may("ttl_s", nullable(between(1, 15_552_000))),
        may("writable", nullable(flag())),
        may("capture", nullable(text())),
    ]);
    let cut = closed([
        must("id", text()),
        must("connections", integer()),
        must("lost_writes", integer()),
        must("captures", integer()),
    ]);
    vec![
        get("/tintype/v1/nbd/exports", "List the disks that are open to whoever has their names")
            .gives(200, closed([must("exports", list(export()))])),
        post("/tintype/v1/nbd/exports", "Open an image's disk, and tell its name")
            .takes(new)
            .gives(201, export()),
        delete("/tintype/v1/nbd/exports/{export}", "Close a disk, and tell what became of its connections")
            .gives(200, cut),
    ]
}

fn custom_keys() -> Vec<Operation> {
    let key = || reference("CustomKey");
    let new = closed([
        must("alias", text()),
        may("project_id", nullable(text())),
        may("description", nullable(text())),
    ]);
    let change = closed([
        may("alias", nullable(text())),
        may("enabled", nullable(flag())),
        may("description", nullable(text())),
    ]);
    let one = "/tintype/v1/custom-keys/{key}";
    let grant = format!("{one}/grants/{{project}}");
    vec![
        get("/tintype/v1/custom-keys", "List the custom keys of the caller's project")
            .query("deleted", flag())
            .gives(200, closed([must("custom_keys", list(key()))])),
        post("/tintype/v1/custom-keys", "Make a custom key").takes(new).gives(201, key()),
        get(one, "Show a custom key").gives(200, key()),
        patch(one, "Change a custom key").takes(change).gives(200, key()),
        delete(one, "Schedule the deletion of a custom key").query("days", whole()).gives(200, key()),
        post(&format!("{one}/keep"), "Keep a custom key that was to be deleted").gives(200, key()),
        post(&format!("{one}/rotate"), "Seal anew what a custom key seals")
            .gives_bytes(200, "application/x-ndjson"),
        put(&grant, "Grant a custom key to a project").gives(200, key()),
        delete(&grant, "Withdraw a custom key from a project").gives(200, key()),
    ]
}

fn limits() -> Vec<Operation> {
    let amount = || between(-1, i64::from(Limit::MAX));
    let each = |schema: Value| {
        let names = Resource::ALL.map(|resource| may(resource.as_str(), schema.clone()));
        closed(names)
    };
    let limits = || closed([must("limits", map(amount()))]);
    let mut change = each(nullable(amount()));
    change["minProperties"] = json!(1);
    vec![
        get("/tintype/v1/quotas", "Show what the caller's project may have, and has")
            .gives(200, reference("Quotas")),
        get("/tintype/v1/quotas/default", "Show what a project may have").gives(200, limits()),
        patch("/tintype/v1/quotas/default", "Change what a project may have")
            .takes(change.clone())
            .gives(200, limits()),
        get("/tintype/v1/quotas/projects", "Show what all projects may have, and have")
            .gives(200, closed([must("projects", list(reference("Quotas")))])),
        get("/tintype/v1/quotas/projects/{project}", "Show what a project may have, and has")
            .gives(200, reference("Quotas")),
        patch("/tintype/v1/quotas/projects/{project}", "Change what a project may have")
            .takes(change)
            .gives(200, reference("Quotas")),
        post("/tintype/v1/quotas/recount", "Count anew what projects have")
            .gives(200, closed([must("was_wrong", any())])),
    ]
}

fn policies() -> Vec<Operation> {
    let policy = || reference("Policy");
    let document = || reference("PolicyDocument");
    let new =
        closed([must("name", text()), may("description", nullable(text())), must("document", document())]);
    let change = closed([
        may("name", nullable(text())),
        may("description", nullable(text())),
        may("document", document()),
    ]);
    let place =
        || closed([must("group", text()), may("project", nullable(text())), may("all_projects", flag())]);
    let question = closed([
        must("user", text()),
        must("action", text()),
        must("resource", text()),
        may("project", nullable(text())),
        may("source_ip", nullable(text())),
    ]);
    let answer = closed([
        must("allowed", flag()),
        must("reason", text()),
        must("user_id", text()),
        must("project_id", text()),
        must("action", text()),
        must("rule", nullable(text())),
        must("matches", list(open([must("policy_id", text()), must("effect", word(&["Allow", "Deny"]))]))),
    ]);
    let one = "/tintype/v1/policies/{policy}";
    vec![
        get("/tintype/v1/policies", "List the policies")
            .gives(200, closed([must("policies", list(policy()))])),
        post("/tintype/v1/policies", "Write a policy").takes(new).gives(201, policy()),
        get(one, "Show a policy").gives(200, policy()),
        patch(one, "Change a policy").takes(change).gives(200, policy()),
        delete(one, "Delete a policy").gives_nothing(204),
        get(&format!("{one}/attachments"), "List where a policy is attached")
            .gives(200, closed([must("attachments", list(reference("Attachment")))])),
        post(&format!("{one}/attach"), "Attach a policy to a group")
            .takes(place())
            .gives(200, reference("Attachment")),
        post(&format!("{one}/detach"), "Detach a policy from a group")
            .takes(place())
            .gives(200, reference("Attachment")),
        post("/tintype/v1/policy-simulation", "Tell what a user may do, and why")
            .takes(question)
            .gives(200, answer),
    ]
}
