//! `tintype completions`: a shell's completion script on standard output.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::failure::Failure;

/// Arguments of `tintype completions`.
#[derive(Args)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    ///
    /// # Errors
    /// When standard output is gone.
    pub fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Arguments::command(), "tintype", &mut script);
        std::io::stdout().write_all(&script).map_err(|e| Failure::output(&e))
    }
}
