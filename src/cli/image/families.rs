//! `tintype image families`: kinds of images, and the latest of each.

use serde_json::{Value, json};

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;

/// Lists families with the image that `family:NAME` stands for.
///
/// # Errors
/// When the box refuses.
pub async fn run(client: &Client, output: Output) -> Result<(), Failure> {
    let answer = client.get(Api::Native, "/families").await?;
    let families: Vec<Value> = answer["families"].as_array().into_iter().flatten().map(flat).collect();
    let columns = [
        ("Family", "family"),
        ("Images", "images"),
        ("Latest", "latest_id"),
        ("Name", "latest_name"),
        ("Created", "latest_created_at"),
    ];
    output.rows(&families, &columns)
}

fn flat(family: &Value) -> Value {
    let latest = &family["latest"];
    json!({
        "family": family["family"],
        "images": family["images"],
        "latest_id": latest["id"],
        "latest_name": latest["name"],
        "latest_created_at": latest["created_at"],
    })
}
