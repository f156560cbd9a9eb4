//! The store's rows in the catalog file: one a pack, two a stream, and a sample of chunk names.
//! What is derived from them for reclaiming is in [`super::unmarked`].
//!
//! Invariant: a row names only objects that are durable. A pack without a row does not exist.

use std::collections::HashMap;
use std::ops::{Bound, ControlFlow};

use roaring::{RoaringBitmap, RoaringTreemap};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::format::{Header, Kind, place_of};
use super::manifest::{Extent, Manifest};
use super::object::Written;
use super::realm::Realm;
use crate::db::codec::{self, Record, Unreadable};
use crate::db::{Key, Rows, Table, Visit, WriteTxn};

/// Packs by number.
pub const PACKS: Table = Table::facts("packs-1");
/// The ordinals that a pack still has, by its number: a Roaring bitmap in that format's portable
/// form. A pack without a row has all it was written with.
pub const PRESENT: Table = Table::facts("pack-chunks-1");
/// Streams by content id.
pub const CONTENTS: Table = Table::facts("contents-1");
/// The packs each stream names, by content id: what its manifest says, so that a mark need not
/// read it. A Roaring bitmap of pack numbers, in that format's portable form.
pub const CONTENT_PACKS: Table = Table::derived("content-packs-1");
/// One chunk name in 64, by domain and the name's first half: the pack that has it.
pub const HOOKS: Table = Table::derived("hooks-1");
/// Objects that nothing names any more, by kind and id, until they are deleted.
pub const GRAVES: Table = Table::derived("graves-1");
/// Single values: the next pack number, the store's id.
pub const STORE: Table = Table::facts("store-1");

/// Every table of the store that holds facts.
pub const FACTS: [Table; 5] = [PACKS, PRESENT, CONTENTS, STORE, super::media::PLACES];

/// Where earlier releases' rows say what was written.
const STORED_IN_PACK: usize = 40;
const STORED_IN_CONTENT: usize = 20;

const NEXT_PACK: &[u8] = b"next-pack";
const STORE_ID: &[u8] = b"store-id";

/// One pack, and the object that holds its present generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackRow {
    /// Its object's id.
    pub object: [u8; 16],
    /// Its generation.
    pub generation: u32,
    /// Its key domain; 0 is plain.
    pub domain: u32,
    /// Its deduplication scope; zeros are the whole store.
    pub scope: [u8; 16],
    /// Its length, and where the footer lies in it.
    pub stored: Written,
    /// Chunks in it.
    pub chunks: u32,
    /// Their length before compression.
    pub raw_bytes: u64,
    /// When its first generation was written, in microseconds since the epoch.
    pub created_at: i64,
    /// The strongest zstd level that its frames were given; 0 is unknown.
    pub level: u8,
    /// Which of its domain's keys seals it.
    pub key_version: u32,
}

impl Record for PackRow {
    const VERSION: u8 = 3;
    const NAME: &'static str = "pack";

    fn decode_other(version: u8, body: &[u8]) -> Result<PackRow, Unreadable> {
        let body = Written::add_unknown_sum(body, STORED_IN_PACK);
        // Each form is the one before with more fields, these last.
        match version {
            1 => codec::decode_body(&[&body[..], &[0; 5]].concat()),
            2 => codec::decode_body(&[&body[..], &[0; 4]].concat()),
            _ => Err(Unreadable { name: Self::NAME, reason: format!("version {version} is unknown") }),
        }
    }
}

impl PackRow {
    /// The object's header.
    pub fn header(&self, pack: u64) -> Header {
        Header { generation: self.generation, ..Header::plain(Kind::Pack, self.object, pack) }
            .in_domain(self.domain, self.key_version)
    }

    /// The realm its chunks are shared in.
    pub fn realm(&self) -> Realm {
        Realm { domain: self.domain, scope: self.scope, place: place_of(&self.object) }
    }
}

/// One stream, and the object that holds its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentRow {
    /// Its manifest's object id.
    pub object: [u8; 16],
    /// Key domain of the manifest.
    pub domain: u32,
    /// Its length, and where the manifest lies in it.
    pub stored: Written,
    /// Length of the stream.
    pub size_bytes: u64,
    /// Which of its domain's keys seals the manifest.
    pub key_version: u32,
}

impl Record for ContentRow {
    const VERSION: u8 = 2;
    const NAME: &'static str = "content";

