//! The workloads whose every durable step is let fail.

use tintype::store::Activity;

use crate::acts::{Act, Part};
use crate::every_step::{Before, Workload, prepared, run, undisturbed};
use crate::machine::{Build, PIECE_BYTES};
use crate::recipes;

const KIB: usize = 1 << 10;

/// Data of an image that fills several packs.
pub fn dense(label: u64) -> Vec<Part> {
    vec![Part::Noise(label, 150 * KIB), Part::Zeros(64 * KIB), Part::Noise(label + 100, 180 * KIB)]
}

/// Data that begins as [`dense`] does.
pub fn similar(label: u64) -> Vec<Part> {
    [dense(label), vec![Part::Noise(label + 200, 90 * KIB)]].concat()
}

/// Data that the store looks up in more than one batch, so that packs are written while it arrives.
fn long(label: u64) -> Vec<Part> {
    vec![Part::Noise(label, 5 * PIECE_BYTES)]
}

/// An image with these data.
pub fn filled(slot: u64, parts: Vec<Part>) -> Vec<Act> {
    vec![Act::Create(slot), Act::Upload(slot, parts, Vec::new())]
}

/// The upload of new data.
pub fn upload() -> Workload {
    Workload {
        name: "upload",
        before: Before::Done([filled(0, dense(0)), vec![Act::Create(1)]].concat()),
        acts: vec![Act::Upload(1, dense(1), Vec::new()), Act::Ship],
        recovery: Vec::new(),
        stride: 1,
    }
}

/// Deletes and what they free, with data that stays because another image shares it.
pub fn delete() -> Workload {
    Workload {
        name: "delete",
        before: Before::Done([filled(0, dense(0)), filled(1, similar(0)), filled(2, dense(2))].concat()),
        acts: vec![Act::Delete(0), Act::Reclaim, Act::Delete(1), Act::Reclaim],
        recovery: Vec::new(),
        stride: 1,
    }
}

/// Hits on data of an image that is deleted, and reclaimed, while they are made.
pub fn hits() -> Workload {
    Workload {
        name: "hits",
        before: Before::Done([filled(0, dense(0)), vec![Act::Create(1), Act::Create(2)]].concat()),
        acts: vec![
            Act::Upload(1, similar(0), vec![Act::Delete(0), Act::Reclaim]),
            Act::Delete(1),
            Act::Upload(2, similar(0), Vec::new()),
            Act::Reclaim,
        ],
        recovery: Vec::new(),
        stride: 1,
    }
}

/// Streams that are durable but not published while what they share is let go of and reclaimed.
fn receipts() -> Workload {
    Workload {
        name: "receipts",
        before: Before::Done(vec![Act::Ingest(0, dense(0)), Act::Publish(0)]),
        acts: vec![
            Act::Ingest(1, similar(0)),
            Act::Ingest(2, dense(3)),
            Act::Release,
            Act::Reclaim,
            Act::Publish(1),
            Act::Reclaim,
        ],
        recovery: Vec::new(),
        stride: 1,
    }
}

/// Changes of records, and the log that tells of them.
pub fn update() -> Workload {
    Workload {
        name: "update",
        before: Before::Done(filled(0, dense(0))),
        acts: vec![
            Act::Update(0, 1),
            Act::Share(0, 1),
            Act::GiveRights(1),
            Act::Ship,
            Act::Share(0, 2),
            Act::Unshare(0, 1),
            Act::Update(0, 2),
            Act::TakeRights(1),
            Act::GiveRights(2),
            Act::Ship,
        ],
        recovery: Vec::new(),
        stride: 1,
    }
}

/// A scrub that makes parity, and what becomes of it.
fn parity() -> Workload {
    Workload {
        name: "parity",
        before: Before::Done(filled(0, dense(0))),
        acts: vec![Act::Scrub, Act::Delete(0), Act::Reclaim],
        recovery: vec![Act::Scrub],
        stride: 1,
    }
}

/// A scrub that repairs a pack with its parity.
fn repair() -> Workload {
    Workload {
        name: "repair",
        before: Before::Done([filled(0, dense(0)), vec![Act::Scrub]].concat()),
        acts: vec![Act::Rot, Act::Scrub],
        recovery: vec![Act::Scrub],
        stride: 1,
    }
}

