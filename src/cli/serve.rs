//! `tintype serve`: runs the server in the foreground and says how to reach it.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::client::Target;
use super::failure::Failure;
use super::init::key_file_flag;
use super::output::Output;
use crate::daemon::serve::{Ready, serve};

/// Arguments of `tintype serve`.
#[derive(Args)]
pub struct Serve {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:9292]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// URL clients reach this server by, where it is not the Host they name
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Serve disks over NBD, too: at ADDR:PORT, or at unix:/PATH
    #[arg(long, value_name = "ADDR:PORT")]
    nbd: Option<String>,
    /// Serve every image's disk over NBD to whoever connects, on loopback or a Unix socket only
    #[arg(long)]
    nbd_insecure: bool,
    /// File of a sealed store's master key [default: store.key_file, the systemd credential
    /// "tintype-key", TINTYPE_STORE_KEY or store.key_command, whichever is set]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Serve {
    /// Runs until told to stop.
    ///
    /// # Errors
    /// Why it did not start, or did not end well.
    pub fn run(self, target: &Target, output: Output) -> Result<(), Failure> {
        let mut flags = Vec::new();
        flags.extend(self.listen.map(|listen| ("server.listen", listen)));
        flags.extend(self.public_url.map(|url| ("server.public_url", url)));
        flags.extend(self.nbd.map(|listen| ("nbd.listen", listen)));
        flags.extend(self.nbd_insecure.then(|| ("nbd.insecure", "true".to_owned())));
        flags.extend(key_file_flag(self.key_file)?);
        let settings = target.settings(flags)?;
        Ok(serve(&settings, |ready| announce(ready, output))?)
    }
}

fn announce(ready: &Ready<'_>, output: Output) {
    let clouds = ready.dir.clouds_file();
    let text = if output.json {
        let facts = json!({
            "url": ready.url,
            "address": ready.address.to_string(),
            "data": ready.dir.path(),
            "clouds": clouds,
            "keystone": ready.keystone,
            "nbd": ready.nbd,
            "pid": std::process::id(),
        });
        format!("{facts}\n")
    } else {
        let password = match (ready.keystone, ready.new_password) {
            (Some(keystone), _) => format!("  sign-in        the cloud's Keystone at {keystone}\n"),
            (None, Some(password)) => format!(
                "  administrator  admin, password {password} (kept in {})\n",
                ready.dir.admin_password_file().display()
            ),
            (None, None) => String::new(),
        };
        let console = match ready.console {
            true => format!("  console        {}/console/\n", ready.url),
            false => String::new(),
        };
        let disks = match ready.nbd {
            Some(place) => format!("  disks          {place}\n"),
            None => String::new(),
        };
        format!(
            "Tintype listens on {url}\n  data           {data}\n{password}  clients        \
             export OS_CLIENT_CONFIG_FILE={clouds} OS_CLOUD=tintype\n{console}{disks}",
            url = ready.url,
            data = ready.dir.path().display(),
            clouds = clouds.display(),
        )
    };
    let mut out = std::io::stdout().lock();
    // A server whose standard output was closed serves all the same.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
