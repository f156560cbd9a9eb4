//! A key domain sealed anew: every pack, manifest and description of it is written again under the
//! domain's newest key, and the older ones are dropped when nothing needs them any more.
//!
//! Invariants: an older key goes only when no row names an object it sealed, nothing is being written
//! with it, and the store tells of all that: a catalog that is rebuilt names nothing of it either.
//! Each object is replaced by itself, so that a run that is ended or cut off is gone on with. The
//! chunks of a domain keep their names, so that it goes on sharing them meanwhile.

use std::sync::PoisonError;

use super::super::format::Header;
use super::super::keyring::{KeyError, STORE_DOMAIN};
use super::super::pack::pack_name;
use super::super::replace::Names;
use super::super::rows::{self, CONTENTS, ContentRow, PACKS, PackRow};
use super::super::steps::{Stop, Watch};
use super::super::{Error, Store};
use super::Wish;
use super::rewrite::Manner;
use super::run::Run;
use super::swap::Swap;
use crate::db::codec::Record;
use crate::db::{Rows, Table};
use crate::model::ContentId;

/// Rows looked at in one snapshot.
const PAGE_ROWS: usize = 256;

/// What sealing a domain anew did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Packs that were written under the newest key.
    pub packs: u64,
    /// Manifests that were.
    pub manifests: u64,
    /// Bytes of the objects that were written.
    pub written_bytes: u64,
    /// Why older keys are still there; `None` when they are gone.
    pub unfinished: Option<Unfinished>,
}

/// Why a domain still has an older key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfinished {
    /// Whoever watches ended it.
    Ended,
    /// Something that began before is still being written with an older key, or the store is being
    /// read by a check: look again in a while.
    InUse,
    /// Objects that an older key sealed do not read back, each with the reason: when they are healed,
    /// or the images that need them deleted, it can be gone on with.
    Damaged(Vec<String>),
    /// The catalog is still under an older key: the next start puts it under the newest.
    Catalog,
}

/// Says in which phase a domain's data is written anew.
const RESEALING: &str = "sealing anew";

impl Store {
    /// Gives a key domain another key, which seals what is new from now on; gives its version. What is
    /// there is sealed anew by [`Store::reseal`]. Where that is unfinished, no key is added.
    ///
    /// # Errors
    /// [`Error::Key`]: a plain store, an unknown or a revoked domain, or the medium's failure.
    pub fn rotate_domain(&self, domain: u32) -> Result<u32, Error> {
        Ok(self.keys()?.add_key(&*self.inner.objects, domain, &*self.inner.entropy)?)
    }

    /// Domains that still have older keys: their sealing anew is unfinished.
    pub fn unfinished_domains(&self) -> Vec<u32> {
        let domains = self.domains().into_iter().filter(|status| status.key_versions.len() > 1);
        domains.map(|status| status.domain).collect()
    }

    /// Writes whatever older keys of a domain sealed under its newest, and drops the older ones when
    /// nothing needs them. Safe beside uploads, reads, and other upkeep; what is done by the time it
    /// ends stays.
    ///
    /// # Errors
    /// [`Error::Key`] when the domain is unknown or was revoked, [`Error::Full`] when there is no room
    /// for a pack beside the one it replaces; the medium's or the database's failure.
    pub fn reseal(&self, domain: u32, watch: &mut Watch<'_>) -> Result<Resealed, Error> {
        self.keys()?;
        if domain == 0 {
            return Err(KeyError::Unknown(domain).into());
        }
        let version = self.newest_key(domain)?.0;
        let mut damaged = Vec::new();
        let (done, mut resealed) = {
            let mut run = Run::new(self, Wish::default(), watch);
            let mut pass = Pass { run: &mut run, domain, version, resealed: Resealed::default() };
            let done = pass.all(&mut damaged);
            (done, pass.resealed)
        };
        // What was replaced gives its space back even where the rest failed.
        let emptied = self.drain_graves();
        match done {
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Ended) => resealed.unfinished = Some(Unfinished::Ended),
            Ok(()) => {
                emptied?;
                resealed.unfinished = self.drop_older_keys(domain, version, damaged)?;
            }
        }
        Ok(resealed)
    }

    /// Drops a domain's keys before `version` where nothing needs them; else says what does.
    fn drop_older_keys(
        &self,
        domain: u32,
        version: u32,
        damaged: Vec<String>,
    ) -> Result<Option<Unfinished>, Error> {
        let older = self.domains().into_iter().find(|status| status.domain == domain);
        let older = older.map(|status| status.key_versions).unwrap_or_default();
        // Writers before rows: a key leaves the writers' list only when its object has a row, and no
        // writer takes an older key any more.
        if older.iter().any(|older| *older < version && self.inner.pins.is_key_in_use((domain, *older))) {
            return Ok(Some(Unfinished::InUse));
        }
        if self.needs_older_key(domain, version)? {
            return Ok(Some(if damaged.is_empty() {
                Unfinished::InUse
            } else {
                Unfinished::Damaged(damaged)
            }));
        }
        if domain == STORE_DOMAIN {
            if !self.describe_anew(version)? {
                return Ok(Some(Unfinished::InUse));
            }
            if self.inner.catalog_key_version < version {
                return Ok(Some(Unfinished::Catalog));
            }
        }
        // A catalog that is rebuilt must not name what the older keys sealed.
        self.ship_deaths()?;
        self.keys()?.drop_older_keys(&*self.inner.objects, domain, &*self.inner.entropy)?;
        Ok(None)
    }

    /// Whether a row names an object that a key before `version` sealed.
    fn needs_older_key(&self, domain: u32, version: u32) -> Result<bool, Error> {
        let (mut needed, read) = (false, self.inner.db.read()?);
        rows::each(&read, &PACKS, |_, row: PackRow| {
            needed |= row.header(0).is_under_older(domain, version);
            Ok(())
        })?;
        rows::each(&read, &CONTENTS, |_, row: ContentRow| {
            needed |= row.header().is_under_older(domain, version);
            Ok(())
        })?;
        Ok(needed)
    }

    /// Visits the rows of a table whose objects a key before `version` sealed, a page a snapshot.
    fn each_older<R: Record>(
        &self,
        table: &Table,
        mut visit: impl FnMut(&[u8], R) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = rows::page::<R>(&self.inner.db.read()?, table, after.as_deref(), PAGE_ROWS)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, row) in page {
                visit(&key, row)?;
            }
        }
    }
}

