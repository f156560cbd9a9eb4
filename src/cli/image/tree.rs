//! `tintype image ls` and `tintype image cat`: directories and single files of an image's disk.

use clap::Args;
use futures::StreamExt;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;

/// Which file or directory of an image is meant.
#[derive(Args)]
struct Place {
    /// Partition with the file system (image inspect lists them; 0 is the whole disk) [default: the system's root]
    #[arg(long, value_name = "NUMBER")]
    partition: Option<u32>,
}

/// Arguments of `tintype image ls`.
#[derive(Args)]
pub struct Ls {
    /// Id, name, or family:NAME for the latest of a family
    image: String,
    /// Directory on the image's disk
    #[arg(default_value = "/")]
    path: String,
    #[command(flatten)]
    place: Place,
}

/// Arguments of `tintype image cat`.
#[derive(Args)]
pub struct Cat {
    /// Id, name, or family:NAME for the latest of a family
    image: String,
    /// File on the image's disk
    path: String,
    #[command(flatten)]
    place: Place,
}

const COLUMNS: [(&str, &str); 6] = [
    ("Mode", "mode"),
    ("Type", "type"),
    ("Size", "size_bytes"),
    ("Changed", "modified_at"),
    ("Name", "name"),
    ("Leads to", "target"),
];

impl Ls {
    /// Lists a directory.
    ///
    /// # Errors
    /// When there is none.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = super::find_to_read(client, &self.image).await?;
        let path = address(&image, &self.path, &self.place)?;
        let reply = client.call(Method::GET, Api::Native, &path).await?;
        if reply.headers().get(http::header::CONTENT_TYPE).is_none_or(|media| media != "application/json") {
            return Err(Failure::failed(format!("{} is a file: image cat prints it", self.path)));
        }
        let listing = reply.json().await?;
        let entries = listing["entries"].as_array().cloned().unwrap_or_default();
        output.rows(&entries, &COLUMNS)?;
        if listing["is_cut"] == true {
            return Err(Failure::failed("the directory has more entries, which are not listed"));
        }
        Ok(())
    }
}

impl Cat {
    /// Writes a file to standard output.
    ///
    /// # Errors
    /// When there is none, or it does not arrive whole.
    pub async fn run(self, client: &Client) -> Result<(), Failure> {
        let image = super::find_to_read(client, &self.image).await?;
        let path = address(&image, &self.path, &self.place)?;
        let reply = client.call(Method::GET, Api::Native, &path).await?;
        if reply.headers().get(http::header::CONTENT_TYPE).is_some_and(|media| media == "application/json") {
            return Err(Failure::failed(format!("{} is a directory: image ls lists it", self.path)));
        }
        let mut out = tokio::io::stdout();
        let mut pieces = reply.bytes();
        while let Some(piece) = pieces.next().await {
            out.write_all(&piece?).await.map_err(|e| Failure::output(&e))?;
        }
        out.flush().await.map_err(|e| Failure::output(&e))
    }
}

fn address(image: &Value, path: &str, place: &Place) -> Result<String, Failure> {
    let mut names = Vec::new();
    for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
        // Whatever the request passes would take it for a step up in its own path.
        if name == ".." {
            return Err(Failure::usage("the path has a \"..\": name the directory itself"));
        }
        names.push(utf8_percent_encode(name, NON_ALPHANUMERIC).to_string());
    }
    let query = place.partition.map(|number| format!("?partition={number}")).unwrap_or_default();
    Ok(format!("/images/{}/tree/{}{query}", super::id(image)?, names.join("/")))
}
