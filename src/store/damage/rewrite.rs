//! Manifests written anew: from what the damaged one still says, or from another stream of the
//! same bytes.
//!
//! Invariant: a stream is only given chunks of its own realm, and its content id, length and bytes
//! stay what they were. Must not know how callers find a stream of the same bytes.

use super::super::Store;
use super::super::error::Error;
use super::super::events::EventKind;
use super::super::manifest::Manifest;
use super::super::realm::Realm;
use super::super::replace::Names;
use super::super::rows::{self, PACKS, PackRow, pack_key};
use super::super::stored::Stored;
use crate::db::{ReadTxn, Rows};
use crate::model::ContentId;

impl Store {
    /// Gives a damaged stream the chunks of `twin`, a whole stream of the same bytes; `record` is
    /// kept beside it. Says whether that could be done.
    ///
    /// # Errors
    /// When the database or the medium does not answer.
    pub fn mend_from_twin(
        &self,
        content: &ContentId,
        twin: &ContentId,
        record: Vec<u8>,
    ) -> Result<bool, Error> {
        let read = self.inner.db.read()?;
        let realm = realm_of(&read, content)?;
        if realm != realm_of(&read, twin)? || realm.is_some_and(|realm| self.is_revoked(realm.domain)) {
            return Ok(false);
        }
        drop(read);
        let manifest = match self.content_manifest(twin) {
            Err(Error::Damaged { .. } | Error::Missing(_)) => return Ok(false),
            manifest => manifest?,
        };
        if self.lost_under(&manifest.extents).is_some() {
            return Ok(false);
        }
        let rewritten =
            self.rewrite_manifest(content, Manifest { content: content.0, record, ..manifest })?;
        if rewritten {
            self.tell_damage()?;
        }
        Ok(rewritten)
    }

    /// A stream's manifest.
    pub(super) fn content_manifest(&self, content: &ContentId) -> Result<Manifest, Error> {
        self.manifest_now(content, &self.content_row(content)?.ok_or(Error::Missing(*content))?)
    }

    /// Puts a new object in the place of a stream's damaged manifest; not when the stream has gone or
    /// is of another length, or a chunk has gone.
    pub(super) fn rewrite_manifest(&self, content: &ContentId, manifest: Manifest) -> Result<bool, Error> {
        let Some(row) = self.content_row(content)? else { return Ok(false) };
        let healed = self.replace_manifest(&row, &manifest, Names::Any)?.is_some();
        if healed {
            self.inner.activity.healed();
            let detail = "a new manifest was written, from what was left or from an image of the same bytes";
            self.record(EventKind::Healed, Stored::Manifest(*content), detail, vec![*content]);
        }
        Ok(healed)
    }
}

/// Whose chunks a stream shares; `None` for one without any.
fn realm_of(read: &ReadTxn, content: &ContentId) -> Result<Option<Realm>, Error> {
    let packs = rows::packs_of(read, &content.0)?.unwrap_or_default();
    let Some(first) = packs.min() else { return Ok(None) };
    let row: Option<PackRow> = read.record(&PACKS, &pack_key(first))?;
    Ok(row.map(|row| row.realm()))
}
