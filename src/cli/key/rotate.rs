//! `tintype key rotate`: another master key for a sealed box.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::super::client::{Api, Client, Payload, Target};
use super::super::failure::Failure;
use super::super::output::Output;
use crate::daemon::master_key;

/// Arguments of `tintype key rotate`.
#[derive(Args)]
pub struct Rotate {
    /// File of the new master key, made when it is not there
    #[arg(long, value_name = "FILE")]
    new_key_file: PathBuf,
}

impl Rotate {
    /// Has the box put its key ring under the key in the file.
    ///
    /// # Errors
    /// When the file holds no key, or the box is not on this machine or refuses.
    pub async fn run(self, client: &Client, target: &Target, output: Output) -> Result<(), Failure> {
        if target.data.is_none() {
            return Err(Failure::usage(
                "a master key must not travel over a network: name the box's directory with --data DIR, on its machine",
            ));
        }
        let path = &self.new_key_file;
        let made = master_key::make_file(path, &target.settings(Vec::new())?)?;
        let key = master_key::read_file(path)?;
        let payload = Payload {
            content_type: "application/octet-stream",
            length: Some(key.len() as u64),
            // Wiped when it was sent.
            body: Bytes::from_owner(key).into(),
        };
        let reply = client.send(Method::POST, Api::Native, "/key/rotate", Some(payload)).await?;
        let answer: Value = reply.json().await?;
        let file = path.display();
        let text = format!(
            "The master key is now the one in {file}{}, and the old one opens nothing but older backups of the\n\
             key ring. From the next start on give the new one: as store.key_file, --key-file or whatever gave the\n\
             old one. Make a new backup with \"tintype key backup FILE\".",
            if made { ", which was made for it: keep a copy in a safe place" } else { "" }
        );
        output.done(&text, &json!({"version": answer["version"], "key_file": path, "key_made": made}))
    }
}
