//! Compaction beside an upload, a reader and a delete, in every order their steps can take.
//!
//! Each step is what one thread does without waiting for another. Invariant that is judged: whoever
//! was told that something is stored, or is being read, reads exactly that; nothing is left over.

use std::sync::Arc;

use super::rewrite::{Generation, Manner};
use super::run::Run;
use super::swap::Swap;
use super::tests::{blocks, expect_sound, expect_whole, on, options, reclaim, release, sparse_of};
use super::weigh::{Candidate, Pass};
use super::*;
use crate::model::{ContentId, Digests};
use crate::store::cutter::choose;
use crate::store::ingest::Durable;
use crate::store::manifest::{Extent, Manifest};
use crate::store::object::Builder;
use crate::store::pack::Pack;
use crate::store::pins::{Enclosed, Held};
use crate::store::realm::Realm;
use crate::store::rows::{ContentRow, PackRow, manifest_header};
use crate::store::tests::{Bench, fresh_as};
use crate::store::{Reach, Reader, Receipt, Scope};

/// Blocks of the first stream: enough for a pack.
const BLOCKS: u8 = 12;

/// Every order in which actors with so many steps each can take them.
pub fn orders(steps: &[usize]) -> Vec<Vec<usize>> {
    if steps.iter().all(|left| *left == 0) {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for actor in (0..steps.len()).filter(|actor| steps[*actor] > 0) {
        let mut rest = steps.to_vec();
        rest[actor] -= 1;
        all.extend(orders(&rest).into_iter().map(|order| [vec![actor], order].concat()));
    }
    all
}

/// Somebody who takes one step after the other.
pub trait Actor {
    fn step(&mut self, b: &Bench, number: usize);
}

/// One pack is counted, enclosed, written, swapped; the object before is deleted.
#[derive(Default)]
pub struct Compaction {
    pass: Option<Pass>,
    enclosed: Option<(Candidate, Enclosed)>,
    written: Option<(Arc<Pack>, PackRow, Generation)>,
    swapped: bool,
}

impl Actor for Compaction {
    fn step(&mut self, b: &Bench, number: usize) {
        let store = &b.store;
        match number {
            0 => self.pass = store.weigh(None, &mut || Ok(())).ok().flatten(),
            1 => {
                let Some(mut pass) = self.pass.take() else { return };
                pass.rank(store);
                let first = pass.candidates.into_iter().find(|candidate| candidate.pack == 1);
                self.enclosed = first.and_then(|candidate| {
                    let enclosed = pass.mark.enclose(candidate.pack, candidate.counted.live())?;
                    Some((candidate, enclosed))
                });
            }
            2 => {
                let Some((candidate, _)) = &self.enclosed else { return };
                let Some(row) = store.pack_row(1).unwrap() else { return };
                let old = store.pack(1).unwrap();
                let manner =
                    Manner { live: Some(&candidate.counted.live()), stronger: false, bytes_max: u64::MAX };
                let mut watch = on;
                let written = Run::new(store, Wish::default(), &mut watch).write(&row, &old, &manner);
                self.written = written.ok().flatten().map(|new| (old, row, new));
            }
            3 => {
                let (Some((candidate, enclosed)), Some((old, row, new))) =
                    (self.enclosed.take(), self.written.take())
                else {
                    return;
                };
                let live = candidate.counted.live();
                let (live, counted) = (Some(&live), Some(&candidate.unmarked));
                let swap = Swap { old: &old, row: &row, new, level: 1, live, counted };
                self.swapped = store.swap(swap).unwrap().is_some();
                drop(enclosed);
            }
            _ => drop(store.drain_graves().unwrap()),
        }
    }
}

/// A stream that consists of one chunk, which is found, held, published and let go of.
struct Upload {
    chunk: Vec<u8>,
    found: Option<(u64, u32)>,
    held: Option<Held>,
    receipt: Option<Receipt>,
    published: Option<ContentId>,
}

impl Upload {
    fn of(chunk: Vec<u8>) -> Upload {
        Upload { chunk, found: None, held: None, receipt: None, published: None }
    }

    fn receipt(&self, b: &Bench, at: (u64, u32), held: Held) -> Receipt {
        receipt(b, &self.chunk, at, held)
    }
}

/// What an upload of one chunk that is there already leads to.
pub fn receipt(b: &Bench, chunk: &[u8], (pack, first): (u64, u32), held: Held) -> Receipt {
    let blake3 = *blake3::hash(chunk).as_bytes();
    let digests = Digests { md5: None, secure: None, blake3 };
    let (content, size_bytes) = (ContentId([9; 16]), chunk.len() as u64);
    let manifest = Manifest {
        content: content.0,
        size_bytes,
        digests: (&digests).into(),
        cutter: choose(&[]),
        extents: vec![Extent::Run { bytes: size_bytes, pack, first, count: 1 }],
        record: b"record".to_vec(),
        recipe: None,
    };
    let header = manifest_header([9; 16]);
    let builder = Builder::start(&b.objects, &header, None).unwrap();
    let stored = builder.finish(manifest.to_bytes()).unwrap();
    let row = ContentRow { object: header.id, domain: 0, stored, size_bytes, key_version: 0 };
    Receipt(Arc::new(Durable { content, row, manifest, last_pack: None, digests, _held: held }))
}

impl Actor for Upload {
    fn step(&mut self, b: &Bench, number: usize) {
        let name = *blake3::hash(&self.chunk).as_bytes();
        match number {
            0 => {
                // As an upload does that finds the pack by a hook.
                let _ = b.store.pack(1);
                self.found = b.store.inner.index.find(Realm::new(0, Scope::STORE), &name);
            }
            1 => {
                let Some(at) = self.found else { return };
                let mut held = b.store.inner.pins.hold();
                if held.chunk(at.0, at.1) && b.store.inner.index.has(at, &name) {
                    held.object([9; 16]);
                    self.receipt = Some(self.receipt(b, at, held));
                } else {
                    self.held = Some(held);
                }
            }
            2 => {
                let Some(receipt) = self.receipt.clone() else { return };
                let store = b.store.clone();
                // What it holds is not taken away.
                self.published = Some(receipt.content());
                b.db.write(move |txn| store.publish(txn, &receipt)).unwrap();
            }
            _ => drop((self.receipt.take(), self.held.take())),
        }
    }
}

/// A reader that is opened, reads, reads again and leaves.
pub struct Download {
    content: ContentId,
    data: Vec<u8>,
    reader: Option<Reader>,
    /// Frames of the pack that it is in the middle of.
    present: Option<Arc<Pack>>,
}

impl Download {
    pub fn of(content: ContentId, data: &[u8]) -> Download {
        Download { content, data: data.to_vec(), reader: None, present: None }
    }
}

impl Actor for Download {
    fn step(&mut self, b: &Bench, number: usize) {
        match number {
            0 => self.reader = b.store.reader(&self.content).ok(),
            1 => self.present = self.reader.as_ref().map(|_| b.store.pack(1).unwrap()),
            2 => {
                if let Some(pack) = self.present.take() {
                    assert_eq!(pack.frames(0..pack.footer.frames.len()).err().map(|e| e.to_string()), None);
                }
            }
            _ => {
                let Some(reader) = self.reader.take() else { return };
                let mut out = vec![0; self.data.len()];
                reader.read_at(0, &mut out).unwrap();
                assert!(out == self.data);
            }
        }
    }
}

/// The one stream that names the pack is let go of, and space reclaimed.
pub struct Delete(pub ContentId);

impl Actor for Delete {
    fn step(&mut self, b: &Bench, number: usize) {
        match number {
            0 => release(b, self.0),
            _ => drop(b.store.reclaim(Reach::Everything).unwrap()),
        }
    }
}

/// Lets the actors take their steps in every order, each time on a store of its own.
async fn in_every_order(
    steps: &[usize],
    cast: impl Fn(ContentId, &[u8]) -> Vec<Box<dyn Actor>>,
    judge: impl Fn(&Bench, ContentId, &[u8]),
) {
    for order in orders(steps) {
        println!("{order:?}");
        let b = fresh_as(None, options());
        let (content, data) = sparse_of(&b, BLOCKS).await;
        let mut actors = cast(content, &data);
        let mut taken = vec![0; steps.len()];
        for actor in order {
            actors[actor].step(&b, taken[actor]);
            taken[actor] += 1;
        }
        drop(actors);
        judge(&b, content, &data);
        reclaim(&b);
        b.store.rewrite(Wish { dedup: None, compact: true, recompress: false }, &mut on).unwrap();
        expect_sound(&b);
        judge(&b, content, &data);
    }
}

fn published_reads(b: &Bench, chunk: &[u8]) {
    let content = ContentId([9; 16]);
    if b.store.reader(&content).is_ok() {
        expect_whole(b, &content, chunk);
    }
}

/// The chunk of a block that only the deleted stream named, as the cutter makes it.
async fn chunk_of(label: u8) -> Vec<u8> {
    let b = fresh_as(None, options());
    crate::store::tests::put(&b, &blocks(0..BLOCKS)).await;
    let pack = b.store.pack(1).unwrap();
    let block = blocks([label]);
    let (ordinal, length) = pack
        .chunks()
        .map(|(ordinal, _)| (ordinal, pack.footer.lengths[ordinal as usize] as usize))
        .find(|(ordinal, length)| {
            *length <= block.len() && pack.name(*ordinal) == Some(blake3::hash(&block[..*length]).as_bytes())
        })
        .unwrap();
    assert!(pack.name(ordinal).is_some());
    block[..length].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_an_upload_that_finds_a_dead_chunk_has_it_or_stores_it_again() {
    let chunk = chunk_of(7).await;
    let cast = |_, _: &[u8]| -> Vec<Box<dyn Actor>> {
        vec![Box::new(Compaction::default()), Box::new(Upload::of(chunk.clone()))]
    };
    in_every_order(&[5, 4], cast, |b, content, data| {
        expect_whole(b, &content, data);
        published_reads(b, &chunk);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_reader_reads_on_through_a_compaction() {
    let cast = |content, data: &[u8]| -> Vec<Box<dyn Actor>> {
        vec![Box::new(Compaction::default()), Box::new(Download::of(content, data))]
    };
    in_every_order(&[5, 4], cast, |b, content, data| expect_whole(b, &content, data)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_pack_that_dies_while_it_is_compacted_is_gone() {
    let cast = |content, _: &[u8]| -> Vec<Box<dyn Actor>> {
        vec![Box::new(Compaction::default()), Box::new(Delete(content))]
    };
    in_every_order(&[5, 2], cast, |b, content, _| assert!(b.store.reader(&content).is_err())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_publishing_notices_a_chunk_that_is_gone() {
    let b = fresh_as(None, options());
    sparse_of(&b, BLOCKS).await;
    let mut upload = Upload::of(chunk_of(7).await);
    upload.step(&b, 0);
    let at = upload.found.unwrap();
    b.store.rewrite(Wish { dedup: None, compact: true, recompress: false }, &mut on).unwrap();
    // As it would be if nothing held the chunk.
    let receipt = upload.receipt(&b, at, b.store.inner.pins.hold());
    let store = b.store.clone();
    let refusal = b.db.write(move |txn| store.publish(txn, &receipt)).unwrap_err();
    assert!(matches!(refusal, Error::Reclaimed(1)), "{refusal}");
}
