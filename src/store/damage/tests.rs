//! Damage of every kind: never wrong bytes, recorded as what it is, and healed.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;

use super::super::format::{HEADER_BYTES, TAIL_BYTES};
use super::super::tests::{Bench, fresh, get, noise, open, put};
use super::super::*;
use super::records::{DAMAGE, LOST};
use super::{Examined, Suspicion};
use crate::base::OsEntropy;
use crate::model::ByteRange;
use crate::objects::ObjectKey;

const BYTES: usize = 700_000;

/// The same media under a store that was just started.
fn restarted(b: &Bench, master: Option<&MasterKey>) -> Bench {
    let store = open(b.objects.clone(), b.db.clone(), master).unwrap();
    Bench { store, objects: b.objects.clone(), db: b.db.clone() }
}

fn write(b: &Bench, key: &ObjectKey, bytes: &[u8]) {
    b.objects.delete(key).unwrap();
    b.objects.put(key, bytes).unwrap();
}

fn flip(b: &Bench, key: &ObjectKey, at: usize) {
    let mut bytes = b.objects.get(key).unwrap();
    bytes[at] ^= 1 << (at % 8);
    write(b, key, &bytes);
}

fn whole(b: &Bench, content: &ContentId, bytes: usize) -> Result<Vec<u8>, Error> {
    get(b, content, ByteRange::whole(bytes as u64))
}

fn scrub(b: &Bench) {
    assert_eq!(b.store.scrub_all(&mut |_| ()).unwrap(), Scrubbed::Round);
}

/// The pack's number and row.
fn pack_row(b: &Bench) -> (u64, PackRow) {
    let page: Vec<(Vec<u8>, PackRow)> = rows::page(&b.db.read().unwrap(), &PACKS, None, 1).unwrap();
    let (key, row) = page.into_iter().next().unwrap();
    (u64::from_be_bytes(key.try_into().unwrap()), row)
}

fn content_row(b: &Bench, content: &ContentId) -> ContentRow {
    b.db.read().unwrap().record(&CONTENTS, &content.0).unwrap().unwrap()
}

fn no_rows_of_damage(b: &Bench) {
    let read = b.db.read().unwrap();
    assert_eq!((read.count(&DAMAGE).unwrap(), read.count(&LOST).unwrap()), (0, 0));
    assert_eq!(b.store.damage_counts(), DamageCounts::default());
    assert!(b.store.verify().unwrap().is_empty());
}

