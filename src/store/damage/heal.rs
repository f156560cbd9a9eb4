//! Healing: chunks that were lost and stored again make the object that lost them whole.
//!
//! A damaged pack gets a next generation: what can be read of the present one, and the lost chunks
//! from wherever they were stored again since. Ordinals stay, so every stream that names the pack
//! is whole with it. A lost manifest is written anew from a stream with the same bytes.
//!
//! Invariant: the new object is durable before the commit that names it, and that commit changes
//! nothing when another object has taken the damaged one's place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use roaring::RoaringBitmap;

use super::super::Store;
use super::super::error::Error;
use super::super::events::EventKind;
use super::super::format::{FRAME_BYTES, Header, Kind, fresh_id};
use super::super::manifest::Extent;
use super::super::pack::{FinishedPack, Line, Pack, PackWriter, pack_name};
use super::super::pins::Held;
use super::super::rows::{self, CONTENTS, ContentRow, GRAVES, PACKS, PackRow, grave_key, pack_key};
use super::super::stored::Stored;
use super::super::totals;
use super::Suspicion;
use super::records::{DAMAGE, DamageRow, LOST, lost_key, lost_keys, read_source};
use crate::db::Rows;
use crate::model::ContentId;

/// What healing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mended {
    /// Packs that lost nothing any more.
    pub packs: u64,
    /// Chunks that were lost and are there again.
    pub chunks: u64,
    /// Manifests written anew.
    pub manifests: u64,
    /// Whether something waits for a stream or reader under way.
    pub is_postponed: bool,
}

/// Where a chunk is.
type Place = (u64, u32);

impl Store {
    /// Heals what can be healed from what the store holds.
    ///
    /// # Errors
    /// When the database or the medium does not answer; what was healed by then stays so.
    pub fn mend(&self) -> Result<Mended, Error> {
        let mut mended = Mended::default();
        if self.inner.damage.is_none() {
            return Ok(mended);
        }
        let _one = self.inner.damage.mending.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.mend_each(&mut mended);
        let told = self.tell_damage();
        done.and(told).map(|()| mended)
    }

    fn mend_each(&self, mended: &mut Mended) -> Result<(), Error> {
        for (stored, row) in self.damage_rows()? {
            let now = self.stored_object(stored)?;
            match stored {
                // Nobody can read it again, whole or not.
                _ if now.is_some_and(|now| self.is_revoked(now.header.domain)) => {}
                // Its medium is away: what it is comes out when that is back, and others need not wait.
                _ if !self.answers_for(&row.object) => {}
                // The object has gone, or another has its place.
                _ if now.is_none_or(|now| now.header.id != row.object) => {
                    self.look_at(stored, Suspicion::None, &mut |_| ControlFlow::Continue(()))?;
                }
                // A copy may be back that was away when the damage was found.
                _ if self.repair_from_copy(stored, row.object, &row.reason)? => {
                    self.look_at(stored, Suspicion::None, &mut |_| ControlFlow::Continue(()))?;
                }
                Stored::Pack(number) => self.mend_pack(number, &row, mended)?,
                // Only its trailer or padding is hurt: it says itself what it says.
                Stored::Manifest(content) if !row.all => {
                    let manifest = self.content_manifest(&content)?;
                    if self.rewrite_manifest(&content, manifest)? {
                        mended.manifests += 1;
                    }
                }
                Stored::Manifest(_) => {}
            }
        }
        Ok(())
    }

    fn damage_rows(&self) -> Result<Vec<(Stored, DamageRow)>, Error> {
        let mut found = Vec::new();
        rows::each(&self.inner.db.read()?, &DAMAGE, |key, row: DamageRow| {
            found.extend(Stored::from_key(key).map(|stored| (stored, row)));
            Ok(())
        })?;
        Ok(found)
    }

