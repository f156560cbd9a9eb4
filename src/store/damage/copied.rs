//! Repair from a copy: an object that also lies elsewhere is put back in its own place, and where no copy
//! has it, the damaged parity that would repair it.
//!
//! Invariants: what a copy holds takes an object's place only when all of its bytes are those that were
//! written, which the row says that names the object, or else what is left of the object's own trailer.
//! A copy is never written to, and one that is away, foreign or damaged itself stops nothing.

use std::fmt::Display;

use super::super::Store;
use super::super::error::Error;
use super::super::events::EventKind;
use super::super::format::{HEADER_BYTES, Header};
use super::super::stored::{Stored, StoredObject};
use super::super::survey::{Comparison, Trailer};
use super::super::vault;
use crate::objects::{self, CopySource, Objects};

/// Bytes read from a copy at once.
const PIECE_BYTES: usize = 1 << 20;

/// Why a copy does not serve.
enum Unfit {
    /// Its own affair; the words for the log.
    Copy(String),
    /// The store's medium failed.
    Medium(objects::Error),
}

impl Store {
    /// Puts a damaged object right from the first copy that has it as it was written, or with parity
    /// that is damaged here and whole in a copy. Says whether it was replaced. `reason` is what was
    /// found, for the record.
    ///
    /// # Errors
    /// When the database or the store's own medium does not answer.
    pub(in crate::store) fn repair_from_copy(
        &self,
        stored: Stored,
        object: [u8; 16],
        reason: &str,
    ) -> Result<bool, Error> {
        if self.inner.objects.copies().is_empty() {
            return Ok(false);
        }
        let mut source = None;
        let repaired = self.put_right(stored, object, |object| {
            source = self.copy_back(&stored, object)?;
            Ok(source.is_some())
        })?;
        match source.filter(|_| repaired) {
            Some(source) => self.tell_copied(stored, reason, source),
            // Its own copies are away or damaged too: those of what repairs it may not be.
            None => return Ok(self.copy_parity_back(stored, object)? && self.repair(stored, object, reason)?),
        }
        Ok(true)
    }

    /// Puts damaged parity of an object right from the first copy that has it as it was written; says
    /// whether it was replaced.
    fn copy_parity_back(&self, stored: Stored, object: [u8; 16]) -> Result<bool, Error> {
        let Some((parity, reason)) = self.damaged_parity(&object)? else { return Ok(false) };
        let (name, mut source) = (parity.header.key(), None);
        let held = self.put_right(stored, object, |_| {
            source = self.copy_back(&name, &parity)?;
            Ok(source.is_some())
        })?;
        match source {
            Some(source) if held => self.tell_copied(name, &reason, source),
            // What it protects died meanwhile.
            Some(_) => self.inner.objects.delete(&name)?,
            None => {}
        }
        Ok(held)
    }

    /// Puts an object right from the first copy that has it as it was written: from which, if one has.
    fn copy_back(&self, what: &dyn Display, object: &StoredObject) -> Result<Option<&str>, Error> {
        let written =
            object.sum.or_else(|| Trailer::sum_of(&*self.inner.objects, &object.header.key(), object.bytes));
        let Some(written) = written else {
            tracing::warn!(
                object = %what,
                "copies cannot be used: neither the catalog nor the object says any more what was written"
            );
            return Ok(None);
        };
        for copy in self.inner.objects.copies() {
            match take(&*self.inner.objects, copy, object, &written) {
                Ok(()) => return Ok(Some(copy.name())),
                Err(Unfit::Medium(error)) => return Err(error.into()),
                Err(Unfit::Copy(why)) => {
                    let why = self.absence(copy).unwrap_or(why);
                    tracing::warn!(object = %what, copy = copy.name(), %why, "a copy cannot be used");
                }
            }
        }
        Ok(None)
    }

    fn tell_copied(&self, what: impl ToString, reason: &str, source: &str) {
        self.inner.activity.copied();
        let detail = format!("{reason}; put right from the copy in {source}");
        self.record(EventKind::Healed, what, detail, Vec::new());
    }

    /// What is wrong with a copy as a whole, if something is.
    fn absence(&self, copy: &CopySource) -> Option<String> {
        let own = super::super::rows::store_id(&self.inner.db.read().ok()?).ok()??;
        match vault::store_id(&**copy.objects()) {
            Ok(id) if id[..] == own[..] => None,
            Ok(id) => Some(format!("it is a copy of another store, {}", hex::encode(id))),
            Err(Error::Absent) => Some("there is no store; is it mounted?".to_owned()),
            Err(error) => Some(format!("it cannot be read: {error}")),
        }
    }
}

/// Puts a copy of an object in the object's place, if it is what was written.
fn take(
    medium: &dyn Objects,
    copy: &CopySource,
    object: &StoredObject,
    written: &[u8; 32],
) -> Result<(), Unfit> {
    let (key, from) = (object.header.key(), copy.objects());
    let unfit = |error: objects::Error| Unfit::Copy(error.to_string());
    let bytes = from.size(&key).map_err(unfit)?;
    if bytes != object.bytes {
        return Err(Unfit::Copy(format!("{key} has {bytes} bytes there, {} were written", object.bytes)));
    }
    let mut comparison = Comparison::new(bytes)
        .ok_or_else(|| Unfit::Copy(format!("{key} has {bytes} bytes, which no object has")))?;
    let mut writer = medium.replace(&key).map_err(Unfit::Medium)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < bytes {
        let piece = &mut piece[..(bytes - at).min(PIECE_BYTES as u64) as usize];
        from.read_stored(&key, at, piece).map_err(unfit)?;
        if at == 0 && piece.get(..HEADER_BYTES).map(Header::decode) != Some(Ok(object.header)) {
            return Err(Unfit::Copy(format!("{key} has another header there")));
        }
        comparison.push(piece);
        writer.write(piece).map_err(Unfit::Medium)?;
        at += piece.len() as u64;
    }
    match comparison.finish() {
        None => Err(Unfit::Copy(format!("{key} is damaged there"))),
        Some(sum) if sum != *written => Err(Unfit::Copy(format!("{key} is not what was written there"))),
        Some(_) => writer.commit().map_err(Unfit::Medium),
    }
}
