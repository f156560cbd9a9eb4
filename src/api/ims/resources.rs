//! `POST /v2/{project}/images/resource_instances/action`: a project's images by their tags.

use std::collections::BTreeSet;

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::call::{Call, json_response, text};
use super::error::Refusal;
use super::labels::{SOUGHT_KEY_CHARS_MAX, SOUGHT_VALUE_CHARS_MAX, invalid, own_images};
use super::wire;
use crate::model::Image;
use crate::service::images::Label;

/// Most keys of one condition, and most values of one key.
const CONDITION_MAX: usize = 10;
const LIMIT_DEFAULT: usize = 10;
const LIMIT_MAX: usize = 1000;

/// A key, and values of which any will do; none will do as well as any.
struct Wanted {
    key: String,
    values: BTreeSet<String>,
}

impl Wanted {
    fn is_met(&self, labels: &[Label]) -> bool {
        let is_value = |value| self.values.is_empty() || self.values.contains(value);
        labels.iter().any(|label| label.key == self.key && is_value(&label.value))
    }
}

/// What an image must have to be found.
struct Search {
    without_any: bool,
    all: Vec<Wanted>,
    any: Vec<Wanted>,
    not_all: Vec<Wanted>,
    not_any: Vec<Wanted>,
    name: Option<String>,
    id: Option<String>,
}

impl Search {
    fn read(body: &Map<String, Value>) -> Result<Search, Refusal> {
        let mut search = Search {
            without_any: body.get("without_any_tag").and_then(Value::as_bool).unwrap_or(false),
            all: conditions(body, "tags")?,
            any: conditions(body, "tags_any")?,
            not_all: conditions(body, "not_tags")?,
            not_any: conditions(body, "not_tags_any")?,
            name: None,
            id: None,
        };
        for wanted in list(body, "matches")? {
            let part = |name: &str| wanted.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            match part("key").as_str() {
                "resource_name" => search.name = Some(part("value")),
                "resource_id" => search.id = Some(part("value")),
                other => {
                    let message = format!("matches knows resource_name and resource_id, not {other:?}");
                    return Err(Refusal::bad("IMG.0001", message));
                }
            }
        }
        Ok(search)
    }

    fn admits(&self, image: &Image) -> bool {
        let name = image.name.as_deref().unwrap_or_default();
        let is_named = self.name.as_ref().is_none_or(|wanted| match wanted.is_empty() {
            true => name.is_empty(),
            false => name.contains(wanted.as_str()),
        });
        if !is_named || self.id.as_ref().is_some_and(|id| *id != image.id.to_string()) {
            return false;
        }
        if self.without_any {
            return image.tags.is_empty();
        }
        let labels: Vec<Label> = image.tags.iter().map(|tag| Label::of(tag)).collect();
        let met = |wanted: &Wanted| wanted.is_met(&labels);
        self.all.iter().all(met)
            && (self.any.is_empty() || self.any.iter().any(met))
            && (self.not_all.is_empty() || !self.not_all.iter().all(met))
            && !self.not_any.iter().any(met)
    }
}

/// Finds or counts.
pub(super) async fn find(mut call: Call) -> Result<Response, Refusal> {
    let body = call.object().await?;
    let is_filter = match text(&body, "action")? {
        "filter" => true,
        "count" => false,
        other => {
            return Err(Refusal::bad("IMG.0001", format!("action must be filter or count, not {other:?}")));
        }
    };
    let limit = number(&body, "limit", LIMIT_DEFAULT)?.clamp(1, LIMIT_MAX);
    let offset = number(&body, "offset", 0)?;
    let search = Search::read(&body)?;
    let answer = call
        .run(move |service, actor| {
            let (mut total, mut resources) = (0usize, Vec::new());
            let mut visit = |image: &Image| {
                if search.admits(image) {
                    if is_filter && total >= offset && resources.len() < limit {
                        resources.push(resource(image));
                    }
                    total += 1;
                }
            };
            service.visit_project_images(actor, own_images(actor), &mut visit)?;
            Ok(match is_filter {
                true => json!({"resources": resources, "total_count": total}),
                false => json!({"total_count": total}),
            })
        })
        .await?;
    Ok(json_response(answer.to_string().into_bytes()))
}

fn resource(image: &Image) -> Value {
    let tags: Vec<Value> = image.tags.iter().map(|tag| wire::label(&Label::of(tag))).collect();
    json!({
        "resource_id": image.id.to_string(),
        "resource_name": image.name.as_deref().unwrap_or_default(),
        "resource_detail": {"status": image.status.as_str()},
        "tags": tags,
    })
}

fn list<'a>(body: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(Refusal::bad("IMG.0001", format!("{name} must be a list"))),
    }
}

