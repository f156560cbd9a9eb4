//! Finds out whether a bucket can do what is relied on, before anything is.
//!
//! Invariant: what a probe leaves is under `tmp/`, where sweeps remove it, and it removes it itself.
//! Each missing capability has an error of its own, which says what to do.

use futures::future::join_all;
use object_store::path::Path;
use object_store::{CopyMode, CopyOptions, Error as Answer, PutMode, PutPayload};

use super::{Bucket, fault};
use crate::objects::Error;
use crate::objects::key::UNFINISHED;

/// What is written; long enough for a range that touches neither end.
const BYTES: &[u8] = b"written by Tintype to find out what this bucket can do";
/// The range that is read.
const RANGE: std::ops::Range<usize> = 8..15;

/// Creates of one name at once.
const RACERS: usize = 8;
/// How often they are set against each other.
const HEATS: usize = 3;

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// All that is relied on: for a new box.
    Whole,
    /// What costs four requests: for a start. A gateway that is replaced may forget conditions.
    Quick,
}

/// What a bucket that can be used was found to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether of several creates of one name at the same time only one succeeded. A server that looks first
    /// and then writes may pass by luck. True where nothing is known: it is tried where conditions are
    /// relied on, in a whole probe.
    pub decides_races: bool,
}

/// Something a bucket cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Missing {
    #[error(
        "conditional puts: it overwrote an object in spite of If-None-Match: *. Use a bucket that knows them, \
         or set bucket.conditional_puts = false where no other box ever writes below this prefix"
    )]
    ConditionalPuts,
    #[error(
        "conditional completion of uploads: it overwrote an object in spite of If-None-Match: *. Use a bucket \
         that knows it, or set bucket.conditional_puts = false where no other box ever writes below this prefix"
    )]
    ConditionalCopies,
    #[error("ranged reads: it gave other bytes than those asked for. Use another server or gateway")]
    Ranges,
    #[error("listing what was just written: it left an object out. Use a bucket with consistent listings")]
    Listing,
    #[error("uploads in parts: what it put together is not what was sent. Use another server or gateway")]
    Multipart,
    #[error(
        "deleting: an object is still there. Give the credentials the right to delete, and no object lock"
    )]
    Delete,
}

impl From<Missing> for Error {
    fn from(missing: Missing) -> Error {
        Error::Denied(format!("the bucket lacks {missing}"))
    }
}

impl Bucket {
    /// Tries what is relied on. Blocks.
    ///
    /// # Errors
    /// What the bucket lacks, or whatever it says.
    pub fn probe(&self, probe: Probe) -> Result<Verdict, Error> {
        self.handle().block_on(async {
            let folder = self.place(&format!("{UNFINISHED}/probe/{}", std::process::id()));
            let names = ["a", "b", "c"].map(|name| folder.clone().join(name));
            let mut found = self.find_missing(probe, &folder, &names).await;
            if probe == Probe::Whole && found.is_ok() && self.options().conditional_puts {
                found = self.race(&folder).await;
            }
            let cleaned = if found.is_ok() && probe == Probe::Quick { &names[..1] } else { &names[..] };
            for name in cleaned {
                self.remove(name).await.map_err(fault::of_bucket)?;
            }
            if probe == Probe::Whole {
                for heat in 0..HEATS {
                    self.remove(&contested(&folder, heat)).await.map_err(fault::of_bucket)?;
                }
            }
            let verdict = found?;
            if probe == Probe::Whole && !self.find(&folder).await?.is_empty() {
                return Err(Missing::Delete.into());
            }
            Ok(verdict)
        })
    }

    /// Creates one name several times at once, and that a few times.
    async fn race(&self, folder: &Path) -> Result<Verdict, Error> {
        for heat in 0..HEATS {
            let path = contested(folder, heat);
            let mut won = 0;
            for put in join_all((0..RACERS).map(|_| self.put(&path, true))).await {
                won += usize::from(!is_refused(put)?);
            }
            if won > 1 {
                return Ok(Verdict { decides_races: false });
            }
        }
        Ok(Verdict { decides_races: true })
    }