    fn decode_other(version: u8, body: &[u8]) -> Result<ContentRow, Unreadable> {
        match version {
            1 => {
                let body = Written::add_unknown_sum(body, STORED_IN_CONTENT);
                codec::decode_body(&[&body[..], &[0; 4]].concat())
            }
            _ => Err(Unreadable { name: Self::NAME, reason: format!("version {version} is unknown") }),
        }
    }
}

impl ContentRow {
    /// The object's header.
    pub fn header(&self) -> Header {
        manifest_header(self.object).in_domain(self.domain, self.key_version)
    }
}

/// The header of a manifest object that is not sealed.
pub fn manifest_header(id: [u8; 16]) -> Header {
    Header::plain(Kind::Manifest, id, 0)
}

/// The key of a pack's row.
pub fn pack_key(pack: u64) -> [u8; 8] {
    pack.to_be_bytes()
}

/// The key of a hook.
pub fn hook_key(domain: u32, name: &[u8; 32]) -> Vec<u8> {
    Key::new().number32(domain).fixed(&name[..16]).into_bytes()
}

/// The key of a grave.
pub fn grave_key(kind: Kind, object: &[u8; 16]) -> Vec<u8> {
    Key::new().byte(kind as u8).fixed(object).into_bytes()
}

/// The first pack number that was never given out.
pub fn next_pack(rows: &impl Rows) -> Result<u64, Error> {
    let value = rows.get(&STORE, NEXT_PACK)?;
    Ok(value.and_then(|v| v.try_into().ok().map(u64::from_be_bytes)).unwrap_or(1))
}

/// Remembers that `pack` was given out: numbers are never reused.
pub fn raise_next_pack(txn: &WriteTxn, pack: u64) -> Result<(), Error> {
    let next = next_pack(txn)?.max(pack + 1);
    Ok(txn.put(&STORE, NEXT_PACK, &next.to_be_bytes())?)
}

/// The store this catalog belongs to.
pub fn store_id(rows: &impl Rows) -> Result<Option<Vec<u8>>, Error> {
    Ok(rows.get(&STORE, STORE_ID)?)
}

/// Binds the catalog to a store.
pub fn set_store_id(txn: &WriteTxn, id: &[u8; 16]) -> Result<(), Error> {
    Ok(txn.put(&STORE, STORE_ID, id)?)
}

/// Remembers which packs a stream names.
pub fn put_packs(txn: &WriteTxn, content: &[u8; 16], packs: &RoaringTreemap) -> Result<(), Error> {
    let mut bytes = Vec::with_capacity(packs.serialized_size());
    packs.serialize_into(&mut bytes).map_err(|e| Error::damaged("a list of packs", e))?;
    Ok(txn.put(&CONTENT_PACKS, content, &bytes)?)
}

/// The packs a stream names, where its row says so.
pub fn packs_of(rows: &impl Rows, content: &[u8]) -> Result<Option<RoaringTreemap>, Error> {
    let Some(bytes) = rows.get(&CONTENT_PACKS, content)? else { return Ok(None) };
    let packs = RoaringTreemap::deserialize_from(&bytes[..])
        .map_err(|e| Error::damaged(format!("the list of packs of content {}", hex::encode(content)), e))?;
    Ok(Some(packs))
}

/// Remembers which ordinals a pack still has.
pub fn put_present(txn: &WriteTxn, pack: u64, ordinals: &RoaringBitmap) -> Result<(), Error> {
    let mut bytes = Vec::with_capacity(ordinals.serialized_size());
    ordinals.serialize_into(&mut bytes).map_err(|e| Error::damaged("a list of ordinals", e))?;
    Ok(txn.put(&PRESENT, &pack_key(pack), &bytes)?)
}

/// The ordinals that a pack still has; `None` where it has all it was written with.
pub fn present(rows: &impl Rows, pack: u64) -> Result<Option<RoaringBitmap>, Error> {
    let Some(bytes) = rows.get(&PRESENT, &pack_key(pack))? else { return Ok(None) };
    let ordinals = RoaringBitmap::deserialize_from(&bytes[..])
        .map_err(|e| Error::damaged(format!("the list of ordinals of pack {pack}"), e))?;
    Ok(Some(ordinals))
}

/// The first of a stream's packs that has not all the chunks the stream names.
pub fn first_lacking(
    rows: &impl Rows,
    manifest: &Manifest,
    packs: &RoaringTreemap,
) -> Result<Option<u64>, Error> {
    let mut reduced = HashMap::new();
    for pack in packs {
        if rows.get(&PACKS, &pack_key(pack))?.is_none() {
            return Ok(Some(pack));
        }
        reduced.extend(present(rows, pack)?.map(|ordinals| (pack, ordinals)));
    }
    let lacks = |extent: &Extent| match *extent {
        Extent::Run { pack, first, count, .. } => reduced
            .get(&pack)
            .is_some_and(|present| !present.contains_range(first..first.saturating_add(count)))
            .then_some(pack),
        Extent::Zeros { .. } => None,
    };
    Ok(manifest.extents.iter().find_map(lacks))
}