impl Header {
    /// Whether a key of `domain` before `version` sealed it.
    pub(in super::super) fn is_under_older(&self, domain: u32, version: u32) -> bool {
        self.domain == domain && self.key_version < version
    }
}

/// One look at everything of a domain.
struct Pass<'r, 's, 'w> {
    run: &'r mut Run<'s, 'w>,
    domain: u32,
    version: u32,
    resealed: Resealed,
}

impl Pass<'_, '_, '_> {
    fn all(&mut self, damaged: &mut Vec<String>) -> Result<(), Stop> {
        let (store, domain, version) = (self.run.store, self.domain, self.version);
        self.run.begin(RESEALING, self.due_bytes()?)?;
        store.each_older(&PACKS, |key, row: PackRow| {
            let number = key.try_into().map(u64::from_be_bytes).unwrap_or_default();
            if !row.header(number).is_under_older(domain, version) {
                return Ok(());
            }
            let done = self.pack(number);
            pass_over(damaged, done, || format!("{} lies in {}", pack_name(number), row.header(number).key()))
        })?;
        store.each_older(&CONTENTS, |key, row: ContentRow| {
            let content = ContentId(key.try_into().unwrap_or_default());
            if !row.header().is_under_older(domain, version) {
                return Ok(());
            }
            let bytes = row.stored.object_bytes;
            let name = row.header().key();
            let done = self.manifest(content, row);
            pass_over(damaged, done, || format!("the manifest of content {content} is {name}"))?;
            self.run.step(bytes)
        })
    }

    /// Bytes of what is to be written again: of packs before compression, as their writing is counted.
    fn due_bytes(&self) -> Result<u64, Error> {
        let (mut bytes, read) = (0, self.run.store.inner.db.read()?);
        rows::each(&read, &PACKS, |_, row: PackRow| {
            bytes += if row.header(0).is_under_older(self.domain, self.version) { row.raw_bytes } else { 0 };
            Ok(())
        })?;
        rows::each(&read, &CONTENTS, |_, row: ContentRow| {
            let is_due = row.header().is_under_older(self.domain, self.version);
            bytes += if is_due { row.stored.object_bytes } else { 0 };
            Ok(())
        })?;
        Ok(bytes)
    }

    fn pack(&mut self, number: u64) -> Result<(), Stop> {
        let store = self.run.store;
        // One pack is written anew at a time; between two, others have their turn.
        let _one = store.inner.rewriting.lock().unwrap_or_else(PoisonError::into_inner);
        let row = store.pack_row(number)?;
        let Some(row) = row.filter(|row| row.header(number).is_under_older(self.domain, self.version)) else {
            return Ok(());
        };
        store.expect_room_for(row.realm().place, row.stored.object_bytes)?;
        let old = store.pack(number)?;
        let manner = Manner { live: None, stronger: false, bytes_max: u64::MAX };
        let Some(new) = self.run.write(&row, &old, &manner)? else { return Ok(()) };
        let level = row.level;
        let swapped = store.swap(Swap { old: &old, row: &row, new, level, live: None, counted: None })?;
        drop(old);
        if let Some(written_bytes) = swapped {
            self.resealed.packs += 1;
            self.resealed.written_bytes += written_bytes;
            self.run.replaced(&row, written_bytes)?;
        }
        Ok(())
    }

    fn manifest(&mut self, content: ContentId, row: ContentRow) -> Result<(), Stop> {
        let store = self.run.store;
        let manifest = match store.manifest(&row) {
            Ok(manifest) => manifest,
            // Let go of, or written anew, since the page was read.
            Err(_) if store.inner.db.read()?.record(&CONTENTS, &content.0)?.as_ref() != Some(&row) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(written_bytes) = store.replace_manifest(&row, &manifest, Names::Same)? {
            self.resealed.manifests += 1;
            self.resealed.written_bytes += written_bytes;
        }
        Ok(())
    }
}

/// Goes on past what does not read back, and notes it.
fn pass_over(
    damaged: &mut Vec<String>,
    done: Result<(), Stop>,
    what: impl FnOnce() -> String,
) -> Result<(), Stop> {
    match done {
        Err(Stop::Failed(error)) if error.is_unreadable() => {
            let what = what();
            tracing::error!(%error, what, "it is not sealed anew");
            damaged.push(format!("{what}: {error}"));
            Ok(())
        }
        other => other,
    }
}
