//! `tintype access-key`: what programs sign their requests with.

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::client::{Api, Client};
use super::failure::Failure;
use super::output::Output;

/// Access keys: an access key id and a secret for programs that sign their requests.
#[derive(Subcommand)]
pub enum AccessKey {
    /// Make one; its secret is shown now and never again
    Create(Create),
    /// All of them, or one user's
    List(List),
    /// Take a key out of use
    Disable(Which),
    /// Put a key into use again
    Enable(Which),
    /// Delete a key for good
    Delete(Which),
}

/// Says for whom and where.
#[derive(Args)]
pub struct Create {
    /// Id or name of the user; by default yourself (the first administrator with --data)
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Id or name of a project the user has a role in; by default yours, or the user's default one
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// When it ends, such as 2027-01-31T12:00:00Z; by default never
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
}

/// Says whose.
#[derive(Args)]
pub struct List {
    /// Id or name of the user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Names one key.
#[derive(Args)]
pub struct Which {
    /// Its access key id
    access: String,
}

impl AccessKey {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            AccessKey::Create(create) => create.run(client, output).await,
            AccessKey::List(List { user }) => list(client, user.as_deref(), output).await,
            AccessKey::Disable(which) => which.switch(client, false, output).await,
            AccessKey::Enable(which) => which.switch(client, true, output).await,
            AccessKey::Delete(which) => which.delete(client, output).await,
        }
    }
}

impl Create {
    async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let body = json!({
            "user": self.user,
            "project": self.project,
            "description": self.description,
            "expires_at": self.expires_at,
        });
        let reply = client.call_json(Method::POST, Api::Native, "/access-keys", &body).await?;
        output.record(&reply.json().await?)
    }
}

impl Which {
    fn path(&self) -> String {
        format!("/access-keys/{}", utf8_percent_encode(&self.access, NON_ALPHANUMERIC))
    }

    async fn switch(self, client: &Client, enabled: bool, output: Output) -> Result<(), Failure> {
        let body = json!({ "enabled": enabled });
        let reply = client.call_json(Method::PATCH, Api::Native, &self.path(), &body).await?;
        output.record(&reply.json().await?)
    }

    async fn delete(self, client: &Client, output: Output) -> Result<(), Failure> {
        client.call(Method::DELETE, Api::Native, &self.path()).await?;
        output.done(&format!("Deleted access key {}", self.access), &json!({"deleted": self.access}))
    }
}

async fn list(client: &Client, user: Option<&str>, output: Output) -> Result<(), Failure> {
    let query = user.map(|user| format!("?user={}", utf8_percent_encode(user, NON_ALPHANUMERIC)));
    let mut answer = client.get(Api::Native, &format!("/access-keys{}", query.unwrap_or_default())).await?;
    let keys = answer.get_mut("access_keys").map(Value::take);
    let columns = [
        ("Access key", "access"),
        ("State", "state"),
        ("User", "user"),
        ("Project", "project"),
        ("Description", "description"),
        ("Created", "created_at"),
        ("Expires", "expires_at"),
        ("Last used", "last_used_on"),
    ];
    output.rows(keys.as_ref().and_then(Value::as_array).map_or(&[], Vec::as_slice), &columns)
}
