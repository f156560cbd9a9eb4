//! `tintype job`: long work, of the box and of its projects.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::client::{Api, Client};
use super::failure::Failure;
use super::following;
use super::output::Output;

/// Characters of what is told in a column.
const CELL_CHARS: usize = 48;

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
        let longest = self.timeout.map(Duration::from_secs);
        let job = following::follow(client, &self.id, longest).await?;
        output.record(&job)?;
        following::expect_success(job).map(drop)
    }
}

fn encoded(id: &str) -> impl std::fmt::Display {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC)
}

async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let mut answer = client.get(Api::Native, "/jobs").await?;
    let mut jobs = match answer.get_mut("jobs").map(Value::take) {
        Some(Value::Array(jobs)) => jobs,
        _ => Vec::new(),
    };
    if !output.json {
        for job in &mut jobs {
            job["about"] = about(job).into();
            job["why"] = job["error"].as_str().map(shortened).into();
        }
    }
    let columns = [
        ("Job", "id"),
        ("Kind", "kind"),
        ("State", "state"),
        ("About", "about"),
        ("Done", "done_bytes"),
        ("Of", "total_bytes"),
        ("Created", "created_at"),
        ("Error", "why"),
    ];
    output.rows(&jobs, &columns)
}

/// What a job is about, in a few characters: a file, or else an image.
fn about(job: &Value) -> String {
    let file = [&job["from"], &job["from"][0], &job["to"], &job["to"]["region"]];
    let image =
        job["images"][0].as_str().map(|id| format!("image {}…", id.chars().take(8).collect::<String>()));
    match (file.into_iter().find_map(Value::as_str), image) {
        (Some(file), _) => shortened(file),
        (None, image) => image.unwrap_or_default(),
    }
}

/// What fits a column; the whole is in "job show".
fn shortened(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_is_about_a_file_or_an_image() {
        let image = "8be7ac5f-6f4c-4f5e-9d0e-3f1f3c8a5c11";
        for (job, wanted) in [
            (json!({"from": "in:a.raw", "images": [image]}), "in:a.raw"),
            (json!({"from": ["safe:web/root.raw"], "images": [image]}), "safe:web/root.raw"),
            (json!({"to": "out:a.raw", "images": [image]}), "out:a.raw"),
            (json!({"to": {"region": "east"}, "images": [image]}), "east"),
            (json!({"images": [image]}), "image 8be7ac5f…"),
            (json!({"images": []}), ""),
        ] {
            assert_eq!(about(&job), wanted);
        }
        assert_eq!(shortened(&"ä".repeat(60)), format!("{}…", "ä".repeat(CELL_CHARS)));
    }
}
