//! Manifests written anew: from what the damaged one still says, or from another stream of the
//! same bytes.
//!
//! Invariant: a stream is only given chunks of its own realm, and its content id, length and bytes
//! stay what they were. Must not know how callers find a stream of the same bytes.

use super::super::Store;
use super::super::error::Error;
use super::super::events::EventKind;
use super::super::format::Kind;
use super::super::manifest::Manifest;
use super::super::object::Builder;
use super::super::realm::Realm;
use super::super::rows::{
    self, CONTENTS, ContentRow, GRAVES, PACKS, PackRow, grave_key, manifest_header, pack_key,
};
use super::super::stored::Stored;
use super::super::totals::{self, Stats};
use super::records::DAMAGE;
use crate::db::codec::encode;
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
        if realm_of(&read, content)? != realm_of(&read, twin)? {
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
            self.count_affected()?;
        }
        Ok(rewritten)
    }

    /// A stream's manifest.
    pub(super) fn content_manifest(&self, content: &ContentId) -> Result<Manifest, Error> {
        let row: Option<ContentRow> = self.inner.db.read()?.record(&CONTENTS, &content.0)?;
        self.manifest(&row.ok_or(Error::Missing(*content))?)
    }

    /// Puts a new object in the place of a stream's manifest; not when the stream has gone or is of
    /// another length, or a pack has gone.
    pub(super) fn rewrite_manifest(&self, content: &ContentId, manifest: Manifest) -> Result<bool, Error> {
        let content = *content;
        let row: Option<ContentRow> = self.inner.db.read()?.record(&CONTENTS, &content.0)?;
        let Some(row) = row.filter(|row| row.size_bytes == manifest.size_bytes) else { return Ok(false) };
        let mut held = self.inner.pins.hold();
        let packs = manifest.packs();
        if !packs.iter().all(|pack| held.pack(pack)) {
            return Ok(false);
        }
        let header = manifest_header(self.inner.entropy.id(), row.domain);
        held.object(header.id);
        let builder = Builder::start(&*self.inner.objects, &header, self.key(row.domain)?.as_deref())?;
        let stored = builder.finish(encode(&manifest))?;
        self.inner.activity.written(stored.object_bytes);
        let next = ContentRow { object: header.id, stored, ..row.clone() };
        let committed = self.inner.db.write(move |txn| {
            let now: Option<ContentRow> = txn.record(&CONTENTS, &content.0)?;
            if now.as_ref() != Some(&row) {
                return Ok(false);
            }
            for pack in &packs {
                if txn.get(&PACKS, &pack_key(pack))?.is_none() {
                    return Ok(false);
                }
            }
            txn.put_record(&CONTENTS, &content.0, &next)?;
            rows::put_packs(txn, &content.0, &packs)?;
            totals::subtract(txn, Stats::of_content(&row))?;
            totals::add(txn, Stats::of_content(&next))?;
            txn.put(&GRAVES, &grave_key(Kind::Manifest, &row.object), &[])?;
            txn.remove(&DAMAGE, &Stored::Manifest(content).key())?;
            Ok::<_, Error>(true)
        })?;
        if committed {
            self.inner.damage.learn(Stored::Manifest(content), None);
            self.inner.activity.healed();
            let detail = "a new manifest was written, from what was left or from an image of the same bytes";
            self.record(EventKind::Healed, Stored::Manifest(content), detail, vec![content]);
        } else {
            self.inner.objects.delete(&header.key())?;
        }
        Ok(committed)
    }
}

/// Whose chunks a stream shares; `None` for one without any.
fn realm_of(read: &ReadTxn, content: &ContentId) -> Result<Option<Realm>, Error> {
    let packs = rows::packs_of(read, &content.0)?.unwrap_or_default();
    let Some(first) = packs.min() else { return Ok(None) };
    let row: Option<PackRow> = read.record(&PACKS, &pack_key(first))?;
    Ok(row.map(|row| row.realm()))
}
