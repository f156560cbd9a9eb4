//! `tintype image fetch`: a file of a bucket becomes an image, or a backup there a whole machine's images.

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::following::{self, Patience};
use super::super::output::Output;
use super::new::NewImage;

/// Arguments of `tintype image fetch`.
#[derive(Args)]
pub struct Fetch {
    /// Where the file is, as BUCKET:FILE ("tintype image places" lists buckets); with --machine, the id of a backup
    from: String,
    /// Make the images of a whole machine from this backup
    #[arg(
        long,
        requires = "name",
        conflicts_with_all = ["disk_format", "visibility", "property", "tag", "key", "own_key"]
    )]
    machine: bool,
    #[command(flatten)]
    new: NewImage,
    #[command(flatten)]
    patience: Patience,
}

impl Fetch {
    /// Has the box fill an image from a bucket. Nothing is left of it when the box refuses.
    ///
    /// # Errors
    /// When the box refuses, or the job does not succeed.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let answer =
            if self.machine { self.order_machine(client).await? } else { self.order(client).await? };
        let job = self.patience.follow(client, following::job_of(&answer)?).await?;
        super::print_made(client, output, &job).await
    }

    /// Registers an image and asks for it to be filled.
    async fn order(&self, client: &Client) -> Result<Value, Failure> {
        let file = self.from.rsplit_once(':').filter(|(bucket, file)| !bucket.is_empty() && !file.is_empty());
        let Some((_, file)) = file else {
            return Err(Failure::usage(format!("{:?} has not the form BUCKET:FILE", self.from)));
        };
        let mut record = self.new.record(std::path::Path::new(file), None);
        self.new.seal(client, &mut record).await?;
        let created = client.call_json(Method::POST, Api::Image, "/v2/images", &record).await?.json().await?;
        let id = super::id(&created)?;
        let asked = json!({"image_url": self.from});
        let path = format!("/v1/cloudimages/{id}/upload");
        match client.call_json(Method::PUT, Api::Management, &path, &asked).await {
            Ok(reply) => reply.json().await,
            Err(failure) => {
                // Best effort: what the person must see is why it was not filled.
                let _ = client.call(Method::DELETE, Api::Image, &format!("/v2/images/{id}")).await;
                Err(failure)
            }
        }
    }

    async fn order_machine(&self, client: &Client) -> Result<Value, Failure> {
        let asked = json!({"name": self.new.name, "backup_id": self.from, "whole_image_type": "CBR"});
        let path = "/v1/cloudimages/wholeimages/action";
        client.call_json(Method::POST, Api::Management, path, &asked).await?.json().await
    }
}