    fn mend_pack(&self, number: u64, damage: &DamageRow, mended: &mut Mended) -> Result<(), Error> {
        let row: Option<PackRow> = self.inner.db.read()?.record(&PACKS, &pack_key(number))?;
        // Without its list of chunks nobody knows what a pack held.
        let Some(row) = row.filter(|row| !damage.all && row.object == damage.object) else { return Ok(()) };
        let mut held = self.inner.pins.hold();
        if !held.pack(number) {
            return Ok(());
        }
        let sources = self.sources_of(number, damage, &row, &mut held)?;
        let missing: BTreeSet<u32> =
            damage.lost.iter().map(|c| c.ordinal).filter(|ordinal| !sources.contains_key(ordinal)).collect();
        if !missing.is_empty() && !self.is_needless(number, &missing, mended)? {
            return Ok(());
        }
        let finished = match self.write_next(number, &row, damage, &sources, &mut held) {
            // Something else cannot be read either: the next look at the pack will say so.
            Err(Error::Damaged { what, reason }) => {
                tracing::warn!(number, %what, %reason, "a damaged pack cannot be healed now");
                return Ok(());
            }
            finished => finished?,
        };
        if self.commit_next(number, row, finished, damage.clone())? {
            mended.chunks += sources.len() as u64;
            mended.packs += 1;
            self.inner.activity.healed();
            let detail = format!(
                "a whole next generation was written: {} lost chunks were stored again, {} are needed no more",
                sources.len(),
                missing.len()
            );
            self.record(EventKind::Healed, Stored::Pack(number), detail, Vec::new());
        }
        Ok(())
    }

    /// Whether no stream needs these chunks, now and later: they may become holes then, which no run
    /// of a stream can span. Whoever relied on them before their loss was known still holds the pack.
    fn is_needless(&self, number: u64, ordinals: &BTreeSet<u32>, mended: &mut Mended) -> Result<bool, Error> {
        if self.inner.pins.holders(number) > 1 {
            mended.is_postponed = true;
            return Ok(false);
        }
        let needed = |extent: &Extent| match *extent {
            Extent::Run { pack, first, count, .. } => {
                pack == number && ordinals.range(first..first.saturating_add(count)).next().is_some()
            }
            Extent::Zeros { .. } => false,
        };
        let read = self.inner.db.read()?;
        let mut needless = true;
        rows::each(&read, &CONTENTS, |content, row: ContentRow| {
            if needless
                && !self.is_revoked(row.domain)
                && rows::packs_of(&read, content)?.is_none_or(|packs| packs.contains(number))
            {
                // A manifest that cannot be read may need anything.
                let content = ContentId(content.try_into().unwrap_or_default());
                needless = self
                    .manifest_now(&content, &row)
                    .is_ok_and(|manifest| !manifest.extents.iter().any(needed));
            }
            Ok(())
        })?;
        Ok(needless)
    }

    /// Where lost chunks can be had now, by ordinal; what holds them is pinned.
    fn sources_of(
        &self,
        number: u64,
        damage: &DamageRow,
        row: &PackRow,
        held: &mut Held,
    ) -> Result<BTreeMap<u32, Place>, Error> {
        let read = self.inner.db.read()?;
        let mut sources = BTreeMap::new();
        for chunk in &damage.lost {
            let value = read.get(&LOST, &lost_key(damage.domain, &chunk.name, (number, chunk.ordinal)))?;
            let Some((pack, ordinal)) = value.as_deref().and_then(read_source) else { continue };
            if self.inner.damage.has_lost(pack, ordinal, 1) || !held.pack(pack) {
                continue;
            }
            let Ok(other) = self.pack(pack) else { continue };
            let same = match other.name(ordinal) {
                Some(name) => self.public_name(row.realm(), name)? == chunk.name,
                None => false,
            };
            if same {
                sources.insert(chunk.ordinal, (pack, ordinal));
            }
        }
        Ok(sources)
    }

