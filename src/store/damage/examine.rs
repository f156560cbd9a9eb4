//! Finding out what of an object is lost: its blocks first, which needs no key, then the chunks in
//! them.
//!
//! Invariant: a chunk counts as lost only after a try to read it, so what is recorded is what a
//! reader would meet.

use std::collections::HashSet;

use super::super::Store;
use super::super::error::Error;
use super::super::format::HASH_BLOCK_BYTES;
use super::super::keyring::KeyError;
use super::super::pack::Pack;
use super::super::rows::{CONTENTS, ContentRow, PACKS, PackRow, pack_key};
use super::super::stored::{Stored, StoredObject};
use super::super::survey::{Found, Rot, Watch, survey};
use super::records::{DAMAGE, DamageRow, LostChunk, runs};
use crate::db::Rows;

/// Why an object is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// It is its turn.
    None,
    /// A read of it failed: what its trailer does not show is looked for too.
    ReadFailed,
}

/// What a look at an object found.
#[derive(Debug)]
pub enum Examined {
    /// Nothing.
    Whole {
        /// The object's id.
        object: [u8; 16],
        /// The sum in its tail.
        sum: [u8; 32],
    },
    /// Damage.
    Damaged(DamageRow),
    /// No row names it any more.
    Gone,
    /// Another object has taken its place meanwhile.
    Replaced,
    /// The look was broken off.
    Stopped,
}

impl Store {
    /// Looks at the object behind a name; changes nothing.
    ///
    /// # Errors
    /// When the database or the medium does not answer.
    pub(in crate::store) fn examine(
        &self,
        stored: Stored,
        suspicion: Suspicion,
        watch: &mut Watch<'_>,
    ) -> Result<Examined, Error> {
        let Some(object) = self.stored_object(stored)? else { return Ok(Examined::Gone) };
        let (rot, sum) = match survey(&*self.inner.objects, &object.header, object.bytes, watch)? {
            Found::Stopped => return Ok(Examined::Stopped),
            Found::Whole { sum } => (None, sum),
            // Then it is not whole either.
            Found::Rotten(rot) => (Some(rot), [0; 32]),
        };
        let damage = match stored {
            Stored::Pack(number) => self.examine_pack(number, &object, suspicion, rot)?,
            Stored::Manifest(_) => self.examine_manifest(stored, &object, suspicion, rot)?,
        };
        // Reclaiming and compaction go on beside this.
        match self.stored_object(stored)? {
            None => Ok(Examined::Gone),
            Some(now) if now.header.id != object.header.id => Ok(Examined::Replaced),
            Some(_) => {
                let whole = Examined::Whole { object: object.header.id, sum };
                Ok(damage.map_or(whole, Examined::Damaged))
            }
        }
    }

    fn damage_row(&self, object: &StoredObject, reason: String, rot: Option<Rot>) -> DamageRow {
        DamageRow {
            object: object.header.id,
            found_at: self.inner.clock.now().0,
            reason,
            blocks: runs(rot.and_then(|rot| rot.blocks).unwrap_or_default()),
            all: false,
            domain: object.header.domain,
            lost: Vec::new(),
        }
    }

