//! `tintype openapi`: the description of all that a server answers, as an OpenAPI document on standard output.

use std::io::Write;

use clap::Args;

use super::failure::Failure;
use crate::api::openapi;

/// Arguments of `tintype openapi`.
#[derive(Args)]
pub struct Openapi {}

impl Openapi {
    /// Prints the document of a server with all that settings can switch off. No server is asked.
    ///
    /// # Errors
    /// When standard output is gone.
    pub fn run(self) -> Result<(), Failure> {
        let document = format!("{:#}\n", openapi::document());
        std::io::stdout().write_all(document.as_bytes()).map_err(|error| Failure::output(&error))
    }
}
