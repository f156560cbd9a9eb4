//! Jobs by number. Those that ended are kept for a while, for whoever asks how they ended.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::records::job::JobRecord;
use crate::db::codec;
use crate::db::{Rows, Table, WriteTxn};
use crate::model::job::{Job, JobId};

/// Jobs by number.
pub(super) const JOBS: Table = Table::facts("jobs-1");

/// The job with this number.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, id: JobId) -> Result<Option<Job>, Error> {
    let record = rows.record::<JobRecord>(&JOBS, &key(id))?;
    Ok(record.map(|record| record.into_job(id)).transpose()?)
}

/// Adds a job, or changes it.
///
/// # Errors
/// When the database fails.
pub fn put(txn: &WriteTxn, job: &Job) -> Result<(), Error> {
    Ok(txn.put_record(&JOBS, &key(job.id), &JobRecord::from(job))?)
}

/// A number that no job had.
///
/// # Errors
/// When the database fails.
pub fn next_id(txn: &WriteTxn) -> Result<JobId, Error> {
    // The newest job is never pruned, so that its number tells.
    let newest = list(txn, 1)?.first().map_or(0, |job| job.id.0);
    Ok(JobId(newest + 1))
}

/// The newest `count` jobs, newest first.
///
/// # Errors
/// When the database fails.
pub fn list(rows: &impl Rows, count: usize) -> Result<Vec<Job>, Error> {
    let mut found = Vec::new();
    rows.scan(&JOBS, (Bound::Unbounded, Bound::Unbounded), true, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let read = |(key, value): (Vec<u8>, Vec<u8>)| {
        let id = JobId(key.try_into().map(u64::from_be_bytes).unwrap_or_default());
        Ok(codec::decode::<JobRecord>(&value)?.into_job(id)?)
    };
    found.into_iter().map(read).collect()
}

/// Removes ended jobs beyond the newest `count` (at least one) of all.
///
/// # Errors
/// When the database fails.
pub fn prune(txn: &WriteTxn, count: usize) -> Result<(), Error> {
    for job in list(txn, usize::MAX)?.iter().skip(count.max(1)).filter(|job| job.state.is_final()) {
        txn.remove(&JOBS, &key(job.id))?;
    }
    Ok(())
}

fn key(id: JobId) -> [u8; 8] {
    id.0.to_be_bytes()
}
