//! `tintype scrub`: has the box compare everything it stores with what was written.

use clap::Args;

use super::client::{Api, Client};
use super::failure::Failure;
use super::lines::follow;
use super::output::Output;

/// Arguments of `tintype scrub`.
#[derive(Args)]
pub struct Scrub {
    /// Compare everything now, as fast as the medium gives, and wait for it (the default)
    #[arg(long, conflicts_with = "status")]
    now: bool,
    /// Show how far the scrub in the background is
    #[arg(long)]
    status: bool,
}

impl Scrub {
    /// Runs or shows the scrub; damage is a failure.
    ///
    /// # Errors
    /// When something is damaged, or the scrub cannot run.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        if self.status {
            return output.record(&client.get(Api::Native, "/scrub").await?);
        }
        let report = follow(client, "/scrub").await?;
        output.record(&report)?;
        match report["damaged_objects"].as_u64() {
            Some(0) => Ok(()),
            _ => Err(Failure::failed(
                "stored objects are damaged; \"tintype damage list\" shows which images and bytes are lost, and \
                 uploading their data again heals them",
            )),
        }
    }
}
