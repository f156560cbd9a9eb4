//! A stream's manifest replaced: the same bytes, named by other chunks or written to another object.
//!
//! Invariants: the object is durable before the commit that names it; that commit changes nothing
//! when the stream has gone or got another manifest meanwhile, or a chunk is not there any more; what
//! it names is held until then, so that nothing of it is reclaimed; the packs it lets go of are
//! counted again. Must not know why a manifest is replaced.

use roaring::RoaringTreemap;

use super::Store;
use super::damage::records::DAMAGE;
use super::error::Error;
use super::format::Kind;
use super::manifest::{Extent, Manifest};
use super::object::Builder;
use super::rows::{self, CONTENTS, ContentRow, GRAVES, grave_key, manifest_header};
use super::stored::Stored;
use super::totals::{self, Stats};
use super::unmarked;
use crate::db::Rows;
use crate::db::codec::encode;
use crate::model::ContentId;

impl Store {
    /// A stream's row as it is now.
    pub(super) fn content_row(&self, content: &ContentId) -> Result<Option<ContentRow>, Error> {
        Ok(self.inner.db.read()?.record(&CONTENTS, &content.0)?)
    }

    /// Puts `manifest` in the place of the one that `before` names; says whether it did. `let_go`
    /// are the packs of which a whole stream names fewer chunks than before, and then none of its
    /// chunks may be known to be lost; `None` is for one that was damaged, which may let go of any.
    ///
    /// # Errors
    /// When the database or the medium does not answer.
    pub(super) fn replace_manifest(
        &self,
        before: &ContentRow,
        manifest: &Manifest,
        let_go: Option<&RoaringTreemap>,
    ) -> Result<bool, Error> {
        let content = ContentId(manifest.content);
        if before.size_bytes != manifest.size_bytes {
            return Ok(false);
        }
        let mut held = self.inner.pins.hold();
        let all_held = manifest.extents.iter().all(|extent| match *extent {
            Extent::Run { pack, first, count, .. } => held.run(pack, first, count),
            Extent::Zeros { .. } => true,
        });
        if !all_held {
            return Ok(false);
        }
        let header = manifest_header(self.inner.entropy.id(), before.domain);
        held.object(header.id);
        let builder = Builder::start(&*self.inner.objects, &header, self.key(before.domain)?.as_deref())?;
        let stored = builder.finish(encode(manifest))?;
        self.inner.activity.written(stored.object_bytes);
        let packs = manifest.packs();
        let (before, checked, let_go) = (before.clone(), manifest.clone(), let_go.cloned());
        let store = self.clone();
        let committed = self.inner.db.write(move |txn| {
            let now: Option<ContentRow> = txn.record(&CONTENTS, &content.0)?;
            if now.as_ref() != Some(&before) || rows::first_lacking(txn, &checked, &packs)?.is_some() {
                return Ok(false);
            }
            // As late as can be: what it lets go of is whole.
            if let_go.is_some() && store.lost_under(&checked.extents).is_some() {
                return Ok(false);
            }
            let let_go = match &let_go {
                Some(packs) => Some(packs.clone()),
                None => rows::packs_of(txn, &content.0)?,
            };
            match let_go {
                Some(let_go) => let_go.iter().try_for_each(|pack| unmarked::add(txn, pack, &header.id))?,
                None => unmarked::lose(txn)?,
            }
            let next = ContentRow { object: header.id, stored, ..before.clone() };
            txn.put_record(&CONTENTS, &content.0, &next)?;
            rows::put_packs(txn, &content.0, &packs)?;
            totals::subtract(txn, Stats::of_content(&before))?;
            totals::add(txn, Stats::of_content(&next))?;
            txn.put(&GRAVES, &grave_key(Kind::Manifest, &before.object), &[])?;
            txn.remove(&DAMAGE, &Stored::Manifest(content).key())?;
            Ok::<_, Error>(true)
        })?;
        if committed {
            self.inner.damage.learn(Stored::Manifest(content), None);
        } else {
            self.inner.objects.delete(&header.key())?;
        }
        Ok(committed)
    }
}
