//! `tintype key status`: how the key ring is kept.

use clap::Args;

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;

/// Arguments of `tintype key status`.
#[derive(Args)]
pub struct Status {}

impl Status {
    /// Prints the ring's version, and how many of its three copies are whole.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        output.record(&client.get(Api::Native, "/key").await?)
    }
}