/// A pack that lost something and gets it back from a new upload.
fn heal() -> Workload {
    Workload {
        name: "heal",
        before: Before::Done([filled(0, dense(0)), vec![Act::Create(1)]].concat()),
        acts: vec![Act::Rot, Act::Scrub, Act::Upload(1, dense(0), Vec::new()), Act::Mend, Act::Reclaim],
        recovery: [vec![Act::Scrub], filled(2, dense(0)), vec![Act::Mend]].concat(),
        stride: 1,
    }
}

/// A scrub that puts a pack and a manifest right from a copy of the store.
fn repair_from_copy() -> Workload {
    Workload {
        name: "repair_from_copy",
        before: Before::Done([filled(0, dense(0)), vec![Act::Copy]].concat()),
        acts: vec![Act::Rot, Act::RotManifest, Act::Scrub],
        recovery: vec![Act::Scrub],
        stride: 1,
    }
}

/// A scrub that puts a pack right with parity from a copy of the store: both rotted here, and the pack
/// there.
fn repair_with_copied_parity() -> Workload {
    let before = [filled(0, dense(0)), vec![Act::Scrub, Act::Copy, Act::RotCopy]].concat();
    Workload {
        name: "repair_with_copied_parity",
        before: Before::Done(before),
        acts: vec![Act::Rot, Act::RotParity, Act::Scrub],
        recovery: vec![Act::Scrub],
        stride: 1,
    }
}

/// A manifest that rots altogether, written anew from an image of the same bytes.
fn heal_manifest() -> Workload {
    Workload {
        name: "heal_manifest",
        before: Before::Done([filled(0, dense(0)), vec![Act::Create(1)]].concat()),
        acts: vec![
            Act::RotManifest,
            Act::Scrub,
            Act::Upload(1, dense(0), Vec::new()),
            Act::Mend,
            Act::Reclaim,
        ],
        recovery: [vec![Act::Scrub], filled(2, dense(0)), vec![Act::Mend]].concat(),
        stride: 1,
    }
}

/// The first start of all, and a first image.
fn first_start() -> Workload {
    Workload {
        name: "first_start",
        before: Before::Nothing,
        acts: filled(0, dense(0)),
        recovery: Vec::new(),
        stride: 1,
    }
}

/// The start after a power cut in the middle of an upload, and the same upload again.
fn recovery() -> Workload {
    Workload {
        name: "recovery",
        before: Before::Interrupted(
            [filled(0, dense(0)), vec![Act::Create(1)]].concat(),
            vec![Act::Upload(1, dense(1), Vec::new())],
            90,
        ),
        acts: vec![Act::Reclaim, Act::Restart, Act::Upload(1, dense(1), Vec::new())],
        recovery: Vec::new(),
        stride: 1,
    }
}

/// An upload whose client goes away, and its second try after the clock went back an hour.
fn second_try() -> Workload {
    Workload {
        name: "second_try",
        before: Before::Done(vec![Act::Create(0)]),
        acts: vec![
            Act::BreakOff(0, dense(0)),
            Act::StepClock(-3600),
            Act::Upload(0, dense(0), Vec::new()),
            Act::Reclaim,
        ],
        recovery: Vec::new(),
        stride: 1,
    }
}

/// An upload in parts, with reclaiming and a restart between them.
fn parts() -> Workload {
    Workload {
        name: "parts",
        before: Before::Done([filled(0, dense(0)), vec![Act::Create(1)]].concat()),
        acts: vec![
            Act::Begin(1, similar(0)),
            Act::Send(1, 100_001),
            Act::Reclaim,
            Act::Restart,
            Act::Send(1, 300_000),
            Act::Ship,
            Act::Reclaim,
            Act::Send(1, usize::MAX),
            Act::Reclaim,
        ],
        recovery: Vec::new(),
        stride: 3,
    }
}

/// Uploads in parts that end early: given up and begun anew, and deleted with their image.
fn parts_given_up() -> Workload {
    Workload {
        name: "parts_given_up",
        before: Before::Done(vec![Act::Create(0), Act::Create(1)]),
        acts: vec![
            Act::Begin(0, dense(0)),
            Act::Begin(1, dense(1)),
            Act::Send(0, 200_000),
            Act::Send(1, 200_000),
            Act::GiveUp(0),
            Act::Delete(1),
            Act::Reclaim,
            Act::Begin(0, similar(0)),
            Act::Send(0, usize::MAX),
            Act::Reclaim,
        ],
        recovery: Vec::new(),
        stride: 3,
    }
}

