//! Following a job to its end: progress while it is at work, and its own words when it does not succeed.
//!
//! Must not know what the job does. Whoever stops following stops nothing: the job goes on.

use std::time::Duration;

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::client::{Api, Client};
use super::failure::Failure;
use super::image::Patience as Trying;
use super::progress::Progress;

/// Between two looks at a job.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Whether a command that makes a job waits for it.
#[derive(Args)]
pub struct Patience {
    /// Do not wait: print the job, which `tintype job wait ID` follows later
    #[arg(long)]
    no_wait: bool,
}

impl Patience {
    /// Waits for the job with this id, where the command is to, and gives it as it stands then.
    ///
    /// # Errors
    /// When the job does not succeed, or there is no server that would work on it.
    pub async fn follow(&self, client: &Client, id: &str) -> Result<Value, Failure> {
        let job = client.get(Api::Native, &path(id)).await?;
        match () {
            () if self.no_wait => Ok(job),
            () if !client.works_off_jobs() => Err(Failure::failed(format!(
                "job {id} is queued; no server runs on this box: it begins when one is started (tintype serve)"
            ))),
            () => expect_success(follow(client, id, None).await?),
        }
    }
}

/// Follows a job to its end, or for `longest`; gives it as it ended, however that was.
///
/// # Errors
/// When it has not ended by then, or the box cannot be reached.
pub async fn follow(client: &Client, id: &str, longest: Option<Duration>) -> Result<Value, Failure> {
    let began = Instant::now();
    let (mut watched, mut patience, mut looks) = (Watched::default(), Trying::default(), 0);
    loop {
        let job = match client.get(Api::Native, &path(id)).await {
            Ok(job) => job,
            // The job goes on, also over a restart of the server.
            Err(failure) => {
                let tell = |text: &str| watched.tell(text);
                let waited = patience.wait(client, failure, looks, tell).await;
                waited.map_err(|failure| {
                    let message = format!("{failure}; job {id} goes on: tintype job wait {id} follows it");
                    Failure { message, ..failure }
                })?;
                continue;
            }
        };
        looks += 1;
        match job["state"].as_str().unwrap_or_default() {
            "queued" | "running" => watched.show(&job),
            _ => return Ok(job),
        }
        if longest.is_some_and(|longest| began.elapsed() >= longest) {
            return Err(Failure::failed(format!("job {id} has not ended yet; it goes on")));
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// The job, when it succeeded.
///
/// # Errors
/// When it did not: its own words.
pub fn expect_success(job: Value) -> Result<Value, Failure> {
    let (id, state) = (job["id"].as_str().unwrap_or_default(), job["state"].as_str().unwrap_or_default());
    if state == "succeeded" {
        return Ok(job);
    }
    let why = job["error"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    Err(Failure::failed(format!("job {id} {state}{why}")))
}

/// What a person sees of a job.
#[derive(Default)]
struct Watched {
    progress: Option<(u64, Progress)>,
    said: String,
}

impl Watched {
    /// Says something beside the bar.
    fn tell(&self, text: &str) {
        match &self.progress {
            Some((_, progress)) => progress.say(text),
            None => eprintln!("{text}"),
        }
    }

    fn show(&mut self, job: &Value) {
        let total = job["total_bytes"].as_u64().unwrap_or(0);
        // A total that becomes known, or another one, takes another bar.
        if self.progress.as_ref().is_none_or(|(known, _)| *known != total) {
            self.progress = Some((total, Progress::bytes((total > 0).then_some(total))));
        }
        let Some((_, progress)) = &mut self.progress else { return };
        progress.stand_at(job["done_bytes"].as_u64().unwrap_or(0));
        let phase = job["phase"].as_str().unwrap_or_default();
        if phase != self.said {
            phase.clone_into(&mut self.said);
            if !phase.is_empty() {
                progress.say(phase);
            }
        }
    }
}

/// The job that an answer of the image management API names.
///
/// # Errors
/// When it names none.
pub fn job_of(answer: &Value) -> Result<&str, Failure> {
    answer["job_id"].as_str().ok_or_else(|| Failure::failed("the server's answer names no job"))
}

fn path(id: &str) -> String {
    format!("/jobs/{}", utf8_percent_encode(id, NON_ALPHANUMERIC))
}
