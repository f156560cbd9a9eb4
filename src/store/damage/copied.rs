//! Repair from a copy: an object that also lies elsewhere is put back in its own place.
//!
//! Invariants: what a copy holds takes an object's place only when all of its bytes are those that were
//! written, which the row says that names the object, or else what is left of the object's own trailer.
//! A copy is never written to, and one that is away, foreign or damaged itself stops nothing.

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
    /// Puts a damaged object right from the first copy that has it as it was written. Says whether
    /// it was replaced. `reason` is what was found, for the record.
    ///
    /// # Errors
    /// When the database or the store's own medium does not answer.
    pub(in crate::store) fn repair_from_copy(
        &self,
        stored: Stored,
        object: [u8; 16],
        reason: &str,
    ) -> Result<bool, Error> {
        let copies = self.inner.objects.copies();
        if copies.is_empty() {
            return Ok(false);
        }
        let mut source = None;
        let repaired = self.put_right(stored, object, |object| {
            let written = object
                .sum
                .or_else(|| Trailer::sum_of(&*self.inner.objects, &object.header.key(), object.bytes));
            let Some(written) = written else {
                tracing::warn!(
                    object = %stored,
                    "copies cannot be used: neither the catalog nor the object says any more what was written"
                );
                return Ok(false);
            };
            for copy in copies {
                match take(&*self.inner.objects, copy, object, &written) {
                    Ok(()) => {
                        source = Some(copy.name());
                        return Ok(true);
                    }
                    Err(Unfit::Medium(error)) => return Err(error.into()),
                    Err(Unfit::Copy(why)) => {
                        let why = self.absence(copy).unwrap_or(why);
                        tracing::warn!(object = %stored, copy = copy.name(), %why, "a copy cannot be used");
                    }
                }
            }
            Ok(false)
        })?;
        if let Some(source) = source.filter(|_| repaired) {
            self.inner.activity.copied();
            let detail = format!("{reason}; put right from the copy in {source}");
            self.record(EventKind::Healed, stored, detail, Vec::new());
        }
        Ok(repaired)
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
