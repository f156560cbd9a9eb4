//! Repair: the bytes of a damaged object, from what is left of it and its parity.
//!
//! Invariant: the damaged object is replaced in one step by one that is complete, or stays.

use std::collections::BTreeMap;

use super::super::Store;
use super::super::error::Error;
use super::super::events::EventKind;
use super::super::format::HEADER_BYTES;
use super::super::object::{Object, verify_stored};
use super::super::stored::{Stored, StoredObject};
use super::super::survey::Comparison;
use super::code::Shape;
use super::parity_header;
use super::records::{PARITY, ParityFooter, ParityRow};
use crate::db::Rows;
use crate::db::codec;
use crate::objects;

/// What protects an object, opened.
struct Parity {
    shape: Shape,
    footer: ParityFooter,
}

impl Store {
    /// Repairs an object with its parity. Says whether it was replaced: then its bytes are those that
    /// the parity was made of. `reason` is what was found, for the record.
    ///
    /// # Errors
    /// When the database or the medium does not answer.
    pub(in crate::store) fn repair(
        &self,
        stored: Stored,
        object: [u8; 16],
        reason: &str,
    ) -> Result<bool, Error> {
        let mut shards = 0;
        let repaired = self.put_right(stored, object, |object| {
            let Some(parity) = self.open_parity(object)? else { return Ok(false) };
            let Some(restored) = self.restore(stored, object, &parity)? else { return Ok(false) };
            shards = restored.len();
            Ok(shards > 0 && self.replace(object, &parity, restored)?)
        })?;
        if repaired {
            self.inner.activity.repaired();
            let detail = format!("{reason}; {shards} parts put right with its parity");
            self.record(EventKind::Healed, stored, detail, Vec::new());
        }
        Ok(repaired)
    }

    fn open_parity(&self, object: &StoredObject) -> Result<Option<Parity>, Error> {
        let header = parity_header(&object.header.id);
        let row: Option<ParityRow> = self.inner.db.read()?.record(&PARITY, &object.header.id)?;
        let opened = Object::new(self.inner.objects.clone(), header, None);
        let footer = match row {
            Some(row) => opened.footer_of(&row.stored),
            // A rebuilt catalog has no rows of parity yet.
            None => match self.inner.objects.size(&header.key()) {
                Err(objects::Error::NotFound(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
                Ok(bytes) => {
                    verify_stored(&*self.inner.objects, &header, bytes).and_then(|()| opened.footer())
                }
            },
        };
        let damaged = |reason: &dyn std::fmt::Display| {
            tracing::warn!(parity = %header.key(), %reason, "what should repair an object is damaged itself");
            None
        };
        Ok(match footer {
            Err(error @ Error::Damaged { .. }) => damaged(&error),
            Err(error) => return Err(error),
            Ok(footer) => match codec::decode::<ParityFooter>(&footer) {
                Err(error) => damaged(&error),
                Ok(footer) if footer.bytes != object.bytes => {
                    damaged(&"it is of an object of another length")
                }
                Ok(footer) => match footer.shape() {
                    None => damaged(&"its footer contradicts itself"),
                    Some(shape) => Some(Parity { shape, footer }),
                },
            },
        })
    }

    /// The shards that are not what they were, as they were; `None` when more are lost than parity
    /// gives back.
    fn restore(
        &self,
        stored: Stored,
        object: &StoredObject,
        parity: &Parity,
    ) -> Result<Option<BTreeMap<u32, Vec<u8>>>, Error> {
        let Parity { shape, footer } = parity;
        let mut restored = BTreeMap::new();
        for group in 0..shape.groups {
            let numbers: Vec<u32> = shape.group(group).collect();
            let shards: Vec<Option<Vec<u8>>> =
                numbers.iter().map(|shard| self.whole_shard(object, parity, *shard)).collect();
            let lost = shards.iter().filter(|shard| shard.is_none()).count();
            if lost == 0 {
                continue;
            }
            let first = group * shape.parity;
            let spare: Vec<Option<Vec<u8>>> =
                (first..first + shape.parity).map(|at| self.parity_shard(object, parity, at)).collect();
            let back = match shape.decode(&shards, &spare) {
                Ok(back) => back,
                Err(error) => {
                    tracing::warn!(object = %stored, group, lost, %error, "too much of an object is damaged");
                    return Ok(None);
                }
            };
            for (place, bytes) in back {
                let shard = numbers[place];
                if blake3::hash(&bytes).as_bytes() != &footer.shards[shard as usize] {
                    return Ok(None);
                }
                restored.insert(shard, bytes);
            }
        }
        Ok(Some(restored))
    }

    /// A shard of the object, when it can be read and is what it was.
    fn whole_shard(&self, object: &StoredObject, parity: &Parity, shard: u32) -> Option<Vec<u8>> {
        let bytes = self.read_shard(object, &parity.shape, shard).ok()?;
        (blake3::hash(&bytes).as_bytes() == &parity.footer.shards[shard as usize]).then_some(bytes)
    }

    /// A parity shard, likewise.
    fn parity_shard(&self, object: &StoredObject, parity: &Parity, at: u32) -> Option<Vec<u8>> {
        let mut bytes = vec![0; parity.shape.shard_bytes as usize];
        let start = HEADER_BYTES as u64 + u64::from(at) * u64::from(parity.shape.shard_bytes);
        self.inner.objects.read_stored(&parity_header(&object.header.id).key(), start, &mut bytes).ok()?;
        (blake3::hash(&bytes).as_bytes() == &parity.footer.parity_shards[at as usize]).then_some(bytes)
    }

    /// Puts the repaired object in the damaged one's place; not when another shard goes bad now, nor
    /// when it is not what its trailer says: parity may have been made of what was read wrongly.
    fn replace(
        &self,
        object: &StoredObject,
        parity: &Parity,
        mut restored: BTreeMap<u32, Vec<u8>>,
    ) -> Result<bool, Error> {
        let Some(mut comparison) = Comparison::new(object.bytes) else { return Ok(false) };
        let mut writer = self.inner.objects.replace(&object.header.key())?;
        for shard in 0..parity.shape.shards {
            let bytes = restored.remove(&shard).or_else(|| self.whole_shard(object, parity, shard));
            let Some(bytes) = bytes else { return Ok(false) };
            let rest = object.bytes.saturating_sub(parity.shape.start(shard));
            let bytes = &bytes[..rest.min(parity.shape.shard_bytes.into()) as usize];
            comparison.push(bytes);
            writer.write(bytes)?;
        }
        let sum = comparison.finish();
        if sum.is_none() || object.sum.is_some_and(|known| sum != Some(known)) {
            tracing::warn!(object = %object.header.key(), "its parity gives other bytes than were written");
            return Ok(false);
        }
        writer.commit()?;
        Ok(true)
    }
}
