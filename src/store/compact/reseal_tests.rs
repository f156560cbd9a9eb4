//! What sealing a domain anew promises: nothing is lost and chunks are shared all the while, in every
//! order of what goes on beside it, and in the end no copy of an older key is there.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use super::tests::{blocks, expect_sound, expect_whole, on, options, release};
use super::turns_tests::orders;
use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::db::{self, Db, Rows};
use crate::model::ContentId;
use crate::objects::{Memory, ObjectKey, Objects};
use crate::store::format::{Header, Kind};
use crate::store::keyring::KeyError;
use crate::store::rows::{self, CONTENTS, ContentRow, PACKS, PackRow};
use crate::store::tests::Bench;
use crate::store::{FACTS, Ingest, MasterKey, Reach, Reader, Rebuilt, Receipt, Scope, derived_tables};

/// The domain that is sealed anew: the first after the store's own.
const DOMAIN: u32 = 2;
/// Blocks of the first stream.
const BLOCKS: u8 = 12;

fn catalog() -> Db {
    let options =
        db::Options { journal: FACTS.to_vec(), derived: derived_tables(), ..db::Options::default() };
    Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap()
}

fn open(objects: &Memory, db: &Db, master: &MasterKey) -> Bench {
    let (medium, clock) = (Arc::new(objects.clone()), Arc::new(SystemClock));
    let entropy = Arc::new(OsEntropy);
    let store = Store::open(db.clone(), medium, Some(master), options(), clock, entropy).unwrap();
    Bench { objects: objects.clone(), db: db.clone(), store }
}

/// Makes a catalog anew from the medium alone.
fn rebuilt(b: &Bench, db: &Db, master: &MasterKey) -> Rebuilt {
    let (medium, clock) = (Arc::new(b.objects.clone()), Arc::new(SystemClock));
    let entropy = Arc::new(OsEntropy);
    let lost = Store::open_lost(db.clone(), medium, Some(master), options(), clock, entropy).unwrap();
    lost.rebuild(&mut |_, _| ()).unwrap()
}

fn fresh() -> (Bench, MasterKey) {
    let master = MasterKey::generate(&OsEntropy);
    (open(&Memory::new(), &catalog(), &master), master)
}

fn scope(b: &Bench) -> Scope {
    b.store.sealed_for(Scope::of("owner", "one"), b"note", Scope::STORE).unwrap()
}

async fn send(b: &Bench, scope: Scope, data: &[u8]) -> Receipt {
    let mut ingest = b.store.ingest(scope).unwrap();
    ingest.write(Bytes::copy_from_slice(data)).await.unwrap();
    ingest.finish(Vec::new()).await.unwrap()
}

async fn put(b: &Bench, scope: Scope, data: &[u8]) -> ContentId {
    let receipt = send(b, scope, data).await;
    publish(b, &receipt);
    receipt.content()
}

fn publish(b: &Bench, receipt: &Receipt) {
    let (store, receipt) = (b.store.clone(), receipt.clone());
    b.db.write(move |txn| store.publish(txn, &receipt)).unwrap();
}

