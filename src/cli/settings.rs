//! `tintype settings`: what a server that is started like this has, from all layers. No server is asked.

use clap::Args;

use super::client::Target;
use super::failure::Failure;
use super::output::Output;

/// Arguments of `tintype settings`.
#[derive(Args)]
pub struct Settings {
    /// Those alone that are not the default
    #[arg(long)]
    changed: bool,
}

impl Settings {
    /// Prints them as a settings file, without secrets.
    ///
    /// # Errors
    /// When one of them is wrong.
    pub fn run(self, target: &Target, output: Output) -> Result<(), Failure> {
        let settings = target.settings(Vec::new())?;
        if output.json {
            return output.record(&settings.told(self.changed));
        }
        let file = settings.told_as_file(self.changed);
        output.remark(match file.trim_end() {
            "" => "# Every setting has its default.",
            file => file,
        })
    }
}
