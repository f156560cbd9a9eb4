//! What the native API tells of the inside of images, as it is described.

use serde_json::Value;

use super::operation::{Operation, get, post};
use super::schema::{closed, flag, integer, list, map, may, must, nullable, text, time, uuid, whole, word};

/// The operations.
pub(super) fn operations() -> Vec<Operation> {
    let one = "/tintype/v1/images/{image}/inspection";
    let described = closed([must("id", uuid()), must("set", map(text())), must("kept", map(text()))]);
    let mut all = vec![
        get(one, "Tell what lies inside an image").refuses(&[410, 413, 415]).gives(200, inspection()),
        post(one, "Set an image's properties as its inspection proposes them")
            .takes(closed([may("overwrite", flag())]))
            .or_none()
            .refuses(&[410, 413, 415])
            .gives(200, described),
    ];
    let tree = "/tintype/v1/images/{image}/tree";
    for (path, summary) in [
        (tree.to_owned(), "List the topmost directory of an image's disk"),
        (format!("{tree}/"), "List the topmost directory of an image's disk, as installers ask for it"),
    ] {
        all.push(listing(get(&path, summary)));
    }
    let below =
        get(&format!("{tree}/{{*path}}"), "Hand out a file of an image's disk, or list a directory of it");
    let file = listing(below)
        .header("Range", text())
        .header("If-Match", text())
        .header("If-None-Match", text())
        .header("If-Range", text())
        .refuses(&[412, 416])
        .gives_bytes(200, "application/octet-stream")
        .gives_bytes(206, "application/octet-stream")
        .gives_nothing(304);
    all.push(file);
    all
}

/// What an operation has that lists a directory.
fn listing(operation: Operation) -> Operation {
    let listing = operation.query("partition", whole()).refuses(&[410, 413, 415]);
    listing.gives(200, directory()).gives_bytes(200, "text/html")
}

fn inspection() -> Value {
    let size = || nullable(whole());
    let words = || nullable(text());
    let partition = closed([
        must("number", whole()),
        must("start_bytes", whole()),
        must("size_bytes", whole()),
        must("type", words()),
        must("type_code", words()),
        must("name", words()),
        must("file_system", words()),
        must("label", words()),
        must("uuid", words()),
        must("used_bytes", size()),
        must("free_bytes", size()),
        must("readable", flag()),
    ]);
    let os = closed([
        must("id", words()),
        must("version", words()),
        must("name", words()),
        must("architecture", words()),
    ]);
    let kernel = closed([
        must("version", text()),
        must("path", words()),
        must("initramfs", words()),
        must("drivers", map(word(&["built-in", "module", "absent"]))),
    ]);
    let finding = closed([
        must("code", text()),
        must("severity", word(&["problem", "optimise", "note"])),
        must("path", words()),
        must("sentence", text()),
    ]);
    closed([
        must("id", uuid()),
        must("name", words()),
        must("size_bytes", whole()),
        must("container", words()),
        must("partition_table", words()),
        must("partitions", list(partition)),
        must("root_partition", nullable(integer())),
        must("os", os),
        must("boot", closed([must("uefi", flag()), must("bios", flag())])),
        must("kernels", list(kernel)),
        must("mounts", list(closed([must("device", text()), must("at", text()), must("type", text())]))),
        must("cloud_init", nullable(closed([must("datasources", list(text()))]))),
        must("log_bytes", size()),
        must("findings", list(finding)),
        must("proposed", map(text())),
    ])
}

/// A directory.
pub(super) fn directory() -> Value {
    let entry = closed([
        must("name", text()),
        must("type", word(&["file", "directory", "link", "other"])),
        must("size_bytes", nullable(whole())),
        must("mode", nullable(text())),
        must("modified_at", nullable(time())),
        must("target", nullable(text())),
    ]);
    closed([
        must("path", text()),
        must("partition", whole()),
        must("entries", list(entry)),
        must("is_cut", flag()),
    ])
}
