//! `tintype init`: makes a box without running it.

use clap::Args;
use serde_json::json;

use super::client::Target;
use super::failure::Failure;
use super::output::Output;
use crate::daemon::compose;

/// Arguments of `tintype init`.
#[derive(Args)]
pub struct Init {}

impl Init {
    /// Makes the box and prints where its administrator's password is.
    ///
    /// # Errors
    /// When the directory holds a box already, or cannot be used.
    pub fn run(self, target: &Target, output: Output) -> Result<(), Failure> {
        let settings = target.settings(Vec::new())?;
        let data = &settings.server.data;
        if data.join("catalog.redb").exists() {
            return Err(Failure::failed(format!("{}: there is a box here already", data.display())));
        }
        let parts = compose::open(&settings)?;
        let facts = json!({"data": parts.dir.path(), "admin_password_file": parts.dir.admin_password_file()});
        let sentence = format!(
            "Made a box in {}; the password of its administrator \"admin\" is in {}",
            parts.dir.path().display(),
            parts.dir.admin_password_file().display()
        );
        parts.close()?;
        output.done(&sentence, &facts)
    }
}
