//! `tintype image show`.

use clap::Args;

use super::super::client::Client;
use super::super::failure::Failure;
use super::super::output::Output;

/// Arguments of `tintype image show`.
#[derive(Args)]
pub struct Show {
    /// Id, name, or family:NAME for the latest of a family
    image: String,
}

impl Show {
    /// Prints the image's record.
    ///
    /// # Errors
    /// When there is none, or several have the name.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        output.record(&super::find_to_read(client, &self.image).await?)
    }
}
