//! `tintype image export`: an image's data goes to a file of a bucket.

use clap::Args;
use http::Method;
use serde_json::json;

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::following::{self, Patience};
use super::super::output::Output;

/// Arguments of `tintype image export`.
#[derive(Args)]
pub struct Export {
    /// Id or name of the image
    image: String,
    /// Where to, as BUCKET:FILE ("tintype image places" lists buckets); nothing is overwritten
    to: String,
    /// Format that the file is to have; as the image is stored without
    #[arg(long, value_parser = ["raw", "qcow2", "vhd", "vmdk"])]
    format: Option<String>,
    #[command(flatten)]
    patience: Patience,
}

impl Export {
    /// Has the box write the data: as it is stored, or in another format.
    ///
    /// # Errors
    /// When the box refuses, or the job does not succeed.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = super::find_to_read(client, &self.image).await?;
        let path = format!("/v1/cloudimages/{}/file", super::id(&image)?);
        let asked = match &self.format {
            Some(format) => json!({"bucket_url": self.to, "file_format": format}),
            None => json!({"bucket_url": self.to, "is_quick_export": true}),
        };
        let answer = client.call_json(Method::POST, Api::Management, &path, &asked).await?.json().await?;
        output.record(&self.patience.follow(client, following::job_of(&answer)?).await?)
    }
}
