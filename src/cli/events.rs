//! `tintype events`: what happened to stored data, the newest first.

use clap::Args;
use serde_json::Value;

use super::client::{Api, Client};
use super::failure::Failure;
use super::output::Output;

/// Arguments of `tintype events`.
#[derive(Args)]
pub struct Events {}

impl Events {
    /// Prints the last events.
    ///
    /// # Errors
    /// When the box cannot be reached or refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let mut answer = client.get(Api::Native, "/events").await?;
        let Value::Array(events) = answer["events"].take() else {
            return Err(Failure::failed("the server's answer has no list of events"));
        };
        output.rows(
            &events,
            &[
                ("When", "at"),
                ("Event", "event"),
                ("Object", "object"),
                ("Detail", "detail"),
                ("Images", "images"),
            ],
        )
    }
}
