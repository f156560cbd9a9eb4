//! Links to images as they are described.

use serde_json::Value;

use super::native_inside::directory;
use super::operation::{Operation, delete, get, post};
use super::schema::{closed, flag, integer, list, may, must, nullable, text, time, uuid, word};
use crate::disk::writing::Form;

/// The operations.
pub(super) fn operations() -> Vec<Operation> {
    let form = || nullable(word(&Form::ALL.map(Form::as_str)));
    let new = closed([
        must("ttl_s", integer()),
        may("format", form()),
        may("tree", nullable(flag())),
        may("net", nullable(text())),
    ]);
    let all = "/tintype/v1/images/{image}/links";
    vec![
        get(all, "List the links to an image").gives(200, closed([must("links", list(link(false)))])),
        post(all, "Make a link by which whoever has it downloads an image, and tell its address")
            .takes(new)
            .refuses(&[415])
            .gives(201, link(true)),
        delete("/tintype/v1/images/{image}/links/{link}", "Revoke a link").gives_nothing(204),
        get("/tintype/v1/links/{link}/{signature}/{name}", "Download the image that a link leads to")
            .public()
            .header("Range", text())
            .header("If-Match", text())
            .header("If-None-Match", text())
            .header("If-Range", text())
            .refuses(&[412, 413, 415, 416])
            .gives_bytes(200, "application/octet-stream")
            .gives_nothing(204)
            .gives_bytes(206, "application/octet-stream")
            .gives_nothing(304),
        get(
            "/tintype/v1/links/{link}/{signature}/tree/",
            "List the topmost directory of the disc whose files a link gives",
        )
        .public()
        .refuses(&[409, 410, 413, 415])
        .gives(200, directory())
        .gives_bytes(200, "text/html"),
        get(
            "/tintype/v1/links/{link}/{signature}/tree/{*path}",
            "Hand out a file of the disc whose files a link gives, or list a directory of it",
        )
        .public()
        .header("Range", text())
        .header("If-Match", text())
        .header("If-None-Match", text())
        .header("If-Range", text())
        .refuses(&[409, 410, 412, 413, 415, 416])
        .gives(200, directory())
        .gives_bytes(200, "text/html")
        .gives_bytes(200, "application/octet-stream")
        .gives_bytes(206, "application/octet-stream")
        .gives_nothing(304),
    ]
}

/// A link; the answer that makes one tells its address.
fn link(is_new: bool) -> Value {
    let members = [
        must("id", text()),
        must("image_id", uuid()),
        must("format", nullable(text())),
        must("net", nullable(text())),
        must("user_id", nullable(text())),
        must("project_id", text()),
        must("created_at", time()),
        must("expires_at", time()),
        must("first_used_at", nullable(time())),
    ];
    closed(members.into_iter().chain(is_new.then(|| must("url", text()))))
}