/// Two uploads of the same data at once, one of which ends while the other is half stored.
fn two_uploads() -> Workload {
    Workload {
        name: "two_uploads",
        before: Before::Done(vec![Act::Create(0), Act::Create(1)]),
        acts: vec![
            Act::Upload(0, long(5), vec![Act::Upload(1, long(5), Vec::new()), Act::Reclaim]),
            Act::Delete(1),
            Act::Reclaim,
        ],
        recovery: Vec::new(),
        stride: 16,
    }
}

/// Files of an image, each of which is cut apart from its neighbours.
fn files(labels: impl IntoIterator<Item = u64>) -> Vec<Part> {
    labels
        .into_iter()
        .flat_map(|label| [Part::Noise(label, 40_000), Part::Zeros(4096 * 10 - 40_000)])
        .collect()
}

/// Packs that lose most of their chunks, while an upload uses some of them and while new data comes
/// that was dead a moment ago.
fn compaction() -> Workload {
    let few = || files((0..12).step_by(3));
    Workload {
        name: "compaction",
        before: Before::Done(
            [filled(0, files(0..12)), filled(1, few()), vec![Act::Create(2), Act::Create(3)]].concat(),
        ),
        acts: vec![
            Act::Delete(0),
            Act::Rewrite,
            Act::Upload(2, files(0..12), vec![Act::Delete(1), Act::Rewrite]),
            Act::Delete(2),
            Act::Upload(3, files([2, 5, 20]), Vec::new()),
            Act::Rewrite,
        ],
        recovery: Vec::new(),
        stride: 1,
    }
}

/// Data that arrives twice at once, so that neither upload finds all of the other's: it is shared
/// afterwards, and one of the two images deleted.
fn duplicates() -> Workload {
    // What the first upload has in its open pack, the second one stores again.
    let data = || vec![Part::Noise(0, PIECE_BYTES + 100 * KIB)];
    let twice = |slot, other| {
        vec![
            Act::Create(slot),
            Act::Create(other),
            Act::Upload(slot, data(), vec![Act::Upload(other, data(), Vec::new())]),
        ]
    };
    Workload {
        name: "duplicates",
        before: Before::Done(twice(0, 1)),
        acts: vec![Act::Dedup, Act::Delete(0), Act::Dedup],
        recovery: vec![Act::Dedup],
        stride: 2,
    }
}

/// Packs that are compressed better.
fn recompression() -> Workload {
    let text = |label| vec![Part::Text(label, 600 * KIB), Part::Zeros(4 * KIB)];
    Workload {
        name: "recompression",
        before: Before::Done([filled(0, text(0)), vec![Act::Create(1)]].concat()),
        // Later than the packs were written, by a clock that each process starts anew.
        acts: vec![
            Act::StepClock(60),
            Act::Rewrite,
            Act::Upload(1, text(0), Vec::new()),
            Act::Delete(0),
            Act::Rewrite,
        ],
        recovery: Vec::new(),
        stride: 1,
    }
}

/// Two changes of the master key, with data sealed between and after.
fn rotation() -> Workload {
    Workload {
        name: "rotation",
        before: Before::Done(vec![
            Act::Create(0),
            Act::Upload(0, vec![Part::Noise(6, 30_000)], Vec::new()),
            Act::Create(1),
        ]),
        acts: vec![
            Act::Rotate(1),
            Act::Upload(1, vec![Part::Noise(7, 30_000)], Vec::new()),
            Act::Rotate(2),
            Act::Restart,
        ],
        recovery: Vec::new(),
        stride: 2,
    }
}

/// Key domains made by the streams that need them, with the same data in each.
fn domains() -> Workload {
    let data = vec![Part::Noise(8, 30_000)];
    let mut acts = Vec::new();
    for (slot, owner) in [(1, 1), (2, 2), (3, 1)] {
        acts.extend([Act::IngestFor(slot, owner, data.clone()), Act::Publish(slot)]);
    }
    acts.extend([Act::Rotate(1), Act::Restart]);
    let before = vec![Act::Ingest(0, data), Act::Publish(0)];
    Workload { name: "domains", before: Before::Done(before), acts, stride: 2, recovery: Vec::new() }
}