fn conditions(body: &Map<String, Value>, name: &str) -> Result<Vec<Wanted>, Refusal> {
    let mut found: Vec<Wanted> = Vec::new();
    for condition in list(body, name)? {
        let key = condition.get("key").and_then(Value::as_str).unwrap_or_default().trim();
        if key.is_empty() || key.chars().count() > SOUGHT_KEY_CHARS_MAX {
            return Err(invalid(format!(
                "each of {name} needs a key of at most {SOUGHT_KEY_CHARS_MAX} characters"
            )));
        }
        let values = condition.get("values").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
        let texts = texts.filter(|t| t.iter().all(|v| v.chars().count() <= SOUGHT_VALUE_CHARS_MAX));
        let texts = texts.ok_or_else(|| {
            invalid(format!("values in {name} must be texts of at most {SOUGHT_VALUE_CHARS_MAX} characters"))
        })?;
        let unique: BTreeSet<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        if unique.len() != texts.len() || found.iter().any(|wanted| wanted.key == key) {
            return Err(invalid(format!("{name} has a key or a value twice")));
        }
        if unique.len() > CONDITION_MAX || found.len() == CONDITION_MAX {
            return Err(invalid(format!(
                "{name} takes {CONDITION_MAX} keys with {CONDITION_MAX} values each"
            )));
        }
        found.push(Wanted { key: key.to_owned(), values: unique });
    }
    Ok(found)
}

/// A number, which clients send as a text.
fn number(body: &Map<String, Value>, name: &str, default: usize) -> Result<usize, Refusal> {
    let found = match body.get(name) {
        None | Some(Value::Null) => Some(default),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64().and_then(|number| usize::try_from(number).ok()),
    };
    found.ok_or_else(|| Refusal::bad("IMG.0001", format!("{name} must be a whole number")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ImageId, Status, Visibility};

    fn image(tags: &[&str]) -> Image {
        Image {
            id: ImageId(uuid::Uuid::from_bytes([7; 16])),
            name: Some("web-1".into()),
            status: Status::Active,
            visibility: Visibility::Private,
            protected: false,
            hidden: false,
            owner: None,
            container_format: None,
            disk_format: None,
            min_disk_gib: 0,
            min_ram_mib: 0,
            size_bytes: None,
            virtual_size_bytes: None,
            verdict: None,
            digests: None,
            content: None,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            properties: Default::default(),
            created_at: Default::default(),
            updated_at: Default::default(),
            upload: None,
            active_at: None,
            place: Default::default(),
            copies: Vec::new(),
        }
    }

    #[test]
    fn conditions_say_what_the_reference_says() {
        let image = image(&["a=1", "b=2", "c"]);
        let two = |name: &str, a: &str, b: &str| json!({name: [{"key": "a", "values": [a]}, {"key": "b", "values": [b]}]});
        for (body, passes) in [
            (json!({}), true),
            (two("tags", "1", "2"), true),
            (two("tags", "1", "3"), false),
            (two("tags_any", "0", "2"), true),
            (two("tags_any", "0", "3"), false),
            (two("not_tags", "1", "2"), false),
            (two("not_tags", "1", "3"), true),
            (two("not_tags_any", "0", "2"), false),
            (two("not_tags_any", "0", "3"), true),
            (json!({"tags": [{"key": "a", "values": []}]}), true),
            (json!({"tags": [{"key": "c", "values": [""]}]}), true),
            (json!({"tags": [{"key": "a", "values": ["9", "1"]}]}), true),
            (json!({"without_any_tag": true}), false),
            (json!({"matches": [{"key": "resource_name", "value": "eb"}]}), true),
            (json!({"matches": [{"key": "resource_name", "value": ""}]}), false),
            (json!({"matches": [{"key": "resource_id", "value": "x"}]}), false),
        ] {
            let search = Search::read(body.as_object().unwrap()).ok().unwrap();
            assert_eq!(search.admits(&image), passes, "{body}");
        }
    }

    #[test]
    fn bad_conditions_are_refused() {
        let many: Vec<Value> = (0..11).map(|n| json!({"key": format!("k{n}"), "values": []})).collect();
        let values: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        for bad in [
            json!({"tags": {}}),
            json!({"tags": [{"values": []}]}),
            json!({"tags": [{"key": "a"}, {"key": "a"}]}),
            json!({"tags": [{"key": "a", "values": ["1", "1"]}]}),
            json!({"tags": [{"key": "a", "values": [1]}]}),
            json!({ "tags": many }),
            json!({"tags": [{"key": "a", "values": values}]}),
            json!({"matches": [{"key": "owner", "value": "x"}]}),
        ] {
            assert!(Search::read(bad.as_object().unwrap()).is_err(), "{bad}");
        }
    }
}
