//! What is stored twice, found while nobody waits: the index may miss a duplicate, this does not.
//!
//! Packs are compared by their footers, in batches: the names of some packs are held in memory, and
//! the footers of all packs up to them are read past them once. So a pass over packs that came in
//! since the last one reads every footer once for each batch, and no data. Where a stretch of chunks
//! lies in two packs, the older copy is read back, and streams that name the other one are given
//! manifests that name it. The other copy is dead then, and compaction gives its space back.
//!
//! Invariants: memory is bounded by [`Limits`], whatever is stored; chunks are shared inside one
//! realm only; the copy that stays has just been read and compared with its name; a stream
//! changes in one commit, or not at all. Must not know how packs are written anew.

mod batch;
mod cursor;
mod prove;
mod streams;
mod stretches;
#[cfg(test)]
pub(super) mod tests;
#[cfg(test)]
mod turns_tests;
mod weave;

use std::ops::ControlFlow;
use std::sync::Arc;

use super::Store;
use super::error::Error;
use super::index;
use super::pack::Pack;
use super::realm::Realm;
use super::rows::{self, PACKS, PackRow, pack_key};
use super::steps::{Progress, Steps, Stop};
use batch::{Batch, Gathering};
use cursor::Cursor;
use stretches::{Stretches, Twin};

use crate::db::Rows;

/// Which packs are compared with all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Those that came in since the last pass; a pass that was cut off goes on.
    New,
    /// All, from the first one on.
    All,
}

/// What was found stored twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shared {
    /// Packs that were compared with all before them.
    pub packs: u64,
    /// Chunks that lie in two packs, and are worth sharing.
    pub chunks: u64,
    /// Their length before compression, in bytes.
    pub bytes: u64,
    /// Streams that were given a new manifest.
    pub streams: u64,
    /// Streams that were left as they are, as they would fall into too many pieces, or changed
    /// meanwhile.
    pub left_alone: u64,
    /// Stretches that were left as they are, as one of the copies does not read back.
    pub damaged: u64,
}

/// What a pass may hold at once.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Names of a batch, of eight bytes each.
    names: usize,
    /// Stretches that are dealt with together, of some 100 bytes each.
    stretches: usize,
    /// Packs that are compared between two notes of how far the pass is.
    packs: u64,
}

impl Limits {
    /// 64 MiB of names at most, which are 174 GB of data as real disks have it, and 26 MiB of stretches;
    /// less where the store has less, as the pass has most of it to itself.
    fn within(memory_bytes: usize) -> Limits {
        Limits {
            names: (memory_bytes / 2 / 8).min(1 << 23),
            stretches: (memory_bytes / 8 / 100).clamp(1, 1 << 18),
            packs: 256,
        }
    }
}

impl Store {
    /// Compares packs, and has streams share what is found.
    pub(super) fn share_duplicates(
        &self,
        compare: Compare,
        steps: &mut Steps<'_, '_>,
        shared: &mut Shared,
    ) -> Result<(), Stop> {
        let mut cursor = self.dedup_cursor()?;
        if compare == Compare::All {
            cursor = Cursor { finished_at: cursor.finished_at, ..Cursor::default() };
            self.keep_dedup_cursor(cursor)?;
        }
        let limits = Limits::within(self.inner.options.memory_bytes);
        let mut pass = Pass { store: self, limits, steps, shared, changes: true };
        let outcome = pass.run(cursor);
        self.inner.activity.shared(shared);
        outcome
    }

    /// What comparing all packs would find, without changing anything.
    pub(super) fn count_duplicates(&self, steps: &mut Steps<'_, '_>) -> Result<Shared, Stop> {
        let mut shared = Shared::default();
        let limits = Limits::within(self.inner.options.memory_bytes);
        let mut pass = Pass { store: self, limits, steps, shared: &mut shared, changes: false };
        pass.run(Cursor::default())?;
        Ok(shared)
    }

