//! Writing an image's data to a bucket: the work of an export.
//!
//! Invariant: the object appears only when it is whole, and in the place of nothing. A try that was cut off is
//! begun anew, and takes an object with exactly its bytes for its own success.

use std::collections::BTreeMap;

use super::buckets::Purpose;
use super::formats::{self, Outgoing};
use super::patience::{Patience, is_passing};
use super::reading::read_exactly;
use crate::catalog::images;
use crate::model::Status;
use crate::model::job::Task;
use crate::objects::exchange::{self, Exchange, Key, PIECE_BYTES};
use crate::service::images::upload::in_background;
use crate::service::jobs::{JobAtWork, asker};
use crate::service::upkeep::Step;
use crate::service::{Error, Reason, Service, custom_keys};

impl Service {
    /// Does an export, to its recorded end.
    ///
    /// # Errors
    /// When the end cannot be recorded.
    pub(in crate::service) async fn perform_export(&self, mut job: JobAtWork) -> Result<(), Error> {
        let (mut patience, mut is_another) = (Patience::default(), false);
        let outcome = loop {
            let service = self.clone();
            let tried = in_background(move || {
                let written = service.export(&mut job, is_another);
                Ok((job, written))
            });
            let written;
            (job, written) = tried.await?;
            let Err(error) = written else { break written };
            let mut goes_on = is_passing(&error);
            if goes_on {
                (job, goes_on) = patience.another(job, &error, "waiting for the bucket").await?;
            }
            if !goes_on {
                break Err(error);
            }
            is_another = true;
        };
        in_background(move || {
            job.finish(outcome.as_ref().map(|size| BTreeMap::from([("object_bytes".to_owned(), *size)])))
        })
        .await
    }

    fn export(&self, job: &mut JobAtWork, is_another: bool) -> Result<u64, Error> {
        let asked = job.job();
        let Some(Task::Export { image: id, to, format }) = &asked.task else {
            return Err(Error::invalid("this job is no export"));
        };
        let read = self.db.read()?;
        let image = images::get(&read, id)?.filter(|image| image.status == Status::Active);
        let image = image.ok_or_else(|| {
            Error::conflict(format!("image {id} is not active any more")).because(Reason::NotActive)
        })?;
        custom_keys::expect_opens(&read, &image, &asker(&asked))?;
        let (medium, key) = self.bucket(&read, asked.project.as_ref(), to, Purpose::Write)?;
        drop(read);
        let reader =
            self.reader_of(&image)?.ok_or_else(|| Error::conflict(format!("image {id} has no data")))?;
        let Some(outgoing) = formats::outgoing(self, &image, reader, format.as_deref(), job)? else {
            return Ok(0);
        };
        match write(&*medium, &key, &*outgoing, job) {
            Err(error) if is_taken(&error) && (is_another || asked.attempts > 1) => {
                // An earlier try may have come as far as that, and not have heard of it.
                if is_same(&*medium, &key, &*outgoing, job)? { Ok(outgoing.size_bytes()) } else { Err(error) }
            }
            written => written,
        }
    }
}

fn is_taken(error: &Error) -> bool {
    error.reason == Some(Reason::Transfer(crate::service::Hindrance::ObjectExists))
}

/// Writes the object; gives its length. Ends early, without an object, where the job is stopped.
fn write(
    medium: &dyn Exchange,
    key: &Key,
    outgoing: &dyn Outgoing,
    job: &mut JobAtWork,
) -> Result<u64, Error> {
    let size = outgoing.size_bytes();
    let mut sink = medium.create(key, size, &job.id().to_string())?;
    let done = walk(outgoing, job, "writing", &mut |_, bytes| Ok(sink.write(bytes)?))?;
    if done < size {
        return Ok(done);
    }
    sink.commit()?;
    Ok(size)
}

/// Whether the object has exactly these bytes.
fn is_same(
    medium: &dyn Exchange,
    key: &Key,
    outgoing: &dyn Outgoing,
    job: &mut JobAtWork,
) -> Result<bool, Error> {
    let mut source = medium.open(key)?;
    if source.size_bytes() != outgoing.size_bytes() {
        return Ok(false);
    }
    let mut same = true;
    walk(outgoing, job, "comparing", &mut |offset, bytes| {
        let found: Result<Vec<u8>, exchange::Error> = read_exactly(&mut *source, offset, bytes.len() as u64);
        same &= found? == bytes;
        Ok(())
    })?;
    Ok(same)
}

/// Takes bytes that begin at an offset.
type Take<'a> = dyn FnMut(u64, &[u8]) -> Result<(), Error> + 'a;

/// Hands out all bytes in turn, as long as the job goes on; says how many it were.
fn walk(
    outgoing: &dyn Outgoing,
    job: &mut JobAtWork,
    phase: &'static str,
    take: &mut Take<'_>,
) -> Result<u64, Error> {
    let size = outgoing.size_bytes();
    let mut buffer = vec![0; PIECE_BYTES.min(usize::try_from(size).unwrap_or(PIECE_BYTES))];
    let mut at = 0;
    loop {
        if job.step(&Step { phase, done: at, total: Some(size) }).is_break() || at == size {
            return Ok(at);
        }
        let length = (size - at).min(PIECE_BYTES as u64);
        let piece = &mut buffer[..length as usize];
        outgoing.read_at(at, piece)?;
        take(at, piece)?;
        at += length;
    }
}

/// Refuses a key whose name is taken, by whatever.
pub(super) fn check_free(medium: &dyn Exchange, key: &Key) -> Result<(), Error> {
    match medium.open(key) {
        Err(exchange::Error::Missing(_)) => Ok(()),
        Ok(_) | Err(exchange::Error::NotPlain(..)) => Err(exchange::Error::Taken(key.to_string()).into()),
        Err(error) => Err(error.into()),
    }
}
