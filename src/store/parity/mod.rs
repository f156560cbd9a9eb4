//! Parity: a second, smaller object beside a stored one, from which rotten ranges of it come back.
//!
//! Owns: parity objects and their rows. The scrub writes them, from objects it has just compared
//! with their trailers, and uses them. Invariants: parity is durable before it is counted, covers
//! what was stored (sealed or not, so no key is needed), and dies with the object it protects; a
//! repaired object is put in the damaged one's place only when each shard of it is what it was when
//! the parity was made, and the whole is what its own trailer says.
//!
//! Parity is within an object, not across objects: a disk that rots loses sectors here and there,
//! and packs die and are rewritten one by one, which would spoil a group of several each time.
//! Manifests are small and each is needed for a whole image: they get as much parity as they have
//! bytes, which brings back one that is gone altogether.

mod code;
pub(super) mod records;
mod repair;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

pub use code::Ratio;
use code::{CodeError, Shape};
pub use records::ParityTotals;
pub(super) use records::forget;
use records::{PARITY, PARITY_TOTALS, ParityFooter, ParityRow};

use super::Store;
use super::error::Error;
use super::events::EventKind;
use super::format::{Header, Kind};
use super::object::Builder;
use super::stored::{Stored, StoredObject};
use super::survey::{Found, Watch, survey};
use crate::db::Rows;
use crate::db::codec;
use crate::objects;

impl From<CodeError> for Error {
    fn from(error: CodeError) -> Error {
        Error::damaged("a group of shards", error)
    }
}

/// The header of what protects an object.
pub(super) fn parity_header(object: &[u8; 16]) -> Header {
    Header::plain(Kind::Parity, *object, 0)
}

impl Store {
    /// What all parity takes.
    ///
    /// # Errors
    /// When the database fails.
    pub fn parity(&self) -> Result<ParityTotals, Error> {
        Ok(self.inner.db.read()?.record(&PARITY_TOTALS, &[])?.unwrap_or_default())
    }

    /// Sees to it that an object, which was just found whole, has whole parity where settings want
    /// any, and none that is damaged. `watch` can end the look at what is there.
    pub(super) fn protect(
        &self,
        stored: Stored,
        object: &StoredObject,
        watch: &mut Watch<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        let id = object.header.id;
        let wanted = self.inner.options.parity;
        if let Some(row) = self.inner.db.read()?.record::<ParityRow>(&PARITY, &id)? {
            match survey(&*self.inner.objects, &parity_header(&id), row.stored.object_bytes, watch)? {
                Found::Whole { .. } => return Ok(ControlFlow::Continue(())),
                Found::Stopped => return Ok(ControlFlow::Break(())),
                Found::Rotten(rot) => {
                    self.inner.db.write(move |txn| records::forget(txn, &id))?;
                    let done = if wanted.is_some() { "made anew" } else { "deleted, as settings want none" };
                    let detail = format!("{}; {done}", rot.reason);
                    self.record(EventKind::Healed, parity_header(&id).key(), detail, Vec::new());
                }
            }
        } else if wanted.is_none() {
            return Ok(ControlFlow::Continue(()));
        }
        // One without a row was left by a scrub that was cut off, or is damaged.
        self.inner.objects.delete(&parity_header(&id).key())?;
        let Some(ratio) = wanted else { return Ok(ControlFlow::Continue(())) };
        let ratio = match stored {
            Stored::Pack(_) => ratio,
            Stored::Manifest(_) => Ratio::WHOLE,
        };
        let row = self.write_parity(object, ratio)?;
        let counted = self.inner.db.write(move |txn| {
            // The object may have died meanwhile, and its parity with it.
            if stored.object(txn)?.is_none_or(|now| now.header.id != id) {
                return Ok(false);
            }
            records::put(txn, &id, &row)?;
            Ok::<_, Error>(true)
        })?;
        if !counted {
            self.inner.objects.delete(&parity_header(&id).key())?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The parity object that protects an object, where there should be one and it is damaged or gone, and
    /// what is wrong with it.
    pub(super) fn damaged_parity(&self, object: &[u8; 16]) -> Result<Option<(StoredObject, String)>, Error> {
        let header = parity_header(object);
        let row: Option<ParityRow> = self.inner.db.read()?.record(&PARITY, object)?;
        let (bytes, sum) = match row {
            Some(row) => (row.stored.object_bytes, row.stored.known_sum()),
            // A rebuilt catalog has no rows of parity yet: what it was, only its own trailer says.
            None => match self.inner.objects.size(&header.key()) {
                Err(objects::Error::NotFound(_)) => return Ok(None),
                bytes => (bytes?, None),
            },
        };
        let mut undisturbed = |_| ControlFlow::Continue(());
        match survey(&*self.inner.objects, &header, bytes, &mut undisturbed)? {
            Found::Rotten(rot) => Ok(Some((StoredObject { header, bytes, sum }, rot.reason))),
            Found::Whole { .. } | Found::Stopped => Ok(None),
        }
    }

    /// Writes the parity of an object; returns once it is durable.
    fn write_parity(&self, object: &StoredObject, ratio: Ratio) -> Result<ParityRow, Error> {
        let shape = Shape::of(object.bytes, ratio);
        let mut footer = ParityFooter {
            kind: object.header.kind as u8,
            bytes: object.bytes,
            shard_bytes: shape.shard_bytes,
            groups: shape.groups,
            parity: shape.parity,
            shards: vec![[0; 32]; shape.shards as usize],
            parity_shards: Vec::with_capacity((shape.groups * shape.parity) as usize),
        };
        let mut builder = Builder::start(&*self.inner.objects, &parity_header(&object.header.id), None)?;
        for group in 0..shape.groups {
            let mut shards = Vec::new();
            for shard in shape.group(group) {
                let bytes = self.read_shard(object, &shape, shard)?;
                footer.shards[shard as usize] = *blake3::hash(&bytes).as_bytes();
                shards.push(bytes);
            }
            for mut parity in shape.encode(&shards)? {
                footer.parity_shards.push(*blake3::hash(&parity).as_bytes());
                builder.append(&mut parity)?;
            }
        }
        Ok(ParityRow { stored: builder.finish(codec::encode(&footer))? })
    }

    /// One shard of an object, filled up with zeros.
    fn read_shard(
        &self,
        object: &StoredObject,
        shape: &Shape,
        shard: u32,
    ) -> Result<Vec<u8>, objects::Error> {
        let mut bytes = vec![0; shape.shard_bytes as usize];
        let start = shape.start(shard);
        let length = object.bytes.saturating_sub(start).min(shape.shard_bytes.into());
        self.inner.objects.read_stored(&object.header.key(), start, &mut bytes[..length as usize])?;
        Ok(bytes)
    }

    /// Deletes what protects an object, durably; its row goes with [`forget`].
    pub(super) fn delete_parity(&self, object: &[u8; 16]) -> Result<u64, Error> {
        let Some(row) = self.inner.db.read()?.record::<ParityRow>(&PARITY, object)? else { return Ok(0) };
        self.inner.objects.delete(&parity_header(object).key())?;
        Ok(row.stored.object_bytes)
    }
}
