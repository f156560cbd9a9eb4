//! `tintype gc`: has the box give back the space of what was deleted.

use clap::Args;

use super::client::Client;
use super::failure::Failure;
use super::lines::follow;
use super::output::Output;

/// Arguments of `tintype gc`.
#[derive(Args)]
pub struct Gc {}

impl Gc {
    /// Runs the collection and prints what it gave back.
    ///
    /// # Errors
    /// When it cannot run.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        output.record(&follow(client, "/gc").await?)
    }
}
