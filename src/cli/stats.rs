//! `tintype stats`: what the box stores, and what deduplication saves.

use clap::Args;

use super::client::{Api, Client};
use super::failure::Failure;
use super::output::Output;

/// Arguments of `tintype stats`.
#[derive(Args)]
pub struct Stats {}

impl Stats {
    /// Prints the figures.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        output.record(&client.get(Api::Native, "/stats").await?)
    }
}
