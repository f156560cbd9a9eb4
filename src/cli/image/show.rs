//! `tintype image show`: an image's record, and what its owner should look at.

use clap::Args;
use serde_json::Value;

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;

/// Arguments of `tintype image show`.
#[derive(Args)]
pub struct Show {
    /// Id, name, or family:NAME for the latest of a family
    image: String,
}

/// A finding as a sentence: the field, what it is, and its word.
fn sentence(finding: &Value) -> String {
    let text = |name: &str| finding[name].as_str().unwrap_or_default();
    let value = finding["value"].as_str().map(|value| format!(" {value}")).unwrap_or_default();
    format!("{}{value}: {} ({})", text("field"), text("meaning"), text("code"))
}

impl Show {
    /// Prints the image's record.
    ///
    /// # Errors
    /// When there is none, or several have the name.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let mut image = super::find_to_read(client, &self.image).await?;
        let path = format!("/images/{}/verdict", super::id(&image)?);
        let mut found = client.get(Api::Native, &path).await?;
        if output.json {
            image["verdict"] = found["verdict"].take();
            return output.record(&image);
        }
        output.record(&image)?;
        let warnings = found["verdict"]["findings"].as_array().into_iter().flatten();
        for finding in warnings.filter(|finding| finding["severity"] == "warning") {
            output.remark(&sentence(finding))?;
        }
        Ok(())
    }
}
