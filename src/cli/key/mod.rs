//! `tintype key`: the keys of a sealed box.

mod backup;
mod erase;
mod restore;
mod rotate;
mod rotate_domain;
mod status;

use clap::Subcommand;

use super::client::{Client, Target};
use super::failure::Failure;
use super::output::Output;

/// Keys of a sealed box.
#[derive(Subcommand)]
pub enum Key {
    /// How the key ring is kept
    Status(status::Status),
    /// Put the key ring under another master key, at once; nothing is sealed again
    Rotate(rotate::Rotate),
    /// Give a domain another key, and seal its data anew; what is cut off is gone on with
    RotateDomain(rotate_domain::RotateDomain),
    /// Delete the keys of a domain: its images become unreadable for everyone, for good
    EraseDomain(erase::EraseDomain),
    /// Write the wrapped key ring to a file; without the master key it is worth nothing
    Backup(backup::Backup),
    /// Put a lost key ring back from a backup; the server must be stopped
    Restore(restore::Restore),
}

impl Key {
    /// What needs no open box, as none opens without its ring; other commands come back.
    ///
    /// # Errors
    /// The command's failure.
    pub fn run_closed(self, target: &Target, output: Output) -> Result<Option<Key>, Failure> {
        match self {
            Key::Restore(restore) => restore.run(target, output).map(|()| None),
            other => Ok(Some(other)),
        }
    }

    /// Runs the command on an open box.
    ///
    /// # Errors
    /// The command's failure.
    pub async fn run(self, client: &Client, target: &Target, output: Output) -> Result<(), Failure> {
        match self {
            Key::Status(status) => status.run(client, output).await,
            Key::Rotate(rotate) => rotate.run(client, target, output).await,
            Key::RotateDomain(rotate) => rotate.run(client, output).await,
            Key::EraseDomain(erase) => erase.run(client, output).await,
            Key::Backup(backup) => backup.run(client, output).await,
            Key::Restore(restore) => restore.run(target, output),
        }
    }
}
