//! Records as the Image API prints them, and values as it reads them.
//!
//! Invariant: base keys are always present, null when unset; custom properties stand beside
//! them. Writes straight into bytes: listings are the hot path of every client.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::error::Refusal;
use crate::api::print::{Keys, write_list, write_text};
use crate::model::image::{Declared, Location, Member};
use crate::model::{Finding, Image, ProjectId, Verdict, Visibility};
use crate::service::images::{
    Beside, Change, Existing, FINDINGS_PROPERTY, FORMAT_PROPERTY, Field, NewImage, is_of_verdict,
};
use crate::service::stores::Stores;

/// Keys of a record that only the service sets.
pub(super) const READ_ONLY: [&str; 14] = [
    "created_at",
    "updated_at",
    "status",
    "checksum",
    "size",
    "virtual_size",
    "direct_url",
    "self",
    "file",
    "schema",
    "os_hash_algo",
    "os_hash_value",
    FORMAT_PROPERTY,
    FINDINGS_PROPERTY,
];
/// Keys that the service alone sets, and that clients send back when they make an image like another: the reference drops
/// its own silently too.
const DROPPED: [&str; 4] = ["os_hash_algo", "os_hash_value", FORMAT_PROPERTY, FINDINGS_PROPERTY];
/// Names that callers may not use at all.
pub(super) const RESERVED: [&str; 4] = ["locations", "location", "deleted", "deleted_at"];
/// Keys that are always there, and so can be set but not removed.
pub(super) const BASE: [&str; 10] = [
    "name",
    "visibility",
    "protected",
    "os_hidden",
    "owner",
    "container_format",
    "disk_format",
    "min_disk",
    "min_ram",
    "tags",
];

/// Reads one key of a record and the value that a caller wants it to have.
pub(super) fn read_change(key: &str, value: &Value, existing: Existing) -> Result<Change, Refusal> {
    let field = match key {
        "name" => Field::Name(text_or_null(key, value)?),
        "visibility" => Field::Visibility(
            value
                .as_str()
                .and_then(Visibility::parse)
                .ok_or_else(|| wrong(key, value, "public, private, shared or community"))?,
        ),
        "protected" => Field::Protected(boolean(key, value)?),
        "os_hidden" => Field::Hidden(boolean(key, value)?),
        "owner" => Field::Owner(text_or_null(key, value)?.map(ProjectId)),
        "container_format" => Field::ContainerFormat(text_or_null(key, value)?),
        "disk_format" => Field::DiskFormat(text_or_null(key, value)?),
        "min_disk" => Field::MinDiskGib(whole(key, value)?),
        "min_ram" => Field::MinRamMib(whole(key, value)?),
        "tags" => Field::Tags(tags(key, value)?),
        _ => {
            let text = value.as_str().ok_or_else(|| wrong(key, value, "a string"))?;
            return Ok(Change::SetProperty { name: key.to_owned(), value: text.to_owned(), existing });
        }
    };
    Ok(Change::Set(field))
}

/// Reads the body of a create.
pub(super) fn read_new_image(body: Value) -> Result<NewImage, Refusal> {
    let mut keys = object(body)?;
    let id = keys.shift_remove("id").map(|id| read_image_id(&id)).transpose()?;
    let mut changes = Vec::with_capacity(keys.len());
    for (key, value) in &keys {
        let key = key.as_str();
        if DROPPED.contains(&key) {
            continue;
        }
        if READ_ONLY.contains(&key) || key == "stores" {
            return Err(Refusal::forbidden(format!("attribute {key} is read-only")));
        }
        if RESERVED.contains(&key) {
            return Err(Refusal::forbidden(format!("attribute {key} is reserved")));
        }
        changes.push(read_change(key, value, Existing::Any)?);
    }
    Ok(NewImage { id, changes })
}

/// The body, when it is a JSON object.
pub(super) fn object(body: Value) -> Result<Map<String, Value>, Refusal> {
    match body {
        Value::Object(keys) => Ok(keys),
        _ => Err(Refusal::bad("the body must be a JSON object")),
    }
}

fn read_image_id(value: &Value) -> Result<crate::model::ImageId, Refusal> {
    value.as_str().and_then(crate::model::ImageId::parse).ok_or_else(|| wrong("id", value, "a UUID"))
}

fn text_or_null(key: &str, value: &Value) -> Result<Option<String>, Refusal> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(wrong(key, value, "a string or null")),
    }
}

fn boolean(key: &str, value: &Value) -> Result<bool, Refusal> {
    value.as_bool().ok_or_else(|| wrong(key, value, "true or false"))
}

fn whole(key: &str, value: &Value) -> Result<u64, Refusal> {
    value.as_u64().ok_or_else(|| wrong(key, value, "a whole number, not negative"))
}

fn tags(key: &str, value: &Value) -> Result<BTreeSet<String>, Refusal> {
    let tags = value.as_array().and_then(|tags| {
        tags.iter().map(|tag| tag.as_str().map(str::to_owned)).collect::<Option<BTreeSet<_>>>()
    });
    tags.ok_or_else(|| wrong(key, value, "a list of strings"))
}

fn wrong(key: &str, value: &Value, expected: &str) -> Refusal {
    let shown: String = value.to_string().chars().take(100).collect();
    Refusal::bad(format!("{key} must be {expected}, not {shown}"))
}

/// A record as JSON.
pub(super) fn image(image: &Image, stores: &Stores, beside: &Beside) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write_image(&mut out, image, stores, beside);
    out
}

