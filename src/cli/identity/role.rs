//! `tintype role …`.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;
use super::{GROUP, PROJECT, ROLE, USER, id};

/// Commands on roles.
#[derive(Subcommand)]
pub enum Role {
    /// List roles
    List,
    /// Show one role
    Show {
        /// Id or name
        role: String,
    },
    /// Make a role
    Create {
        /// Its name
        name: String,
    },
    /// Delete a role
    Delete {
        /// Id or name
        role: String,
    },
    /// Give a user or a group a role on a project
    Add(Grant),
    /// Take a role of a user or a group on a project away
    Remove(Grant),
    /// List who has which role where
    Assignments,
}

/// Who has what, where.
#[derive(Args)]
pub struct Grant {
    /// Id or name of the role
    role: String,
    #[command(flatten)]
    holder: Holder,
    /// Id or name of the project
    #[arg(long)]
    project: String,
}

/// Who: a user or a group.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Holder {
    /// Id or name of the user
    #[arg(long)]
    user: Option<String>,
    /// Id or name of the group
    #[arg(long)]
    group: Option<String>,
}

impl Role {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Role::List => output.rows(&ROLE.list(client).await?, &[("ID", "id"), ("Name", "name")]),
            Role::Show { role } => output.record(&ROLE.find(client, &role).await?),
            Role::Create { name } => output.record(&ROLE.create(client, json!({"name": name})).await?),
            Role::Delete { role } => {
                let id = ROLE.delete(client, &role).await?;
                output.done(&format!("Deleted role {id}"), &json!({"deleted": id}))
            }
            Role::Add(grant) => grant.set(client, Method::PUT, "Added", output).await,
            Role::Remove(grant) => grant.set(client, Method::DELETE, "Removed", output).await,
            Role::Assignments => assignments(client, output).await,
        }
    }
}

impl Grant {
    async fn set(self, client: &Client, method: Method, verb: &str, output: Output) -> Result<(), Failure> {
        let (kind, name) = match (self.holder.user, self.holder.group) {
            (Some(user), _) => (USER, user),
            (None, group) => (GROUP, group.unwrap_or_default()),
        };
        let (holder, project, role) = (
            kind.find(client, &name).await?,
            PROJECT.find(client, &self.project).await?,
            ROLE.find(client, &self.role).await?,
        );
        let path = format!("/projects/{}/{}/{}/roles/{}", id(&project)?, kind.many, id(&holder)?, id(&role)?);
        client.call(method, Api::Identity, &path).await?;
        let sentence =
            format!("{verb} role {} of {} {name} on project {}", self.role, kind.one, self.project);
        output.done(&sentence, &json!({"role": id(&role)?, kind.one: id(&holder)?, "project": id(&project)?}))
    }
}

async fn assignments(client: &Client, output: Output) -> Result<(), Failure> {
    let body = client.get(Api::Identity, "/role_assignments?include_names=true").await?;
    let rows: Vec<Value> = body["role_assignments"].as_array().into_iter().flatten().map(row).collect();
    output.rows(&rows, &[("Role", "role"), ("User", "user"), ("Group", "group"), ("On", "on")])
}

/// One assignment in a line's worth of names.
fn row(assignment: &Value) -> Value {
    let name = |thing: &Value| thing["name"].as_str().or(thing["id"].as_str()).unwrap_or_default().to_owned();
    let scope = &assignment["scope"];
    let on = match (&scope["project"], &scope["domain"]) {
        (Value::Object(_), _) => format!("project {}", name(&scope["project"])),
        (_, Value::Object(_)) => format!("domain {}", name(&scope["domain"])),
        _ => "system".to_owned(),
    };
    json!({
        "role": name(&assignment["role"]),
        "user": name(&assignment["user"]),
        "group": name(&assignment["group"]),
        "on": on,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_say_where_they_hold() {
        let on = |scope: Value| {
            row(&json!({"role": {"id": "r"}, "user": {"id": "u", "name": "ann"}, "scope": scope}))["on"]
                .clone()
        };
        assert_eq!(on(json!({"project": {"id": "p", "name": "lab"}})), "project lab");
        assert_eq!(on(json!({"domain": {"id": "default"}})), "domain default");
        assert_eq!(on(json!({"system": {"all": true}})), "system");
    }
}
