//! `tintype image list`.

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::{Column, Output};

/// What a table of images shows.
pub(super) const COLUMNS: [Column; 6] = [
    ("ID", "id"),
    ("Name", "name"),
    ("Format", "disk_format"),
    ("Size", "size"),
    ("Status", "status"),
    ("Visibility", "visibility"),
];

/// Columns of a spreadsheet: what people keep lists of images for.
const SHEET: [Column; 13] = [
    ("ID", "id"),
    ("Name", "name"),
    ("Status", "status"),
    ("OS type", "__os_type"),
    ("OS", "__os_version"),
    ("Kind", "virtual_env_type"),
    ("Visibility", "visibility"),
    ("Created", "created_at"),
    ("Minimum disk (GiB)", "min_disk"),
    ("Size (bytes)", "size"),
    ("Virtual size (bytes)", "virtual_size"),
    ("Format", "disk_format"),
    ("Key", "__system__cmkid"),
];

/// Arguments of `tintype image list`.
#[derive(Args)]
pub struct List {
    /// Only images with this name
    #[arg(long)]
    name: Option<String>,
    /// Only images in this state
    #[arg(long)]
    status: Option<String>,
    /// Only images with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Print comma-separated values, for spreadsheets
    #[arg(long)]
    csv: bool,
}

impl List {
    /// Lists what the caller may see.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        if self.csv && output.json {
            return Err(Failure::usage("--csv and --json are two forms; name one"));
        }
        let wanted = [("name", &self.name), ("status", &self.status), ("tag", &self.tag)];
        let pairs: Vec<(&str, &str)> =
            wanted.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))).collect();
        let images = all(client, &query(&pairs)).await?;
        if self.csv {
            return output.csv(&images, &SHEET);
        }
        output.rows(&images, &COLUMNS)
    }
}

/// A query string, `?` included; empty without pairs.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let encoded: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    if encoded.is_empty() { String::new() } else { format!("?{}", encoded.join("&")) }
}

/// Every image of a listing, page after page.
pub(super) async fn all(client: &Client, query: &str) -> Result<Vec<Value>, Failure> {
    let mut images = Vec::new();
    let mut path = format!("/v2/images{query}");
    loop {
        let mut page = client.get(Api::Image, &path).await?;
        if let Some(Value::Array(rows)) = page.get_mut("images").map(Value::take) {
            images.extend(rows);
        }
        match page["next"].as_str() {
            Some(next) if next != path => path = next.to_owned(),
            _ => return Ok(images),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_add_a_filter() {
        assert_eq!(query(&[]), "");
        assert_eq!(query(&[("name", "a&owner=b c"), ("tag", "t")]), "?name=a%26owner%3Db%20c&tag=t");
    }
}
