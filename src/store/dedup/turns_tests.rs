//! Sharing beside an upload, a reader, a delete and a compaction, in every order their steps can take.
//!
//! Each step is what one thread does without waiting for another. Invariant that is judged: whoever
//! was told that something is stored, or is being read, reads exactly that; nothing is left over.

use super::super::Reach;
use super::super::compact::Wish;
use super::super::compact::tests::{blocks, expect_sound, expect_whole, on, reclaim, release};
use super::super::compact::turns_tests::{Actor, Compaction, Delete, Download, orders, receipt};
use super::super::pins::Held;
use super::super::rows::ContentRow;
use super::super::tests::{Bench, fresh_as, put};
use super::super::{Receipt, Stats};
use super::tests::{DEDUP, forgetful, thorough};
use super::weave::{Woven, weave};
use super::*;
use crate::model::ContentId;

/// Blocks of the first stream: enough for a pack.
const BLOCKS: u8 = 12;

/// Two streams stored apart: the second has some of the first one's blocks.
struct Stage {
    b: Bench,
    first: ContentId,
    second: ContentId,
    data: Vec<u8>,
}

async fn stage() -> Stage {
    let b = fresh_as(None, thorough());
    let first = put(&b, &blocks(0..BLOCKS)).await;
    let b = forgetful(b, None, thorough());
    let data = blocks([4, 5, 6, 7, 20]);
    let second = put(&b, &data).await;
    Stage { b, first, second, data }
}

/// What is stored twice is found; the copy to stay is read; the stream's manifest is looked at; it is
/// replaced; space is given back.
struct Sharing {
    second: ContentId,
    found: Option<Stretches>,
    proven: Option<Stretches>,
    seen: Option<ContentRow>,
    replaced: bool,
}

impl Sharing {
    fn of(second: ContentId) -> Sharing {
        Sharing { second, found: None, proven: None, seen: None, replaced: false }
    }
}

