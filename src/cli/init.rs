//! `tintype init`: makes a box without running it.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::client::Target;
use super::failure::Failure;
use super::output::Output;
use crate::daemon::Settings;
use crate::daemon::init::{Made, init};
use crate::daemon::master_key::{self, Source};

/// Arguments of `tintype init`.
#[derive(Args)]
pub struct Init {
    /// Seal everything that is stored, under a master key kept apart from it
    #[arg(long)]
    sealed: bool,
    /// File of the master key, made when it is not there [default: store.key_file, the systemd
    /// credential "tintype-key", TINTYPE_STORE_KEY or store.key_command, whichever is set]
    #[arg(long, value_name = "FILE", requires = "sealed")]
    key_file: Option<PathBuf>,
}

impl Init {
    /// Makes the box and says where its secrets are and how to start it.
    ///
    /// # Errors
    /// When the directory holds a box already, or cannot be used.
    pub fn run(self, target: &Target, output: Output) -> Result<(), Failure> {
        let settings = target.settings(key_file_flag(self.key_file)?.into_iter().collect())?;
        let made = init(&settings, self.sealed)?;
        report(&made, &settings, output)
    }
}

/// The setting that `--key-file` stands for.
pub fn key_file_flag(file: Option<PathBuf>) -> Result<Option<(&'static str, String)>, Failure> {
    let text = |file: PathBuf| file.into_os_string().into_string();
    let named = file.map(text).transpose().map_err(|_| Failure::usage("--key-file is no UTF-8"))?;
    Ok(named.map(|file| ("store.key_file", file)))
}

fn report(made: &Made, settings: &Settings, output: Output) -> Result<(), Failure> {
    let (data, password) = (made.dir.path(), made.dir.admin_password_file());
    let source = master_key::source(settings)?.filter(|_| made.sealed);
    let key = source.as_ref().and_then(Source::file);
    let mut text = format!(
        "Made a box in {}; the password of its administrator \"admin\" is in {}",
        data.display(),
        password.display()
    );
    if let Some(key) = &key {
        let (data, key) = (data.display(), key.display());
        if made.new_key {
            text += &format!(
                "\nMade its master key {key}. Without it nobody can read the images, you included: keep\n\
                 a copy in a safe place, apart from the data."
            );
        }
        text += &format!(
            "\nThe store is sealed. Start it with\n  tintype --data {data} serve --key-file {key}\n\
             or name the file as store.key_file, or give systemd the credential \"tintype-key\"."
        );
    } else if let Some(source) = &source {
        text += &format!("\nThe store is sealed, with the key from {}.", source.name());
    }
    let facts = json!({
        "data": data,
        "admin_password_file": password,
        "clouds": made.dir.clouds_file(),
        "sealed": made.sealed,
        "key_file": key,
        "key_made": made.new_key,
    });
    output.done(&text, &facts)
}
