//! `tintype image extents` and `tintype image diff`: where a guest's disk has data, and where two differ.

use clap::Args;
use serde_json::{Value, json};

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;

/// Arguments of `tintype image extents`.
#[derive(Args)]
pub struct Extents {
    /// Id, name, or family:NAME for the latest of a family
    image: String,
}

/// Arguments of `tintype image diff`.
#[derive(Args)]
pub struct Diff {
    /// The image that changes are told from
    old: String,
    /// The image that has them
    new: String,
    /// Read what may differ and compare it, to the 4 KiB: without it, an answer costs no reading, and may also name
    /// data that is the same
    #[arg(long)]
    exact: bool,
}

impl Extents {
    /// Prints where the disk has data.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = super::find_to_read(client, &self.image).await?;
        let path = format!("/images/{}/extents?", super::id(&image)?);
        let all = all(client, &path, "extents").await?;
        output.rows(&all, &[("Offset", "offset"), ("Bytes", "bytes"), ("Zeros", "zero")])
    }
}

impl Diff {
    /// Prints where the newer disk differs from the older.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let old = super::find_to_read(client, &self.old).await?;
        let new = super::find_to_read(client, &self.new).await?;
        let exact = if self.exact { "&exact=true" } else { "" };
        let path = format!("/images/{}/changes?since={}{exact}&", super::id(&new)?, super::id(&old)?);
        let all = all(client, &path, "changes").await?;
        output.rows(&all, &[("Offset", "offset"), ("Bytes", "bytes")])?;
        if !output.json {
            let bytes: u64 = all.iter().filter_map(|range| range["bytes"].as_u64()).sum();
            let may = if self.exact { "differ" } else { "may differ" };
            let sentence = format!("{bytes} bytes in {} places {may}", all.len());
            output.done(&sentence, &json!({}))?;
        }
        Ok(())
    }
}

/// All of a list that comes in pages.
async fn all(client: &Client, path: &str, name: &str) -> Result<Vec<Value>, Failure> {
    let (mut found, mut from) = (Vec::new(), 0);
    loop {
        let mut page = client.get(Api::Native, &format!("{path}from={from}")).await?;
        if let Some(Value::Array(more)) = page.get_mut(name).map(Value::take) {
            found.extend(more);
        }
        match page["next"].as_u64() {
            Some(next) if next > from => from = next,
            _ => return Ok(found),
        }
    }
}
