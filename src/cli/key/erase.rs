//! `tintype key erase-domain`: makes what one key domain sealed unreadable.

use clap::Args;
use http::Method;
use serde_json::json;

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;

/// Arguments of `tintype key erase-domain`.
#[derive(Args)]
pub struct EraseDomain {
    /// Its number, as "key status" lists it
    domain: u32,
}

impl EraseDomain {
    /// Has the box forget the keys.
    ///
    /// # Errors
    /// When the box refuses, or could not delete every ring that held them: then repeat it.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let domain = self.domain;
        client.call(Method::DELETE, Api::Native, &format!("/key/domains/{domain}")).await?;
        let text = format!(
            "The keys of domain {domain} are gone, and nobody can read its images any more; what they took comes\n\
             back by itself, or with \"gc\", and their names stay until they are deleted. Backups of the key ring that\n\
             were made before still hold the keys: delete those too."
        );
        output.done(&text, &json!({ "domain": domain }))
    }
}
