//! `tintype group …`.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;
use super::{GROUP, USER, id};

/// Commands on groups of users.
#[derive(Subcommand)]
pub enum Group {
    /// List groups
    List,
    /// Show one group and who is in it
    Show {
        /// Id or name
        group: String,
    },
    /// Make a group
    Create {
        /// Its name
        name: String,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// Delete a group; what it was given goes with it
    Delete {
        /// Id or name
        group: String,
    },
    /// Put a user into a group
    AddUser(Membership),
    /// Take a user out of a group
    RemoveUser(Membership),
}

/// Who, and in which group.
#[derive(Args)]
pub struct Membership {
    /// Id or name of the group
    group: String,
    /// Id or name of the user
    user: String,
}

impl Group {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Group::List => {
                let columns =
                    [("ID", "id"), ("Name", "name"), ("Domain", "domain_id"), ("Description", "description")];
                output.rows(&GROUP.list(client).await?, &columns)
            }
            Group::Show { group } => show(client, &group, output).await,
            Group::Create { name, description } => {
                let mut fields = json!({"name": name});
                if let Some(description) = description {
                    fields["description"] = description.into();
                }
                output.record(&GROUP.create(client, fields).await?)
            }
            Group::Delete { group } => {
                let id = GROUP.delete(client, &group).await?;
                output.done(&format!("Deleted group {id}"), &json!({"deleted": id}))
            }
            Group::AddUser(membership) => membership.set(client, Method::PUT, "is in", output).await,
            Group::RemoveUser(membership) => {
                membership.set(client, Method::DELETE, "is no longer in", output).await
            }
        }
    }
}

async fn show(client: &Client, name: &str, output: Output) -> Result<(), Failure> {
    let mut group = GROUP.find(client, name).await?;
    let users = USER.listed(client, &format!("/groups/{}/users", id(&group)?)).await?;
    let names: Vec<&str> = users.iter().filter_map(|user| user["name"].as_str()).collect();
    group["users"] = names.into();
    output.record(&group)
}

impl Membership {
    async fn set(self, client: &Client, method: Method, state: &str, output: Output) -> Result<(), Failure> {
        let (group, user) = (GROUP.find(client, &self.group).await?, USER.find(client, &self.user).await?);
        let path = format!("/groups/{}/users/{}", id(&group)?, id(&user)?);
        client.call(method, Api::Identity, &path).await?;
        let sentence = format!("User {} {state} group {}", self.user, self.group);
        output.done(&sentence, &json!({"group": id(&group)?, "user": id(&user)?}))
    }
}
