//! Whom damage hits: the streams, and the byte ranges of them.
//!
//! Invariant: a range that is not listed reads back as far as is known; one that is listed does not.
//! Reads the manifests of streams that name a damaged pack, and no others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use roaring::RoaringTreemap;

use super::super::Store;
use super::super::error::Error;
use super::super::manifest::{Extent, Manifest};
use super::super::pack::Pack;
use super::super::recipe::Composition;
use super::super::rows::{self, CONTENTS, ContentRow};
use super::super::stored::Stored;
use super::records::{DAMAGE, DamageRow};
use crate::base::Time;
use crate::model::{ByteRange, ContentId};

/// Rows looked at in one snapshot.
const PAGE_ROWS: usize = 256;

/// A damaged object, and what it takes with it.
#[derive(Debug, Clone)]
pub struct DamagedObject {
    /// What is damaged.
    pub stored: Stored,
    /// When it was found.
    pub found_at: Time,
    /// The first thing that was found.
    pub reason: String,
    /// Its damaged 1 MiB blocks, as runs; none where that cannot be told.
    pub blocks: Vec<(u32, u32)>,
    /// Chunks that are lost; `None` for all of them.
    pub lost_chunks: Option<u64>,
    /// The streams that lose something by it, and which bytes of them.
    pub contents: Vec<(ContentId, Vec<ByteRange>)>,
}

impl DamagedObject {
    /// The streams that lose something by it.
    pub(in crate::store) fn hit(&self) -> impl Iterator<Item = ContentId> {
        self.contents.iter().map(|(content, _)| *content)
    }
}

/// A damaged pack, made ready for asking.
struct LostPack {
    /// Length of each lost chunk by ordinal; `None` for all of them.
    lost: Option<BTreeMap<u32, u32>>,
    pack: Option<Arc<Pack>>,
}

impl LostPack {
    fn length(&self, ordinal: u32) -> Option<u64> {
        let lost = self.lost.as_ref()?.get(&ordinal).copied();
        lost.or_else(|| self.pack.as_ref()?.length(ordinal)).map(u64::from)
    }

    /// The bytes that an extent at `at` loses.
    fn ranges(&self, at: u64, bytes: u64, first: u32, count: u32) -> Vec<ByteRange> {
        let whole = vec![ByteRange { start: at, end: at + bytes }];
        let Some(lost) = &self.lost else { return whole };
        let end = first.saturating_add(count);
        if lost.range(first..end).next().is_none() {
            return Vec::new();
        }
        let (mut ranges, mut start) = (Vec::new(), at);
        for ordinal in first..end {
            // Without the lengths of its neighbours nobody can say where a chunk lies.
            let Some(length) = self.length(ordinal) else { return whole };
            if lost.contains_key(&ordinal) {
                push(&mut ranges, ByteRange { start, end: start + length });
            }
            start += length;
        }
        ranges
    }
}

/// Adds a range to the end of a list, joined to the last where they touch.
fn push(ranges: &mut Vec<ByteRange>, range: ByteRange) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

impl Store {
    /// Everything known to be damaged, and what it takes with it.
    ///
    /// # Errors
    /// When the database or the medium does not answer.
    pub fn damage(&self) -> Result<Vec<DamagedObject>, Error> {
        let read = self.inner.db.read()?;
        let mut damaged: BTreeMap<Stored, DamagedObject> = BTreeMap::new();
        let mut packs: HashMap<u64, LostPack> = HashMap::new();
        rows::each(&read, &DAMAGE, |key, row: DamageRow| {
            let Some(stored) = Stored::from_key(key) else { return Ok(()) };
            if stored.object(&read)?.is_none() {
                return Ok(());
            }
            if let Stored::Pack(number) = stored {
                let lost = (!row.all).then(|| row.lost.iter().map(|c| (c.ordinal, c.bytes)).collect());
                packs.insert(number, LostPack { lost, pack: self.pack(number).ok() });
            }
            let entry = DamagedObject {
                stored,
                found_at: Time(row.found_at),
                lost_chunks: (!row.all).then_some(row.lost.len() as u64),
                reason: row.reason,
                blocks: row.blocks,
                contents: Vec::new(),
            };
            damaged.insert(stored, entry);
            Ok(())
        })?;
        drop(read);
        if damaged.is_empty() {
            return Ok(Vec::new());
        }
        self.each_hit(&packs, &mut damaged)?;
        Ok(damaged.into_values().collect())
    }

