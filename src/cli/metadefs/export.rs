//! `tintype metadefs export`: namespaces out, into files that `load` takes on this box or another.
//!
//! Invariant: what only this box knows (owners, times, links) is in no file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::super::client::{Api, Client};
use super::super::destination::Destination;
use super::super::failure::Failure;
use super::super::output::{Column, Output};
use super::namespaces;

/// Keys that only the box sets, or that mean nothing on another one.
const OWN: [&str; 5] = ["self", "schema", "created_at", "updated_at", "owner"];
/// What stays as it is in a file's name: none of it leads out of the directory.
const IN_FILE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b':');

/// Which namespaces, and where to.
#[derive(Args)]
pub struct Export {
    /// Directory for the files, one for each namespace; made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// This one alone [default: every namespace that you may see]
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Write over files that are there
    #[arg(long)]
    force: bool,
}

const COLUMNS: [Column; 2] = [("Namespace", "namespace"), ("File", "file")];

impl Export {
    /// Writes the files.
    ///
    /// # Errors
    /// When the box refuses, a file is there already, or one cannot be written.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let names = match self.namespace {
            Some(name) => vec![name],
            None => {
                let found = namespaces(client).await?;
                found.iter().filter_map(|one| one["namespace"].as_str().map(str::to_owned)).collect()
            }
        };
        std::fs::create_dir_all(&self.dir).map_err(|error| Failure::file(&self.dir, &error))?;
        let mut written = Vec::new();
        for name in names {
            let path = format!("/v2/metadefs/namespaces/{}", utf8_percent_encode(&name, NON_ALPHANUMERIC));
            let namespace = for_a_file(client.get(Api::Image, &path).await?);
            let file = self.dir.join(format!("{}.json", utf8_percent_encode(&name, IN_FILE)));
            write(&file, &format!("{namespace:#}\n"), self.force)?;
            written.push(json!({"namespace": name, "file": file.display().to_string()}));
        }
        output.rows(&written, &COLUMNS)
    }
}

/// What of a namespace goes into a file.
fn for_a_file(mut namespace: Value) -> Value {
    strip(&mut namespace);
    for nested in ["resource_type_associations", "objects"] {
        let all = namespace.get_mut(nested).and_then(Value::as_array_mut);
        all.into_iter().flatten().for_each(strip);
    }
    // Shown with the newest first, and loaded in their order.
    if let Some(tags) = namespace.get_mut("tags").and_then(Value::as_array_mut) {
        tags.reverse();
    }
    namespace
}

fn strip(value: &mut Value) {
    if let Some(keys) = value.as_object_mut() {
        keys.retain(|key, _| !OWN.contains(&key.as_str()));
    }
}

/// Writes a whole file, or leaves what was there.
fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::failed(format!(
            "{} is there already: choose another directory, or write over it with --force",
            path.display()
        )),
        _ => Failure::file(path, error),
    };
    if !force {
        let created = OpenOptions::new().write(true).create_new(true).open(path);
        return created.and_then(|file| fill(file, text, path)).map_err(|error| failed(&error));
    }
    let Destination::File(path) = Destination::of(path)? else {
        return Err(Failure::failed(format!(
            "{}: is no file, and is not written over: choose another directory",
            path.display()
        )));
    };
    let part = path.with_extension("json.part");
    let filled = File::create(&part).and_then(|file| fill(file, text, &part));
    filled.and_then(|()| std::fs::rename(&part, &path)).map_err(|error| failed(&error))
}

/// Fills a new file, or removes it.
fn fill(mut file: File, text: &str, path: &Path) -> std::io::Result<()> {
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).inspect_err(|_| {
        // The failure to write is what the caller hears of.
        let _ = std::fs::remove_file(path);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_box_knows_is_in_no_file() {
        let shown = json!({
            "namespace": "N", "owner": "p", "created_at": "t", "updated_at": "t", "self": "s", "schema": "s",
            "resource_type_associations": [{"name": "T", "created_at": "t", "updated_at": "t"}],
            "properties": {"owner": {"title": "Owner", "type": "string"}},
            "objects": [{"name": "o", "required": [], "properties": {}, "self": "s", "schema": "s", "created_at": "t"}],
            "tags": [{"name": "new"}, {"name": "old"}],
        });
        let expected = json!({
            "namespace": "N",
            "resource_type_associations": [{"name": "T"}],
            "properties": {"owner": {"title": "Owner", "type": "string"}},
            "objects": [{"name": "o", "required": [], "properties": {}}],
            "tags": [{"name": "old"}, {"name": "new"}],
        });
        assert_eq!(for_a_file(shown), expected);
        assert_eq!(for_a_file(json!({"namespace": "N"})), json!({"namespace": "N"}));
    }

    #[test]
    fn a_file_that_is_there_is_kept_unless_it_is_to_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n.json");
        write(&path, "one", false).ok().unwrap();
        assert!(write(&path, "two", false).err().unwrap().message.contains("--force"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        write(&path, "two", true).ok().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let (link, null) = (dir.path().join("link.json"), dir.path().join("null.json"));
        std::os::unix::fs::symlink("n.json", &link).unwrap();
        write(&link, "three", true).ok().unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three");
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        assert!(write(&null, "four", true).err().unwrap().message.contains("no file"));
        assert!(null.is_symlink());
    }

    #[test]
    fn no_name_leads_out_of_the_directory() {
        let name = |name: &str| utf8_percent_encode(name, IN_FILE).to_string();
        assert_eq!(name("OS::Compute::Libvirt"), "OS::Compute::Libvirt");
        assert_eq!(name("../a b"), "..%2Fa%20b");
    }
}
