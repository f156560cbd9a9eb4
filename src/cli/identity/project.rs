//! `tintype project …`.

use clap::Subcommand;
use serde_json::json;

use super::super::client::Client;
use super::super::failure::Failure;
use super::super::output::Output;
use super::PROJECT;

/// Commands on projects.
#[derive(Subcommand)]
pub enum Project {
    /// List projects
    List,
    /// Show one project
    Show {
        /// Id or name
        project: String,
    },
    /// Make a project
    Create {
        /// Its name
        name: String,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// Delete a project
    Delete {
        /// Id or name
        project: String,
    },
}

impl Project {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Project::List => {
                let columns =
                    [("ID", "id"), ("Name", "name"), ("Enabled", "enabled"), ("Description", "description")];
                output.rows(&PROJECT.list(client).await?, &columns)
            }
            Project::Show { project } => output.record(&PROJECT.find(client, &project).await?),
            Project::Create { name, description } => {
                let mut fields = json!({"name": name});
                if let Some(description) = description {
                    fields["description"] = description.into();
                }
                output.record(&PROJECT.create(client, fields).await?)
            }
            Project::Delete { project } => {
                let id = PROJECT.delete(client, &project).await?;
                output.done(&format!("Deleted project {id}"), &json!({"deleted": id}))
            }
        }
    }
}
