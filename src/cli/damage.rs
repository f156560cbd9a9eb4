//! `tintype damage`: what is known to be damaged, and the images it hits.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Api, Client};
use super::failure::Failure;
use super::output::Output;

/// Ranges of an image that a table shows.
const RANGES_SHOWN: usize = 4;

/// What `tintype damage` can do.
#[derive(Subcommand)]
pub enum Damage {
    /// List damaged objects with the images and byte ranges they hit
    List,
}

impl Damage {
    /// Prints what is damaged.
    ///
    /// # Errors
    /// When the box cannot be reached or refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let Damage::List = self;
        let mut damage = client.get(Api::Native, "/damage").await?;
        let Value::Array(objects) = damage["damage"].take() else {
            return Err(Failure::failed("the server's answer has no list of damage"));
        };
        if output.json {
            return output.rows(&objects, &[]);
        }
        let lines: Vec<Value> = objects.iter().flat_map(lines).collect();
        output.rows(
            &lines,
            &[
                ("Object", "object"),
                ("Found", "found_at"),
                ("Reason", "reason"),
                ("Image", "image"),
                ("Name", "name"),
                ("Lost bytes", "ranges"),
            ],
        )
    }
}

/// An object's lines in the table: one an image, or one where no image is hit.
fn lines(object: &Value) -> Vec<Value> {
    let line = |image: Option<&Value>| {
        json!({
            "object": object["object"], "found_at": object["found_at"], "reason": object["reason"],
            "image": image.map_or(Value::Null, |image| image["image"].clone()),
            "name": image.map_or(Value::Null, |image| image["name"].clone()),
            "ranges": image.map_or_else(|| "none".to_owned(), |image| ranges(&image["ranges"])),
        })
    };
    match object["images"].as_array() {
        Some(images) if !images.is_empty() => images.iter().map(|image| line(Some(image))).collect(),
        _ => vec![line(None)],
    }
}

/// The first few ranges, and how many more there are.
fn ranges(ranges: &Value) -> String {
    let ranges = ranges.as_array().map_or(&[][..], Vec::as_slice);
    let shown = ranges.iter().take(RANGES_SHOWN).map(|range| format!("{}-{}", range["start"], range["end"]));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if ranges.len() > RANGES_SHOWN {
        text += &format!(" and {} more", ranges.len() - RANGES_SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_a_line_and_so_is_damage_that_hits_none() {
        let image = json!({"image": "i", "name": "n", "ranges": [{"start": 0, "end": 5}]});
        let object = json!({"object": "pack 1", "images": [image.clone(), image]});
        let shown = lines(&object);
        assert_eq!((shown.len(), shown[1]["ranges"].as_str()), (2, Some("0-5")));
        assert_eq!(lines(&json!({"object": "pack 2", "images": []}))[0]["ranges"], "none");
    }

    #[test]
    fn many_ranges_are_counted() {
        let many: Vec<Value> = (0..9).map(|n| json!({"start": n, "end": n + 1})).collect();
        assert_eq!(ranges(&many.into()), "0-1, 1-2, 2-3, 3-4 and 5 more");
    }
}
