//! Jobs by number, and an index of them: by what they are known by, by project, those that have not
//! ended, the parts of each, and those that the Image API calls tasks. Those that ended are kept for a while, for whoever asks how they ended.
//!
//! Invariant: the newest job is never removed, so that no number comes twice.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::index::{Index, Row};
use super::records::job::JobRecord;
use crate::base::Time;
use crate::db::codec;
use crate::db::{self, Db, Key, KeyReader, Rows, Table, WriteTxn};
use crate::model::job::{Job, JobId, Task};
use crate::model::{ImageId, ProjectId};

/// Jobs by number.
pub(super) const JOBS: Table = Table::facts("jobs-1");
/// One byte that says which list, and what it is a list by; see [`Lists`].
const LISTS: Table = Table::derived("job-lists-1");
/// How one follows from the other.
pub(super) const INDEX: Index = Index { facts: JOBS, derived: LISTS, follow: list_rows };

/// What the index is of.
#[repr(u8)]
enum Lists {
    /// Id → number.
    ById = b'i',
    /// Project, number.
    OfProject = b'p',
    /// Number, of those that have not ended.
    Open = b'o',
    /// Parent's id, number.
    Parts = b'c',
    /// Number, of those that are tasks of the Image API.
    Intakes = b't',
    /// Image id, number, of the same.
    IntakesOf = b'm',
}

fn list(which: Lists) -> Key {
    Key::new().byte(which as u8)
}

/// The job known by this id.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, id: &JobId) -> Result<Option<Job>, Error> {
    let Some(number) = rows.get(&LISTS, list(Lists::ById).fixed(&id.0).bytes())? else { return Ok(None) };
    numbered(rows, read_number(&number)?)
}

/// Whether there is a job of this id that has not ended. Costs no record.
///
/// # Errors
/// When the database fails.
pub fn is_open(rows: &impl Rows, id: &JobId) -> Result<bool, Error> {
    let Some(number) = rows.get(&LISTS, list(Lists::ById).fixed(&id.0).bytes())? else { return Ok(false) };
    let open = list(Lists::Open).number(read_number(&number)?);
    Ok(rows.get(&LISTS, open.bytes())?.is_some())
}

fn numbered(rows: &impl Rows, number: u64) -> Result<Option<Job>, Error> {
    let record = rows.record::<JobRecord>(&JOBS, &number.to_be_bytes())?;
    Ok(record.map(|record| record.into_job(number)).transpose()?)
}

/// Adds a job, or changes all but its number, id, project and parent.
///
/// # Errors
/// When the database fails.
pub fn put(txn: &WriteTxn, job: &Job) -> Result<(), Error> {
    let before = numbered(txn, job.number)?;
    txn.put_record(&JOBS, &job.number.to_be_bytes(), &JobRecord::from(job))?;
    let rows = rows_of(job);
    for (key, _) in before.iter().flat_map(rows_of).filter(|row| !rows.contains(row)) {
        txn.remove(&LISTS, &key)?;
    }
    if before.is_none_or(|before| before.state.is_final() != job.state.is_final()) {
        rows.iter().try_for_each(|(key, value)| txn.put(&LISTS, key, value))?;
    }
    Ok(())
}

fn remove(txn: &WriteTxn, job: &Job) -> Result<(), Error> {
    rows_of(job).iter().try_for_each(|(key, _)| txn.remove(&LISTS, key).map(drop))?;
    txn.remove(&JOBS, &job.number.to_be_bytes())?;
    Ok(())
}

/// A number that no job had.
///
/// # Errors
/// When the database fails.
pub fn next_number(txn: &WriteTxn) -> Result<u64, Error> {
    let mut newest = 0;
    let mut failure = None;
    txn.scan(&JOBS, (Bound::Unbounded, Bound::Unbounded), true, &mut |key, _| {
        match read_number(key) {
            Ok(number) => newest = number,
            Err(error) => failure = Some(error),
        }
        ControlFlow::Break(())
    })?;
    failure.map_or(Ok(newest + 1), Err)
}

/// The newest `count` jobs before number `before`, newest first.
///
/// # Errors
/// When the database fails.
pub fn newest(rows: &impl Rows, before: Option<u64>, count: usize) -> Result<Vec<Job>, Error> {
    let before = before.map(u64::to_be_bytes);
    let end = before.as_ref().map_or(Bound::Unbounded, |before| Bound::Excluded(&before[..]));
    read_jobs(rows, (Bound::Unbounded, end), true, count)
}

/// The same of one project's.
///
/// # Errors
/// When the database fails.
pub fn newest_of(
    rows: &impl Rows,
    project: &ProjectId,
    before: Option<u64>,
    count: usize,
) -> Result<Vec<Job>, Error> {
    let prefix = list(Lists::OfProject).text(project.as_str());
    let end = match before {
        Some(before) => Some(prefix.clone().number(before).into_bytes()),
        None => prefix.successor(),
    };
    let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let range = (Bound::Included(prefix.bytes()), end);
    numbers(rows, range, true, count)?.into_iter().filter_map(|n| numbered(rows, n).transpose()).collect()
}

/// Every job that has not ended, oldest first.
///
/// # Errors
/// When the database fails.
pub fn open(rows: &impl Rows) -> Result<Vec<Job>, Error> {
    of_list(rows, &list(Lists::Open))
}

/// The jobs that are part of another, oldest first.
///
/// # Errors
/// When the database fails.
pub fn parts(rows: &impl Rows, parent: &JobId) -> Result<Vec<Job>, Error> {
    of_list(rows, &list(Lists::Parts).fixed(&parent.0))
}

