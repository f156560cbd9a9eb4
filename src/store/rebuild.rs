//! Rebuilding a lost catalog's rows of the store: facts from the description, everything else from the
//! objects that the facts name.
//!
//! Invariant: nothing on the medium is changed, so that a rebuild can be repeated, and rehearsed
//! elsewhere. What cannot be read is kept and named, never left out: whoever
//! restores an object later has the stream back.

use roaring::RoaringTreemap;

use super::Store;
use super::damage::records::{DAMAGE, LOST};
use super::error::Error;
use super::events::EVENTS;
use super::format::Kind;
use super::index::hooks;
use super::keyring::KeyError;
use super::log::Replayed;
use super::manifest::Manifest;
use super::object::{Object, read_header};
use super::pack::{Pack, pack_name};
use super::parity::records::{PARITY, PARITY_TOTALS};
use super::reclaim::{object_id, short};
use super::rows::{self, CONTENT_PACKS, CONTENTS, ContentRow, GRAVES, HOOKS, PACKS, PackRow, pack_key};
use super::scrub::records::{ROUND, VERIFIED};
use super::totals::{self, TOTALS};
use super::unlisted::{self, UNLISTED};
use super::unmarked::{UNMARKED, UPKEEP};
use crate::db::{Rows, Table, codec};
use crate::model::ContentId;
use crate::objects::ObjectInfo;

/// Hooks of one transaction, but for those of its last pack: some 20 MiB of memory. Their keys are
/// random, and the more go in at once, sorted, the fewer pages are written twice.
const HOOKS_BATCH: usize = 1 << 18;
/// Lists of streams' packs in one transaction.
const LISTS_BATCH: usize = 256;

/// What is told while it goes on: what is being done, and how much of it is.
pub type Tell<'a> = dyn FnMut(&'static str, u64) + 'a;

/// How the rows of a derived table come back.
type WayBack = fn(&Store, &mut Findings, &mut Tell<'_>) -> Result<(), Error>;

/// Every derived table of the store, each with its way back: the one place that names them.
const WAYS_BACK: [(Table, WayBack); 14] = [
    (HOOKS, Store::rebuild_hooks),
    (CONTENT_PACKS, Store::rebuild_content_packs),
    // Made beside the lists: of streams that have none.
    (UNLISTED, |_, _, _| Ok(())),
    (TOTALS, |store, _, _| store.inner.db.write(totals::recount)),
    // What they name has no row any more: it is found as an orphan.
    (GRAVES, |_, _, _| Ok(())),
    // Without its mark of being whole the list is made of all packs before it is used.
    (UNMARKED, |_, _, _| Ok(())),
    (UPKEEP, |_, _, _| Ok(())),
    // The next scrub looks at everything, finds damage again, and makes parity anew.
    (DAMAGE, |_, _, _| Ok(())),
    (LOST, |_, _, _| Ok(())),
    (ROUND, |_, _, _| Ok(())),
    (VERIFIED, |_, _, _| Ok(())),
    (PARITY, |_, _, _| Ok(())),
    (PARITY_TOTALS, |_, _, _| Ok(())),
    // What happened to the catalog that is lost is lost with it.
    (EVENTS, |_, _, _| Ok(())),
];

/// Every table of the store that is no fact.
pub fn derived_tables() -> Vec<Table> {
    WAYS_BACK.map(|(table, _)| table).to_vec()
}

/// The outcome of a rebuild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// How far the description told.
    pub replayed: Replayed,
    /// Packs, those that are missing or damaged included.
    pub packs: u64,
    /// Packs that are missing or damaged, each with the reason.
    pub damaged_packs: Vec<String>,
    /// Streams that cannot be read whole, each with the reason.
    pub damaged_contents: Vec<(ContentId, String)>,
    /// Streams whose key was revoked: they are what they were, unreadable for good.
    pub revoked_contents: u64,
}

/// What was found on the way.
#[derive(Default)]
struct Findings {
    bad_packs: RoaringTreemap,
    damaged_packs: Vec<String>,
    damaged_contents: Vec<(ContentId, String)>,
    revoked_contents: u64,
}