    /// A pack's footer and realm, past the index, whose memory is for what comes in; `None` where
    /// the pack has gone, or cannot be read: it is damaged, its place does not answer, or its key was
    /// erased.
    fn footer(&self, number: u64) -> Result<Option<(Arc<Pack>, Realm)>, Error> {
        loop {
            let Some(row) = self.pack_row(number)? else { return Ok(None) };
            let lease = self.inner.pins.lease(row.object);
            if !self.lies_in(number, &row.object)? {
                continue;
            }
            return match self.open_pack(number, &row, lease) {
                Ok(pack) => Ok(Some((Arc::new(pack), row.realm()))),
                Err(error @ (Error::Damaged { .. } | Error::Key(_))) => {
                    tracing::debug!(number, %error, "a pack is not compared");
                    Ok(None)
                }
                Err(error) if self.is_away_beside(&error, &row.object) => Ok(None),
                Err(error) => Err(error),
            };
        }
    }

    /// The last pack below which none can come in any more: one that a stream is still filling has
    /// its number already.
    fn last_settled_pack(&self) -> Result<u64, Error> {
        let given_out = self.inner.next_pack.load(std::sync::atomic::Ordering::Relaxed);
        let held = self.inner.pins.packs();
        let read = self.inner.db.read()?;
        let mut first_open = given_out;
        for pack in held.into_iter().filter(|pack| *pack < given_out) {
            if read.get(&PACKS, &pack_key(pack))?.is_none() {
                first_open = first_open.min(pack);
            }
        }
        Ok(first_open.saturating_sub(1))
    }
}

/// A pass over the packs.
struct Pass<'p, 's, 'w> {
    store: &'p Store,
    limits: Limits,
    steps: &'p mut Steps<'s, 'w>,
    shared: &'p mut Shared,
    /// Whether streams are changed, or duplicates just counted.
    changes: bool,
}

