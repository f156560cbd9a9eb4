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
use super::format::{Kind, fresh_id};
use super::manifest::{Extent, Manifest};
use super::object::Builder;
use super::rows::{self, CONTENTS, ContentRow, GRAVES, grave_key, manifest_header};
use super::stored::Stored;
use super::totals::{self, Stats};
use super::unmarked;
use crate::db::{Rows, WriteTxn};
use crate::model::{ContentId, StorePlace};

/// What a stream's next manifest names, beside what it named before.
#[derive(Debug, Clone, Copy)]
pub enum Names<'a> {
    /// The same chunks, be they there or not.
    Same,
    /// Other chunks of the same bytes. Of these packs it names fewer than before; none of what it names
    /// may be known to be lost.
    Fewer(&'a RoaringTreemap),
    /// Any, as what was there before was damaged.
    Any,
}

impl Store {
    /// A stream's row as it is now.
    pub(super) fn content_row(&self, content: &ContentId) -> Result<Option<ContentRow>, Error> {
        Ok(self.inner.db.read()?.record(&CONTENTS, &content.0)?)
    }

    /// Puts `manifest` in the place of the one that `before` names, sealed with its domain's newest key;
    /// gives the new object's length in bytes, or `None` when it was not to be.
    ///
    /// # Errors
    /// When the database or the medium does not answer, or the domain has no key.
    pub(super) fn replace_manifest(
        &self,
        before: &ContentRow,
        manifest: &Manifest,
        names: Names<'_>,
    ) -> Result<Option<u64>, Error> {
        let content = ContentId(manifest.content);
        if before.size_bytes != manifest.size_bytes {
            return Ok(None);
        }
        let mut held = self.inner.pins.hold();
        let is_held = |extent: &Extent| match *extent {
            Extent::Run { pack, first, count, .. } => held.run(pack, first, count),
            Extent::Zeros { .. } => true,
        };
        if !matches!(names, Names::Same) && !manifest.extents.iter().all(is_held) {
            return Ok(None);
        }
        let (header, key) = self.sealing(
            &mut held,
            manifest_header(fresh_id(&*self.inner.entropy, StorePlace::HOME)),
            before.domain,
        )?;
        let builder = Builder::start(&*self.inner.objects, &header, key.as_deref())?;
        let stored = builder.finish(manifest.to_bytes())?;
        self.inner.activity.written(stored.object_bytes);
        let packs = manifest.packs();
        let next =
            ContentRow { object: header.id, key_version: header.key_version, stored, ..before.clone() };
        let (checked, counted) = match names {
            Names::Same => (None, Counted::None),
            Names::Fewer(packs) => (Some(manifest.clone()), Counted::These(packs.clone())),
            Names::Any => (Some(manifest.clone()), Counted::AllBefore),
        };
        let change =
            Change { store: self.clone(), content, before: before.clone(), next, packs, checked, counted };
        let committed = self.inner.db.write(move |txn| change.make(txn))?;
        if !committed {
            self.inner.objects.delete(&header.key())?;
            return Ok(None);
        }
        self.inner.damage.learn(Stored::Manifest(content), None);
        Ok(Some(stored.object_bytes))
    }
}

/// The packs that are counted again, as fewer of their chunks are named.
enum Counted {
    None,
    These(RoaringTreemap),
    AllBefore,
}

/// One row for another.
struct Change {
    store: Store,
    content: ContentId,
    before: ContentRow,
    next: ContentRow,
    packs: RoaringTreemap,
    /// The manifest whose chunks must all be there.
    checked: Option<Manifest>,
    counted: Counted,
}

impl Change {
    /// Makes the change in the writer's transaction, unless it is too late for it.
    fn make(&self, txn: &WriteTxn) -> Result<bool, Error> {
        let Change { store, content, before, next, packs, checked, counted } = self;
        let now: Option<ContentRow> = txn.record(&CONTENTS, &content.0)?;
        if now.as_ref() != Some(before) {
            return Ok(false);
        }
        if let Some(manifest) = checked {
            // As late as can be: it names nothing that is gone, nor lets go of what is whole for what is not.
            let lacks = rows::first_lacking(txn, manifest, packs)?.is_some();
            let is_fewer = matches!(counted, Counted::These(_));
            if lacks || is_fewer && store.lost_under(&manifest.extents).is_some() {
                return Ok(false);
            }
        }
        let let_go = match counted {
            Counted::None => Some(RoaringTreemap::new()),
            Counted::These(packs) => Some(packs.clone()),
            Counted::AllBefore => rows::packs_of(txn, &content.0)?,
        };
        match let_go {
            Some(let_go) => let_go.iter().try_for_each(|pack| unmarked::add(txn, pack, &next.object))?,
            None => unmarked::lose(txn)?,
        }
        txn.put_record(&CONTENTS, &content.0, next)?;
        rows::put_packs(txn, &content.0, packs)?;
        totals::subtract(txn, Stats::of_content(before))?;
        totals::add(txn, Stats::of_content(next))?;
        txn.put(&GRAVES, &grave_key(Kind::Manifest, &before.object), &[])?;
        txn.remove(&DAMAGE, &Stored::Manifest(*content).key())?;
        Ok(true)
    }
}