/// Seals anew until that is done: threads of finished uploads let go of their objects a moment later.
fn reseal(b: &Bench, domain: u32) -> Resealed {
    let mut all = Resealed::default();
    loop {
        let done = b.store.reseal(domain, &mut on).unwrap();
        all.packs += done.packs;
        all.manifests += done.manifests;
        if done.unfinished != Some(Unfinished::InUse) {
            return Resealed { unfinished: done.unfinished, ..all };
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The headers of all objects of a domain, as they lie on the medium.
fn headers(b: &Bench, domain: u32) -> Vec<Header> {
    let mut names: Vec<ObjectKey> = Vec::new();
    for kind in [Kind::Pack, Kind::Manifest, Kind::Log, Kind::Snapshot] {
        b.objects.list(&format!("{}/", kind.prefix()), &mut |info| names.push(info.key)).unwrap();
    }
    let headers = names.iter().map(|name| Header::decode(&b.objects.get(name).unwrap()).unwrap());
    headers.filter(|header| header.domain == domain).collect()
}

fn versions(b: &Bench, domain: u32) -> Vec<u32> {
    b.store.domains().into_iter().find(|status| status.domain == domain).unwrap().key_versions
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_domain_is_sealed_anew_and_no_copy_of_its_older_key_is_left() {
    let (b, master) = fresh();
    let (ours, others) = (blocks(0..BLOCKS), blocks(100..105));
    let (own, other) = (put(&b, scope(&b), &ours).await, put(&b, Scope::STORE, &others).await);
    let before = headers(&b, DOMAIN);
    assert_eq!(b.store.rotate_domain(DOMAIN).unwrap(), 1);
    assert_eq!(b.store.rotate_domain(DOMAIN).unwrap(), 1, "what is unfinished is gone on with");
    assert_eq!((versions(&b, DOMAIN), b.store.unfinished_domains()), (vec![0, 1], vec![DOMAIN]));

    // What is new is sealed with the new key at once, and finds what the older one sealed.
    let chunks = b.store.stats().unwrap().chunks;
    let more = [&ours[..], &blocks([60])].concat();
    let second = put(&b, scope(&b), &more).await;
    assert!(b.store.stats().unwrap().chunks <= chunks + 2);
    let fresh: Vec<_> = headers(&b, DOMAIN).into_iter().filter(|header| !before.contains(header)).collect();
    assert!(fresh.len() == 2 && fresh.iter().all(|header| header.key_version == 1), "{fresh:?}");

    let done = reseal(&b, DOMAIN);
    assert_eq!((done.packs + done.manifests, done.unfinished), (before.len() as u64, None));
    assert_eq!((versions(&b, DOMAIN), b.store.unfinished_domains()), (vec![1], Vec::new()));
    assert!(headers(&b, DOMAIN).iter().all(|header| header.key_version == 1));
    assert_eq!(b.store.reseal(DOMAIN, &mut on).unwrap(), Resealed::default());
    assert_eq!(b.store.ring_status().unwrap().others, Vec::<u32>::new());
    assert!(headers(&b, 1).iter().all(|header| header.key_version == 0), "other domains are left alone");

    for store in [b.store.clone(), open(&b.objects, &b.db, &master).store] {
        let b = Bench { store, objects: b.objects.clone(), db: b.db.clone() };
        for (content, data) in [(own, &ours), (other, &others), (second, &more)] {
            expect_whole(&b, &content, data);
        }
        super::tests::reclaim(&b);
        expect_sound(&b);
        // A later life finds the chunks as well: their names are what they were.
        let chunks = b.store.stats().unwrap().chunks;
        let again = put(&b, scope(&b), &ours).await;
        assert_eq!(b.store.stats().unwrap().chunks, chunks);
        release(&b, again);
        for header in &before {
            let error = b.store.key_of(header).unwrap_err();
            let gone = KeyError::UnknownVersion { domain: DOMAIN, version: 0 };
            assert!(matches!(error, Error::Key(found) if found == gone));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_the_stores_own_domain_is_sealed_anew_with_its_description_and_the_catalog_at_the_next_start() {
    let (b, master) = fresh();
    let data = blocks(0..BLOCKS);
    let content = put(&b, Scope::STORE, &data).await;
    b.store.ship().unwrap();
    b.store.rotate_domain(1).unwrap();
    assert_eq!(reseal(&b, 1).unfinished, Some(Unfinished::Catalog));
    assert!(headers(&b, 1).iter().all(|header| header.key_version == 1));
    assert_eq!(versions(&b, 1), [0, 1]);
    // Whoever opens the store puts the catalog under the newest key first.
    let b = open(&b.objects, &b.db, &master);
    assert_eq!(reseal(&b, 1).unfinished, None);
    assert_eq!(versions(&b, 1), [1]);
    expect_whole(&b, &content, &data);
    expect_sound(&b);
    b.store.ship().unwrap();
    assert!(b.store.verify_description().unwrap().damage.is_empty());
    // And a catalog is rebuilt from it.
    let db = catalog();
    let found = rebuilt(&b, &db, &master);
    assert_eq!((found.damaged_packs, found.damaged_contents), (Vec::new(), Vec::new()));
    expect_whole(&open(&b.objects, &db, &master), &content, &data);
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_catalog_that_was_rebuilt_amid_it_reads_everything_and_goes_on() {
    let (b, master) = fresh();
    let data = blocks(0..BLOCKS);
    let contents = [put(&b, scope(&b), &data).await, put(&b, scope(&b), &blocks(40..60)).await];
    b.store.rotate_domain(DOMAIN).unwrap();
    let mut steps = 0;
    let some = b.store.reseal(DOMAIN, &mut |_| {
        steps += 1;
        if steps > 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(some.unwrap().unfinished, Some(Unfinished::Ended));
    b.store.ship().unwrap();
    let db = catalog();
    let found = rebuilt(&b, &db, &master);
    assert_eq!((found.damaged_packs, found.damaged_contents), (Vec::new(), Vec::new()));
    let b = open(&b.objects, &db, &master);
    assert_eq!(b.store.unfinished_domains(), [DOMAIN]);
    b.store.reclaim(Reach::Everything).unwrap();
    expect_whole(&b, &contents[0], &data);
    assert_eq!(reseal(&b, DOMAIN).unfinished, None);
    expect_whole(&b, &contents[0], &data);
    expect_whole(&b, &contents[1], &blocks(40..60));
    expect_sound(&b);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_key_stays_while_something_is_written_with_it() {
    let (b, _) = fresh();
    put(&b, scope(&b), &blocks(0..BLOCKS)).await;
    let receipt = send(&b, scope(&b), &blocks(30..40)).await;
    b.store.rotate_domain(DOMAIN).unwrap();
    let done = b.store.reseal(DOMAIN, &mut on).unwrap();
    assert_eq!(done.unfinished, Some(Unfinished::InUse));
    publish(&b, &receipt);
    let content = receipt.content();
    drop(receipt);
    assert_eq!(reseal(&b, DOMAIN).unfinished, None);
    expect_whole(&b, &content, &blocks(30..40));
    // Given up instead of published, it does not keep the key for ever.
    b.store.rotate_domain(DOMAIN).unwrap();
    drop(send(&b, scope(&b), &blocks(50..60)).await);
    assert_eq!(reseal(&b, DOMAIN).unfinished, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_read_back_keeps_the_older_key_and_is_named() {
    let (b, _) = fresh();
    let hurt = put(&b, scope(&b), &blocks(0..BLOCKS)).await;
    let whole = put(&b, scope(&b), &blocks(50..60)).await;
    let row: ContentRow = b.db.read().unwrap().record(&CONTENTS, &hurt.0).unwrap().unwrap();
    let name = row.header().key();
    let bytes = b.objects.get(&name).unwrap();
    b.objects.delete(&name).unwrap();
    b.store.rotate_domain(DOMAIN).unwrap();
    let Some(Unfinished::Damaged(named)) = reseal(&b, DOMAIN).unfinished else { panic!("it was finished") };
    assert!(named.len() == 1 && named[0].contains(name.as_str()), "{named:?}");
    expect_whole(&b, &whole, &blocks(50..60));
    b.objects.put(&name, &bytes).unwrap();
    assert_eq!(reseal(&b, DOMAIN).unfinished, None);
    expect_whole(&b, &hurt, &blocks(0..BLOCKS));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sealed_anew_says_why() {
    let (b, _) = fresh();
    put(&b, scope(&b), &blocks(0..3)).await;
    let refused = |b: &Bench, domain| {
        let (rotated, resealed) = (b.store.rotate_domain(domain), b.store.reseal(domain, &mut on));
        match (rotated.unwrap_err(), resealed.unwrap_err()) {
            (Error::Key(one), Error::Key(other)) if one == other => one,
            errors => panic!("{errors:?}"),
        }
    };
    assert_eq!(refused(&b, 9), KeyError::Unknown(9));
    b.store.rotate_domain(DOMAIN).unwrap();
    b.store.erase_domain(DOMAIN).unwrap();
    assert_eq!(refused(&b, DOMAIN), KeyError::Revoked(DOMAIN));
    assert!(b.store.unfinished_domains().is_empty());
    assert_eq!(refused(&crate::store::tests::fresh(None), 1), KeyError::Plain);
}

type Step<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Somebody who takes one step after the other.
enum Actor {
    Reseal,
    Upload { ingest: Option<Ingest>, receipt: Option<Receipt>, content: Option<ContentId> },
    Download { content: ContentId, data: Vec<u8>, reader: Option<Reader> },
    Delete(ContentId),
    Compaction,
    Upkeep(MasterKey),
}

/// What an upload sends: half of it is there already.
fn sent() -> Vec<u8> {
    blocks(6..18)
}

impl Actor {
    fn upload() -> Actor {
        Actor::Upload { ingest: None, receipt: None, content: None }
    }

    fn step<'a>(&'a mut self, b: &'a Bench, number: usize) -> Step<'a> {
        Box::pin(async move {
            match self {
                Actor::Reseal => match number {
                    0 => assert_eq!(b.store.rotate_domain(DOMAIN).unwrap(), 1),
                    // Ended in the middle, then gone on with.
                    1 => {
                        let mut steps = 0;
                        let done = b.store.reseal(DOMAIN, &mut |_| {
                            steps += 1;
                            if steps > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                        });
                        drop(done.unwrap());
                    }
                    _ => drop(b.store.reseal(DOMAIN, &mut on).unwrap()),
                },
                Actor::Upload { ingest, receipt, content } => match number {
                    0 => {
                        let mut begun = b.store.ingest(scope(b)).unwrap();
                        begun.write(sent().into()).await.unwrap();
                        *ingest = Some(begun);
                    }
                    1 => *receipt = Some(ingest.take().unwrap().finish(Vec::new()).await.unwrap()),
                    _ => {
                        let receipt = receipt.take().unwrap();
                        publish(b, &receipt);
                        *content = Some(receipt.content());
                    }
                },
                Actor::Download { content, data, reader } => match number {
                    0 => *reader = b.store.reader(content).ok(),
                    1 => {
                        let mut out = vec![0; data.len() / 2];
                        reader.as_ref().unwrap().read_at(7, &mut out).unwrap();
                        assert!(out == data[7..7 + out.len()]);
                    }
                    _ => {
                        let mut out = vec![0; data.len()];
                        reader.take().unwrap().read_at(0, &mut out).unwrap();
                        assert!(out == *data);
                    }
                },
                Actor::Delete(content) => match number {
                    0 => release(b, *content),
                    _ => {
                        b.store.reclaim(Reach::Everything).unwrap();
                    }
                },
                Actor::Compaction => {
                    b.store
                        .rewrite(Wish { compact: true, recompress: true, ..Wish::default() }, &mut on)
                        .unwrap();
                }
                // A scrub and a check; then a catalog is rebuilt beside the one at work.
                Actor::Upkeep(master) => match number {
                    0 => {
                        b.store.scrub_all(&mut |_| ()).unwrap();
                        let damage = b.store.verify().unwrap();
                        assert!(damage.is_empty(), "{damage:?}");
                    }
                    _ => {
                        b.store.ship().unwrap();
                        let found = rebuilt(b, &catalog(), master);
                        let damaged = (found.damaged_packs, found.damaged_contents, found.revoked_contents);
                        assert_eq!(damaged, (Vec::new(), Vec::new(), 0));
                    }
                },
            }
        })
    }
}

/// Lets the actors take their steps in every order, each time on a store of its own.
async fn in_every_order(steps: &[usize], cast: impl Fn([ContentId; 2], &[u8], &MasterKey) -> Vec<Actor>) {
    for order in orders(steps) {
        println!("{order:?}");
        let (b, master) = fresh();
        let all = blocks(0..BLOCKS);
        let gone = put(&b, scope(&b), &blocks(20..20 + BLOCKS)).await;
        let some = blocks((20..20 + BLOCKS).step_by(5));
        let (kept, sparse) = (put(&b, scope(&b), &all).await, put(&b, scope(&b), &some).await);
        // Sparse packs for a compaction to find.
        release(&b, gone);
        let deleted = put(&b, scope(&b), &blocks(60..66)).await;
        let mut actors = cast([kept, deleted], &all, &master);
        let mut taken = vec![0; steps.len()];
        for actor in order {
            actors[actor].step(&b, taken[actor]).await;
            taken[actor] += 1;
        }
        let mut expected = vec![(kept, all), (sparse, some)];
        for actor in actors {
            if let Actor::Upload { content: Some(content), .. } = actor {
                expected.push((content, sent()));
            }
        }
        expected.iter().for_each(|(content, data)| expect_whole(&b, content, data));
        assert_eq!(reseal(&b, DOMAIN).unfinished, None);
        super::tests::reclaim(&b);
        assert!(headers(&b, DOMAIN).iter().all(|header| header.key_version == 1));
        let b = open(&b.objects, &b.db, &master);
        expected.iter().for_each(|(content, data)| expect_whole(&b, content, data));
        expect_sound(&b);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_p9_uploads_go_on_while_a_domain_is_sealed_anew() {
    in_every_order(&[3, 3], |_, _, _| vec![Actor::Reseal, Actor::upload()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p9_downloads_go_on_while_a_domain_is_sealed_anew() {
    let cast = |[kept, _]: [ContentId; 2], data: &[u8], _: &MasterKey| {
        vec![Actor::Reseal, Actor::Download { content: kept, data: data.to_vec(), reader: None }]
    };
    in_every_order(&[3, 3], cast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_p9_space_comes_back_while_a_domain_is_sealed_anew() {
    let cast = |[_, deleted]: [ContentId; 2], _: &[u8], _: &MasterKey| {
        vec![Actor::Reseal, Actor::Delete(deleted), Actor::Compaction]
    };
    in_every_order(&[3, 2, 1], cast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_p8_p9_scrubs_checks_and_rebuilds_go_on_while_a_domain_is_sealed_anew() {
    let cast =
        |_: [ContentId; 2], _: &[u8], master: &MasterKey| vec![Actor::Reseal, Actor::Upkeep(master.clone())];
    in_every_order(&[3, 2], cast).await;
}

/// Rows of either table tell which key is needed.
#[tokio::test(flavor = "multi_thread")]
async fn rows_say_which_key_sealed_what_they_name() {
    let (b, _) = fresh();
    put(&b, scope(&b), &blocks(0..3)).await;
    b.store.rotate_domain(DOMAIN).unwrap();
    reseal(&b, DOMAIN);
    let read = b.db.read().unwrap();
    let mut found = Vec::new();
    rows::each(&read, &PACKS, |key, row: PackRow| {
        let number = key.try_into().map(u64::from_be_bytes).unwrap();
        found.push(row.header(number));
        Ok(())
    })
    .unwrap();
    rows::each(&read, &CONTENTS, |_, row: ContentRow| {
        found.push(row.header());
        Ok(())
    })
    .unwrap();
    for header in found {
        assert_eq!(Header::decode(&b.objects.get(&header.key()).unwrap()).unwrap(), header);
    }
}