/// Offsets in each part of an object: the part's name, then where.
fn parts(object: &[u8], footer: object::Section, sealed: bool) -> Vec<(&'static str, Vec<usize>)> {
    let length = object.len();
    let tail = format::Tail::decode(&object[length - TAIL_BYTES..]).unwrap();
    let body = tail.body_bytes as usize;
    let (footer_at, footer_end) = (footer.offset as usize, footer.offset as usize + footer.bytes as usize);
    let locator = body - if sealed { 40 } else { 24 };
    let some = |from: usize, to: usize, most: usize| {
        (from..to).step_by(((to - from) / most).max(1)).collect::<Vec<_>>()
    };
    vec![
        ("header", (0..HEADER_BYTES).collect()),
        ("frame", some(HEADER_BYTES, footer_at, 12)),
        ("footer", some(footer_at, footer_end, 150)),
        ("padding", some(footer_end, locator, 32)),
        ("locator", some(locator, body, 24)),
        ("hashes", some(body, length - TAIL_BYTES, 8)),
        ("tail", (length - TAIL_BYTES..length).collect()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_flipped_bit_in_any_part_of_an_object_is_found_and_never_gives_wrong_bytes() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let b = fresh(master.as_ref());
        let data = [noise(1, BYTES / 2), vec![0; 8192], noise(2, BYTES / 2)].concat();
        let content = put(&b, &data).await;
        let (row, (_, pack)) = (content_row(&b, &content), pack_row(&b));
        let sealed = master.is_some();
        for (key, footer) in
            [(pack.header(0).key(), pack.stored.footer), (row.header().key(), row.stored.footer)]
        {
            let good = b.objects.get(&key).unwrap();
            let mut seen = 0;
            for (part, offsets) in parts(&good, footer, sealed) {
                seen += usize::from(!offsets.is_empty());
                for at in offsets {
                    flip(&b, &key, at);
                    let b = restarted(&b, master.as_ref());
                    match whole(&b, &content, data.len()) {
                        Ok(read) => assert!(read == data, "{key}, {part} {at}: wrong bytes"),
                        Err(Error::Damaged { .. }) => {}
                        Err(error) => panic!("{key}, {part} {at}: {error}"),
                    }
                    scrub(&b);
                    let counts = b.store.damage_counts();
                    assert_eq!(counts.packs + counts.manifests, 1, "{key}, {part} {at}: not found");
                    write(&b, &key, &good);
                    scrub(&b);
                    no_rows_of_damage(&b);
                }
            }
            // A manifest has no frames.
            assert_eq!(seen, 7 - usize::from(key.as_str().starts_with("manifest")), "{key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_damage_is_told_by_stream_and_range_and_survives_a_restart() {
    let b = fresh(None);
    let data = noise(1, BYTES);
    let (hit, spared) = (put(&b, &data).await, put(&b, &noise(2, 1000)).await);
    let (_, row) = pack_row(&b);
    flip(&b, &row.header(0).key(), 300_000);
    let b = restarted(&b, None);
    scrub(&b);
    for b in [restarted(&b, None), b] {
        let damage = b.store.damage().unwrap();
        let [object] = &damage[..] else { panic!("{damage:?}") };
        assert_eq!(object.blocks, [(0, 1)]);
        assert!(object.lost_chunks.is_some_and(|lost| lost > 0), "{object:?}");
        let [(content, ranges)] = &object.contents[..] else { panic!("{object:?}") };
        assert_eq!(*content, hit);
        let [lost] = ranges[..] else { panic!("{ranges:?}") };
        // A frame and no more.
        assert!(lost.start <= 300_000 && lost.end > 299_000 && lost.len() <= 256 << 10, "{lost:?}");
        assert!(get(&b, &hit, lost).is_err());
        let after = ByteRange { start: lost.end, end: BYTES as u64 };
        assert_eq!(get(&b, &hit, after).unwrap(), data[lost.end as usize..]);
        assert_eq!(whole(&b, &spared, 1000).unwrap(), noise(2, 1000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_read_that_meets_damage_records_it() {
    for manifest in [false, true] {
        let b = fresh(None);
        let content = put(&b, &noise(1, BYTES)).await;
        let key =
            if manifest { content_row(&b, &content).header().key() } else { pack_row(&b).1.header(0).key() };
        flip(&b, &key, 100);
        let b = restarted(&b, None);
        assert!(whole(&b, &content, BYTES).is_err());
        let counts = b.store.damage_counts();
        assert_eq!((counts.packs, counts.manifests), if manifest { (0, 1) } else { (1, 0) });
        b.store.tell_untold().unwrap();
        assert_eq!(b.store.damage_counts().contents, 1);
        assert_eq!(b.store.activity().damaged_reads, 1);
    }
}

/// Writes a listener's calls into a channel.
fn heard(b: &Bench) -> Receiver<Vec<Event>> {
    let (send, receive) = channel();
    let send = Mutex::new(send);
    // Nobody may listen any more when the store goes.
    b.store.listen(Box::new(move |events| drop(send.lock().unwrap().send(events.to_vec()))));
    receive
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_meets_damage_does_not_wait_until_whom_it_hits_is_told() {
    let b = fresh(None);
    let content = put(&b, &noise(1, BYTES)).await;
    flip(&b, &pack_row(&b).1.header(0).key(), 100);
    let b = restarted(&b, None);
    let (read_ended, wait) = channel();
    let (tell, told) = channel();
    let (wait, tell) = (Mutex::new(wait), Mutex::new(tell));
    b.store.listen(Box::new(move |events| {
        // A read that waited for this would wait in vain, which ends by itself to say so.
        let has_ended = wait.lock().unwrap().recv_timeout(Duration::from_secs(20)).is_ok();
        tell.lock().unwrap().send((has_ended, events.to_vec())).unwrap();
    }));
    assert!(whole(&b, &content, BYTES).is_err());
    read_ended.send(()).unwrap();
    let (has_ended, events) = told.recv().unwrap();
    assert!(has_ended, "the read waited for the event to be told");
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.kind, &event.contents[..]), (EventKind::Lost, &[content][..]));
    assert_eq!(b.store.events().unwrap()[0], *event);
    assert_eq!(b.store.damage_counts().contents, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_a_scrub_finds_is_told_together_with_whom_each_hits() {
    let b = fresh(None);
    let mut contents = Vec::new();
    for label in 1..=4 {
        contents.push(put(&b, &noise(label, BYTES)).await);
    }
    let packs: Vec<(Vec<u8>, PackRow)> = rows::page(&b.db.read().unwrap(), &PACKS, None, 9).unwrap();
    assert_eq!(packs.len(), 4);
    packs[..3].iter().for_each(|(_, row)| flip(&b, &row.header(0).key(), 100));
    let b = restarted(&b, None);
    let heard = heard(&b);
    scrub(&b);
    let lost: Vec<Vec<Event>> =
        heard.try_iter().filter(|events| events.iter().any(|event| event.kind == EventKind::Lost)).collect();
    let [events] = &lost[..] else { panic!("told in {} goes", lost.len()) };
    let hit: Vec<_> = events.iter().flat_map(|event| event.contents.clone()).collect();
    assert_eq!((events.len(), hit.len()), (3, 3));
    assert!(contents[..3].iter().all(|content| hit.contains(content)) && !hit.contains(&contents[3]));
    let kept = b.store.events().unwrap();
    assert!(events.iter().all(|event| kept.contains(event)), "{kept:?}");
    assert_eq!(b.store.damage_counts().contents, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_re_upload_heals_every_stream_that_shares_what_was_lost() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let b = fresh(master.as_ref());
        let (one, other) = (noise(1, BYTES), [noise(1, BYTES), noise(2, 50_000)].concat());
        let (first, second) = (put(&b, &one).await, put(&b, &other).await);
        let (number, row) = pack_row(&b);
        flip(&b, &row.header(0).key(), 200_000);
        let b = restarted(&b, master.as_ref());
        scrub(&b);
        assert_eq!(b.store.damage_counts().contents, 2);
        assert_eq!(b.store.mend().unwrap(), Mended::default());

        let chunks = b.store.stats().unwrap().chunks;
        let again = put(&b, &one).await;
        let lost = b.store.stats().unwrap().chunks - chunks;
        assert!(lost > 0 && lost < chunks / 2, "only what was lost is stored again: {lost} of {chunks}");
        let reader = b.store.reader(&first).unwrap();
        let mut start = vec![0; 1000];
        reader.read_at(0, &mut start).unwrap();
        let mended = b.store.mend().unwrap();
        assert_eq!((mended.packs, mended.chunks), (1, lost));
        let next = pack_row(&b).1;
        assert_eq!((next.generation, next.chunks), (row.generation + 1, row.chunks));
        no_rows_of_damage(&b);

        // The old object goes, under a reader that began with it.
        b.store.reclaim(Reach::Everything).unwrap();
        assert!(b.objects.size(&row.header(number).key()).is_err());
        let mut read = vec![0; BYTES];
        reader.read_at(0, &mut read).unwrap();
        assert!(read == one);
        drop(reader);
        for b in [restarted(&b, master.as_ref()), b] {
            for (content, data) in [(first, &one), (second, &other), (again, &one)] {
                assert!(whole(&b, &content, data.len()).unwrap() == *data);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_pack_heals_when_the_last_of_what_it_lost_is_there_again() {
    let b = fresh(None);
    let data = noise(1, BYTES);
    let content = put(&b, &data).await;
    let key = pack_row(&b).1.header(0).key();
    flip(&b, &key, 10_000);
    flip(&b, &key, 600_000);
    let b = restarted(&b, None);
    scrub(&b);
    let ranges = b.store.damage().unwrap()[0].contents[0].1.clone();
    assert_eq!(ranges.len(), 2);
    put(&b, &data[..ranges[0].end as usize]).await;
    assert_eq!(b.store.mend().unwrap(), Mended::default());
    let between = ByteRange { start: ranges[0].end, end: ranges[1].start };
    assert!(get(&b, &content, between).is_ok() && get(&b, &content, ranges[1]).is_err());
    // Also when the first came back before a restart, and the second after it.
    let b = restarted(&b, None);
    put(&b, &data).await;
    assert_eq!(b.store.mend().unwrap().packs, 1);
    no_rows_of_damage(&b);
    assert!(whole(&restarted(&b, None), &content, BYTES).unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_needs_any_more_is_let_go_of_once_nobody_holds_the_pack() {
    let b = fresh(None);
    let data = noise(1, BYTES);
    let (gone, kept) = (put(&b, &data).await, put(&b, &data[..300_000]).await);
    flip(&b, &pack_row(&b).1.header(0).key(), 600_000);
    let b = restarted(&b, None);
    scrub(&b);
    assert_eq!(b.store.mend().unwrap(), Mended::default());
    let reader = b.store.reader(&gone).unwrap();
    let store = b.store.clone();
    b.db.write(move |txn| store.release(txn, &gone)).unwrap();
    b.store.reclaim(Reach::Everything).unwrap();
    assert_eq!(b.store.mend().unwrap(), Mended { is_postponed: true, ..Mended::default() });
    drop(reader);
    let before = pack_row(&b).1.chunks;
    assert_eq!(b.store.mend().unwrap().packs, 1);
    assert!(pack_row(&b).1.chunks < before);
    no_rows_of_damage(&b);
    for b in [restarted(&b, None), b] {
        assert!(whole(&b, &kept, 300_000).unwrap() == data[..300_000]);
        // What was let go of is stored again when it comes back.
        let again = put(&b, &data).await;
        assert!(whole(&b, &again, BYTES).unwrap() == data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_rot_that_hits_no_chunk_heals_by_itself() {
    let master = MasterKey::generate(&OsEntropy);
    let b = fresh(Some(&master));
    let content = put(&b, &noise(1, BYTES)).await;
    for key in [pack_row(&b).1.header(0).key(), content_row(&b, &content).header().key()] {
        let length = b.objects.get(&key).unwrap().len();
        flip(&b, &key, length - 1);
    }
    let b = restarted(&b, Some(&master));
    scrub(&b);
    let counts = b.store.damage_counts();
    assert_eq!((counts.packs, counts.manifests, counts.contents), (1, 1, 0));
    let mended = b.store.mend().unwrap();
    assert_eq!((mended.packs, mended.manifests), (1, 1));
    no_rows_of_damage(&b);
    assert!(whole(&b, &content, BYTES).unwrap() == noise(1, BYTES));
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_stream_whose_manifest_or_list_of_chunks_is_lost_heals_from_its_twin() {
    for lose_pack in [false, true] {
        let b = fresh(None);
        let data = noise(1, BYTES);
        let content = put(&b, &data).await;
        let key =
            if lose_pack { pack_row(&b).1.header(0).key() } else { content_row(&b, &content).header().key() };
        b.objects.delete(&key).unwrap();
        let b = restarted(&b, None);
        scrub(&b);
        let damage = b.store.damage().unwrap();
        assert_eq!(damage[0].lost_chunks, None);
        assert_eq!(damage[0].contents, [(content, vec![ByteRange::whole(BYTES as u64)])]);
        let twin = put(&b, &data).await;
        assert_eq!(b.store.mend().unwrap(), Mended::default());
        assert!(
            !b.store.mend_from_twin(&twin, &content, Vec::new()).unwrap(),
            "it is no twin that is hurt itself"
        );
        assert!(b.store.mend_from_twin(&content, &twin, b"record".to_vec()).unwrap());
        b.store.reclaim(Reach::Everything).unwrap();
        b.store.mend().unwrap();
        no_rows_of_damage(&b);
        for b in [restarted(&b, None), b] {
            assert!(whole(&b, &content, BYTES).unwrap() == data);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_stream_that_relies_on_what_was_found_lost_meanwhile_is_not_acknowledged() {
    let b = fresh(None);
    let data = noise(1, BYTES);
    put(&b, &data).await;
    let mut ingest = b.store.ingest(Scope::STORE).unwrap();
    ingest.write(Bytes::from(data.clone())).await.unwrap();
    let receipt = ingest.finish(Vec::new()).await.unwrap();
    flip(&b, &pack_row(&b).1.header(0).key(), 300_000);
    scrub(&b);
    let (store, late) = (b.store.clone(), receipt.clone());
    let published = b.db.write(move |txn| store.publish(txn, &late));
    assert!(matches!(published, Err(Error::Lost(_))), "{published:?}");
    let content = put(&b, &data).await;
    assert!(whole(&b, &content, BYTES).unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_goes_takes_its_damage_along() {
    let b = fresh(None);
    let content = put(&b, &noise(1, BYTES)).await;
    flip(&b, &pack_row(&b).1.header(0).key(), 300_000);
    scrub(&b);
    let store = b.store.clone();
    b.db.write(move |txn| store.release(txn, &content)).unwrap();
    b.store.reclaim(Reach::Everything).unwrap();
    assert!(b.store.damage().unwrap().is_empty());
    b.store.mend().unwrap();
    no_rows_of_damage(&b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_is_broken_off_says_nothing() {
    let b = fresh(None);
    put(&b, &noise(1, BYTES)).await;
    let (number, row) = pack_row(&b);
    flip(&b, &row.header(0).key(), 300_000);
    let looked = b.store.look_at(Stored::Pack(number), Suspicion::None, &mut |_| ControlFlow::Break(()));
    assert!(matches!(looked, Ok(Examined::Stopped)));
    assert_eq!(b.store.damage_counts(), DamageCounts::default());
}

/// A plain object as the first release wrote it: without the sum behind its footer.
fn without_sum(bytes: &[u8], footer: object::Section) -> Vec<u8> {
    let end = footer.offset as usize + footer.bytes as usize;
    let tail = format::Tail::decode(&bytes[bytes.len() - TAIL_BYTES..]).unwrap();
    let mut old = [&bytes[..end], &bytes[end + format::FOOTER_SUM_BYTES..tail.body_bytes as usize]].concat();
    let blocks = old.chunks(format::HASH_BLOCK_BYTES);
    let hashes: Vec<u8> = blocks.flat_map(|block| *blake3::hash(block).as_bytes()).collect();
    let tail = format::Tail { body_bytes: old.len() as u64, blocks: hashes.len() as u32 / 32 };
    let tail = tail.encode(&hashes);
    old.extend(hashes);
    old.extend(tail);
    old
}

/// A stream in a pack, both as the first release wrote them; their keys, footers and bytes.
async fn of_first_release(data: &[u8]) -> (Bench, ContentId, Vec<(ObjectKey, object::Section, Vec<u8>)>) {
    let b = fresh(None);
    let content = put(&b, data).await;
    let (mut row, (number, mut pack)) = (content_row(&b, &content), pack_row(&b));
    let mut objects = Vec::new();
    for (key, stored) in [(pack.header(0).key(), &mut pack.stored), (row.header().key(), &mut row.stored)] {
        let old = without_sum(&b.objects.get(&key).unwrap(), stored.footer);
        (stored.object_bytes, stored.sum) = (old.len() as u64, [0; 32]);
        write(&b, &key, &old);
        objects.push((key, stored.footer, old));
    }
    b.db.write(move |txn| {
        txn.put_record(&PACKS, &pack_key(number), &pack)?;
        txn.put_record(&CONTENTS, &content.0, &row)?;
        totals::recount(txn)
    })
    .unwrap();
    (restarted(&b, None), content, objects)
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_what_the_first_release_wrote_reads_back_and_its_damage_is_found() {
    let data = noise(1, BYTES);
    let (b, content, objects) = of_first_release(&data).await;
    assert!(whole(&b, &content, BYTES).unwrap() == data);
    scrub(&b);
    no_rows_of_damage(&b);
    for (key, footer, good) in objects {
        for at in (footer.offset..footer.offset + u64::from(footer.bytes)).step_by(7) {
            flip(&b, &key, at as usize);
            let b = restarted(&b, None);
            let damaged = || b.store.damage_counts().packs + b.store.damage_counts().manifests;
            match whole(&b, &content, BYTES) {
                // A pack's footer that no sum proves is made do with as long as the chunks prove themselves.
                Ok(read) => assert!(read == data, "{key} {at}: wrong bytes"),
                Err(Error::Damaged { .. }) => assert_eq!(damaged(), 1, "{key} {at}"),
                Err(error) => panic!("{error}"),
            }
            scrub(&b);
            assert_eq!(damaged(), 1, "{key} {at}");
            write(&b, &key, &good);
            scrub(&b);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_chunk_whose_very_name_is_lost_heals_through_an_image_of_the_same_bytes_alone() {
    let data = noise(1, BYTES);
    let (b, content, objects) = of_first_release(&data).await;
    let (key, footer, _) = &objects[0];
    let name = *b.store.pack(1).unwrap().name(3).unwrap();
    let old = b.objects.get(key).unwrap();
    let at = old.windows(32).position(|window| window == name).unwrap();
    assert!(at as u64 > footer.offset);
    flip(&b, key, at);
    let b = restarted(&b, None);
    scrub(&b);
    // The frame does not prove itself any more; the chunks beside it are named right, and lost with it.
    let damage = b.store.damage().unwrap();
    assert!(damage[0].lost_chunks.is_some_and(|lost| lost > 1), "{damage:?}");
    assert!(whole(&b, &content, BYTES).is_err());
    // Its data comes again: under its true name, which nobody misses.
    let twin = put(&b, &data).await;
    assert!(whole(&b, &twin, BYTES).unwrap() == data);
    assert_eq!(b.store.mend().unwrap(), Mended::default());
    assert!(whole(&b, &content, BYTES).is_err());
    // The stream is given the chunks of the other one, and then nobody needs the pack's.
    assert!(b.store.mend_from_twin(&content, &twin, b"record".to_vec()).unwrap());
    assert!(whole(&b, &content, BYTES).unwrap() == data);
    assert_eq!(b.store.mend().unwrap().packs, 1);
    b.store.reclaim(Reach::Everything).unwrap();
    no_rows_of_damage(&b);
    for b in [restarted(&b, None), b] {
        for content in [content, twin] {
            assert!(whole(&b, &content, BYTES).unwrap() == data);
        }
    }
}