/// A domain is sealed anew while new data comes and old data goes, and another is left alone.
pub fn resealing() -> Workload {
    let (data, more) = (vec![Part::Noise(8, 30_000)], vec![Part::Noise(9, 30_000)]);
    let mut before = vec![Act::Create(0), Act::Upload(0, data.clone(), Vec::new())];
    for (slot, owner) in [(1, 1), (2, 1), (3, 2)] {
        let parts = if slot == 2 { more.clone() } else { data.clone() };
        before.extend([Act::IngestFor(slot, owner, parts), Act::Publish(slot)]);
    }
    let acts = vec![
        Act::RotateDomain(1),
        Act::IngestFor(4, 1, [data, vec![Part::Noise(10, 30_000)]].concat()),
        Act::Publish(4),
        Act::Reseal,
        Act::Rotate(1),
        Act::Restart,
    ];
    // What was cut off is gone on with, and from nothing on the domain has one key.
    let recovery = vec![Act::RotateDomain(1), Act::Reseal];
    Workload { name: "resealing", before: Before::Done(before), acts, recovery, stride: 2 }
}

/// The store's own domain is sealed anew: its description at once, its catalog at the next start.
pub fn resealing_the_store() -> Workload {
    let before = vec![Act::Create(0), Act::Upload(0, vec![Part::Noise(6, 30_000)], Vec::new()), Act::Ship];
    let acts = vec![
        Act::RotateDomain(0),
        Act::Reseal,
        Act::Restart,
        Act::Create(1),
        Act::Upload(1, vec![Part::Noise(7, 30_000)], Vec::new()),
        Act::Reseal,
    ];
    let recovery = vec![Act::Reseal, Act::Restart, Act::Reseal];
    Workload { name: "resealing_the_store", before: Before::Done(before), acts, recovery, stride: 2 }
}

/// One of two domains with the same data is erased, amid being sealed anew.
pub fn erasing() -> Workload {
    let data = vec![Part::Noise(8, 30_000)];
    let mut before = Vec::new();
    for (slot, owner) in [(1, 1), (2, 2), (3, 1)] {
        before.extend([Act::IngestFor(slot, owner, data.clone()), Act::Publish(slot)]);
    }
    let acts = vec![Act::RotateDomain(1), Act::Erase(1), Act::Reclaim, Act::RotateDomain(2), Act::Reseal];
    let recovery = vec![Act::Erase(1), Act::Reseal];
    Workload { name: "erasing", before: Before::Done(before), acts, recovery, stride: 1 }
}

/// Images with keys of their own, of which one goes, and its key with it.
pub fn own_keys() -> Workload {
    let data = || vec![Part::Noise(8, 30_000)];
    let filled = |slot| [Act::CreateOwn(slot), Act::Upload(slot, data(), Vec::new())];
    Workload {
        name: "own_keys",
        before: Before::Done([filled(0), filled(1)].concat()),
        acts: [
            vec![Act::Delete(0), Act::GiveBack],
            filled(2).to_vec(),
            vec![Act::Delete(2), Act::GiveBack, Act::Restart],
        ]
        .concat(),
        recovery: vec![Act::GiveBack],
        stride: 2,
    }
}

#[test]
fn p9_resealing_sealed() {
    run(&resealing(), true);
}

#[test]
fn p9_resealing_the_store_sealed() {
    run(&resealing_the_store(), true);
}

#[test]
fn p9_erasing_sealed() {
    run(&erasing(), true);
}

#[test]
fn p9_own_keys_sealed() {
    run(&own_keys(), true);
}

#[test]
fn undisturbed_they_leave_the_keys_they_should() {
    let versions = |workload: &Workload| {
        let build = Build::honest(true, 1);
        let machine =
            undisturbed(build, &prepared(build, &workload.before).unwrap(), &workload.acts).unwrap();
        machine.judge().unwrap();
        let domains = machine.service().store().domains();
        domains.into_iter().map(|status| (status.domain, status.key_versions)).collect::<Vec<_>>()
    };
    assert_eq!(versions(&resealing()), [(1, vec![0]), (2, vec![1]), (3, vec![0])]);
    assert_eq!(versions(&resealing_the_store()), [(1, vec![1])]);
    assert_eq!(versions(&erasing()), [(1, vec![0]), (3, vec![1])]);
    assert_eq!(versions(&own_keys()), [(1, vec![0]), (3, vec![0])]);
}