/// What is wrong, in short.
fn reason_of(error: Error) -> String {
    match error {
        Error::Damaged { what, reason } => format!("{what}: {reason}"),
        error => error.to_string(),
    }
}

impl Store {
    /// Fills the empty catalog this store was opened with ([`Store::open_lost`]): the facts of every
    /// layer, and the store's derived tables. The store itself is to be opened again afterwards.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the store does not tell enough to begin with, or the medium's or the
    /// database's failure: begin again with an empty catalog.
    pub fn rebuild(&self, tell: &mut Tell<'_>) -> Result<Rebuilt, Error> {
        let replayed = self.replay(&mut |objects| tell("reading the store's log", objects))?;
        self.raise_pack_numbers()?;
        let mut findings = Findings::default();
        // In this order: the damage of packs is known before the streams that name them are looked at.
        for (_, way_back) in WAYS_BACK {
            way_back(self, &mut findings, tell)?;
        }
        let packs = self.inner.db.read()?.count(&PACKS)?;
        let Findings { damaged_packs, damaged_contents, revoked_contents, .. } = findings;
        Ok(Rebuilt { replayed, packs, damaged_packs, damaged_contents, revoked_contents })
    }

    /// Visits what is kept beside every durable stream that no row names, as far as it can be read.
    /// Such a stream was published after the moment that was reached, or never, or has died since:
    /// its objects do not tell which, so that it is nothing to bring back.
    ///
    /// # Errors
    /// The medium's or the database's failure.
    pub fn each_unpublished(&self, visit: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        for info in self.unnamed(Kind::Manifest)? {
            match self.manifest_of(&info) {
                Ok(manifest) => visit(&manifest.record),
                Err(Error::Damaged { .. } | Error::Key(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn manifest_of(&self, info: &ObjectInfo) -> Result<Manifest, Error> {
        let header = read_header(&*self.inner.objects, &info.key)?;
        let object = Object::new(self.inner.objects.clone(), header, self.key_of(&header)?.as_deref());
        codec::decode(&object.footer()?).map_err(|error| Error::damaged(info.key.to_string(), error))
    }

    /// Objects of a kind that no row names.
    fn unnamed(&self, kind: Kind) -> Result<Vec<ObjectInfo>, Error> {
        let named = self.named_objects()?;
        let mut unnamed = Vec::new();
        self.inner.objects.list(&format!("{}/", kind.prefix()), &mut |info| {
            if object_id(&info).is_some_and(|id| named.binary_search(&short(&id)).is_err()) {
                unnamed.push(info);
            }
        })?;
        Ok(unnamed)
    }

    /// Numbers are never given out twice, and packs whose commits were not told have some.
    fn raise_pack_numbers(&self) -> Result<(), Error> {
        let mut highest = None;
        for info in self.unnamed(Kind::Pack)? {
            match read_header(&*self.inner.objects, &info.key) {
                Ok(header) => highest = highest.max(Some(header.number)),
                Err(Error::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(highest) = highest else { return Ok(()) };
        if highest < rows::next_pack(&self.inner.db.read()?)? {
            return Ok(());
        }
        // A commit of its own, which the store will tell of.
        self.inner.db.write(move |txn| rows::raise_next_pack(txn, highest))
    }

    fn rebuild_hooks(&self, findings: &mut Findings, tell: &mut Tell<'_>) -> Result<(), Error> {
        let mut hooks: Vec<(Vec<u8>, u64)> = Vec::new();
        let mut packs = 0;
        self.each_row(&PACKS, |key, row: PackRow| {
            let number = key.try_into().map(u64::from_be_bytes).unwrap_or_default();
            match self.hooks_of(number, &row) {
                Ok(keys) => hooks.extend(keys.into_iter().map(|key| (key, number))),
                // Nobody looks for its chunks any more.
                Err(Error::Key(KeyError::Revoked(_))) => {}
                Err(error) if error.is_unreadable() || self.is_away_beside(&error, &row.object) => {
                    findings.bad_packs.insert(number);
                    findings.damaged_packs.push(format!("{}: {}", pack_name(number), reason_of(error)));
                }
                Err(error) => return Err(error),
            }
            packs += 1;
            tell("reading the lists of packs", packs);
            if hooks.len() < HOOKS_BATCH { Ok(()) } else { self.put_hooks(std::mem::take(&mut hooks)) }
        })?;
        self.put_hooks(hooks)
    }

    fn hooks_of(&self, number: u64, row: &PackRow) -> Result<Vec<Vec<u8>>, Error> {
        let header = row.header(number);
        let (objects, key) = (self.inner.objects.clone(), self.key_of(&header)?);
        let lease = self.inner.pins.lease(row.object);
        let pack = Pack::open(objects, header, &row.stored, key.as_deref(), lease)?;
        self.hook_keys(row.realm(), &hooks(pack.footer.names.iter()))
    }

    fn put_hooks(&self, mut hooks: Vec<(Vec<u8>, u64)>) -> Result<(), Error> {
        // Of packs that share a name the newest wins, as it did when they were committed.
        hooks.sort_unstable();
        self.inner.db.write(move |txn| {
            Ok(hooks.iter().try_for_each(|(key, pack)| txn.put(&HOOKS, key, &pack_key(*pack)))?)
        })
    }

    fn rebuild_content_packs(&self, findings: &mut Findings, tell: &mut Tell<'_>) -> Result<(), Error> {
        let mut lists = Vec::new();
        let mut contents = 0;
        self.each_row(&CONTENTS, |key, row: ContentRow| {
            let content = ContentId(key.try_into().unwrap_or_default());
            match self.packs_of_whole(&content, &row) {
                Ok(packs) => {
                    let reason = self.unreadable(&packs, &findings.bad_packs)?;
                    findings.damaged_contents.extend(reason.map(|reason| (content, reason)));
                    lists.push((content.0, packs));
                }
                Err(Error::Key(KeyError::Revoked(_))) => findings.revoked_contents += 1,
                // Without a list of its packs, none that it may name is reclaimed.
                Err(error) if error.is_unreadable() => {
                    findings.damaged_contents.push((content, reason_of(error)));
                    self.inner.db.write(move |txn| unlisted::note(txn, &content.0, rows::next_pack(txn)?))?;
                }
                Err(error) => return Err(error),
            }
            contents += 1;
            tell("reading manifests", contents);
            if lists.len() < LISTS_BATCH { Ok(()) } else { self.put_lists(std::mem::take(&mut lists)) }
        })?;
        self.put_lists(lists)
    }

    /// The packs a stream names, by its manifest.
    fn packs_of_whole(&self, content: &ContentId, row: &ContentRow) -> Result<RoaringTreemap, Error> {
        let manifest = self.manifest(row)?;
        if manifest.content != content.0 || manifest.size_bytes != row.size_bytes {
            return Err(Error::damaged(row.header().key().to_string(), "it is another stream's manifest"));
        }
        Ok(manifest.packs())
    }

    /// Why a stream of these packs cannot be read whole, if so.
    fn unreadable(&self, packs: &RoaringTreemap, bad: &RoaringTreemap) -> Result<Option<String>, Error> {
        if let Some(pack) = (packs & bad).min() {
            return Ok(Some(format!("{} is missing or damaged", pack_name(pack))));
        }
        let read = self.inner.db.read()?;
        for pack in packs {
            if read.get(&PACKS, &pack_key(pack))?.is_none() {
                return Ok(Some(format!("{} is not known", pack_name(pack))));
            }
        }
        Ok(None)
    }

    fn put_lists(&self, lists: Vec<([u8; 16], RoaringTreemap)>) -> Result<(), Error> {
        self.inner.db.write(move |txn| {
            lists.iter().try_for_each(|(content, packs)| rows::put_packs(txn, content, packs))
        })
    }
}
