//! `tintype image …`: one file per command; here is what they share.

mod delete;
mod import;
mod list;
mod patience;
mod save;
mod send;
mod show;
mod verify;

use clap::Subcommand;
use serde_json::Value;

use super::client::{Api, Client};
use super::failure::Failure;
use super::output::Output;

/// Commands on images.
#[derive(Subcommand)]
pub enum Image {
    /// List images
    List(list::List),
    /// Show one image
    Show(show::Show),
    /// Make an image of a file, or of standard input
    Import(import::Import),
    /// Write an image's data to a file, or to standard output
    Save(save::Save),
    /// Delete images
    Delete(delete::Delete),
}

impl Image {
    /// Runs the command.
    ///
    /// # Errors
    /// What the command failed with.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Image::List(list) => list.run(client, output).await,
            Image::Show(show) => show.run(client, output).await,
            Image::Import(import) => import.run(client, output).await,
            Image::Save(save) => save.run(client, output).await,
            Image::Delete(delete) => delete.run(client, output).await,
        }
    }
}

/// The one image with this id, or else with this name.
async fn find(client: &Client, name: &str) -> Result<Value, Failure> {
    if uuid::Uuid::try_parse(name).is_ok() {
        return client.get(Api::Image, &format!("/v2/images/{name}")).await;
    }
    let query = list::query(&[("name", name)]);
    let mut found = list::all(client, &query).await?;
    match (found.pop(), found.len()) {
        (None, _) => Err(Failure::not_found(format!("no image called \"{name}\""))),
        (Some(image), 0) => Ok(image),
        (Some(_), more) => {
            Err(Failure::failed(format!("{} images are called \"{name}\"; name one by its id", more + 1)))
        }
    }
}

fn id(image: &Value) -> Result<&str, Failure> {
    image["id"].as_str().ok_or_else(|| Failure::failed("the server's answer names no image id"))
}