/// The newest `count` tasks of the Image API before number `before`, newest first.
///
/// # Errors
/// When the database fails.
pub fn intakes(rows: &impl Rows, before: Option<u64>, count: usize) -> Result<Vec<Job>, Error> {
    let prefix = list(Lists::Intakes);
    let end = match before {
        Some(before) => Some(prefix.clone().number(before).into_bytes()),
        None => prefix.successor(),
    };
    let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let found = numbers(rows, (Bound::Included(prefix.bytes()), end), true, count)?;
    found.into_iter().filter_map(|number| numbered(rows, number).transpose()).collect()
}

/// The tasks of the Image API that are about an image, oldest first.
///
/// # Errors
/// When the database fails.
pub fn intakes_of(rows: &impl Rows, image: &ImageId) -> Result<Vec<Job>, Error> {
    of_list(rows, &list(Lists::IntakesOf).fixed(image.bytes()))
}

fn of_list(rows: &impl Rows, prefix: &Key) -> Result<Vec<Job>, Error> {
    let end = prefix.successor();
    let range = (Bound::Included(prefix.bytes()), end.as_deref().map_or(Bound::Unbounded, Bound::Excluded));
    let numbers = numbers(rows, range, false, usize::MAX)?;
    numbers.into_iter().filter_map(|number| numbered(rows, number).transpose()).collect()
}

/// Removes ended jobs, oldest first: all beyond the newest `kept` of them, and those that were asked for
/// before `since`; no more than `most` at once. Says how many went.
///
/// # Errors
/// When the database fails.
pub fn prune(txn: &WriteTxn, kept: u64, since: Time, most: usize) -> Result<usize, Error> {
    let open = numbers_of_open(txn)?.len() as u64;
    let mut ended = txn.count(&JOBS)?.saturating_sub(open);
    let newest = next_number(txn)? - 1;
    let mut old = Vec::new();
    let mut failure = None;
    txn.scan(&JOBS, (Bound::Unbounded, Bound::Unbounded), false, &mut |key, value| {
        let job = match read_number(key).and_then(|n| Ok(codec::decode::<JobRecord>(value)?.into_job(n)?)) {
            Ok(job) => job,
            Err(error) => {
                failure = Some(error);
                return ControlFlow::Break(());
            }
        };
        if old.len() >= most || ended <= kept && job.created_at >= since {
            return ControlFlow::Break(());
        }
        if job.state.is_final() && job.number != newest {
            ended = ended.saturating_sub(1);
            old.push(job);
        }
        ControlFlow::Continue(())
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    old.iter().try_for_each(|job| remove(txn, job))?;
    Ok(old.len())
}

/// Makes the index where an earlier release kept none; says whether it had to. For a catalog that nobody
/// else writes to.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn renew_index(db: &Db) -> Result<bool, Error> {
    let read = db.read()?;
    // Every job has a row there, so none at all means that nobody ever made it.
    if read.count(&JOBS)? == 0 || read.count(&LISTS)? > 0 {
        return Ok(false);
    }
    drop(read);
    INDEX.rebuild(db)?;
    Ok(true)
}

fn numbers_of_open(rows: &impl Rows) -> Result<Vec<u64>, Error> {
    let prefix = list(Lists::Open);
    let end = prefix.successor();
    let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    numbers(rows, (Bound::Included(prefix.bytes()), end), false, usize::MAX)
}

/// The numbers at the ends of the keys of a range.
fn numbers(
    rows: &impl Rows,
    range: (Bound<&[u8]>, Bound<&[u8]>),
    reverse: bool,
    count: usize,
) -> Result<Vec<u64>, Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    rows.scan(&LISTS, range, reverse, &mut |key, _| {
        found.push(read_number(&key[key.len().saturating_sub(8)..]));
        if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    found.into_iter().collect()
}

fn read_jobs(
    rows: &impl Rows,
    range: (Bound<&[u8]>, Bound<&[u8]>),
    reverse: bool,
    count: usize,
) -> Result<Vec<Job>, Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let read = |key: &[u8], value: &[u8]| Ok(codec::decode::<JobRecord>(value)?.into_job(read_number(key)?)?);
    rows.scan(&JOBS, range, reverse, &mut |key, value| {
        found.push(read(key, value));
        if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    found.into_iter().collect()
}

fn read_number(bytes: &[u8]) -> Result<u64, Error> {
    let number = KeyReader::new(bytes).number();
    Ok(number.ok_or_else(|| db::Error::Corrupt("a job's number is cut short".into()))?)
}

fn list_rows(key: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    let job = codec::decode::<JobRecord>(value)?.into_job(read_number(key)?)?;
    Ok(rows_of(&job))
}

fn rows_of(job: &Job) -> Vec<Row> {
    let number = job.number;
    let mut rows = vec![(list(Lists::ById).fixed(&job.id.0).into_bytes(), number.to_be_bytes().to_vec())];
    if let Some(project) = &job.project {
        rows.push((list(Lists::OfProject).text(project.as_str()).number(number).into_bytes(), Vec::new()));
    }
    if !job.state.is_final() {
        rows.push((list(Lists::Open).number(number).into_bytes(), Vec::new()));
    }
    if let Some(parent) = &job.parent {
        rows.push((list(Lists::Parts).fixed(&parent.0).number(number).into_bytes(), Vec::new()));
    }
    if let Some(Task::Intake(intake)) = &job.task {
        rows.push((list(Lists::Intakes).number(number).into_bytes(), Vec::new()));
        rows.push((
            list(Lists::IntakesOf).fixed(intake.image.bytes()).number(number).into_bytes(),
            Vec::new(),
        ));
    }
    rows
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
