//! `tintype cache`: what lies in the cache in front of a bucket.

use clap::{Args, Subcommand, ValueEnum};
use http::{HeaderName, Method};
use serde_json::{Value, json};

use super::client::{Api, Client};
use super::failure::Failure;
use super::image;
use super::output::Output;

/// The cache on local disk, where data lies in a bucket.
#[derive(Subcommand)]
pub enum Cache {
    /// Images all of whose data lies there, and those that are to come
    List,
    /// Have images brought there, by a job each
    Add(Images),
    /// Let it go of images
    Drop(Images),
    /// Let it go of everything, and end what is to come
    Clear(Clear),
}

/// Names images.
#[derive(Args)]
pub struct Images {
    /// Ids or names
    #[arg(required = true)]
    images: Vec<String>,
}

/// Arguments of `tintype cache clear`.
#[derive(Args)]
pub struct Clear {
    /// Clear no more than this
    #[arg(long)]
    only: Option<Part>,
}

/// A part of what can be cleared.
#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// What lies there
    Cache,
    /// What is to come
    Queue,
}

impl Cache {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Cache::List => list(client, output).await,
            Cache::Add(images) => {
                let ids = images.each(client, Method::PUT).await?;
                output.done(&format!("To be cached: {}", ids.join(" ")), &json!({ "queued": ids }))
            }
            Cache::Drop(images) => {
                let ids = images.each(client, Method::DELETE).await?;
                output.done(&format!("Not cached any more: {}", ids.join(" ")), &json!({ "dropped": ids }))
            }
            Cache::Clear(clear) => clear.run(client, output).await,
        }
    }
}

impl Images {
    /// Asks for each image, once all are found; stops at the first that is refused.
    async fn each(&self, client: &Client, method: Method) -> Result<Vec<String>, Failure> {
        let ids = image::ids(client, &self.images).await?;
        for id in &ids {
            client.call(method.clone(), Api::Image, &format!("/v2/cache/{id}")).await?;
        }
        Ok(ids)
    }
}

impl Clear {
    async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let target = match self.only {
            None => "",
            Some(Part::Cache) => "cache",
            Some(Part::Queue) => "queue",
        };
        let header = (HeaderName::from_static("x-image-cache-clear-target"), target);
        client.send_with(Method::DELETE, Api::Image, "/v2/cache", &[header], None).await?;
        output.done("Cleared", &json!({ "cleared": if target.is_empty() { "both" } else { target } }))
    }
}

async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let mut answer = client.get(Api::Image, "/v2/cache").await?;
    let Value::Array(mut rows) = answer["cached_images"].take() else {
        return Err(Failure::failed("the server's answer has no list of cached images"));
    };
    rows.iter_mut().for_each(|row| row["state"] = "cached".into());
    let queued = answer["queued_images"].as_array().into_iter().flatten();
    rows.extend(queued.map(|id| json!({ "image_id": id, "state": "queued" })));
    let columns = [
        ("Image", "image_id"),
        ("State", "state"),
        ("Size", "size"),
        ("Hits", "hits"),
        ("Last read", "last_accessed"),
        ("Cached", "last_modified"),
    ];
    output.rows(&rows, &columns)
}
