//! Packs and manifests alike, as the catalog names them: what upkeep of stored objects works on.
//!
//! Invariant: a name here stands for a row, not for an object: the object behind it may be replaced
//! by a next generation, so whoever acts on what it found asks again whether it is still the same.

use super::Store;
use super::error::Error;
use super::format::Header;
use super::pack::pack_name;
use super::rows::{CONTENTS, ContentRow, PACKS, PackRow, pack_key};
use crate::db::{Key, KeyReader, Rows, WriteTxn};
use crate::model::ContentId;

/// What a row of the store names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stored {
    /// A pack, by number.
    Pack(u64),
    /// The manifest of a stream.
    Manifest(ContentId),
}

/// The object behind it at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredObject {
    /// Its header.
    pub header: Header,
    /// Its length.
    pub bytes: u64,
    /// The sum in its tail, where the row knows it.
    pub sum: Option<[u8; 32]>,
}

impl From<(u64, &PackRow)> for StoredObject {
    fn from((number, row): (u64, &PackRow)) -> StoredObject {
        StoredObject {
            header: row.header(number),
            bytes: row.stored.object_bytes,
            sum: row.stored.known_sum(),
        }
    }
}

impl From<&ContentRow> for StoredObject {
    fn from(row: &ContentRow) -> StoredObject {
        StoredObject { header: row.header(), bytes: row.stored.object_bytes, sum: row.stored.known_sum() }
    }
}

impl Stored {
    /// Its key in tables about stored objects.
    pub(super) fn key(&self) -> Vec<u8> {
        match self {
            Stored::Pack(number) => Key::new().byte(1).number(*number).into_bytes(),
            Stored::Manifest(content) => Key::new().byte(2).fixed(&content.0).into_bytes(),
        }
    }

    /// What such a key names.
    pub(super) fn from_key(key: &[u8]) -> Option<Stored> {
        let mut reader = KeyReader::new(key);
        match reader.byte()? {
            1 => reader.number().map(Stored::Pack),
            2 => reader.fixed().map(|id| Stored::Manifest(ContentId(id))),
            _ => None,
        }
    }

    /// The object behind it, if there still is one.
    pub(super) fn object(&self, rows: &impl Rows) -> Result<Option<StoredObject>, Error> {
        Ok(match self {
            Stored::Pack(number) => {
                let row: Option<PackRow> = rows.record(&PACKS, &pack_key(*number))?;
                row.map(|row| (*number, &row).into())
            }
            Stored::Manifest(content) => {
                let row: Option<ContentRow> = rows.record(&CONTENTS, &content.0)?;
                row.map(|row| (&row).into())
            }
        })
    }
}

impl Stored {
    /// Notes what an object was when it was written, in the row that names it: rows of earlier releases
    /// do not know. Nothing where the row names another object by now.
    pub(super) fn learn_sum(&self, txn: &WriteTxn, object: &[u8; 16], sum: [u8; 32]) -> Result<(), Error> {
        match self {
            Stored::Pack(number) => {
                let key = pack_key(*number);
                if let Some(mut row) =
                    txn.record::<PackRow>(&PACKS, &key)?.filter(|row| row.object == *object)
                {
                    row.stored.sum = sum;
                    txn.put_record(&PACKS, &key, &row)?;
                }
            }
            Stored::Manifest(content) => {
                let row: Option<ContentRow> = txn.record(&CONTENTS, &content.0)?;
                if let Some(mut row) = row.filter(|row| row.object == *object) {
                    row.stored.sum = sum;
                    txn.put_record(&CONTENTS, &content.0, &row)?;
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stored::Pack(number) => f.write_str(&pack_name(*number)),
            Stored::Manifest(content) => write!(f, "the manifest of content {content}"),
        }
    }
}

impl Store {
    /// The object behind a name now.
    pub(super) fn stored_object(&self, stored: Stored) -> Result<Option<StoredObject>, Error> {
        stored.object(&self.inner.db.read()?)
    }

    /// Has `repair` put an object's own bytes in its place again, while nobody deletes it. Says whether
    /// that was done: not when the name stands for another object, before or after.
    pub(super) fn put_right(
        &self,
        stored: Stored,
        object: [u8; 16],
        repair: impl FnOnce(&StoredObject) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let mut held = self.inner.pins.hold();
        held.object(object);
        if let Stored::Pack(number) = stored
            && !held.pack(number)
        {
            return Ok(false);
        }
        let now = self.stored_object(stored)?.filter(|now| now.header.id == object);
        let Some(object) = now else { return Ok(false) };
        if !repair(&object)? {
            return Ok(false);
        }
        // What died meanwhile must not lie there again.
        if self.stored_object(stored)?.is_none_or(|now| now.header.id != object.header.id) {
            self.inner.objects.delete(&object.header.key())?;
            return Ok(false);
        }
        Ok(true)
    }
}
