//! Tags with a key and a value, in the two forms that clients have for them.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::call::{Call, image_id, json_response, no_content, text};
use super::error::Refusal;
use super::query::ListQuery;
use super::wire;
use crate::base::limits::IMAGE_LABELS_MAX;
use crate::model::{Image, ImageId};
use crate::service::images::{Filters, Label, Listing};
use crate::service::{Actor, Error, Service};

/// Longest key and value of a tag that is put on an image, in characters.
const KEY_CHARS_MAX: usize = 36;
/// See [`KEY_CHARS_MAX`].
const VALUE_CHARS_MAX: usize = 43;
/// Longest key and value of a tag that is looked for or taken off, in characters.
pub(super) const SOUGHT_KEY_CHARS_MAX: usize = 127;
/// See [`SOUGHT_KEY_CHARS_MAX`].
pub(super) const SOUGHT_VALUE_CHARS_MAX: usize = 255;

/// `PUT /v1/cloudimages/tags`
pub(super) async fn put_one(mut call: Call) -> Result<Response, Refusal> {
    let body = call.object().await?;
    let id = image_id(text(&body, "image_id")?)?;
    let label = match (body.get("tag"), body.get("image_tag")) {
        (None | Some(Value::Null), Some(Value::Object(tag))) => new_label(tag)?,
        (Some(Value::String(tag)), None | Some(Value::Null)) => {
            // The first dot splits.
            let (key, value) = tag.split_once('.').ok_or_else(|| invalid("tag must read key.value"))?;
            checked(key, value)?
        }
        _ => {
            return Err(invalid("the body needs either tag, as key.value, or image_tag, with key and value"));
        }
    };
    put(call, id, vec![label]).await
}

/// `POST /v2/{project}/images/{image}/tags`
pub(super) async fn add(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    let label = match call.object().await?.get("tag") {
        Some(Value::Object(tag)) => new_label(tag)?,
        _ => return Err(invalid("the body needs tag, an object with key and value")),
    };
    put(call, id, vec![label]).await
}

/// `POST /v2/{project}/images/{image}/tags/action`
pub(super) async fn change(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    let body = call.object().await?;
    match text(&body, "action")? {
        "create" => {
            let labels = unique(tags(&body)?.into_iter().map(new_label).collect::<Result<_, _>>()?)?;
            put(call, id, labels).await
        }
        "delete" => {
            let keys = sought_keys(&body)?;
            remove(call, id, keys, false).await
        }
        other => Err(Refusal::bad("IMG.0001", format!("action must be create or delete, not {other:?}"))),
    }
}

/// `DELETE /v2/{project}/images/{image}/tags/{key}`
pub(super) async fn delete(call: Call, id: ImageId, key: String) -> Result<Response, Refusal> {
    remove(call, id, vec![key], true).await
}

/// `DELETE /v1/{project}/cloudimages/{image}/tags/delete`
pub(super) async fn delete_many(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    let keys = sought_keys(&call.object().await?)?;
    remove(call, id, keys, false).await
}

/// `GET /v2/{project}/images/{image}/tags`
pub(super) async fn list(call: Call, id: ImageId) -> Result<Response, Refusal> {
    let image = call.run(move |service, actor| service.own_image(actor, &id)).await?;
    let tags: Vec<Value> = image.tags.iter().map(|tag| wire::label(&Label::of(tag))).collect();
    Ok(json_response(json!({ "tags": tags }).to_string().into_bytes()))
}

/// `GET /v2/{project}/images/tags`
pub(super) async fn list_of_project(call: Call) -> Result<Response, Refusal> {
    let work = |service: &Service, actor: &Actor| {
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut visit = |image: &Image| {
            for label in image.tags.iter().map(|tag| Label::of(tag)) {
                values.entry(label.key).or_default().insert(label.value);
            }
        };
        service.visit_project_images(actor, own_images(actor), &mut visit)?;
        Ok(values)
    };
    let values = call.run(work).await?;
    let tags: Vec<Value> =
        values.into_iter().map(|(key, values)| json!({"key": key, "values": values})).collect();
    Ok(json_response(json!({ "tags": tags }).to_string().into_bytes()))
}

/// `GET /v1/cloudimages/tags`
pub(super) async fn list_all(call: Call) -> Result<Response, Refusal> {
    let mut page: usize = 1;
    let mut others = Vec::new();
    for (name, value) in call.query()? {
        match name.as_str() {
            "page" => {
                page = value.parse().ok().filter(|page| *page > 0).ok_or_else(|| {
                    Refusal::bad("IMG.0017", format!("page must be a whole number above 0, not {value:?}"))
                })?
            }
            _ => others.push((name, value)),
        }
    }
    let query = ListQuery::parse(others)?;
    let limit = query.limit;
    let tags = match query.is_empty {
        true => BTreeSet::new(),
        false => call.run(move |service, actor| tags_of(service, actor, query.listing(0))).await?,
    };
    let found: Vec<String> = tags.into_iter().skip((page - 1).saturating_mul(limit)).take(limit).collect();
    Ok(json_response(json!({ "tags": found }).to_string().into_bytes()))
}

