//! The suite tested: the same seed makes the same steps, and media with a planted fault are found
//! out. The faults live in the media, never in the product.

use crate::disk::{DiskHabit, Loss};
use crate::every_step::{Workload, case, prepared, trace};
use crate::machine::Build;
use crate::power::{Fault, Step};
use crate::shelf::ShelfHabit;
use crate::workloads::{delete, upload};

/// The trace as far as it is the product's to decide: the database's own steps, the writes between
/// two of its syncs sorted, then each object's. A stream goes on while its last pack becomes durable,
/// so how the two media's steps and two objects' mix is the threads' affair.
fn settled(mut steps: Vec<Step>) -> Vec<Step> {
    let object = |step: &Step| if step.medium == "db" { String::new() } else { step.on.clone() };
    steps.sort_by_key(object);
    steps.split_mut(|step| step.action != "write" || step.medium != "db").for_each(<[Step]>::sort);
    steps
}

#[test]
fn the_same_seed_makes_the_same_steps() {
    for (workload, sealed) in [(upload(), false), (upload(), true), (delete(), false)] {
        let once = |seed| {
            let build = Build::honest(sealed, seed);
            let start = prepared(build, &workload.before).unwrap();
            settled(trace(build, &start, &workload.acts).unwrap())
        };
        assert_eq!(once(1), once(1), "{}", workload.name);
        assert_ne!(once(1), once(2), "{}: seeds must matter", workload.name);
    }
}

/// The first verdict of power cuts at every step of a workload on media with these habits.
fn verdict(workload: &Workload, disk: DiskHabit, shelf: ShelfHabit) -> Option<String> {
    let honest = Build::honest(false, 1);
    let build = Build { disk, shelf, ..honest };
    let start = prepared(honest, &workload.before).unwrap();
    let steps = trace(honest, &start, &workload.acts).unwrap().len() as u64;
    (0..=steps).find_map(|at| case(build, &start, workload, at, (Fault::CutBefore, Loss::All)).err())
}

#[test]
fn honest_media_pass() {
    assert_eq!(verdict(&delete(), DiskHabit::Honest, ShelfHabit::Honest), None);
}

#[test]
fn an_object_acknowledged_before_it_is_durable_is_found_out() {
    for habit in [ShelfHabit::LosesCommits, ShelfHabit::TearsCommits] {
        let verdict = verdict(&upload(), DiskHabit::Honest, habit);
        assert!(
            verdict.as_ref().is_some_and(|text| text.to_lowercase().contains("damage")),
            "{habit:?}: {verdict:?}"
        );
    }
}

#[test]
fn a_commit_acknowledged_before_its_sync_is_found_out() {
    let verdict = verdict(&upload(), DiskHabit::NeverSyncs, ShelfHabit::Honest);
    assert!(verdict.is_some(), "a disk that never syncs passed");
}

#[test]
fn a_deletion_that_overtakes_its_commit_is_found_out() {
    let verdict = verdict(&delete(), DiskHabit::SyncsLate, ShelfHabit::Honest);
    assert!(verdict.is_some(), "a disk whose syncs come late passed");
}
