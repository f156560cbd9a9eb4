//! Comparing everything stored with what was written.
//!
//! Invariant: works page by page, so that neither memory nor a snapshot grows with the store, and
//! never takes for damage what was let go of meanwhile.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use roaring::RoaringTreemap;

use super::Store;
use super::damage::{Examined, Suspicion};
use super::error::Error;
use super::keyring::KeyError;
use super::object::verify_stored;
use super::pack::pack_name;
use super::parity::parity_header;
use super::parity::records::{PARITY, ParityRow};
use super::rows::{self, CONTENTS, ContentRow, PACKS, PackRow};
use super::stored::Stored;
use super::totals;
use crate::db::codec::{Record, encode};
use crate::db::{Rows, Table};
use crate::model::{ContentId, StorePlace};

/// Rows looked at in one snapshot.
const PAGE_ROWS: usize = 256;

/// Something stored that is not what was written.
#[derive(Debug, Clone)]
pub struct Damage {
    /// What, and how it shows.
    pub error: Error,
    /// The streams it takes with it.
    pub contents: Vec<ContentId>,
}

impl Store {
    /// Compares every stored object with its trailer, and every manifest with what the catalog says of
    /// it. Damage of objects is written down as a scrub does.
    ///
    /// # Errors
    /// When the database fails. Damage is no error but the outcome.
    pub fn verify(&self) -> Result<Vec<Damage>, Error> {
        let mut bad_packs = self.verify_packs()?;
        let bad: RoaringTreemap = bad_packs.keys().copied().collect();
        let mut damage = Vec::new();
        self.each_row(&CONTENTS, |key, row: ContentRow| {
            let content = ContentId(key.try_into().unwrap_or_default());
            match self.verify_content(&content, &row) {
                Ok(packs) => {
                    for number in packs & &bad {
                        bad_packs.entry(number).and_modify(|damage| damage.contents.push(content));
                    }
                }
                Err(error) if self.still_there(&CONTENTS, key, &row)? => {
                    damage.push(Damage { error, contents: vec![content] });
                }
                Err(_) => {}
            }
            Ok(())
        })?;
        damage.extend(bad_packs.into_values());
        self.verify_parity(&mut damage)?;
        damage.extend(self.verify_totals()?.map(|error| Damage { error, contents: Vec::new() }));
        Ok(damage)
    }

    /// Whether the running totals say what a count says.
    fn verify_totals(&self) -> Result<Option<Error>, Error> {
        let read = self.inner.db.read()?;
        let (noted, counted) = (totals::read(&read)?.unwrap_or_default(), totals::count(&read)?);
        let places = totals::count_places(&read)?;
        let differ =
            || Error::damaged("the row of running totals", format!("{noted:?}, but {counted:?} count"));
        if noted != counted {
            return Ok(Some(differ()));
        }
        for number in 1..=StorePlace::MAX.0 {
            let place = StorePlace(number);
            let (noted, counted) =
                (totals::at_place(&read, place)?, places.get(&place).copied().unwrap_or_default());
            if noted != counted {
                let reason = format!("{noted:?}, but {counted:?} count");
                return Ok(Some(Error::damaged(format!("the row of running totals of {place}"), reason)));
            }
        }
        Ok(None)
    }

    /// Whether what repairs objects is what was written. Parity of an object without a row is about to
    /// go with it.
    fn verify_parity(&self, damage: &mut Vec<Damage>) -> Result<(), Error> {
        let mut found = |error| damage.push(Damage { error, contents: Vec::new() });
        self.each_row(&PACKS, |key, row: PackRow| {
            if let Some(error) = self.parity_fault(&row.object)?
                && self.still_there(&PACKS, key, &row)?
            {
                found(error);
            }
            Ok(())
        })?;
        self.each_row(&CONTENTS, |key, row: ContentRow| {
            if let Some(error) = self.parity_fault(&row.object)?
                && self.still_there(&CONTENTS, key, &row)?
            {
                found(error);
            }
            Ok(())
        })
    }

    /// What is wrong with an object's parity, where it has some.
    fn parity_fault(&self, object: &[u8; 16]) -> Result<Option<Error>, Error> {
        let Some(row) = self.inner.db.read()?.record::<ParityRow>(&PARITY, object)? else { return Ok(None) };
        Ok(verify_stored(&*self.inner.objects, &parity_header(object), row.stored.object_bytes).err())
    }

    /// The packs whose objects are not what was written, by number.
    fn verify_packs(&self) -> Result<BTreeMap<u64, Damage>, Error> {
        let mut bad = BTreeMap::new();
        self.each_row(&PACKS, |key, row: PackRow| {
            let number = key.try_into().map(u64::from_be_bytes).unwrap_or_default();
            let looked =
                self.look_at(Stored::Pack(number), Suspicion::None, &mut |_| ControlFlow::Continue(()));
            let error = match looked {
                Ok(Examined::Damaged(damage)) => Error::damaged(pack_name(number), damage.reason),
                Ok(_) => return Ok(()),
                Err(error) => Error::damaged(pack_name(number), error),
            };
            if self.still_there(&PACKS, key, &row)? {
                bad.insert(number, Damage { error, contents: Vec::new() });
            }
            Ok(())
        })?;
        Ok(bad)
    }

    /// A stream's packs, when its manifest is what was written and all of them exist.
    fn verify_content(&self, content: &ContentId, row: &ContentRow) -> Result<RoaringTreemap, Error> {
        let header = row.header();
        let damaged = |reason: String| Error::damaged(header.key().to_string(), reason);
        let looked =
            self.look_at(Stored::Manifest(*content), Suspicion::None, &mut |_| ControlFlow::Continue(()));
        if let Examined::Damaged(damage) = looked? {
            return Err(damaged(damage.reason));
        }
        let manifest = match self.manifest(row) {
            // Nobody can compare what nobody can read; its bytes are what was written.
            Err(Error::Key(KeyError::Revoked(_))) => {
                return Ok(rows::packs_of(&self.inner.db.read()?, &content.0)?.unwrap_or_default());
            }
            manifest => manifest?,
        };
        if manifest.content != content.0 || manifest.size_bytes != row.size_bytes {
            return Err(damaged("it is not the manifest the catalog means".into()));
        }
        let packs = manifest.packs();
        let read = self.inner.db.read()?;
        if rows::packs_of(&read, &content.0)?.is_some_and(|noted| noted != packs) {
            return Err(damaged("the catalog notes other packs for it than it names".into()));
        }
        match rows::first_lacking(&read, &manifest, &packs)? {
            Some(number) => {
                Err(damaged(format!("it names chunks of {} that are not there", pack_name(number))))
            }
            None => Ok(packs),
        }
    }

    /// Visits every record of a table, a page a snapshot.
    pub(super) fn each_row<R: Record>(
        &self,
        table: &Table,
        mut visit: impl FnMut(&[u8], R) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = rows::page(&self.inner.db.read()?, table, after.as_deref(), PAGE_ROWS)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, row) in page {
                visit(&key, row)?;
            }
        }
    }

    /// Whether a row is still what it was: reclaiming goes on beside this.
    fn still_there<R: Record>(&self, table: &Table, key: &[u8], row: &R) -> Result<bool, Error> {
        // Compared as this release writes them: it may have been written in an older form.
        Ok(self.inner.db.read()?.record::<R>(table, key)?.is_some_and(|now| encode(&now) == encode(row)))
    }
}
