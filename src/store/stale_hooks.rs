//! Hooks of packs that are gone: they lead nowhere, and would stay for good.
//!
//! Invariant: only a hook whose pack has no row is removed, as of the commit that removes it. They
//! are looked for when many packs have gone, a page at a time and at the pace of all work beside
//! clients, so that giving a pack back costs no look at its names.

use std::ops::{Bound, ControlFlow};

use roaring::RoaringTreemap;

use super::Store;
use super::error::Error;
use super::pace::Pace;
use super::reclaim::Reach;
use super::rows::{self, HOOKS, PACKS, PackRow, pack_key};
use super::unmarked::UPKEEP;
use crate::db::{Rows, WriteTxn};

/// Packs that have gone since the hooks were looked through; absent in catalogs of older releases.
const GONE: &[u8] = b"gone-since-hooks";
/// Hooks of a page.
const PAGE_HOOKS: usize = 4096;
/// The hooks are looked through when so many packs have gone at least,
const GONE_MIN: u64 = 64;
/// and one in so many of those that are left.
const GONE_ONE_IN: u64 = 16;

/// Counts packs that are going, in the transaction in which they go.
pub fn count(txn: &WriteTxn, packs: u64) -> Result<(), Error> {
    let gone = gone(txn)?.unwrap_or(0) + packs;
    Ok(txn.put(&UPKEEP, GONE, &gone.to_be_bytes())?)
}

fn gone(rows: &impl Rows) -> Result<Option<u64>, Error> {
    Ok(rows.get(&UPKEEP, GONE)?.and_then(|value| value.try_into().ok().map(u64::from_be_bytes)))
}

impl Store {
    /// Removes hooks of packs that are gone, where there may be enough of them.
    pub(super) fn sweep_hooks(&self, reach: Reach) -> Result<(), Error> {
        let read = self.inner.db.read()?;
        let gone = gone(&read)?;
        let due = match (reach, gone) {
            (_, Some(0)) => false,
            (Reach::Everything, _) => true,
            (Reach::Released, None) => false,
            (Reach::Released, Some(gone)) => gone >= GONE_MIN.max(read.count(&PACKS)? / GONE_ONE_IN),
        };
        if !due {
            return Ok(());
        }
        let mut packs = RoaringTreemap::new();
        rows::each(&read, &PACKS, |key, _: PackRow| {
            packs.extend(key.try_into().map(u64::from_be_bytes).ok());
            Ok(())
        })?;
        drop(read);
        let mut pace = Pace::new(self.inner.options.rewrite.busy_percent);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (last, stale) = self.stale_hooks(after.as_deref(), &packs)?;
            let Some(last) = last else { break };
            after = Some(last);
            if !stale.is_empty() {
                self.inner.db.write(move |txn| remove(txn, &stale))?;
            }
            pace.rest(self.is_busy());
        }
        self.inner.db.write(move |txn| {
            let left = self::gone(txn)?.unwrap_or(0).saturating_sub(gone.unwrap_or(0));
            Ok::<_, Error>(txn.put(&UPKEEP, GONE, &left.to_be_bytes())?)
        })
    }

    /// The last hook of the page after `after`, and those of the page whose pack is not among `packs`.
    fn stale_hooks(
        &self,
        after: Option<&[u8]>,
        packs: &RoaringTreemap,
    ) -> Result<(Option<Vec<u8>>, Vec<Hook>), Error> {
        let (mut last, mut stale, mut seen) = (None, Vec::new(), 0);
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.inner.db.read()?.scan(&HOOKS, (start, Bound::Unbounded), false, &mut |key, value| {
            let pack = value.try_into().map(u64::from_be_bytes).unwrap_or_default();
            if !packs.contains(pack) {
                stale.push((key.to_vec(), pack));
            }
            seen += 1;
            if seen < PAGE_HOOKS {
                return ControlFlow::Continue(());
            }
            last = Some(key.to_vec());
            ControlFlow::Break(())
        })?;
        // The last page has no next one, and what is stale of it goes all the same.
        if last.is_none() && !stale.is_empty() {
            last = stale.last().map(|(key, _)| key.clone());
        }
        Ok((last, stale))
    }
}

