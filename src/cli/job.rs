//! `tintype job`: long work of the box.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::client::{Api, Client};
use super::failure::Failure;
use super::output::Output;

/// Long work: giving space back, for one.
#[derive(Subcommand)]
pub enum Job {
    /// The newest jobs, newest first
    List,
    /// One job: how far it is, or how it ended
    Show(Which),
    /// End a job; what it did by then stays
    Cancel(Which),
    /// Have a job wait
    Pause(Which),
    /// Have a job go on
    Resume(Which),
}

/// Names one job.
#[derive(Args)]
pub struct Which {
    /// Its number
    id: u64,
}

impl Job {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let (method, path) = match self {
            Job::List => return list(client, output).await,
            Job::Show(Which { id }) => (Method::GET, format!("/jobs/{id}")),
            Job::Cancel(Which { id }) => (Method::DELETE, format!("/jobs/{id}")),
            Job::Pause(Which { id }) => (Method::POST, format!("/jobs/{id}/pause")),
            Job::Resume(Which { id }) => (Method::POST, format!("/jobs/{id}/resume")),
        };
        output.record(&client.call(method, Api::Native, &path).await?.json().await?)
    }
}

async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let mut answer = client.get(Api::Native, "/jobs").await?;
    let jobs = answer.get_mut("jobs").map(Value::take);
    let columns = [
        ("Job", "id"),
        ("Kind", "kind"),
        ("State", "state"),
        ("Phase", "phase"),
        ("Done", "done_bytes"),
        ("Of", "total_bytes"),
        ("Created", "created_at"),
        ("Finished", "finished_at"),
    ];
    output.rows(jobs.as_ref().and_then(Value::as_array).map_or(&[], Vec::as_slice), &columns)
}
