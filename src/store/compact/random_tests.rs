//! Random histories of uploads, misses of the index, deletes and runs over the packs: every living stream reads exactly,
//! and in the end the store has the chunks that living streams name, and no others.

use proptest::collection::vec;
use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::tests::{blocks, expect_sound, expect_whole, on, options, reclaim, release};
use super::*;
use crate::base::OsEntropy;
use crate::model::ContentId;
use crate::store::dedup::tests::forgetful;
use crate::store::manifest::Extent;
use crate::store::rows::{self, CONTENTS, ContentRow, PACKS, PackRow};
use crate::store::tests::{Bench, fresh_as, open_as, put};
use crate::store::{MasterKey, Options};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    /// A stream of these blocks comes in.
    Upload(Vec<u8>),
    /// One of the living streams is let go of.
    Delete(prop::sample::Index),
    /// Packs are written anew; the run is ended after so many steps.
    Rewrite { dedup: bool, recompress: bool, steps: usize },
    /// The store is opened anew, and its index knows nothing of what is there.
    Miss,
    /// What is dead is deleted.
    Reclaim,
    /// The store is closed and opened again.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => vec(0u8..24, 1..16).prop_map(Event::Upload),
        3 => any::<prop::sample::Index>().prop_map(Event::Delete),
        3 => (any::<bool>(), any::<bool>(), 2usize..60)
            .prop_map(|(dedup, recompress, steps)| Event::Rewrite { dedup, recompress, steps }),
        2 => Just(Event::Miss),
        1 => Just(Event::Reclaim),
        1 => Just(Event::Restart),
    ]
}

fn small() -> Options {
    let rewrite = RewritePolicy { live_percent: 100, recompress_after_s: 0, ..RewritePolicy::default() };
    Options { pack_bytes: 256 << 10, rewrite, ..options() }
}

/// Every pack has exactly the chunks that streams name.
fn expect_no_more_than_named(b: &Bench) {
    let read = b.db.read().unwrap();
    let mut named = std::collections::BTreeMap::<u64, RoaringBitmap>::new();
    rows::each(&read, &CONTENTS, |_, row: ContentRow| {
        for extent in b.store.manifest(&row)?.extents {
            if let Extent::Run { pack, first, count, .. } = extent {
                named.entry(pack).or_default().insert_range(first..first + count);
            }
        }
        Ok(())
    })
    .unwrap();
    let mut there = std::collections::BTreeMap::new();
    rows::each(&read, &PACKS, |key, _: PackRow| {
        let number = u64::from_be_bytes(key.try_into().unwrap());
        there.insert(number, b.store.pack(number)?.footer.ordinals().collect::<RoaringBitmap>());
        Ok(())
    })
    .unwrap();
    assert_eq!(there, named);
}

async fn live(events: Vec<Event>, master: Option<MasterKey>) {
    let mut b = fresh_as(master.as_ref(), small());
    let mut living: Vec<(ContentId, Vec<u8>)> = Vec::new();
    for event in events {
        match event {
            Event::Upload(labels) => {
                let data = blocks(labels);
                living.push((put(&b, &data).await, data));
            }
            Event::Delete(which) if !living.is_empty() => {
                let (content, _) = living.swap_remove(which.index(living.len()));
                release(&b, content);
            }
            Event::Delete(_) => {}
            Event::Rewrite { dedup, recompress, mut steps } => {
                let dedup = dedup.then_some(Compare::New);
                let ends = |steps: &mut usize| {
                    *steps = steps.saturating_sub(1);
                    if *steps == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                b.store
                    .rewrite(Wish { dedup, compact: true, recompress }, &mut |_| ends(&mut steps))
                    .unwrap();
            }
            Event::Miss => b = forgetful(b, master.as_ref(), small()),
            Event::Reclaim => reclaim(&b),
            Event::Restart => {
                let store = open_as(b.objects.clone(), b.db.clone(), master.as_ref(), small()).unwrap();
                b = Bench { store, ..b };
            }
        }
        for (content, data) in &living {
            expect_whole(&b, content, data);
        }
    }
    reclaim(&b);
    b.store.rewrite(Wish { dedup: None, compact: true, recompress: false }, &mut on).unwrap();
    reclaim(&b);
    expect_sound(&b);
    expect_no_more_than_named(&b);
    for (content, data) in &living {
        expect_whole(&b, content, data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn p1_p6_any_history_keeps_what_lives_and_nothing_else(events in vec(event(), 1..14), sealed: bool) {
        let master = sealed.then(|| MasterKey::generate(&OsEntropy));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(live(events, master));
    }
}