    /// Adds every stream to the damage that hits it.
    fn each_hit(
        &self,
        packs: &HashMap<u64, LostPack>,
        damaged: &mut BTreeMap<Stored, DamagedObject>,
    ) -> Result<(), Error> {
        let numbers: RoaringTreemap = packs.keys().copied().collect();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let read = self.inner.db.read()?;
            let page: Vec<(Vec<u8>, ContentRow)> = rows::page(&read, &CONTENTS, after.as_deref(), PAGE_ROWS)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, row) in page {
                let content = ContentId(key.as_slice().try_into().unwrap_or_default());
                if let Some(entry) = damaged.get_mut(&Stored::Manifest(content)) {
                    // Where only the trailer is hurt, the stream still reads.
                    if entry.lost_chunks.is_none() {
                        entry.contents.push((content, vec![ByteRange::whole(row.size_bytes)]));
                        continue;
                    }
                }
                let named = rows::packs_of(&read, &key)?;
                if named.is_some_and(|named| named.is_disjoint(&numbers)) {
                    continue;
                }
                let Ok(manifest) = self.manifest_now(&content, &row) else { continue };
                for (number, ranges) in hits(&manifest, packs) {
                    if let Some(entry) = damaged.get_mut(&Stored::Pack(number)) {
                        entry.contents.push((content, ranges));
                    }
                }
            }
        }
    }

    /// Counts the streams that lost something, for whoever watches; gives what was found.
    pub(in crate::store) fn count_affected(&self) -> Result<Vec<DamagedObject>, Error> {
        let damage = self.damage()?;
        let mut contents: Vec<ContentId> = damage.iter().flat_map(DamagedObject::hit).collect();
        contents.sort_unstable_by_key(|content| content.0);
        contents.dedup();
        self.inner.damage.contents.store(contents.len() as u64, Ordering::Relaxed);
        Ok(damage)
    }
}

/// What a stream loses by each of these packs.
fn hits(manifest: &Manifest, packs: &HashMap<u64, LostPack>) -> BTreeMap<u64, Vec<ByteRange>> {
    let mut hits: BTreeMap<u64, Vec<ByteRange>> = BTreeMap::new();
    let mut at = 0;
    for extent in &manifest.extents {
        if let Extent::Run { bytes, pack, first, count } = *extent
            && let Some(lost) = packs.get(&pack)
        {
            let ranges = lost.ranges(at, bytes, first, count);
            if !ranges.is_empty() {
                let list = hits.entry(pack).or_default();
                ranges.into_iter().for_each(|range| push(list, range));
            }
        }
        at += extent.bytes();
    }
    match &manifest.recipe {
        None => hits,
        Some(recipe) => in_stream(hits, &Composition::new(recipe.clone())),
    }
}

/// Ranges of the material of a recipe as the stream's that need them.
fn in_stream(
    hits: BTreeMap<u64, Vec<ByteRange>>,
    composition: &Composition,
) -> BTreeMap<u64, Vec<ByteRange>> {
    let made_of = |ranges: Vec<ByteRange>| {
        let mut made: Vec<ByteRange> =
            ranges.into_iter().flat_map(|range| composition.made_of(range)).collect();
        made.sort_unstable_by_key(|range| range.start);
        let mut list: Vec<ByteRange> = Vec::new();
        for range in made {
            match list.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => list.push(range),
            }
        }
        list
    };
    hits.into_iter().map(|(pack, ranges)| (pack, made_of(ranges))).collect()
}
