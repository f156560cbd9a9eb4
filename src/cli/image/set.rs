//! `tintype image set`, `deactivate` and `reactivate`: what an image's record says, and whether its data may be had.
//!
//! Fields and properties change in one request, all of them or none; tags follow one by one, so that two who set tags at the same
//! time lose none of each other's.

use clap::{ArgGroup, Args};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::super::client::{Api, Client, Payload};
use super::super::failure::Failure;
use super::super::output::Output;
use super::new::{VISIBILITIES, pair};
use crate::model::image::{CONTAINER_FORMATS, DISK_FORMATS};

/// Changes of a record, as RFC 6902 has them.
const PATCH: &str = "application/openstack-images-v2.1-json-patch";

/// Arguments of `tintype image set`.
#[derive(Args)]
#[command(group(ArgGroup::new("change").required(true).multiple(true)))]
pub struct Set {
    /// Id or name
    image: String,
    /// Another name
    #[arg(long, group = "change")]
    name: Option<String>,
    /// Who may see it
    #[arg(long, group = "change", value_parser = VISIBILITIES)]
    visibility: Option<String>,
    /// GiB of disk that a machine needs for it
    #[arg(long, group = "change", value_name = "GIB")]
    min_disk: Option<u64>,
    /// MiB of memory that a machine needs for it
    #[arg(long, group = "change", value_name = "MIB")]
    min_ram: Option<u64>,
    /// Whether it cannot be deleted
    #[arg(long, group = "change", value_name = "BOOL")]
    protected: Option<bool>,
    /// Whether lists leave it out
    #[arg(long, group = "change", value_name = "BOOL")]
    hidden: Option<bool>,
    /// What the data is, or the disk in it; only before there is data
    #[arg(long, group = "change", value_parser = DISK_FORMATS)]
    disk_format: Option<String>,
    /// What surrounds the data; only before there is data
    #[arg(long, group = "change", value_parser = CONTAINER_FORMATS)]
    container_format: Option<String>,
    /// A property that it carries from now on; of an ova with several disks, tintype_disk=N has disk N read
    #[arg(long, group = "change", value_name = "KEY=VALUE", value_parser = pair)]
    property: Vec<(String, String)>,
    /// A property that it carries no more
    #[arg(long, group = "change", value_name = "KEY")]
    unset: Vec<String>,
    /// A tag that it carries from now on
    #[arg(long, group = "change")]
    tag: Vec<String>,
    /// A tag that it carries no more
    #[arg(long, group = "change", value_name = "TAG")]
    untag: Vec<String>,
}

impl Set {
    /// Changes the record, and prints it.
    ///
    /// # Errors
    /// When there is no such image, or the box refuses; of fields and properties none is changed then.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = super::find(client, &self.image).await?;
        let path = format!("/v2/images/{}", super::id(&image)?);
        let changes = self.changes();
        if !changes.is_empty() {
            let body = Value::from(changes).to_string();
            let payload = Payload { content_type: PATCH, length: Some(body.len() as u64), body: body.into() };
            client.send(Method::PATCH, Api::Image, &path, Some(payload)).await?;
        }
        for (method, tags) in [(Method::PUT, &self.tag), (Method::DELETE, &self.untag)] {
            for tag in tags {
                let tag = utf8_percent_encode(tag, NON_ALPHANUMERIC);
                client.call(method.clone(), Api::Image, &format!("{path}/tags/{tag}")).await?;
            }
        }
        output.record(&client.get(Api::Image, &path).await?)
    }

    /// The operations of a patch.
    fn changes(&self) -> Vec<Value> {
        let fields = [
            ("name", self.name.as_ref().map(|name| json!(name))),
            ("visibility", self.visibility.as_ref().map(|who| json!(who))),
            ("min_disk", self.min_disk.map(|gib| json!(gib))),
            ("min_ram", self.min_ram.map(|mib| json!(mib))),
            ("protected", self.protected.map(|is| json!(is))),
            ("os_hidden", self.hidden.map(|is| json!(is))),
            ("disk_format", self.disk_format.as_ref().map(|format| json!(format))),
            ("container_format", self.container_format.as_ref().map(|format| json!(format))),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some(change("replace", name, value?)));
        let properties = self.property.iter().map(|(key, value)| change("add", key, json!(value)));
        let unset = self.unset.iter().map(|key| json!({"op": "remove", "path": pointer(key)}));
        fields.chain(properties).chain(unset).collect()
    }
}

fn change(op: &str, key: &str, value: Value) -> Value {
    json!({"op": op, "path": pointer(key), "value": value})
}

/// What names a key of the record (RFC 6901).
fn pointer(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Arguments of `tintype image deactivate` and `reactivate`.
#[derive(Args)]
pub struct Which {
    /// Ids or names
    #[arg(required = true)]
    images: Vec<String>,
}

impl Which {
    /// Lets nobody but administrators read the images' data, until they are active again.
    ///
    /// # Errors
    /// When one is not there: then none is changed. When the box refuses one: those before it are.
    pub async fn deactivate(self, client: &Client, output: Output) -> Result<(), Failure> {
        self.act(client, output, "deactivate", "Deactivated").await
    }

    /// Undoes that.
    ///
    /// # Errors
    /// Likewise.
    pub async fn reactivate(self, client: &Client, output: Output) -> Result<(), Failure> {
        self.act(client, output, "reactivate", "Active again:").await
    }

    async fn act(self, client: &Client, output: Output, action: &str, done: &str) -> Result<(), Failure> {
        let found = super::ids(client, &self.images).await?;
        for id in &found {
            client.call(Method::POST, Api::Image, &format!("/v2/images/{id}/actions/{action}")).await?;
        }
        output.done(&format!("{done} {}", found.join(" ")), &json!({"images": found}))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        set: Set,
    }

    fn parsed(words: &[&str]) -> Result<Set, clap::error::ErrorKind> {
        let line = Line::try_parse_from([&["set", "image"], words].concat());
        line.map(|line| line.set).map_err(|error| error.kind())
    }

    #[test]
    fn what_is_said_becomes_one_patch_and_nothing_said_is_none() {
        let words =
            ["--name", "n", "--protected", "true", "--property", "a/b~c=1=2", "--unset", "d", "--tag", "t"];
        let changes = parsed(&words).unwrap().changes();
        let expected = [
            json!({"op": "replace", "path": "/name", "value": "n"}),
            json!({"op": "replace", "path": "/protected", "value": true}),
            json!({"op": "add", "path": "/a~1b~0c", "value": "1=2"}),
            json!({"op": "remove", "path": "/d"}),
        ];
        assert_eq!(changes, expected);
        assert!(parsed(&["--tag", "t"]).unwrap().changes().is_empty());
        assert_eq!(parsed(&[]).err(), Some(clap::error::ErrorKind::MissingRequiredArgument));
        assert_eq!(parsed(&["--visibility", "all"]).err(), Some(clap::error::ErrorKind::InvalidValue));
    }
}