    async fn find_missing(&self, probe: Probe, folder: &Path, names: &[Path; 3]) -> Result<Verdict, Error> {
        let unknown = Verdict { decides_races: true };
        let [small, large, copy] = names;
        let conditional = self.options().conditional_puts;
        if probe == Probe::Whole {
            // A process of the same id may have left some.
            let races = (0..HEATS).map(|heat| contested(folder, heat));
            for name in names.iter().cloned().chain(races) {
                self.remove(&name).await.map_err(fault::of_bucket)?;
            }
        }
        self.put(small, conditional).await.map_err(fault::of_bucket)?;
        if conditional && !is_refused(self.put(small, true).await)? {
            return Err(Missing::ConditionalPuts.into());
        }
        self.expect(small, Missing::Ranges).await?;
        if probe == Probe::Quick {
            return Ok(unknown);
        }
        if self.find(folder).await? != [small.clone()] {
            return Err(Missing::Listing.into());
        }
        self.assemble(large).await.map_err(fault::of_bucket)?;
        self.expect(large, Missing::Multipart).await?;
        if conditional {
            self.copy(large, copy).await.map_err(fault::of_bucket)?;
            self.expect(copy, Missing::Multipart).await?;
            if !is_refused(self.copy(large, copy).await)? {
                return Err(Missing::ConditionalCopies.into());
            }
        }
        Ok(unknown)
    }

    async fn put(&self, path: &Path, conditional: bool) -> object_store::Result<()> {
        let mode = || if conditional { PutMode::Create } else { PutMode::Overwrite };
        let put = || self.store().put_opts(path, PutPayload::from_static(BYTES), mode().into());
        self.calls().run(put).await.map(drop)
    }

    async fn copy(&self, from: &Path, to: &Path) -> object_store::Result<()> {
        let options = || CopyOptions { mode: CopyMode::Create, ..CopyOptions::default() };
        self.calls().run(|| self.store().copy_opts(from, to, options())).await
    }

    /// Uploads in parts; another upload is aborted, as those that fail are.
    async fn assemble(&self, path: &Path) -> object_store::Result<()> {
        for complete in [false, true] {
            let id = self.calls().run(|| self.store().create_multipart(path)).await?;
            let payload = || PutPayload::from_static(BYTES);
            let part = self.calls().run(|| self.store().put_part(path, &id, 0, payload())).await?;
            if complete {
                let parts = || vec![part.clone()];
                self.calls().run(|| self.store().complete_multipart(path, &id, parts())).await?;
            } else {
                self.calls().run(|| self.store().abort_multipart(path, &id)).await?;
            }
        }
        Ok(())
    }

    async fn expect(&self, path: &Path, otherwise: Missing) -> Result<(), Error> {
        match self.range(path, RANGE.start as u64, RANGE.end as u64).await {
            Ok(pieces) if pieces.concat() == BYTES[RANGE] => Ok(()),
            Ok(_) | Err(Answer::NotFound { .. }) => Err(otherwise.into()),
            Err(error) => Err(fault::of_bucket(error)),
        }
    }

    async fn find(&self, folder: &Path) -> Result<Vec<Path>, Error> {
        let found = self.below(Some(folder)).await.map_err(fault::of_bucket)?;
        Ok(found.into_iter().map(|meta| meta.location).collect())
    }
}

/// The name that is fought for in one heat.
fn contested(folder: &Path, heat: usize) -> Path {
    folder.clone().join(format!("race-{heat}"))
}

fn is_refused(created: object_store::Result<()>) -> Result<bool, Error> {
    match created {
        Ok(()) => Ok(false),
        Err(Answer::AlreadyExists { .. } | Answer::Precondition { .. }) => Ok(true),
        Err(error) => Err(fault::of_bucket(error)),
    }
}