/// A hook's key, and the pack it leads to.
type Hook = (Vec<u8>, u64);

fn remove(txn: &WriteTxn, stale: &[Hook]) -> Result<(), Error> {
    for (key, pack) in stale {
        // A pack that came in since has its row by now, and may have taken the hook over.
        let same = txn.get(&HOOKS, key)?.as_deref() == Some(&pack_key(*pack));
        if same && txn.get(&PACKS, &pack_key(*pack))?.is_none() {
            txn.remove(&HOOKS, key)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::compact::tests::{reclaim, release};
    use super::super::tests::{Bench, fresh, noise, open, put};
    use super::*;

    /// Each hook's pack.
    fn hooks(b: &Bench) -> Vec<u64> {
        let mut packs = Vec::new();
        b.db.read()
            .unwrap()
            .scan_prefix(&HOOKS, &[], &mut |_, value| {
                packs.push(u64::from_be_bytes(value.try_into().unwrap()));
                ControlFlow::Continue(())
            })
            .unwrap();
        packs
    }

    fn gone_now(b: &Bench) -> Option<u64> {
        gone(&b.db.read().unwrap()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn p6_hooks_of_deleted_packs_go_and_others_stay() {
        let b = fresh(None);
        let kept = put(&b, &noise(1, 3_000_000)).await;
        let before = hooks(&b);
        let gone = put(&b, &noise(2, 3_000_000)).await;
        release(&b, gone);
        b.store.reclaim(Reach::Released).unwrap();
        while b.store.reclaim(Reach::Released).unwrap().in_use > 0 {}
        // Few have gone: they are not looked for each time.
        assert!(hooks(&b).len() > before.len() && gone_now(&b).unwrap() > 0);
        reclaim(&b);
        assert_eq!((hooks(&b), gone_now(&b)), (before, Some(0)));
        // What is left still serves.
        let store = open(b.objects.clone(), b.db.clone(), None).unwrap();
        let b = Bench { store, ..b };
        let chunks = b.store.stats().unwrap().chunks;
        put(&b, &noise(1, 3_000_000)).await;
        assert_eq!(b.store.stats().unwrap().chunks, chunks);
        assert!(b.store.reader(&kept).is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn hooks_that_an_older_release_left_go_too_page_by_page() {
        let b = fresh(None);
        put(&b, &noise(1, 1_000_000)).await;
        let before = hooks(&b);
        b.db.write(|txn| {
            for number in 0..2 * PAGE_HOOKS as u64 + 7 {
                txn.put(
                    &HOOKS,
                    &rows::hook_key(0, blake3::hash(&number.to_le_bytes()).as_bytes()),
                    &pack_key(999),
                )?;
            }
            Ok::<_, Error>(txn.remove(&UPKEEP, GONE).map(drop)?)
        })
        .unwrap();
        b.store.reclaim(Reach::Released).unwrap();
        assert!(hooks(&b).len() > before.len());
        b.store.reclaim(Reach::Everything).unwrap();
        assert_eq!(hooks(&b), before);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_deleted_packs_have_their_hooks_looked_for_at_once() {
        let b = fresh(None);
        put(&b, &noise(1, 1_000_000)).await;
        let before = hooks(&b);
        let gone = put(&b, &noise(2, 1_000_000)).await;
        release(&b, gone);
        b.db.write(|txn| count(txn, GONE_MIN)).unwrap();
        while b.store.reclaim(Reach::Released).unwrap().in_use > 0 {}
        b.store.reclaim(Reach::Released).unwrap();
        assert_eq!(hooks(&b).iter().filter(|pack| !before.contains(pack)).count(), 0);
    }
}
