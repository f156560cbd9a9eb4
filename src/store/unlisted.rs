//! Streams of which nobody knows which packs they name: their manifest cannot be read, and the
//! catalog, which was rebuilt, has no list either.
//!
//! Invariant: such a stream keeps whatever it may name, which is anything of its key domain that was
//! there when the catalog was rebuilt, and nothing else: packs of other domains, and later ones, are
//! given back as ever. A stream whose key was revoked keeps nothing: nobody can read it again.

use std::collections::BTreeMap;

use super::Store;
use super::error::Error;
use super::rows::{self, CONTENTS, ContentRow, PackRow};
use crate::db::{Rows, Table, WriteTxn};
use crate::model::ContentId;

/// The streams, by content id: the first pack number that none of them can name, big-endian.
pub const UNLISTED: Table = Table::derived("unlisted-1");

/// What unreadable streams may name.
#[derive(Default)]
pub struct Withheld {
    /// By key domain, the first pack number that none of its streams can name.
    domains: BTreeMap<u32, u64>,
}

impl Withheld {
    /// Adds a stream of `domain` that can name packs below `end`.
    pub fn add(&mut self, domain: u32, end: u64) {
        let known = self.domains.entry(domain).or_default();
        *known = (*known).max(end);
    }

    /// Whether one of them may name this pack.
    pub fn covers(&self, number: u64, row: &PackRow) -> bool {
        self.domains.get(&row.domain).is_some_and(|end| number < *end)
    }
}

/// Notes that nobody knows the packs of a stream, and that it can name none from `next_pack` on.
pub fn note(txn: &WriteTxn, content: &[u8; 16], next_pack: u64) -> Result<(), Error> {
    Ok(txn.put(&UNLISTED, content, &next_pack.to_be_bytes())?)
}

/// Takes the note back.
pub fn forget(txn: &WriteTxn, content: &[u8; 16]) -> Result<(), Error> {
    txn.remove(&UNLISTED, content)?;
    Ok(())
}

/// The first pack number that a stream without a list cannot name.
pub fn end(rows: &impl Rows, content: &[u8]) -> Result<u64, Error> {
    let noted = rows.get(&UNLISTED, content)?.and_then(|value| value.try_into().ok());
    Ok(noted.map_or(u64::MAX, u64::from_be_bytes))
}

impl Store {
    /// The streams of which nobody knows which packs they name, each with the reason: space that they
    /// may need is not given back until their manifest is there again, or they are let go of.
    ///
    /// # Errors
    /// The medium's or the database's failure.
    pub fn unlisted(&self) -> Result<Vec<(ContentId, Error)>, Error> {
        let read = self.inner.db.read()?;
        let mut unlisted = Vec::new();
        rows::each(&read, &CONTENTS, |key, row: ContentRow| {
            if rows::packs_of(&read, key)?.is_some() || self.is_revoked(row.domain) {
                return Ok(());
            }
            let content = ContentId(key.try_into().unwrap_or_default());
            match self.manifest_now(&content, &row) {
                Err(error) if error.is_unreadable() => unlisted.push((content, error)),
                Err(Error::Missing(_)) | Ok(_) => {}
                Err(error) => return Err(error),
            }
            Ok(())
        })?;
        Ok(unlisted)
    }
}
