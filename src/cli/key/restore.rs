//! `tintype key restore`: puts a lost key ring back.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::client::Target;
use super::super::failure::Failure;
use super::super::output::Output;
use crate::daemon::keys;

/// Arguments of `tintype key restore`.
#[derive(Args)]
pub struct Restore {
    /// File that "tintype key backup" wrote
    file: PathBuf,
}

impl Restore {
    /// Restores the ring of the closed box.
    ///
    /// # Errors
    /// When the ring is not lost, or the file is no backup of it.
    pub fn run(self, target: &Target, output: Output) -> Result<(), Failure> {
        if target.data.is_none() {
            return Err(Failure::usage("which box? Name its data directory (--data DIR)"));
        }
        let backup = std::fs::read(&self.file).map_err(|e| Failure::file(&self.file, &e))?;
        let version = keys::restore(&target.settings(Vec::new())?, &backup)?;
        let text = format!("Put version {version} of the key ring back.");
        output.done(&text, &json!({ "version": version }))
    }
}
