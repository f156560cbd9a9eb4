//! What a command says of an image that it makes from a file: name, formats, visibility, properties, tags and key.

use std::path::Path;

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use crate::disk::probe::Format;
use crate::model::image::DISK_FORMATS;
use crate::service::images::{CUSTOM_KEY_PROPERTY, KEY_PROPERTY, OWN_KEY};

/// Who may see an image.
pub(super) const VISIBILITIES: [&str; 4] = ["private", "shared", "community", "public"];
/// What an archive of a machine is called, and how its name ends.
const ARCHIVE: &str = "ova";

/// An image to be made.
#[derive(Args)]
pub struct NewImage {
    /// Name of the image [default: the file's name without its ending]
    #[arg(long)]
    pub name: Option<String>,
    /// What the data is, or the disk in it [default: by the file's ending, else by its bytes; vmdk for an ova]
    #[arg(long, value_parser = DISK_FORMATS)]
    disk_format: Option<String>,
    /// What surrounds the data [default: ova for such a file, else bare]
    #[arg(long)]
    container_format: Option<String>,
    /// Who may see it
    #[arg(long, default_value = "shared", value_parser = VISIBILITIES)]
    visibility: String,
    /// A property the image carries
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    property: Vec<(String, String)>,
    /// A tag the image carries
    #[arg(long)]
    tag: Vec<String>,
    /// Seal it with this key of the project, which is made where there is none (a sealed box)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["own_key", "custom_key"])]
    key: Option<String>,
    /// Seal it with a key of its own, which goes when the image is deleted (a sealed box)
    #[arg(long, conflicts_with = "custom_key")]
    own_key: bool,
    /// Seal it with this custom key (id or alias; a sealed box)
    #[arg(long, value_name = "KEY")]
    custom_key: Option<String>,
}

impl NewImage {
    /// What the box is told of an image that is made from this file, which is such a container by its bytes.
    pub fn record(&self, file: &Path, container: Option<Format>) -> Value {
        let mut record = json!({
            "disk_format": self.disk_format(file, container),
            "container_format": self.container_format(file, container),
            "visibility": self.visibility,
            "tags": self.tag,
        });
        if let Some(name) = self.name(file) {
            record["name"] = name.into();
        }
        let own = self.own_key.then_some(OWN_KEY);
        if let Some(name) = self.key.as_deref().or(own) {
            record[KEY_PROPERTY] = name.into();
        }
        for (key, value) in &self.property {
            record[key] = value.as_str().into();
        }
        record
    }

    /// Names the custom key in the record, where one was asked for.
    ///
    /// # Errors
    /// When there is no such key.
    pub async fn seal(&self, client: &Client, record: &mut Value) -> Result<(), Failure> {
        if let Some(key) = &self.custom_key {
            // An alias is the native API's word; images carry ids.
            let path = format!("/custom-keys/{}", utf8_percent_encode(key, NON_ALPHANUMERIC));
            record[CUSTOM_KEY_PROPERTY] = client.get(Api::Native, &path).await?["id"].take();
        }
        Ok(())
    }

    /// What the image is called: as asked, or as the file.
    pub fn name<'name>(&'name self, file: &'name Path) -> Option<&'name str> {
        let stem = file.file_stem().and_then(|s| s.to_str()).filter(|s| *s != "-");
        self.name.as_deref().or(stem)
    }

    /// Whether the file's bytes say what neither the command nor the file's name does.
    pub fn goes_by_bytes(&self, file: &Path) -> bool {
        self.disk_format.is_none() && named(file).is_none()
    }

    fn disk_format(&self, file: &Path, container: Option<Format>) -> &str {
        match (&self.disk_format, named(file)) {
            (Some(format), _) => format,
            (None, Some(format)) if format != ARCHIVE => format,
            // What machines in an archive have, but for what somebody made by hand.
            _ if self.container_format(file, container) == ARCHIVE => "vmdk",
            // An archive that is said to be none is kept as it is.
            _ => container.filter(|format| *format != Format::Ova).map_or("raw", Format::as_str),
        }
    }

    fn container_format(&self, file: &Path, container: Option<Format>) -> &str {
        let is_archive = named(file).map_or(container == Some(Format::Ova), |named| named == ARCHIVE);
        let found = if is_archive { ARCHIVE } else { "bare" };
        self.container_format.as_deref().unwrap_or(found)
    }
}

/// What a file is by the ending of its name, where that is the name of a format.
fn named(file: &Path) -> Option<&'static str> {
    let ending = file.extension().and_then(|ending| ending.to_str())?.to_ascii_lowercase();
    DISK_FORMATS.into_iter().chain([ARCHIVE]).find(|format| *format == ending)
}

/// A key and its value, as a person types them.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it has the form KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(file: &str) -> Value {
        record_of(file, None)
    }

    fn record_of(file: &str, container: Option<Format>) -> Value {
        of(None).record(Path::new(file), container)
    }

    fn of(name: Option<String>) -> NewImage {
        NewImage {
            name,
            disk_format: None,
            container_format: None,
            visibility: "shared".into(),
            property: vec![("os".into(), "debian=12".into())],
            tag: vec![],
            key: None,
            own_key: false,
            custom_key: None,
        }
    }

    #[test]
    fn bytes_say_what_a_file_is_whose_name_does_not() {
        for file in ["jammy.img", "noending", "-", "disk.vpc"] {
            assert_eq!(record_of(file, Some(Format::Qcow2))["disk_format"], "qcow2", "{file}");
            assert_eq!(record_of(file, None)["disk_format"], "raw", "{file}");
        }
        let machine = record_of("machine", Some(Format::Ova));
        assert_eq!((&machine["disk_format"], &machine["container_format"]), (&json!("vmdk"), &json!("ova")));
        // There is no disk of that format.
        let bare = NewImage { container_format: Some("bare".into()), ..of(None) };
        assert_eq!(bare.record(Path::new("machine"), Some(Format::Ova))["disk_format"], "raw");
        // A disk whose guest wrote what looks like a container stays what its name says.
        assert_eq!(record_of("disk.raw", Some(Format::Qcow2))["disk_format"], "raw");
    }

    #[test]
    fn the_files_name_says_what_it_is() {
        let made = record("/x/deb.ian.qcow2");
        assert_eq!((&made["name"], &made["disk_format"]), (&json!("deb.ian"), &json!("qcow2")));
        assert_eq!(made["os"], "debian=12");
        assert_eq!(record("disk.img")["disk_format"], "raw");
        assert_eq!(record("disk.img")["container_format"], "bare");
        let machine = record("machine.ova");
        assert_eq!((&machine["disk_format"], &machine["container_format"]), (&json!("vmdk"), &json!("ova")));
        assert_eq!(record("A.VHD")["disk_format"], "vhd");
        assert!(record("-").get("name").is_none());
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(pair("=x").is_err());
    }
}
