//! Giving streams the copies that stay.
//!
//! Invariant: streams that do not name a pack of which something goes are not looked at: each
//! stream's row has its packs beside it.

use std::sync::Arc;

use roaring::RoaringTreemap;

use super::super::error::Error;
use super::super::manifest::{Extent, Manifest};
use super::super::pack::{Pack, pack_name};
use super::super::replace::Names;
use super::super::rows::{self, CONTENTS, ContentRow};
use super::super::steps::Stop;
use super::Pass;
use super::stretches::{Place, Stretches};
use super::weave::{Woven, weave};

/// Streams looked at in one snapshot.
const PAGE_CONTENTS: usize = 256;

impl Pass<'_, '_, '_> {
    /// Writes the manifests anew of all streams that name what goes.
    pub(super) fn share(&mut self, stretches: &Stretches) -> Result<(), Stop> {
        let packs: RoaringTreemap = stretches.all().map(|stretch| stretch.goes.0).collect();
        let mut after: Option<Vec<u8>> = None;
        loop {
            self.steps.step(0)?;
            let read = self.store.inner.db.read()?;
            let page = rows::page::<ContentRow>(&read, &CONTENTS, after.as_deref(), PAGE_CONTENTS)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let mut touched = Vec::new();
            for (content, row) in page {
                if rows::packs_of(&read, &content)?.is_none_or(|named| !named.is_disjoint(&packs)) {
                    touched.push(row);
                }
            }
            drop(read);
            for row in touched {
                self.share_one(&row, stretches)?;
                self.steps.step(0)?;
            }
        }
    }

    fn share_one(&mut self, row: &ContentRow, stretches: &Stretches) -> Result<(), Stop> {
        let store = self.store;
        let manifest = match store.manifest(row) {
            Ok(manifest) => manifest,
            // Let go of or replaced meanwhile, or damaged: what it names stays as it is.
            Err(error @ (Error::Damaged { .. } | Error::Key(_))) => {
                tracing::debug!(%error, "a stream is not looked at for duplicates");
                self.shared.left_alone += 1;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        // An unfinished upload counts the extents of what it has so far, to go on behind them.
        if manifest.record.is_empty() {
            return Ok(());
        }
        let mut lengths = Lengths { pass: self, last: None };
        let extents = match weave(&manifest.extents, stretches, &mut |place, count| lengths.of(place, count))
        {
            Ok(Woven::Extents(extents)) => extents,
            Ok(Woven::Untouched) => return Ok(()),
            Ok(Woven::TooFine) | Err(Error::Damaged { .. }) => {
                self.shared.left_alone += 1;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let let_go = let_go(&manifest.extents, stretches);
        match store.replace_manifest(row, &Manifest { extents, ..manifest }, Names::Fewer(&let_go))? {
            Some(_) => self.shared.streams += 1,
            None => self.shared.left_alone += 1,
        }
        Ok(())
    }
}

/// The packs of which a stream names chunks that go.
fn let_go(extents: &[Extent], stretches: &Stretches) -> RoaringTreemap {
    let touched = |extent: &Extent| match *extent {
        Extent::Run { pack, first, count, .. } => {
            stretches.over((pack, first), count).next().is_some().then_some(pack)
        }
        Extent::Zeros { .. } => None,
    };
    extents.iter().filter_map(touched).collect()
}

/// Lengths of chunks, from the footer that was looked at last.
struct Lengths<'p, 'a, 's, 'w> {
    pass: &'p Pass<'a, 's, 'w>,
    last: Option<Arc<Pack>>,
}

impl Lengths<'_, '_, '_, '_> {
    fn of(&mut self, (number, first): Place, count: u32) -> Result<u64, Error> {
        let absent = || Error::damaged(pack_name(number), "a chunk that a stream names is not there");
        let pack = match &self.last {
            Some(pack) if pack.number == number => pack.clone(),
            _ => self.pass.store.footer(number)?.ok_or_else(absent)?.0,
        };
        self.last = Some(pack.clone());
        Ok(pack.span(first, count).ok_or_else(absent)?.len())
    }
}