/// Does something as a pass would.
fn pass<T>(b: &Bench, work: impl FnOnce(&mut Pass<'_, '_, '_>) -> Result<T, Stop>) -> Option<T> {
    let (mut watch, mut shared) = (on, Shared::default());
    let mut steps = Steps::new(&b.store, &mut watch);
    let limits = Limits::within(b.store.inner.options.memory_bytes);
    work(&mut Pass { store: &b.store, limits, steps: &mut steps, shared: &mut shared, changes: true }).ok()
}

impl Actor for Sharing {
    fn step(&mut self, b: &Bench, number: usize) {
        match number {
            0 => {
                self.found = pass(b, |pass| {
                    let last = b.store.last_settled_pack()?;
                    let Some(batch) = pass.gather(&mut Cursor::default(), last)? else {
                        return Ok(Stretches::default());
                    };
                    let mut stretches = Stretches::default();
                    for (number, _) in rows::packs_after(&b.store.inner.db.read()?, 0, 10)? {
                        if let Some((pack, realm)) = b.store.footer(number)? {
                            stretches.add(twins(&batch, &pack, realm));
                        }
                    }
                    Ok(stretches)
                });
            }
            1 => {
                let Some(mut stretches) = self.found.take() else { return };
                self.proven = pass(b, |pass| pass.prove(&mut stretches).map(|()| stretches));
            }
            2 => self.seen = b.store.content_row(&self.second).unwrap(),
            3 => {
                let (Some(row), Some(stretches)) = (self.seen.take(), self.proven.take()) else { return };
                // As a pass does that read the row before, and the manifest just now or long ago.
                let Ok(manifest) = b.store.manifest(&row) else { return };
                let mut length = |(pack, first): (u64, u32), count| {
                    b.store
                        .footer(pack)?
                        .and_then(|(pack, _)| Some(pack.span(first, count)?.len()))
                        .ok_or_else(|| Error::damaged("a pack", "it has gone"))
                };
                let Ok(Woven::Extents(extents)) = weave(&manifest.extents, &stretches, &mut length) else {
                    return;
                };
                let manifest = crate::store::manifest::Manifest { extents, ..manifest };
                let let_go = stretches.all().map(|stretch| stretch.goes.0).collect();
                self.replaced = b
                    .store
                    .replace_manifest(&row, &manifest, crate::store::replace::Names::Fewer(&let_go))
                    .unwrap()
                    .is_some();
            }
            _ => drop(b.store.reclaim(Reach::Everything).unwrap()),
        }
    }
}

/// A stream of one chunk that finds the copy that goes, holds it, and is published.
struct Upload {
    chunk: Vec<u8>,
    at: (u64, u32),
    held: Option<Held>,
    receipt: Option<Receipt>,
}

impl Actor for Upload {
    fn step(&mut self, b: &Bench, number: usize) {
        match number {
            0 => {
                let mut held = b.store.inner.pins.hold();
                self.held = held.chunk(self.at.0, self.at.1).then_some(held);
            }
            1 => {
                let Some(mut held) = self.held.take() else { return };
                held.object([9; 16]);
                let receipt = receipt(b, &self.chunk, self.at, held);
                let (store, published) = (b.store.clone(), receipt.clone());
                // What it holds is not taken away.
                b.db.write(move |txn| store.publish(txn, &published)).unwrap();
                self.receipt = Some(receipt);
            }
            _ => drop(self.receipt.take()),
        }
    }
}

/// All that can be shared and given back is.
fn settle(b: &Bench) {
    b.store.rewrite(DEDUP, &mut on).unwrap();
    reclaim(b);
    b.store.rewrite(Wish { dedup: None, compact: true, recompress: false }, &mut on).unwrap();
    reclaim(b);
    expect_sound(b);
}

async fn in_every_order(
    steps: &[usize],
    prepare: impl Fn(&Stage),
    cast: impl Fn(&Stage) -> Vec<Box<dyn Actor>>,
    judge: impl Fn(&Stage),
) {
    for order in orders(steps) {
        println!("{order:?}");
        let stage = stage().await;
        prepare(&stage);
        let mut actors = cast(&stage);
        let mut taken = vec![0; steps.len()];
        for actor in order {
            actors[actor].step(&stage.b, taken[actor]);
            taken[actor] += 1;
        }
        drop(actors);
        judge(&stage);
        settle(&stage.b);
        judge(&stage);
    }
}

fn chunk(b: &Bench, label: u8) -> (Vec<u8>, Vec<(u64, u32)>) {
    let block = blocks([label]);
    let packs = rows::packs_after(&b.db.read().unwrap(), 0, 10).unwrap();
    let mut found = (Vec::new(), Vec::new());
    for (number, _) in packs {
        let pack = b.store.pack(number).unwrap();
        for (ordinal, name) in pack.chunks() {
            let length = pack.length(ordinal).unwrap() as usize;
            if length <= block.len() && blake3::hash(&block[..length]).as_bytes() == name {
                found.0 = block[..length].to_vec();
                found.1.push((number, ordinal));
            }
        }
    }
    found
}

fn expect_stream(stage: &Stage) {
    expect_whole(&stage.b, &stage.second, &stage.data);
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_an_upload_that_found_the_copy_that_goes_keeps_it() {
    let cast = |stage: &Stage| -> Vec<Box<dyn Actor>> {
        let (chunk, places) = chunk(&stage.b, 5);
        assert_eq!(places.len(), 2);
        let upload = Upload { chunk, at: places[1], held: None, receipt: None };
        vec![Box::new(Sharing::of(stage.second)), Box::new(upload)]
    };
    let judge = |stage: &Stage| {
        expect_stream(stage);
        expect_whole(&stage.b, &stage.first, &blocks(0..BLOCKS));
        expect_whole(&stage.b, &ContentId([9; 16]), &chunk(&stage.b, 5).0);
    };
    in_every_order(&[5, 3], |_| (), cast, judge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_reader_reads_on_while_its_stream_is_given_other_copies() {
    let cast = |stage: &Stage| -> Vec<Box<dyn Actor>> {
        vec![Box::new(Sharing::of(stage.second)), Box::new(Download::of(stage.second, &stage.data))]
    };
    in_every_order(&[5, 4], |_| (), cast, expect_stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_stream_that_is_deleted_meanwhile_is_gone() {
    let cast = |stage: &Stage| -> Vec<Box<dyn Actor>> {
        vec![Box::new(Sharing::of(stage.second)), Box::new(Delete(stage.second))]
    };
    let judge = |stage: &Stage| {
        assert!(stage.b.store.reader(&stage.second).is_err());
        expect_whole(&stage.b, &stage.first, &blocks(0..BLOCKS));
    };
    in_every_order(&[5, 2], |_| (), cast, judge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_the_copy_that_stays_is_not_taken_away_when_its_stream_is_deleted() {
    let cast = |stage: &Stage| -> Vec<Box<dyn Actor>> {
        vec![Box::new(Sharing::of(stage.second)), Box::new(Delete(stage.first))]
    };
    in_every_order(&[5, 2], |_| (), cast, expect_stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_copy_that_is_dead_is_either_compacted_away_or_shared() {
    let prepare = |stage: &Stage| {
        // A third stream keeps some of the first one's pack alive, and nothing of what both have.
        let kept = blocks([0, 1, 2]);
        let pack = chunk(&stage.b, 0).1[0].0;
        let store = stage.b.store.clone();
        assert_eq!(pack, 1);
        let third =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(put(&stage.b, &kept)));
        assert!(store.manifest(&store.content_row(&third).unwrap().unwrap()).is_ok());
        release(&stage.b, stage.first);
    };
    let cast = |stage: &Stage| -> Vec<Box<dyn Actor>> {
        vec![Box::new(Sharing::of(stage.second)), Box::new(Compaction::default())]
    };
    in_every_order(&[5, 5], prepare, cast, expect_stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stage_is_what_the_tests_take_it_for() {
    let stage = stage().await;
    let before: Stats = stage.b.store.stats().unwrap();
    assert_eq!(chunk(&stage.b, 5).1.len(), 2);
    let mut sharing = Sharing::of(stage.second);
    (0..5).for_each(|number| sharing.step(&stage.b, number));
    assert!(sharing.replaced);
    settle(&stage.b);
    assert!(stage.b.store.stats().unwrap().chunk_bytes < before.chunk_bytes);
    assert_eq!(chunk(&stage.b, 5).1.len(), 1);
}
