//! `tintype image copy-to` and `tintype image drop-copy`: in which stores of the box an image's data lies.

use clap::Args;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::following::{self, Patience};
use super::super::output::Output;

/// Arguments of `tintype image copy-to`.
#[derive(Args)]
pub struct CopyTo {
    /// Id or name of the image
    image: String,
    /// Stores to copy its data to
    #[arg(required = true, value_name = "STORE")]
    stores: Vec<String>,
    /// Keep what was copied where some stores cannot be reached
    #[arg(long)]
    any: bool,
    #[command(flatten)]
    patience: Patience,
}

impl CopyTo {
    /// Has the box copy the image's data.
    ///
    /// # Errors
    /// When the box refuses, or the job does not succeed.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = super::find(client, &self.image).await?;
        let path = format!("/images/{}/copies", super::id(&image)?);
        let asked = json!({"stores": self.stores, "all_must_succeed": !self.any});
        let answer = client.call_json(Method::POST, Api::Native, &path, &asked).await?.json().await?;
        output.record(&self.patience.follow(client, following::job_of(&answer)?).await?)
    }
}

/// Arguments of `tintype image drop-copy`.
#[derive(Args)]
pub struct DropCopy {
    /// Id or name of the image
    image: String,
    /// Store to take its data from; it stays in the others
    store: String,
}

impl DropCopy {
    /// Takes the data away there.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = super::find(client, &self.image).await?;
        let (id, store) = (super::id(&image)?, utf8_percent_encode(&self.store, NON_ALPHANUMERIC));
        client.call(Method::DELETE, Api::Image, &format!("/v2/stores/{store}/{id}")).await?;
        output.record(&client.get(Api::Image, &format!("/v2/images/{id}")).await?)
    }
}
