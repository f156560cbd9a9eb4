//! A job's record; its number is the row's key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::{self, Record, Unreadable};
use crate::model::job::{Job, JobId, JobKind, JobState};

/// A job without its number. Kind and state are kept by name, so that both lists can grow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    kind: String,
    state: String,
    phase: String,
    done_bytes: u64,
    total_bytes: Option<u64>,
    created_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    result: BTreeMap<String, u64>,
    error: Option<String>,
    paused: bool,
}

impl Record for JobRecord {
    const VERSION: u8 = 2;
    const NAME: &'static str = "job";

    fn decode_other(version: u8, body: &[u8]) -> Result<JobRecord, Unreadable> {
        if version == 1 {
            // The first form is this one without its last byte.
            return codec::decode_body(&[body, &[0]].concat());
        }
        Err(Unreadable { name: Self::NAME, reason: format!("version {version} is unknown") })
    }
}

impl From<&Job> for JobRecord {
    fn from(job: &Job) -> JobRecord {
        JobRecord {
            kind: job.kind.as_str().to_owned(),
            state: job.state.as_str().to_owned(),
            phase: job.phase.clone(),
            done_bytes: job.done_bytes,
            total_bytes: job.total_bytes,
            created_at: job.created_at.0,
            started_at: job.started_at.map(|time| time.0),
            finished_at: job.finished_at.map(|time| time.0),
            result: job.result.clone(),
            error: job.error.clone(),
            paused: job.paused,
        }
    }
}

impl JobRecord {
    /// The job of this number.
    ///
    /// # Errors
    /// When its kind or state is none of this release's.
    pub fn into_job(self, id: JobId) -> Result<Job, Unreadable> {
        let unknown = |what: &str| Unreadable { name: Self::NAME, reason: format!("job {id} is {what:?}") };
        Ok(Job {
            id,
            kind: JobKind::parse(&self.kind).ok_or_else(|| unknown(&self.kind))?,
            state: JobState::parse(&self.state).ok_or_else(|| unknown(&self.state))?,
            phase: self.phase,
            done_bytes: self.done_bytes,
            total_bytes: self.total_bytes,
            created_at: Time(self.created_at),
            started_at: self.started_at.map(Time),
            finished_at: self.finished_at.map(Time),
            result: self.result,
            error: self.error,
            paused: self.paused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_form_is_golden() {
        let job = Job {
            id: JobId(9),
            kind: JobKind::Reclaim,
            state: JobState::Failed,
            phase: "p".into(),
            done_bytes: 1,
            total_bytes: Some(2),
            created_at: Time(3),
            started_at: Some(Time(4)),
            finished_at: None,
            result: [("r".to_owned(), 5)].into(),
            error: Some("e".into()),
            paused: true,
        };
        let bytes = encode(&JobRecord::from(&job));
        let number = |n: u8| format!("{n:02x}00000000000000");
        let text = |text: &str| format!("{}{}", number(text.len() as u8), hex::encode(text));
        let form = [
            text("reclaim"),
            text("failed"),
            text("p"),
            number(1),
            format!("01{}", number(2)),
            number(3),
            format!("01{}", number(4)),
            "00".to_owned(),
            format!("{}{}{}", number(1), text("r"), number(5)),
            format!("01{}", text("e")),
        ];
        assert_eq!(hex::encode(&bytes), format!("02{}01", form.concat()));
        assert_eq!(decode::<JobRecord>(&bytes).unwrap().into_job(JobId(9)).unwrap(), job);
        let first_form = hex::decode(format!("01{}", form.concat())).unwrap();
        let job = Job { paused: false, ..job };
        assert_eq!(decode::<JobRecord>(&first_form).unwrap().into_job(JobId(9)).unwrap(), job);
    }
}
