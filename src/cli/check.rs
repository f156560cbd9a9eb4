//! `tintype check`: has the box verify everything it stores.

use clap::Args;

use super::client::Client;
use super::failure::Failure;
use super::lines::follow;
use super::output::Output;

/// Arguments of `tintype check`.
#[derive(Args)]
pub struct Check {}

impl Check {
    /// Runs the check; damage is a failure.
    ///
    /// # Errors
    /// When something is damaged, or the check cannot run.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let report = follow(client, "/check").await?;
        output.record(&report)?;
        if report["damaged"].as_array().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        Err(Failure::failed("stored data is damaged; the images listed need their data again"))
    }
}
