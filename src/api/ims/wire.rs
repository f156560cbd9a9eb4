//! Records as the image management API prints them.
//!
//! Invariant: what the service decides (kind, size, owner, states) hides properties of the same name;
//! booleans are JSON booleans, since the SDK takes any text for true. Writes straight into bytes.

use serde_json::{Value, json};

use crate::api::print::{Keys, write_list, write_text};
use crate::base::Time;
use crate::model::image::{DomainMember, Member};
use crate::model::{Image, ImageId, ProjectId, Status, Visibility};
use crate::service::images::{CUSTOM_KEY_PROPERTY, Kind, Label};

/// What an image without `__os_type` counts as.
pub(super) const OS_TYPE_DEFAULT: &str = "Other";
/// What an image without `enterprise_project_id` counts as.
pub(super) const ENTERPRISE_PROJECT_DEFAULT: &str = "0";
/// `virtual_env_type` of an ISO image that says nothing else.
pub(super) const ISO: &str = "IsoImage";
/// `virtual_env_type` of any other image that says nothing else.
pub(super) const MACHINE: &str = "FusionCompute";

/// Keys that the service prints itself, so that no property may.
pub(super) const DECIDED: [&str; 32] = [
    "id",
    "name",
    "owner",
    "status",
    "visibility",
    "protected",
    "min_disk",
    "min_ram",
    "container_format",
    "disk_format",
    "size",
    "virtual_size",
    "checksum",
    "tags",
    "created_at",
    "updated_at",
    "active_at",
    "deleted",
    "deleted_at",
    "self",
    "file",
    "schema",
    "__imagetype",
    "__isregistered",
    "__image_source_type",
    "__image_size",
    "__image_location",
    "__system_support_market",
    "__system__encrypted",
    "os_hidden",
    "os_hash_algo",
    "os_hash_value",
];

/// A record as JSON.
pub(super) fn image(image: &Image, kind: Kind) -> Vec<u8> {
    let mut out = Vec::with_capacity(1536);
    write_image(&mut out, image, kind);
    out
}

/// An image that was registered just now, which nobody is a member of.
pub(in crate::api) fn registered(registered: &Image) -> Vec<u8> {
    let kind = if registered.visibility == Visibility::Public { Kind::Public } else { Kind::Kept };
    image(registered, kind)
}

fn write_image(out: &mut Vec<u8>, image: &Image, kind: Kind) {
    let mut keys = Keys::open(out);
    for (name, value) in &image.properties {
        if !DECIDED.contains(&name.as_str()) {
            keys.text(name, value);
        }
    }
    let mut or_default = |name: &str, default: &str| {
        if !image.properties.contains_key(name) {
            keys.plain(name, default);
        }
    };
    or_default("__os_type", OS_TYPE_DEFAULT);
    or_default("enterprise_project_id", ENTERPRISE_PROJECT_DEFAULT);
    let is_iso = image.disk_format.as_deref() == Some("iso");
    or_default("virtual_env_type", if is_iso { ISO } else { MACHINE });
    keys.raw("id", format_args!("\"{}\"", image.id));
    keys.text("name", image.name.as_deref().unwrap_or_default());
    keys.text("owner", image.owner.as_ref().map_or("", ProjectId::as_str));
    keys.plain("status", status(image.status).as_str());
    keys.plain("visibility", visibility(image, kind));
    keys.plain("__imagetype", imagetype(kind));
    keys.plain("__isregistered", "true");
    keys.plain("__image_source_type", "uds");
    keys.raw("__image_size", format_args!("\"{}\"", image.size_bytes.unwrap_or(0)));
    keys.raw("__system_support_market", false);
    if image.properties.contains_key(CUSTOM_KEY_PROPERTY) {
        keys.plain("__system__encrypted", "1");
    }
    keys.raw("protected", image.protected);
    keys.raw("min_disk", image.min_disk_gib);
    keys.raw("min_ram", image.min_ram_mib);
    keys.text("container_format", image.container_format.as_deref().unwrap_or("bare"));
    keys.optional("disk_format", image.disk_format.as_deref());
    keys.number("size", image.size_bytes);
    keys.number("virtual_size", image.virtual_size_bytes);
    let md5 = image.digests.as_ref().and_then(|digests| digests.md5);
    keys.optional("checksum", md5.map(hex::encode).as_deref());
    keys.key("tags");
    write_list(keys.out(), image.tags.iter(), |out, tag| write_text(out, tag));
    keys.plain("created_at", &image.created_at.rfc3339_seconds());
    keys.plain("updated_at", &image.updated_at.rfc3339_seconds());
    if let Some(at) = image.active_at {
        keys.plain("active_at", &at.rfc3339_seconds());
    }
    keys.raw("self", format_args!("\"/v2/images/{}\"", image.id));
    keys.raw("file", format_args!("\"/v2/images/{}/file\"", image.id));
    keys.plain("schema", "/v2/schemas/image");
    keys.close();
}

/// This API has one word for all data that is on its way.
fn status(status: Status) -> Status {
    if status.is_filling() { Status::Saving } else { status }
}

fn imagetype(kind: Kind) -> &'static str {
    match kind {
        Kind::Public => "gold",
        Kind::Kept => "private",
        Kind::Shared => "shared",
    }
}

/// An image that nobody is a member of is private, whether or not it could have some.
fn visibility(image: &Image, kind: Kind) -> &'static str {
    match (image.visibility, kind) {
        (Visibility::Community, _) => "community",
        (_, Kind::Public) => "public",
        (_, Kind::Kept) => "private",
        (_, Kind::Shared) => "shared",
    }
}

/// A page of records as JSON. `next` is the last image of the page and the link to the next, where there is one.
pub(super) fn image_page(images: &[(Image, Kind)], first: &str, next: Option<&(ImageId, String)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + images.len() * 1536);
    out.extend_from_slice(b"{\"images\":");
    write_list(&mut out, images.iter(), |out, (image, kind)| write_image(out, image, *kind));
    out.push(b',');
    let mut keys = Keys::inside(&mut out);
    keys.text("first", first);
    if let Some((_, link)) = next {
        keys.text("next", link);
    }
    // An object, never a list: the SDK loses a list without a word.
    keys.key("page_info");
    let mut page_info = Keys::open(keys.out());
    if let Some((last, _)) = next {
        page_info.raw("next_marker", format_args!("\"{last}\""));
    }
    page_info.close();
    keys.plain("schema", "/v2/schemas/images");
    keys.close();
    out
}

/// A member as JSON.
pub(super) fn member(member: &Member) -> Value {
    json!({
        "member_id": member.project.as_str(),
        "image_id": member.image.to_string(),
        "status": member.status.as_str(),
        "created_at": time(member.created_at),
        "updated_at": time(member.updated_at),
        "schema": "/v2/schemas/member",
    })
}

/// A domain that an image is shared with, as JSON: all its projects are members, and each answers for itself.
pub(super) fn domain_member(share: &DomainMember) -> Value {
    json!({
        "member_id": share.domain.as_str(),
        "member_type": "domain",
        "image_id": share.image.to_string(),
        "status": "pending",
        "created_at": time(share.created_at),
        "updated_at": time(share.created_at),
        "schema": "/v2/schemas/member",
    })
}

/// A label as JSON.
pub(super) fn label(label: &Label) -> Value {
    json!({"key": label.key, "value": label.value})
}

fn time(time: Time) -> String {
    time.rfc3339_seconds()
}