    fn examine_manifest(
        &self,
        stored: Stored,
        object: &StoredObject,
        suspicion: Suspicion,
        rot: Option<Rot>,
    ) -> Result<Option<DamageRow>, Error> {
        if rot.is_none() && suspicion == Suspicion::None {
            return Ok(None);
        }
        let Stored::Manifest(content) = stored else { return Ok(None) };
        let row: Option<ContentRow> = self.inner.db.read()?.record(&CONTENTS, &content.0)?;
        let Some(row) = row else { return Ok(None) };
        let refused = match self.manifest(&row) {
            Ok(_) => None,
            Err(error @ Error::Damaged { .. }) => Some(error.to_string()),
            Err(error) if rot.is_some() => Some(error.to_string()),
            Err(Error::Key(KeyError::Revoked(_))) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(reason) = rot.as_ref().map(|rot| rot.reason.clone()).or(refused.clone()) else {
            return Ok(None);
        };
        let before = self.damage_before(stored)?;
        let mut damage = DamageRow { all: refused.is_some(), ..self.damage_row(object, reason, rot) };
        damage.found_at = before.map_or(damage.found_at, |before| before.found_at);
        Ok(Some(damage))
    }

    fn examine_pack(
        &self,
        number: u64,
        object: &StoredObject,
        suspicion: Suspicion,
        rot: Option<Rot>,
    ) -> Result<Option<DamageRow>, Error> {
        let before = self.damage_before(Stored::Pack(number))?;
        if rot.is_none() && suspicion == Suspicion::None && before.is_none() {
            return Ok(None);
        }
        let pack = match self.pack(number) {
            Ok(pack) => Some(pack),
            Err(error @ Error::Damaged { .. }) => {
                tracing::debug!(number, %error, "a pack's list of chunks is lost");
                None
            }
            Err(_) if rot.is_some() => None,
            // What it held is lost in any case, and the object is whole.
            Err(Error::Key(KeyError::Revoked(_))) => return Ok(None),
            Err(error) => return Err(error),
        };
        let earlier = before.as_ref().map(|before| before.lost.clone()).unwrap_or_default();
        let lost = match &pack {
            Some(pack) => self.lost_chunks(pack, suspicion, rot.as_ref(), &earlier)?,
            None => earlier,
        };
        if rot.is_none() && pack.is_some() && lost.is_empty() {
            return Ok(None);
        }
        let reason = match (&rot, &before) {
            (Some(rot), _) => rot.reason.clone(),
            (None, Some(before)) => before.reason.clone(),
            (None, None) => "its chunks are not what their names say".to_owned(),
        };
        let mut damage = DamageRow { all: pack.is_none(), lost, ..self.damage_row(object, reason, rot) };
        damage.found_at = before.map_or(damage.found_at, |before| before.found_at);
        Ok(Some(damage))
    }

    /// What was recorded of this object, or of the one that this one came from.
    fn damage_before(&self, stored: Stored) -> Result<Option<DamageRow>, Error> {
        Ok(self.inner.db.read()?.record(&DAMAGE, &stored.key())?)
    }

    /// The chunks that cannot be read, of the blocks that are damaged and of those that were lost
    /// before.
    fn lost_chunks(
        &self,
        pack: &Pack,
        suspicion: Suspicion,
        rot: Option<&Rot>,
        earlier: &[LostChunk],
    ) -> Result<Vec<LostChunk>, Error> {
        let earlier: HashSet<u32> = earlier.iter().map(|chunk| chunk.ordinal).collect();
        let everywhere = suspicion == Suspicion::ReadFailed || rot.is_some_and(|rot| rot.blocks.is_none());
        let blocks = rot.and_then(|rot| rot.blocks.as_deref()).unwrap_or_default();
        // What is a hole now was needed by nobody.
        let mut lost = Vec::new();
        for (index, frame) in pack.footer.frames.iter().enumerate() {
            let end = frame.offset + u64::from(frame.stored_bytes).max(1);
            let touched = block_of(frame.offset)..=block_of(end - 1);
            let was_lost = || pack.frame_ordinals(index).any(|ordinal| earlier.contains(&ordinal));
            let suspect = everywhere || blocks.iter().any(|b| touched.contains(b)) || was_lost();
            if !suspect {
                continue;
            }
            match pack.frames(index..index + 1) {
                Ok(_) => {}
                Err(error) if error.is_absence() && !blocks.iter().any(|b| touched.contains(b)) => {
                    return Err(error);
                }
                Err(_) => lost.extend(self.chunks_of(pack, index)?),
            }
        }
        lost.sort_unstable_by_key(|chunk| chunk.ordinal);
        Ok(lost)
    }

    /// A frame's chunks.
    fn chunks_of(&self, pack: &Pack, index: usize) -> Result<Vec<LostChunk>, Error> {
        let row: Option<PackRow> = self.inner.db.read()?.record(&PACKS, &pack_key(pack.number))?;
        let Some(row) = row else { return Ok(Vec::new()) };
        pack.frame_ordinals(index)
            .filter_map(|ordinal| Some((ordinal, pack.length(ordinal)?, *pack.name(ordinal)?)))
            .map(|(ordinal, bytes, name)| {
                Ok(LostChunk { ordinal, bytes, name: self.public_name(row.realm(), &name)? })
            })
            .collect()
    }
}

fn block_of(offset: u64) -> u32 {
    (offset / HASH_BLOCK_BYTES as u64) as u32
}
