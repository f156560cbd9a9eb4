//! `tintype policy …`: documents that say what members of groups may do. They come from files, as they are
//! written by people and kept under version control.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::client::{Api, Client};
use super::failure::Failure;
use super::output::Output;
use crate::base::limits::JSON_BODY_BYTES_MAX;

/// Commands on policies.
#[derive(Subcommand)]
pub enum Policy {
    /// List policies, built-in ones included
    List,
    /// Show one policy, with its document and where it is attached
    Show {
        /// Id or name
        policy: String,
    },
    /// Write a policy
    Create {
        /// Its name
        name: String,
        #[command(flatten)]
        document: DocumentFile,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// Give a policy another document; it counts at once wherever the policy is attached
    Update {
        /// Id or name
        policy: String,
        #[command(flatten)]
        document: DocumentFile,
    },
    /// Delete a policy that is attached nowhere
    Delete {
        /// Id or name
        policy: String,
    },
    /// Give a group a policy
    Attach(Place),
    /// Take a policy from a group
    Detach(Place),
    /// What a user may do, and which statements say so
    Simulate(Question),
}

/// Where the document is.
#[derive(Args)]
pub struct DocumentFile {
    /// File with the document as JSON, or - for standard input
    #[arg(long = "file", value_name = "FILE")]
    file: PathBuf,
}

/// Which policy, to whom, and where.
#[derive(Args)]
pub struct Place {
    /// Id or name of the policy
    policy: String,
    /// Id or name of the group
    #[arg(long)]
    group: String,
    #[command(flatten)]
    reach: Reach,
}

/// Where it holds: neither is the default, as "everywhere" is nothing to say by leaving a word out.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Reach {
    /// Id or name of the project it holds in
    #[arg(long)]
    project: Option<String>,
    /// It holds in every project of the group's domain
    #[arg(long)]
    all_projects: bool,
}

/// Who, what, to which resource, where.
#[derive(Args)]
pub struct Question {
    /// Id or name of the user
    user: String,
    /// The action, such as ims:images:delete
    action: String,
    /// An image's id, or * for none in particular
    resource: String,
    /// Id or name of the project [default: the user's own]
    #[arg(long)]
    project: Option<String>,
    /// The address that is asked from, for conditions on it
    #[arg(long, value_name = "ADDRESS")]
    source_ip: Option<std::net::IpAddr>,
}

impl Policy {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses, or the file cannot be read.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Policy::List => list(client, output).await,
            Policy::Show { policy } => show(client, &policy, output).await,
            Policy::Create { name, document, description } => {
                let (name, description) = (Value::from(name), Value::from(description));
                let body = format!(
                    r#"{{"name":{name},"description":{description},"document":{}}}"#,
                    document.read()?
                );
                send(client, Method::POST, "/policies", body, output).await
            }
            Policy::Update { policy, document } => {
                let body = format!(r#"{{"document":{}}}"#, document.read()?);
                send(client, Method::PATCH, &path(&policy), body, output).await
            }
            Policy::Delete { policy } => {
                client.call(Method::DELETE, Api::Native, &path(&policy)).await?;
                output.done(&format!("Deleted policy {policy}"), &json!({"deleted": policy}))
            }
            Policy::Attach(place) => place.set(client, "attach", "is attached", output).await,
            Policy::Detach(place) => place.set(client, "detach", "is no longer attached", output).await,
            Policy::Simulate(question) => question.ask(client, output).await,
        }
    }
}

fn path(policy: &str) -> String {
    format!("/policies/{}", utf8_percent_encode(policy, NON_ALPHANUMERIC))
}

async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let answer = client.get(Api::Native, "/policies").await?;
    let policies = answer["policies"].as_array().map_or(&[][..], Vec::as_slice);
    output.rows(policies, &[("ID", "id"), ("Name", "name"), ("Type", "type"), ("Description", "description")])
}

async fn show(client: &Client, policy: &str, output: Output) -> Result<(), Failure> {
    let mut shown = client.get(Api::Native, &path(policy)).await?;
    let attached = client.get(Api::Native, &format!("{}/attachments", path(policy))).await?;
    shown["attachments"] = match output.json {
        true => attached["attachments"].clone(),
        false => attached["attachments"].as_array().into_iter().flatten().map(place_of).collect(),
    };
    output.record(&shown)
}

