//! `tintype key backup`: the wrapped key ring in a file, for escrow.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;
use futures::TryStreamExt;
use http::Method;
use serde_json::json;

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;

/// Arguments of `tintype key backup`.
#[derive(Args)]
pub struct Backup {
    /// File to write; it must not be there yet
    file: PathBuf,
}

impl Backup {
    /// Writes the ring to the file, durably.
    ///
    /// # Errors
    /// When the box refuses, or the file is there or cannot be written.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let pieces = client.call(Method::GET, Api::Native, "/key/backup").await?.bytes();
        let ring: Vec<u8> = pieces.try_collect::<Vec<_>>().await?.concat();
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.file)?;
            file.write_all(&ring)?;
            file.sync_all()
        };
        write().map_err(|e| Failure::file(&self.file, &e))?;
        let text = format!(
            "Wrote the key ring to {}. With the master key, and only with it, \"tintype key restore\" puts a lost\n\
             ring back. Make a new one after each change of keys.",
            self.file.display()
        );
        output.done(&text, &json!({"file": self.file, "bytes": ring.len()}))
    }
}