    /// Writes the next generation of a pack.
    fn write_next(
        &self,
        number: u64,
        row: &PackRow,
        damage: &DamageRow,
        sources: &BTreeMap<u32, Place>,
        held: &mut Held,
    ) -> Result<FinishedPack, Error> {
        let id = fresh_id(&*self.inner.entropy, row.realm().place);
        let header = Header { id, generation: row.generation + 1, ..row.header(number) };
        let (header, key) = self.sealing(held, header, row.domain)?;
        let objects = &*self.inner.objects;
        let line = Line::new(self.inner.compressors.clone(), None);
        let mut writer = PackWriter::start(objects, header, row.scope, key.as_deref(), FRAME_BYTES, line)?;
        let pack = self.pack(number)?;
        let mut chunks: BTreeMap<u32, Place> =
            pack.chunks().map(|(ordinal, _)| (ordinal, (number, ordinal))).collect();
        for chunk in &damage.lost {
            chunks.remove(&chunk.ordinal);
        }
        chunks.extend(sources);
        let mut from = Chunks { store: self, last: None };
        for (ordinal, place) in chunks {
            let (name, bytes) = from.get(place)?;
            writer.keep(ordinal, name, &bytes)?;
        }
        writer.finish()
    }

    fn commit_next(
        &self,
        number: u64,
        row: PackRow,
        finished: FinishedPack,
        damage: DamageRow,
    ) -> Result<bool, Error> {
        let FinishedPack { header, written, footer, raw_bytes } = finished;
        self.inner.activity.written(written.object_bytes);
        let next = PackRow {
            object: header.id,
            generation: header.generation,
            key_version: header.key_version,
            stored: written,
            chunks: footer.names.len() as u32,
            raw_bytes,
            level: self.inner.options.zstd_level.clamp(0, u8::MAX.into()) as u8,
            ..row.clone()
        };
        let present: RoaringBitmap = footer.ordinals().collect();
        let has_holes = next.chunks < row.chunks;
        let committed = self.inner.db.write(move |txn| {
            let now: Option<PackRow> = txn.record(&PACKS, &pack_key(number))?;
            if now.as_ref() != Some(&row) {
                return Ok(false);
            }
            txn.put_record(&PACKS, &pack_key(number), &next)?;
            if has_holes {
                rows::put_present(txn, number, &present)?;
            }
            totals::subtract_pack(txn, &row)?;
            totals::add_pack(txn, &next)?;
            txn.put(&GRAVES, &grave_key(Kind::Pack, &row.object), &[])?;
            for key in lost_keys(number, &damage) {
                txn.remove(&LOST, &key)?;
            }
            txn.remove(&DAMAGE, &Stored::Pack(number).key())?;
            Ok::<_, Error>(true)
        })?;
        if committed {
            self.inner.index.remove(number);
            self.inner.damage.learn(Stored::Pack(number), None);
        } else {
            self.inner.objects.delete(&header.key())?;
        }
        Ok(committed)
    }
}

/// Gets chunks one by one, keeping the frame of the last.
struct Chunks<'a> {
    store: &'a Store,
    last: Option<(Arc<Pack>, usize, Bytes)>,
}

impl Chunks<'_> {
    fn get(&mut self, (number, ordinal): Place) -> Result<([u8; 32], Bytes), Error> {
        let pack = match &self.last {
            Some((pack, ..)) if pack.number == number => pack.clone(),
            _ => self.store.pack(number)?,
        };
        let absent = || Error::damaged(pack_name(number), "a chunk of it is not there");
        let span = pack.span(ordinal, 1).ok_or_else(absent)?;
        let name = *pack.name(ordinal).ok_or_else(absent)?;
        let index = pack.frames_over(span).start;
        let frame = match &self.last {
            Some((last, at, frame)) if last.object_id() == pack.object_id() && *at == index => frame.clone(),
            _ => pack.frames(index..index + 1)?.remove(0),
        };
        let start = (span.start - pack.frame_span(index).start) as usize;
        let bytes = frame.slice(start..start + span.len() as usize);
        self.last = Some((pack, index, frame));
        Ok((name, bytes))
    }
}