/// Appends a record as JSON. Where there are several stores it says which have the data, the heaviest first.
fn write_image(out: &mut Vec<u8>, image: &Image, stores: &Stores, beside: &Beside) {
    let mut keys = Keys::open(out);
    // Properties of these names that are older than the verdict would stand there twice.
    let own = |name: &str| is_of_verdict(name) && image.verdict.is_some();
    for (name, value) in image.properties.iter().filter(|(name, _)| !own(name)) {
        keys.text(name, value);
    }
    if let Some(verdict) = &image.verdict {
        write_verdict(&mut keys, verdict);
    }
    keys.optional("name", image.name.as_deref());
    keys.plain("status", image.status.as_str());
    keys.plain("visibility", image.visibility.as_str());
    keys.raw("protected", image.protected);
    keys.raw("os_hidden", image.hidden);
    keys.optional("owner", image.owner.as_ref().map(ProjectId::as_str));
    keys.number("size", image.size_bytes);
    keys.number("virtual_size", image.virtual_size_bytes);
    // Of data that nobody has read yet, what it is said to be.
    let said = if image.is_by_reference() { beside.declared } else { Declared::default() };
    let md5 = image.digests.as_ref().and_then(|digests| digests.md5).or(said.md5);
    let secure = image.digests.as_ref().and_then(|digests| digests.secure).or(said.secure);
    keys.optional("checksum", md5.map(hex::encode).as_deref());
    keys.optional("os_hash_algo", secure.map(|hash| hash.algorithm().as_str()));
    keys.optional("os_hash_value", secure.map(|hash| hex::encode(hash.value())).as_deref());
    keys.optional("container_format", image.container_format.as_deref());
    keys.optional("disk_format", image.disk_format.as_deref());
    keys.raw("min_ram", image.min_ram_mib);
    keys.raw("min_disk", image.min_disk_gib);
    keys.key("tags");
    write_list(keys.out(), image.tags.iter(), |out, tag| write_text(out, tag));
    keys.plain("created_at", &image.created_at.rfc3339_seconds());
    keys.plain("updated_at", &image.updated_at.rfc3339_seconds());
    keys.raw("id", format_args!("\"{}\"", image.id));
    keys.raw("self", format_args!("\"/v2/images/{}\"", image.id));
    keys.raw("file", format_args!("\"/v2/images/{}/file\"", image.id));
    if stores.are_several() && (image.content.is_some() || beside.web_store.is_some()) {
        keys.text("stores", &store_names(image, stores, beside).join(","));
    }
    if let Some(locations) = &beside.locations {
        keys.key("locations");
        write_list(keys.out(), locations.iter(), write_location);
    }
    keys.plain("schema", "/v2/schemas/image");
    keys.close();
}

/// What was found out about the data, as two properties: clients show those whole, and would not an object.
fn write_verdict(keys: &mut Keys, verdict: &Verdict) {
    keys.text(FORMAT_PROPERTY, &verdict.format);
    if !verdict.findings.is_empty() {
        let found: Vec<String> = verdict.findings.iter().map(Finding::in_short).collect();
        keys.text(FINDINGS_PROPERTY, &found.join(", "));
    }
}

/// The stores that an image is in, the heaviest first. What the box keeps of an address of the web is in the store that
/// stands for those.
fn store_names<'s>(image: &Image, stores: &'s Stores, beside: &'s Beside) -> Vec<&'s str> {
    let is_told = |place| match beside.web_store {
        None => image.copy_at(place).is_some(),
        Some(_) => image.copies.iter().any(|copy| copy.place == place),
    };
    let told = stores.iter().filter(|store| is_told(store.place)).map(|store| store.name.as_str());
    told.chain(beside.web_store.as_deref()).collect()
}

fn write_location(out: &mut Vec<u8>, location: &Location) {
    let mut keys = Keys::open(out);
    keys.text("url", &location.url);
    keys.key("metadata");
    let mut metadata = Keys::open(keys.out());
    for (name, value) in &location.metadata {
        metadata.text(name, value);
    }
    metadata.close();
    keys.close();
}

/// A page of records as JSON. `first` and `next` are the links to the first and next page.
pub(super) fn image_page(
    images: &[Image],
    stores: &Stores,
    beside: &[Beside],
    first: &str,
    next: Option<&str>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + images.len() * 1024);
    out.extend_from_slice(b"{\"images\":");
    write_list(&mut out, images.iter().zip(beside), |out, (image, beside)| {
        write_image(out, image, stores, beside);
    });
    out.push(b',');
    let mut keys = Keys::inside(&mut out);
    keys.text("first", first);
    if let Some(next) = next {
        keys.text("next", next);
    }
    keys.plain("schema", "/v2/schemas/images");
    out.push(b'}');
    out
}

/// A member as JSON.
pub(super) fn member(member: &Member) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_member(&mut out, member);
    out
}

/// An image's members as JSON.
pub(super) fn member_list(members: &[Member]) -> Vec<u8> {
    let mut out = b"{\"members\":".to_vec();
    write_list(&mut out, members.iter(), write_member);
    out.extend_from_slice(b",\"schema\":\"/v2/schemas/members\"}");
    out
}

fn write_member(out: &mut Vec<u8>, member: &Member) {
    let mut keys = Keys::open(out);
    keys.text("member_id", member.project.as_str());
    keys.raw("image_id", format_args!("\"{}\"", member.image));
    keys.plain("status", member.status.as_str());
    keys.plain("created_at", &member.created_at.rfc3339_seconds());
    keys.plain("updated_at", &member.updated_at.rfc3339_seconds());
    keys.plain("schema", "/v2/schemas/member");
    keys.close();
}

#[cfg(test)]
#[path = "wire_tests.rs"]
pub(super) mod tests;
