//! `tintype key rotate-domain`: gives one key domain another key, and seals its data anew.

use clap::Args;

use super::super::client::Client;
use super::super::failure::Failure;
use super::super::lines::follow;
use super::super::output::Output;

/// Arguments of `tintype key rotate-domain`.
#[derive(Args)]
pub struct RotateDomain {
    /// Its number, as "key status" lists it
    domain: u32,
}

impl RotateDomain {
    /// Has the box seal the domain anew, and waits for it.
    ///
    /// # Errors
    /// When the box refuses, or objects of the domain do not read back.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        output.record(&follow(client, &format!("/key/domains/{}/rotate", self.domain)).await?)
    }
}
