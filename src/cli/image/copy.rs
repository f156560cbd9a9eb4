//! `tintype image copy`: another image of the same data, in the same box or in another one.

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::following::{self, Patience};
use super::super::output::Output;

/// Arguments of `tintype image copy`.
#[derive(Args)]
pub struct Copy {
    /// Id or name of the image
    image: String,
    /// Name of the copy
    #[arg(long)]
    name: String,
    /// What is said of the copy
    #[arg(long)]
    description: Option<String>,
    /// Seal the copy with this custom key (id or alias; a sealed box)
    #[arg(long, value_name = "KEY", conflicts_with = "to")]
    custom_key: Option<String>,
    /// Copy it to this region: another box ("tintype image places" lists regions)
    #[arg(long, value_name = "REGION", requires = "project")]
    to: Option<String>,
    /// Project there that the copy is to belong to
    #[arg(long, requires = "to")]
    project: Option<String>,
    /// What the other box's settings want named besides (agency), where they want anything
    #[arg(long, requires = "to", default_value = "any")]
    agency: String,
    #[command(flatten)]
    patience: Patience,
}

impl Copy {
    /// Has the box copy the image.
    ///
    /// # Errors
    /// When the box refuses, or the job does not succeed.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = super::find_to_read(client, &self.image).await?;
        let (action, asked) = self.asked();
        let path = format!("/v1/cloudimages/{}/{action}", super::id(&image)?);
        let answer = client.call_json(Method::POST, Api::Management, &path, &asked).await?.json().await?;
        let job = self.patience.follow(client, following::job_of(&answer)?).await?;
        // An image in another box is that box's to show.
        if self.to.is_some() { output.record(&job) } else { super::print_made(client, output, &job).await }
    }

    fn asked(&self) -> (&'static str, Value) {
        let mut asked = json!({"name": self.name});
        let more = [
            ("description", &self.description),
            ("cmk_id", &self.custom_key),
            ("region", &self.to),
            ("project_name", &self.project),
        ];
        for (member, value) in more {
            if let Some(value) = value {
                asked[member] = value.as_str().into();
            }
        }
        if self.to.is_none() {
            return ("copy", asked);
        }
        asked["agency_name"] = self.agency.as_str().into();
        ("cross_region_copy", asked)
    }
}