fn tags_of(service: &Service, actor: &Actor, listing: Listing) -> Result<BTreeSet<String>, Error> {
    let mut tags = BTreeSet::new();
    let mut visit = |image: &Image| tags.extend(image.tags.iter().cloned());
    service.visit_project_images(actor, listing, &mut visit)?;
    Ok(tags)
}

/// A listing of everything that the caller's project owns.
pub(super) fn own_images(actor: &Actor) -> Listing {
    let owner = actor.project().map(|project| project.0.clone());
    Listing { filters: Filters { owner, ..Filters::default() }, ..Listing::default() }
}

async fn put(call: Call, id: ImageId, labels: Vec<Label>) -> Result<Response, Refusal> {
    call.run(move |service, actor| service.put_image_labels(actor, &id, labels)).await?;
    Ok(no_content())
}

async fn remove(call: Call, id: ImageId, keys: Vec<String>, must_exist: bool) -> Result<Response, Refusal> {
    call.run(move |service, actor| service.remove_image_labels(actor, &id, keys, must_exist)).await?;
    Ok(no_content())
}

fn tags(body: &Map<String, Value>) -> Result<Vec<&Map<String, Value>>, Refusal> {
    let tags = body.get("tags").and_then(Value::as_array).filter(|tags| !tags.is_empty());
    let tags = tags.and_then(|tags| tags.iter().map(Value::as_object).collect());
    tags.ok_or_else(|| invalid("the body needs tags, a list of objects with key and value"))
}

fn new_label(tag: &Map<String, Value>) -> Result<Label, Refusal> {
    let part = |name: &str| match tag.get(name) {
        Some(Value::String(text)) => Ok(text.trim()),
        None | Some(Value::Null) if name == "value" => Ok(""),
        _ => Err(invalid(format!("a tag needs {name}, a text"))),
    };
    checked(part("key")?, part("value")?)
}

fn checked(key: &str, value: &str) -> Result<Label, Refusal> {
    let is_good = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if key.is_empty() || key.chars().count() > KEY_CHARS_MAX || !key.chars().all(is_good) {
        return Err(invalid(format!(
            "the key {:?} must be 1 to {KEY_CHARS_MAX} letters, digits, _ and -",
            shown(key)
        )));
    }
    if value.chars().count() > VALUE_CHARS_MAX || !value.chars().all(|c| is_good(c) || c == '.') {
        return Err(invalid(format!(
            "the value {:?} must be at most {VALUE_CHARS_MAX} letters, digits, _ - and .",
            shown(value)
        )));
    }
    Ok(Label { key: key.to_owned(), value: value.to_owned() })
}

/// The tags of an image that is to be made: `tags`, as key.value, or `image_tags`, with key and value.
pub(super) fn asked_labels(body: &Map<String, Value>) -> Result<BTreeSet<String>, Refusal> {
    let given = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) if list.is_empty() => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(_) => Err(invalid(format!("{name} must be a list"))),
    };
    let labels = match (given("tags")?, given("image_tags")?) {
        (None, None) => return Ok(BTreeSet::new()),
        (Some(_), Some(_)) => return Err(invalid("name tags or image_tags, not both")),
        (Some(tags), None) => tags
            .iter()
            .map(|tag| {
                let (key, value) = tag
                    .as_str()
                    .and_then(|tag| tag.split_once('.'))
                    .ok_or_else(|| invalid("a tag reads key.value"))?;
                checked(key.trim(), value.trim())
            })
            .collect::<Result<Vec<_>, _>>()?,
        (None, Some(tags)) => tags
            .iter()
            .map(|tag| new_label(tag.as_object().ok_or_else(|| invalid("a tag has key and value"))?))
            .collect::<Result<Vec<_>, _>>()?,
    };
    let labels = unique(labels)?;
    if labels.len() > IMAGE_LABELS_MAX {
        return Err(Refusal::bad("IMG.0116", format!("an image takes at most {IMAGE_LABELS_MAX} tags")));
    }
    Ok(labels.into_iter().map(|label| format!("{}={}", label.key, label.value)).collect())
}

fn unique(labels: Vec<Label>) -> Result<Vec<Label>, Refusal> {
    let keys: BTreeSet<&str> = labels.iter().map(|label| label.key.as_str()).collect();
    match keys.len() == labels.len() {
        true => Ok(labels),
        false => Err(invalid("the same key is there more than once")),
    }
}

/// Keys of tags to take off: only their length is looked at.
fn sought_keys(body: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let mut keys = Vec::new();
    for tag in tags(body)? {
        let key = tag.get("key").and_then(Value::as_str).unwrap_or_default().trim();
        let value = tag.get("value").and_then(Value::as_str).unwrap_or_default();
        if key.is_empty()
            || key.chars().count() > SOUGHT_KEY_CHARS_MAX
            || value.chars().count() > SOUGHT_VALUE_CHARS_MAX
        {
            return Err(invalid(format!(
                "a key has 1 to {SOUGHT_KEY_CHARS_MAX} characters and a value at most {SOUGHT_VALUE_CHARS_MAX}"
            )));
        }
        keys.push(key.to_owned());
    }
    Ok(keys)
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::bad("IMG.0115", message)
}
