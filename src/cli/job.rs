//! `tintype job`: long work, of the box and of its projects.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::client::{Api, Client};
use super::failure::Failure;
use super::output::Output;

/// Between two looks at a job that is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Long work: imports, exports and copies of images, and giving space back, for one.
#[derive(Subcommand)]
pub enum Job {
    /// The newest jobs, newest first
    List,
    /// One job: how far it is, or how it ended
    Show(Which),
    /// End a job; what it did by then stays
    Cancel(Which),
    /// Have a job begin again that did not succeed
    Retry(Which),
    /// Wait until a job has ended; fails when it did not succeed
    Wait(Wait),
    /// Have a job wait that is at work
    Pause(Which),
    /// Have a job go on
    Resume(Which),
}

/// Names one job.
#[derive(Args)]
pub struct Which {
    /// Its id
    id: String,
}

/// Names one job, and how long to wait for it.
#[derive(Args)]
pub struct Wait {
    /// Its id
    id: String,
    /// Longest time to wait, in seconds; for ever by default
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

impl Job {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let (method, path) = match self {
            Job::List => return list(client, output).await,
            Job::Wait(wait) => return wait.run(client, output).await,
            Job::Show(which) => (Method::GET, which.path("")),
            Job::Cancel(which) => (Method::DELETE, which.path("")),
            Job::Retry(which) => (Method::POST, which.path("/retry")),
            Job::Pause(which) => (Method::POST, which.path("/pause")),
            Job::Resume(which) => (Method::POST, which.path("/resume")),
        };
        output.record(&client.call(method, Api::Native, &path).await?.json().await?)
    }
}

impl Which {
    fn path(&self, action: &str) -> String {
        format!("/jobs/{}{action}", encoded(&self.id))
    }
}

impl Wait {
    async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let began = Instant::now();
        let path = format!("/jobs/{}", encoded(&self.id));
        loop {
            let job = client.get(Api::Native, &path).await?;
            match job["state"].as_str().unwrap_or_default() {
                "queued" | "running" => {}
                "succeeded" => return output.record(&job),
                state => {
                    let why = job["error"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
                    output.record(&job)?;
                    return Err(Failure::failed(format!("job {} {state}{why}", self.id)));
                }
            }
            if self.timeout.is_some_and(|most| began.elapsed() >= Duration::from_secs(most)) {
                return Err(Failure::failed(format!("job {} has not ended yet; it goes on", self.id)));
            }
            sleep(LOOK_INTERVAL).await;
        }
    }
}

fn encoded(id: &str) -> impl std::fmt::Display {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC)
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
