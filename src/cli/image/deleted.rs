//! `tintype image deleted`, `undelete` and `purge`: images that were deleted and are retained for a while.

use clap::Args;
use http::Method;
use serde_json::json;

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;

/// Names one deleted image.
#[derive(Args)]
pub struct Which {
    /// Its id, as "image deleted" lists it
    image: String,
}

/// Lists them.
///
/// # Errors
/// When the box refuses.
pub async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let (mut images, mut query) = (Vec::new(), String::new());
    loop {
        let mut answer = client.get(Api::Native, &format!("/deleted-images{query}")).await?;
        let Some(page) = answer["deleted_images"].as_array_mut().map(std::mem::take) else { break };
        let Some(last) = page.last().and_then(|image| image["id"].as_str()) else { break };
        query = format!("?marker={last}");
        images.extend(page);
    }
    let columns = [
        ("ID", "id"),
        ("Name", "name"),
        ("Size", "size"),
        ("Owner", "owner"),
        ("Deleted", "deleted_at"),
        ("Goes", "purged_at"),
    ];
    output.rows(&images, &columns)
}

impl Which {
    fn path(&self, below: &str) -> Result<String, Failure> {
        match uuid::Uuid::try_parse(&self.image) {
            Ok(id) => Ok(format!("/deleted-images/{}{below}", id.hyphenated())),
            Err(_) => Err(Failure::usage(format!(
                "{:?} is no id: deleted images are named by their ids, which \"tintype image deleted\" lists",
                self.image
            ))),
        }
    }

    /// Brings it back.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn restore(self, client: &Client, output: Output) -> Result<(), Failure> {
        let reply = client.call(Method::POST, Api::Native, &self.path("/restore")?).await?;
        output.record(&reply.json().await?)
    }

    /// Gives its space back.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn purge(self, client: &Client, output: Output) -> Result<(), Failure> {
        client.call(Method::DELETE, Api::Native, &self.path("")?).await?;
        output.done(&format!("Purged image {}", self.image), &json!({"purged": self.image}))
    }
}
