//! `tintype image delete`.

use clap::Args;
use http::Method;
use serde_json::json;

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;

/// Arguments of `tintype image delete`.
#[derive(Args)]
pub struct Delete {
    /// Ids or names
    #[arg(required = true)]
    images: Vec<String>,
}

impl Delete {
    /// Deletes the images, one after the other, once all are found; stops at the first that cannot be.
    ///
    /// # Errors
    /// When one is not there: then none is deleted. When one is protected: those before it are.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let found = super::ids(client, &self.images).await?;
        let mut deleted = Vec::new();
        for id in found {
            client.call(Method::DELETE, Api::Image, &format!("/v2/images/{id}")).await?;
            deleted.push(id);
        }
        output.done(&format!("Deleted {}", deleted.join(" ")), &json!({"deleted": deleted}))
    }
}