#[test]
fn domains_sealed() {
    run(&domains(), true);
}

#[test]
fn undisturbed_they_do_what_they_are_for() {
    type Count = fn(&Activity) -> u64;
    let cases: [(Workload, Count); 9] = [
        (recipes::recipes(), |did| did.kept_recipes / 2),
        (compaction(), |did| did.compacted_packs),
        (recompression(), |did| did.recompressed_packs),
        (duplicates(), |did| did.shared_streams),
        (repair(), |did| did.repaired_objects),
        (repair_from_copy(), |did| did.copied_objects / 2),
        (repair_with_copied_parity(), |did| did.copied_objects.min(did.repaired_objects)),
        (heal(), |did| did.healed_objects),
        (heal_manifest(), |did| did.healed_objects),
    ];
    for (workload, count) in cases {
        let build = Build::honest(false, 1);
        let machine =
            undisturbed(build, &prepared(build, &workload.before).unwrap(), &workload.acts).unwrap();
        let activity = machine.service().store().activity();

        assert!(count(&activity) > 0, "{}: {activity:?}", workload.name);
        machine.judge().unwrap();
    }
}

#[test]
fn compaction_plain() {
    run(&compaction(), false);
}

#[test]
fn compaction_sealed() {
    run(&compaction(), true);
}

#[test]
fn p2_duplicates_plain() {
    run(&duplicates(), false);
}

#[test]
fn p2_duplicates_sealed() {
    run(&duplicates(), true);
}

#[test]
fn recompression_plain() {
    run(&recompression(), false);
}

#[test]
fn recompression_sealed() {
    run(&recompression(), true);
}

#[test]
fn rotation_sealed() {
    run(&rotation(), true);
}

#[test]
fn update_sealed() {
    run(&update(), true);
}

#[test]
fn upload_plain() {
    run(&upload(), false);
}

#[test]
fn upload_sealed() {
    run(&upload(), true);
}

#[test]
fn delete_plain() {
    run(&delete(), false);
}

#[test]
fn hits_plain() {
    run(&hits(), false);
}

#[test]
fn hits_sealed() {
    run(&hits(), true);
}

#[test]
fn receipts_plain() {
    run(&receipts(), false);
}

#[test]
fn update_plain() {
    run(&update(), false);
}

#[test]
fn parity_plain() {
    run(&parity(), false);
}

#[test]
fn repair_plain() {
    run(&repair(), false);
}

#[test]
fn repair_sealed() {
    run(&repair(), true);
}

#[test]
fn repair_from_copy_plain() {
    run(&repair_from_copy(), false);
}

#[test]
fn repair_from_copy_sealed() {
    run(&repair_from_copy(), true);
}

#[test]
fn repair_with_copied_parity_plain() {
    run(&repair_with_copied_parity(), false);
}

#[test]
fn repair_with_copied_parity_sealed() {
    run(&repair_with_copied_parity(), true);
}

#[test]
fn heal_manifest_plain() {
    run(&heal_manifest(), false);
}

#[test]
fn heal_manifest_sealed() {
    run(&heal_manifest(), true);
}

#[test]
fn heal_plain() {
    run(&heal(), false);
}

#[test]
fn heal_sealed() {
    run(&heal(), true);
}

#[test]
fn first_start_plain() {
    run(&first_start(), false);
}

#[test]
fn first_start_sealed() {
    run(&first_start(), true);
}

#[test]
fn recovery_plain() {
    run(&recovery(), false);
}

#[test]
fn second_try_plain() {
    run(&second_try(), false);
}

#[test]
fn p2_parts_plain() {
    run(&parts(), false);
}

#[test]
fn p2_parts_sealed() {
    run(&parts(), true);
}

#[test]
fn parts_given_up_plain() {
    run(&parts_given_up(), false);
}

#[test]
fn two_uploads_plain() {
    run(&two_uploads(), false);
}
