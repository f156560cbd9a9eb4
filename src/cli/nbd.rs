//! `tintype nbd`: disks of images, open block by block to whoever has the address that is printed.

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::client::{Api, Client};
use super::failure::Failure;
use super::image;
use super::lifetime;
use super::output::Output;
use crate::model::disk_export::is_export_id;
use crate::service::disk_exports::export_id_of;

/// Disks of images over NBD (tintype serve --nbd).
#[derive(Subcommand)]
pub enum Nbd {
    /// Open an image's disk for a while to whoever has the address that this prints, once
    Open(Open),
    /// List what is open: your own, or everything for administrators
    List,
    /// Close a disk, and end its connections: what was written by them is gone
    Close(Which),
}

/// Says what, and how long.
#[derive(Args)]
pub struct Open {
    /// Id or name of the image, or family:NAME
    image: String,
    /// How long one may connect, such as 90s, 30m, 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime::seconds)]
    ttl: i64,
    /// Let each connection write to a copy of its own, which is thrown away at its end
    #[arg(long)]
    writable: bool,
    /// With --writable: keep what a connection wrote, as an image of this name, when it ends in good order
    #[arg(long, value_name = "NAME", requires = "writable")]
    capture: Option<String>,
}

/// Names one export.
#[derive(Args)]
pub struct Which {
    /// Its id, as "tintype nbd list" has it, its address, or the name in that
    export: String,
}

impl Nbd {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Nbd::Open(open) => open.run(client, output).await,
            Nbd::List => list(client, output).await,
            Nbd::Close(which) => which.close(client, output).await,
        }
    }
}

impl Open {
    async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = image::find_to_read(client, &self.image).await?;
        let asked = json!({
            "image": image::id(&image)?,
            "ttl_s": self.ttl,
            "writable": self.writable,
            "capture": self.capture,
        });
        let reply = client.call_json(Method::POST, Api::Native, "/nbd/exports", &asked).await?;
        output.record(&reply.json().await?)
    }
}

impl Which {
    async fn close(self, client: &Client, output: Output) -> Result<(), Failure> {
        let id = id_of(&self.export);
        let path = format!("/nbd/exports/{}", utf8_percent_encode(&id, NON_ALPHANUMERIC));
        let cut = client.call(Method::DELETE, Api::Native, &path).await?.json().await?;
        let facts = json!({
            "closed": id,
            "connections": cut["connections"],
            "lost_writes": cut["lost_writes"],
            "captures": cut["captures"],
        });
        output.done(&format!("Closed {id}{}", told(&cut)), &facts)
    }
}

/// What became of the connections of a disk that was closed; nothing where there were none.
fn told(cut: &Value) -> String {
    let number = |member: &str| cut[member].as_u64().unwrap_or(0);
    let mut told = String::new();
    match (number("connections"), number("lost_writes")) {
        (0, _) => {}
        (1, 0) => told.push_str("; one connection was ended"),
        (1, _) => told.push_str("; one connection was ended, and what it had written is gone"),
        (ended, 0) => told.push_str(&format!("; {ended} connections were ended")),
        (ended, lost) => told.push_str(&format!(
            "; {ended} connections were ended, and what {lost} of them had written is gone"
        )),
    }
    if number("captures") > 0 {
        told.push_str("; an image is still being made of what was written before");
    }
    told
}

async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let mut answer = client.get(Api::Native, "/nbd/exports").await?;
    let exports = answer.get_mut("exports").map(Value::take);
    let columns = [
        ("Id", "id"),
        ("Image", "image"),
        ("Image id", "image_id"),
        ("Writable", "writable"),
        ("Captured as", "capture"),
        ("Expires", "expires_at"),
        ("Connections", "connections"),
    ];
    output.rows(exports.as_ref().and_then(Value::as_array).map_or(&[], Vec::as_slice), &columns)
}

/// The id of what is named. A name, by itself or in an address, is a secret, and does not leave for that.
fn id_of(named: &str) -> String {
    match named.split_once("://") {
        None if is_export_id(named) => named.to_owned(),
        None => export_id_of(named),
        Some((_, rest)) => {
            let path = rest.split('?').next().unwrap_or_default();
            export_id_of(path.rsplit('/').next().unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_name_lead_to_their_id() {
        assert_eq!(id_of("00ff00ff00ff00ff"), "00ff00ff00ff00ff");
        let named = ["nbd://box:10809/NAME", "nbd+unix:///NAME?socket=/run/a/b", "NAME"];
        for named in named {
            assert_eq!(id_of(named), export_id_of("NAME"), "{named}");
        }
    }

    #[test]
    fn what_was_lost_is_told() {
        let told = |connections, lost_writes, captures| {
            told(&json!({"connections": connections, "lost_writes": lost_writes, "captures": captures}))
        };
        assert_eq!(told(0, 0, 0), "");
        assert_eq!(told(1, 0, 0), "; one connection was ended");
        assert!(told(1, 1, 0).ends_with("and what it had written is gone"));
        assert!(told(3, 2, 0).ends_with("3 connections were ended, and what 2 of them had written is gone"));
        assert!(told(0, 0, 1).starts_with("; an image is still being made"));
    }
}
