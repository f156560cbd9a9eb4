//! `tintype stats`: what the box stores, and what deduplication saves.

use clap::Args;
use serde_json::Value;

use super::client::{Api, Client};
use super::failure::Failure;
use super::output::Output;

/// Arguments of `tintype stats`.
#[derive(Args)]
pub struct Stats {}

impl Stats {
    /// Prints the figures.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let mut figures = client.get(Api::Native, "/stats").await?;
        if !output.json {
            leave_out_absent(&mut figures);
            spread_stores(&mut figures);
        }
        output.record(&figures)
    }
}

/// Where deleted images are not retained, nobody asks after them.
fn leave_out_absent(figures: &mut Value) {
    if figures["deleted_images"] == 0
        && let Some(figures) = figures.as_object_mut()
    {
        figures.retain(|name, _| !name.starts_with("deleted_image"));
    }
}

/// A line for each store, and one for what keeps it from answering.
fn spread_stores(figures: &mut Value) {
    let Some(figures) = figures.as_object_mut() else { return };
    let Some(Value::Array(stores)) = figures.remove("stores") else { return };
    for store in stores {
        let name = store["name"].as_str().unwrap_or_default();
        figures.insert(format!("{name}_stored_bytes"), store["stored_bytes"].clone());
        if !store["trouble"].is_null() {
            figures.insert(format!("{name}_trouble"), store["trouble"].clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_store_has_a_line_and_what_is_wrong_with_it_another() {
        let stores = json!([
            {"name": "main", "stored_bytes": 1, "trouble": null},
            {"name": "cold", "stored_bytes": 2, "trouble": "away"},
        ]);
        let mut figures = json!({"images": 1, "stores": stores});
        spread_stores(&mut figures);
        let wanted = json!({
            "images": 1, "main_stored_bytes": 1, "cold_stored_bytes": 2, "cold_trouble": "away",
        });
        assert_eq!(figures, wanted);
    }

    #[test]
    fn deleted_images_are_told_of_where_there_are_some() {
        for (deleted, left) in [(0, 1), (2, 3)] {
            let mut figures = json!({"images": 1, "deleted_images": deleted, "deleted_image_bytes": 0});
            leave_out_absent(&mut figures);
            assert_eq!(figures.as_object().unwrap().len(), left);
        }
    }
}