/// One attachment in words.
fn place_of(attached: &Value) -> Value {
    let group = attached["group"].as_str().unwrap_or_default();
    match attached["project"].as_str() {
        Some(project) => format!("group {group} in project {project}").into(),
        None => format!("group {group} in all projects").into(),
    }
}

async fn send(
    client: &Client,
    method: Method,
    path: &str,
    body: String,
    output: Output,
) -> Result<(), Failure> {
    let reply = client.call_text(method, Api::Native, path, body).await?;
    output.record(&reply.json().await?)
}

impl DocumentFile {
    /// The file's text: the server reads it as it is, so that it says where in it something is wrong.
    fn read(&self) -> Result<String, Failure> {
        let mut text = String::new();
        let limit = JSON_BODY_BYTES_MAX as u64;
        let read = match self.file.as_path() {
            path if path == Path::new("-") => std::io::stdin().take(limit).read_to_string(&mut text),
            path => std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text)),
        };
        read.map_err(|error| Failure::file(&self.file, &error))?;
        // What is no single value would change the meaning of the request around it.
        serde_json::from_str::<serde::de::IgnoredAny>(&text)
            .map_err(|error| Failure::usage(format!("{}: is no JSON: {error}", self.file.display())))?;
        Ok(text)
    }
}

impl Place {
    async fn set(self, client: &Client, verb: &str, state: &str, output: Output) -> Result<(), Failure> {
        let Reach { project, all_projects } = self.reach;
        let body = json!({"group": self.group, "project": project, "all_projects": all_projects});
        let path = format!("{}/{verb}", path(&self.policy));
        let reply = client.call_json(Method::POST, Api::Native, &path, &body).await?;
        let attached: Value = reply.json().await?;
        let place = place_of(&attached);
        let policy = attached["policy"].as_str().unwrap_or(&self.policy);
        output.done(&format!("Policy {policy} {state}: {}", place.as_str().unwrap_or_default()), &attached)
    }
}

impl Question {
    async fn ask(self, client: &Client, output: Output) -> Result<(), Failure> {
        let body = json!({
            "user": self.user,
            "action": self.action,
            "resource": self.resource,
            "project": self.project,
            "source_ip": self.source_ip,
        });
        let reply = client.call_json(Method::POST, Api::Native, "/policy-simulation", &body).await?;
        let explained: Value = reply.json().await?;
        if output.json {
            return output.record(&explained);
        }
        let verdict = if explained["allowed"] == true { "Allowed" } else { "Refused" };
        output
            .done(&format!("{verdict}: {}", explained["reason"].as_str().unwrap_or_default()), &explained)?;
        let matches: Vec<Value> =
            explained["matches"].as_array().into_iter().flatten().map(line_of).collect();
        if matches.is_empty() {
            return Ok(());
        }
        let columns = [
            ("Effect", "effect"),
            ("Policy", "policy"),
            ("Statement", "statement"),
            ("Through", "through"),
            ("Counts", "counts"),
        ];
        output.rows(&matches, &columns)
    }
}

/// One matching statement as a line of the table.
fn line_of(found: &Value) -> Value {
    let through = match (found["group"].as_str(), found["project_id"].as_str()) {
        (None, _) => "role".to_owned(),
        (Some(group), Some(_)) => format!("group {group} in the project"),
        (Some(group), None) => format!("group {group} in all projects"),
    };
    let counts = match found["does_not_count_because"].as_str() {
        Some(reason) => format!("no: {reason}"),
        None => "yes".to_owned(),
    };
    json!({
        "effect": found["effect"],
        "policy": found["policy"],
        "statement": format!("{} {}", found["statement"], found["text"]),
        "through": through,
        "counts": counts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_single_json_value_is_refused_here() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        for (text, is_good) in [("{\"a\": 1}\n", true), ("{}, \"name\": \"x\"", false), ("", false)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(DocumentFile { file: path.clone() }.read().is_ok(), is_good, "{text}");
        }
    }

    #[test]
    fn a_match_says_how_it_came() {
        let found = json!({
            "effect": "Deny", "policy": "p", "statement": 0, "text": {}, "group": "ops", "project_id": null,
            "does_not_count_because": null,
        });
        let line = line_of(&found);
        assert_eq!((&line["through"], &line["counts"]), (&json!("group ops in all projects"), &json!("yes")));
    }
}
