//! `tintype custom-key`: keys of projects that images are sealed with by choice.

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::client::{Api, Client};
use super::failure::Failure;
use super::lines::follow;
use super::output::{Column, Output};

/// Custom keys: what images are sealed with that were given one (`image import --custom-key`).
#[derive(Subcommand)]
pub enum CustomKey {
    /// Make one
    Create(Create),
    /// All that you may see
    List(List),
    /// Show one
    Show(Which),
    /// Have a key seal and open again
    Enable(Which),
    /// Take a key out of use: what it sealed is handed out to nobody
    Disable(Which),
    /// Have a key deleted later; what it sealed is lost then
    Delete(Delete),
    /// Keep a key that is to be deleted; it is disabled then
    Keep(Which),
    /// Give a key other material, and seal all that it sealed anew
    Rotate(Which),
    /// Let another project open what the key sealed, once that is shared with it
    Grant(Grant),
    /// Take a grant back
    Withdraw(Grant),
}

/// Says what to make.
#[derive(Args)]
pub struct Create {
    /// Its name, unique in the project
    alias: String,
    /// Id of its project; by default yours
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// Says which to list.
#[derive(Args)]
pub struct List {
    /// Deleted ones too
    #[arg(long)]
    deleted: bool,
}

/// Names one key.
#[derive(Args)]
pub struct Which {
    /// Its id, or its alias in your project
    key: String,
}

/// Says which, and when.
#[derive(Args)]
pub struct Delete {
    /// Its id, or its alias in your project
    key: String,
    /// Days until then, 7 to 1096
    #[arg(long, value_name = "N", default_value_t = 7)]
    days: u32,
}

/// Says which, and to whom.
#[derive(Args)]
pub struct Grant {
    /// Its id, or its alias in your project
    key: String,
    /// Id of the other project
    project: String,
}

const COLUMNS: [Column; 6] = [
    ("Id", "id"),
    ("Alias", "alias"),
    ("State", "state"),
    ("Project", "project_id"),
    ("Created", "created_at"),
    ("Deletion", "deletion_at"),
];

impl CustomKey {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            CustomKey::Create(create) => create.run(client, output).await,
            CustomKey::List(List { deleted }) => list(client, deleted, output).await,
            CustomKey::Show(Which { key }) => output.record(&client.get(Api::Native, &path(&key, "")).await?),
            CustomKey::Enable(Which { key }) => switch(client, &key, true, output).await,
            CustomKey::Disable(Which { key }) => switch(client, &key, false, output).await,
            CustomKey::Delete(Delete { key, days }) => {
                tell(client, Method::DELETE, &path(&key, &format!("?days={days}")), output).await
            }
            CustomKey::Keep(Which { key }) => tell(client, Method::POST, &path(&key, "/keep"), output).await,
            CustomKey::Rotate(Which { key }) => output.record(&follow(client, &path(&key, "/rotate")).await?),
            CustomKey::Grant(grant) => tell(client, Method::PUT, &grant.path(), output).await,
            CustomKey::Withdraw(grant) => tell(client, Method::DELETE, &grant.path(), output).await,
        }
    }
}

impl Create {
    async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let body = json!({"alias": self.alias, "project_id": self.project, "description": self.description});
        let reply = client.call_json(Method::POST, Api::Native, "/custom-keys", &body).await?;
        output.record(&reply.json().await?)
    }
}

impl Grant {
    fn path(&self) -> String {
        path(&self.key, &format!("/grants/{}", utf8_percent_encode(&self.project, NON_ALPHANUMERIC)))
    }
}

fn path(key: &str, below: &str) -> String {
    format!("/custom-keys/{}{below}", utf8_percent_encode(key, NON_ALPHANUMERIC))
}

async fn switch(client: &Client, key: &str, enabled: bool, output: Output) -> Result<(), Failure> {
    let body = json!({ "enabled": enabled });
    let reply = client.call_json(Method::PATCH, Api::Native, &path(key, ""), &body).await?;
    output.record(&reply.json().await?)
}

async fn tell(client: &Client, method: Method, path: &str, output: Output) -> Result<(), Failure> {
    output.record(&client.call(method, Api::Native, path).await?.json().await?)
}

async fn list(client: &Client, deleted: bool, output: Output) -> Result<(), Failure> {
    let mut answer = client.get(Api::Native, &format!("/custom-keys?deleted={deleted}")).await?;
    let keys = answer.get_mut("custom_keys").map(Value::take);
    output.rows(keys.as_ref().and_then(Value::as_array).map_or(&[], Vec::as_slice), &COLUMNS)
}
