//! `tintype metadefs load`: files in. Each is taken whole or not at all, and one that is wrong stops no other.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::super::client::{Api, Client};
use super::super::failure::{Failure, Status};
use super::super::output::{Column, Output};
use super::super::progress::Progress;
use crate::base::limits::JSON_BODY_BYTES_MAX;

/// Which files, and what to do with namespaces that are there.
#[derive(Args)]
pub struct Load {
    /// Files of JSON, or directories with such files (*.json)
    #[arg(required = true, value_name = "DIR_OR_FILE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    known: Known,
}

/// What to do with a namespace that is there already. None of these refuses it.
#[derive(Args)]
#[group(required = false, multiple = false)]
struct Known {
    /// Put what is in the file in the place of what has its name, and leave all else
    #[arg(long)]
    merge: bool,
    /// Put what is in the file in the place of all of it, also where it is protected
    #[arg(long)]
    overwrite: bool,
    /// Leave it as it is
    #[arg(long)]
    skip: bool,
}

const COLUMNS: [Column; 4] =
    [("File", "file"), ("Namespace", "namespace"), ("Outcome", "outcome"), ("Why", "error")];

/// Words of the outcomes, in the order in which they are summed up.
const OUTCOMES: [&str; 5] = ["created", "merged", "overwritten", "skipped", "failed"];

impl Known {
    fn mode(&self) -> &'static str {
        match self {
            Known { merge: true, .. } => "merge",
            Known { overwrite: true, .. } => "overwrite",
            Known { skip: true, .. } => "skip",
            _ => "create",
        }
    }
}

impl Load {
    /// Loads the files, one after the other.
    ///
    /// # Errors
    /// When there is no file, when the box cannot be reached, or when any file was not taken.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let mut files = Vec::new();
        for path in &self.paths {
            files.extend(files_of(path)?);
        }
        let mut progress = Progress::steps();
        let mut outcomes = Vec::new();
        for file in &files {
            progress.set("loading", outcomes.len() as u64);
            let loaded = load(client, file, self.known.mode()).await;
            outcomes.push(match loaded {
                Ok(loaded) => json!({
                    "file": file.display().to_string(),
                    "namespace": loaded["namespace"],
                    "outcome": loaded["outcome"],
                    "error": null,
                }),
                Err(failure) if failure.status == Status::Unreachable => return Err(failure),
                Err(failure) => json!({
                    "file": file.display().to_string(),
                    "namespace": null,
                    "outcome": "failed",
                    "error": failure.message,
                }),
            });
        }
        drop(progress);
        tell(&outcomes, output)
    }
}

/// Prints what became of each file and of all of them.
fn tell(outcomes: &[Value], output: Output) -> Result<(), Failure> {
    let count = |word: &str| outcomes.iter().filter(|outcome| outcome["outcome"] == word).count();
    let counted: Vec<(&str, usize)> = OUTCOMES.map(|word| (word, count(word))).into();
    if !output.json {
        // Where all went well there is no why.
        let columns = if count("failed") == 0 { &COLUMNS[..3] } else { &COLUMNS };
        output.rows(outcomes, columns)?;
    }
    let said: Vec<String> = counted
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    let summary: serde_json::Map<String, Value> =
        counted.iter().map(|(word, count)| ((*word).to_owned(), json!(count))).collect();
    let facts = json!({"files": outcomes, "summary": summary});
    let files = if outcomes.len() == 1 { "file" } else { "files" };
    output.done(&format!("{} {files}: {}", outcomes.len(), said.join(", ")), &facts)?;
    match count("failed") {
        0 => Ok(()),
        failed => Err(Failure::failed(format!("not loaded: {failed} of {} {files}", outcomes.len()))),
    }
}

async fn load(client: &Client, file: &Path, mode: &str) -> Result<Value, Failure> {
    let body = json!({"mode": mode, "namespace": read(file)?});
    client.call_json(Method::POST, Api::Native, "/metadefs", &body).await?.json().await
}

/// The file itself, or the files of JSON in the directory, by name.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error: std::io::Error| Failure::file(path, &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == "json") && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Failure::usage(format!("{}: has no file that ends in .json", path.display())));
    }
    files.sort();
    Ok(files)
}

/// A file's one JSON value. What it says, the box knows.
fn read(file: &Path) -> Result<Value, Failure> {
    let mut text = String::new();
    let most = JSON_BODY_BYTES_MAX as u64;
    let opened = File::open(file);
    let read = opened.and_then(|opened| opened.take(most + 1).read_to_string(&mut text));
    read.map_err(|error| Failure::file(file, &error))?;
    if text.len() as u64 > most {
        return Err(Failure::failed(format!("has more than {most} bytes")));
    }
    serde_json::from_str(&text).map_err(|error| Failure::failed(format!("is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stands_for_its_files_of_json() {
        let dir = tempfile::tempdir().unwrap();
        assert!(files_of(dir.path()).is_err());
        for name in ["b.json", "a.json", "README"] {
            std::fs::write(dir.path().join(name), "{}").unwrap();
        }
        std::fs::create_dir(dir.path().join("c.json")).unwrap();
        let found = files_of(dir.path()).ok().unwrap();
        assert_eq!(found, ["a.json", "b.json"].map(|name| dir.path().join(name)));
        let one = dir.path().join("README");
        assert_eq!(files_of(&one).ok().unwrap(), [one]);
    }

    #[test]
    fn a_file_that_is_too_long_or_no_json_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("n.json");
        for (text, said) in
            [("{", "no JSON".to_owned()), (&" ".repeat(JSON_BODY_BYTES_MAX + 1), "more than".to_owned())]
        {
            std::fs::write(&file, text).unwrap();
            assert!(read(&file).err().unwrap().message.contains(&said));
        }
        assert!(read(&dir.path().join("none")).err().unwrap().message.contains("none"));
    }

    #[test]
    fn the_modes_are_the_words_of_the_interface() {
        let known = |merge, overwrite, skip| Known { merge, overwrite, skip }.mode();
        assert_eq!(known(false, false, false), "create");
        assert_eq!(known(true, false, false), "merge");
        assert_eq!(known(false, true, false), "overwrite");
        assert_eq!(known(false, false, true), "skip");
    }
}
