//! A stream's manifest in another object: said anew, or sealed with another key.
//!
//! Invariant: the object is durable before the commit that names it, and that commit changes nothing
//! when the stream has another row by then. A stream keeps its content id, length and bytes.

use super::Store;
use super::error::Error;
use super::format::Kind;
use super::manifest::Manifest;
use super::object::Builder;
use super::pins::Held;
use super::rows::{self, CONTENTS, ContentRow, GRAVES, PACKS, grave_key, manifest_header, pack_key};
use super::stored::Stored;
use super::totals::{self, Stats};
use crate::db::Rows;
use crate::db::codec::encode;
use crate::model::ContentId;

use super::damage::records::DAMAGE;

/// Whether packs must be there that a manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packs {
    /// All of them, or nothing is changed.
    MustExist,
    /// It names what it named before, be that there or not.
    AsBefore,
}

impl Store {
    /// Puts a manifest in the place of the one in `row`'s object, sealed with its domain's newest key;
    /// gives the new object's length, or `None` when it was not to be.
    pub(super) fn renew_manifest(
        &self,
        held: &mut Held,
        (content, row): (ContentId, ContentRow),
        manifest: &Manifest,
        needs: Packs,
    ) -> Result<Option<u64>, Error> {
        let packs = manifest.packs();
        let (header, key) = self.sealing(held, manifest_header(self.inner.entropy.id()), row.domain)?;
        let builder = Builder::start(&*self.inner.objects, &header, key.as_deref())?;
        let stored = builder.finish(encode(manifest))?;
        self.inner.activity.written(stored.object_bytes);
        let next = ContentRow { object: header.id, key_version: header.key_version, stored, ..row.clone() };
        let committed = self.inner.db.write(move |txn| {
            let now: Option<ContentRow> = txn.record(&CONTENTS, &content.0)?;
            if now.as_ref() != Some(&row) {
                return Ok(false);
            }
            for pack in &packs {
                if needs == Packs::MustExist && txn.get(&PACKS, &pack_key(pack))?.is_none() {
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
        if !committed {
            self.inner.objects.delete(&header.key())?;
            return Ok(None);
        }
        self.inner.damage.learn(Stored::Manifest(content), None);
        Ok(Some(stored.object_bytes))
    }
}
