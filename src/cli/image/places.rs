//! `tintype image places`: the buckets and regions that images may come from and go to.

use serde_json::{Value, json};

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;

/// Lists what the settings name and the caller's project may use.
///
/// # Errors
/// When the box refuses.
pub async fn run(client: &Client, output: Output) -> Result<(), Failure> {
    let answer = client.get(Api::Native, "/places").await?;
    if output.json {
        return output.record(&answer);
    }
    let buckets = answer["buckets"].as_array().into_iter().flatten().map(|bucket| {
        json!({
            "kind": "bucket",
            "name": bucket["name"],
            "fetch": bucket["read"],
            "export": bucket["write"],
            "machines": bucket["backups"],
        })
    });
    let regions = answer["regions"].as_array().into_iter().flatten();
    let regions = regions.map(|region| json!({"kind": "region", "name": region}));
    let rows: Vec<Value> = buckets.chain(regions).collect();
    let columns = [
        ("Kind", "kind"),
        ("Name", "name"),
        ("Fetch", "fetch"),
        ("Export", "export"),
        ("Machines", "machines"),
    ];
    output.rows(&rows, &columns)
}