/// Visits every record of a table with its key, in key order, until one fails.
pub fn each<R: Record>(
    rows: &impl Rows,
    table: &Table,
    mut visit: impl FnMut(&[u8], R) -> Result<(), Error>,
) -> Result<(), Error> {
    scan(rows, table, Bound::Unbounded, |key, record| visit(key, record).map(|()| ControlFlow::Continue(())))
}

/// The first `count` records after `after`: for long work that must not keep a snapshot open.
pub fn page<R: Record>(
    rows: &impl Rows,
    table: &Table,
    after: Option<&[u8]>,
    count: usize,
) -> Result<Vec<(Vec<u8>, R)>, Error> {
    let mut out = Vec::with_capacity(count);
    scan(rows, table, after.map_or(Bound::Unbounded, Bound::Excluded), |key, record| {
        out.push((key.to_vec(), record));
        Ok(if out.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(out)
}

/// The first `count` packs after `after`.
pub fn packs_after(rows: &impl Rows, after: u64, count: usize) -> Result<Vec<(u64, PackRow)>, Error> {
    let page = page::<PackRow>(rows, &PACKS, Some(&pack_key(after)), count)?;
    let numbered = |(key, row): (Vec<u8>, PackRow)| Some((u64::from_be_bytes(key.try_into().ok()?), row));
    Ok(page.into_iter().filter_map(numbered).collect())
}

fn scan<R: Record>(
    rows: &impl Rows,
    table: &Table,
    start: Bound<&[u8]>,
    mut visit: impl FnMut(&[u8], R) -> Result<Visit, Error>,
) -> Result<(), Error> {
    let mut failed = None;
    rows.scan(table, (start, Bound::Unbounded), false, &mut |key, value| {
        let visited = match codec::decode(value) {
            Ok(record) => visit(key, record),
            Err(error) => Err(crate::db::Error::from(error).into()),
        };
        visited.unwrap_or_else(|error| {
            failed = Some(error);
            ControlFlow::Break(())
        })
    })?;
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::encode;
    use crate::store::object::Section;

    #[test]
    fn rows_are_golden() {
        let row = PackRow {
            object: [1; 16],
            generation: 2,
            domain: 3,
            scope: [11; 16],
            stored: Written {
                object_bytes: 4,
                footer: Section { offset: 5, bytes: 6, counter: 7 },
                sum: [13; 32],
            },
            chunks: 8,
            raw_bytes: 9,
            created_at: 10,
            level: 12,
            key_version: 13,
        };
        let start = "010101010101010101010101010101010200000003000000\
                     0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b\
                     04000000000000000500000000000000060000000700000000000000";
        let end = "0800000009000000000000000a00000000000000";
        let sum = "0d".repeat(32);
        assert_eq!(hex::encode(encode(&row)), format!("03{start}{sum}{end}0c0d000000"));
        let decode = |text: String| codec::decode::<PackRow>(&hex::decode(text).unwrap());
        let unknown = PackRow { stored: Written { sum: [0; 32], ..row.stored }, key_version: 0, ..row };
        assert_eq!(decode(format!("02{start}{end}0c")).unwrap(), unknown);
        assert_eq!(decode(format!("01{start}{end}")).unwrap(), PackRow { level: 0, ..unknown });
        assert!(decode(format!("02{}", &start[..60])).is_err());
        let row = ContentRow {
            object: [1; 16],
            domain: 2,
            stored: Written {
                object_bytes: 3,
                footer: Section { offset: 4, bytes: 5, counter: 6 },
                sum: [13; 32],
            },
            size_bytes: 7,
            key_version: 8,
        };
        let start = "01010101010101010101010101010101\
                     02000000030000000000000004000000000000000500000006000000\
                     00000000";
        let end = "0700000000000000";
        assert_eq!(hex::encode(encode(&row)), format!("02{start}{sum}{end}08000000"));
        let first_form = hex::decode(format!("01{start}{end}")).unwrap();
        let stored = Written { sum: [0; 32], ..row.stored };
        assert_eq!(
            codec::decode::<ContentRow>(&first_form).unwrap(),
            ContentRow { stored, key_version: 0, ..row }
        );
    }
}