impl Pass<'_, '_, '_> {
    /// Goes on from the cursor until all packs are compared.
    fn run(&mut self, mut cursor: Cursor) -> Result<(), Stop> {
        let last = self.store.last_settled_pack()?;
        while let Some(batch) = self.gather(&mut cursor, last)? {
            self.compare(&batch, &mut cursor)?;
        }
        cursor.finished_at = self.store.inner.clock.now().0;
        self.keep(cursor)
    }

    /// The names of the next packs, as many as memory has room for; `None` when there are no more.
    fn gather(&mut self, cursor: &mut Cursor, last: u64) -> Result<Option<Batch>, Stop> {
        let (store, begun) = (self.store, cursor.batch > 0);
        let until = if begun { cursor.batch } else { last };
        let (mut numbers, mut chunks, mut bytes) = (Vec::new(), 0u64, 0u64);
        self.each_pack(cursor.compared, until, &mut |number, row| {
            let names = chunks + u64::from(row.chunks);
            if names > self.limits.names as u64 && !numbers.is_empty() {
                return ControlFlow::Break(());
            }
            (chunks, bytes) = (names, bytes + row.raw_bytes);
            numbers.push(number);
            ControlFlow::Continue(())
        })?;
        let Some(newest) = numbers.last().copied() else {
            if begun {
                // All of them have gone since.
                *cursor = cursor.past_batch();
                return self.gather(cursor, last);
            }
            return Ok(None);
        };
        self.steps.begin(Progress::COMPARING, bytes)?;
        let mut gathering = Gathering::new(self.limits.names, chunks);
        let mut gathered = newest;
        for (at, number) in numbers.iter().enumerate() {
            let Some((pack, realm)) = store.footer(*number)? else { continue };
            let names = pack.chunks().map(|(ordinal, name)| (ordinal, index::short(realm, name)));
            let names: Vec<(u32, u64)> = names.collect();
            let end = names.last().map_or(0, |(ordinal, _)| ordinal.saturating_add(1));
            if !gathering.add(*number, end, names.into_iter()) {
                match at {
                    0 => tracing::warn!(number, "a pack has too many chunks to be compared"),
                    _ => {
                        gathered = numbers[at - 1];
                        break;
                    }
                }
            }
            self.steps.step(pack.raw_bytes())?;
        }
        // A batch that was begun may be a part of what it was, where packs were compacted.
        cursor.batch = gathered;
        Ok(Some(gathering.sort()))
    }

    /// Reads all footers up to the batch's last one past it, and deals with what is found.
    fn compare(&mut self, batch: &Batch, cursor: &mut Cursor) -> Result<(), Stop> {
        let store = self.store;
        let (mut stretches, mut unnoted) = (Stretches::default(), 0);
        let mut left = self.raw_bytes(cursor.scanned, cursor.batch)?;
        self.steps.begin(Progress::COMPARING, left)?;
        loop {
            let page = rows::packs_after(&store.inner.db.read()?, cursor.scanned, PAGE_PACKS)?;
            let page: Vec<(u64, u64)> = page
                .iter()
                .filter(|(number, _)| *number <= cursor.batch)
                .map(|(number, row)| (*number, row.raw_bytes))
                .collect();
            if page.is_empty() {
                break;
            }
            for (number, raw_bytes) in page {
                left = left.saturating_sub(raw_bytes);
                if let Some((pack, realm)) = store.footer(number)? {
                    stretches.add(twins(batch, &pack, realm));
                    self.steps.step(pack.raw_bytes())?;
                }
                self.shared.packs += u64::from(number > cursor.compared);
                cursor.scanned = number;
                unnoted += 1;
                if stretches.len() >= self.limits.stretches || unnoted >= self.limits.packs {
                    self.deal_with(std::mem::take(&mut stretches))?;
                    self.keep(*cursor)?;
                    unnoted = 0;
                    self.steps.begin(Progress::COMPARING, left)?;
                }
            }
        }
        self.deal_with(stretches)?;
        *cursor = cursor.past_batch();
        self.keep(*cursor)
    }

    /// Bytes, before compression, of the packs after one, up to another.
    fn raw_bytes(&self, after: u64, until: u64) -> Result<u64, Error> {
        let mut bytes = 0;
        self.each_pack(after, until, &mut |_, row| {
            bytes += row.raw_bytes;
            ControlFlow::Continue(())
        })?;
        Ok(bytes)
    }

    /// Visits the rows of packs after one, up to another.
    fn each_pack(
        &self,
        mut after: u64,
        until: u64,
        visit: &mut dyn FnMut(u64, PackRow) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        loop {
            let page = rows::packs_after(&self.store.inner.db.read()?, after, PAGE_PACKS)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = *last;
            for (number, row) in page {
                if number > until || visit(number, row).is_break() {
                    return Ok(());
                }
            }
        }
    }

    /// Proves what was found, and gives streams the copies that stay.
    fn deal_with(&mut self, mut stretches: Stretches) -> Result<(), Stop> {
        if stretches.is_empty() {
            return Ok(());
        }
        self.prove(&mut stretches)?;
        for stretch in stretches.all() {
            self.shared.chunks += u64::from(stretch.count);
            self.shared.bytes += stretch.bytes;
        }
        if self.changes && !stretches.is_empty() { self.share(&stretches) } else { Ok(()) }
    }

    fn keep(&self, cursor: Cursor) -> Result<(), Stop> {
        if self.changes {
            self.store.keep_dedup_cursor(cursor)?;
        }
        Ok(())
    }
}

/// Rows of packs read in one snapshot.
const PAGE_PACKS: usize = 256;

/// The chunks of the batch that this pack has too, and had before it.
fn twins(batch: &Batch, pack: &Pack, realm: Realm) -> Vec<Twin> {
    let mut twins = Vec::new();
    for ((ordinal, name), bytes) in pack.chunks().zip(&pack.footer.lengths) {
        let stays = (pack.number, ordinal);
        let later = batch.find(index::short(realm, name)).filter(|goes| *goes > stays);
        twins.extend(later.map(|goes| Twin { goes, stays, bytes: *bytes }));
    }
    twins
}
