//! The catalog's disk is lost at any moment, and the box made anew from its shelf alone: it is what
//! callers could expect at the moment that the rebuild names. And every durable step of a rebuild
//! fails: then there is nothing, and the next try makes the whole.

use tintype::base::Time;

use crate::acts::Act;
use crate::chance::Dice;
use crate::disk::Loss;
use crate::every_step::{
    Before, FAULTS, Start, Workload, chosen, is_long, number, of_part, prepared, trace, ways,
};
use crate::machine::{Build, Machine, Media};
use crate::places::places;
use crate::power::{Fault, Plan};
use crate::shelf::Stock;
use crate::workloads::{delete, dense, erasing, hits, own_keys, resealing, update, upload};
use crate::world::World;

/// One case: the steps of a workload up to the fault; then the disk is thrown away, whatever it had synced.
fn case(build: Build, start: &Start, acts: &[Act], at: u64, fault: Fault) -> Result<(), String> {
    let machine = Machine::new(build, &start.media, start.world.clone());
    machine.arm(Some(Plan { at, fault }));
    // What the fault makes of it is for the other workloads to judge.
    let _ = machine.start().and_then(|()| machine.perform(acts));
    let moments = machine.moments();
    let (media, _) = machine.remains(Loss::All, &mut Dice::new(build.seed));
    judge_anew(build, &media, &moments)
}

/// Makes a box anew from the shelf, and judges it.
fn judge_anew(build: Build, media: &Media, moments: &[(Time, World)]) -> Result<(), String> {
    let lost = Media { disk: Vec::new(), ..media.clone() };
    let machine = Machine::new(build, &lost, World::default());
    let rebuilt = machine.rebuild()?;
    // Whoever opens a sealed store finishes a change of its keys that was cut off.
    let but_keys = |stock: Stock| -> Stock {
        stock.into_iter().filter(|(key, _)| !key.as_str().starts_with("keyring/")).collect()
    };
    let (stock, left_over) = machine.shelf.remains();
    if (but_keys(stock), left_over) != (but_keys(media.stock.clone()), media.left_over) {
        return Err("a rebuild changed the store".into());
    }
    let told = &rebuilt.replayed;
    if told.has_gap || !told.damage.is_empty() || !rebuilt.damaged.is_empty() {
        return Err(format!("nothing was damaged, and a rebuild says {rebuilt:?}"));
    }
    let then = moments.iter().rev().find(|(at, _)| Some(*at) < told.complete_until);
    let (_, world) = then.ok_or_else(|| format!("nothing was expected as early as {told:?}"))?;
    let mut world = world.clone();
    if let Some((_, last)) = moments.last() {
        world.erased_as_in(last);
    }
    judge_whole(build, machine, world)
}

/// A finished rebuild is there after a power cut, and the box on it works.
fn judge_whole(build: Build, machine: Machine, world: World) -> Result<(), String> {
    let (media, _) = machine.remains(Loss::All, &mut Dice::new(build.seed));
    let machine = Machine::new(build, &media, world);
    machine.start().map_err(|e| format!("the start after a rebuild failed: {e}"))?;
    machine.judge_start()?;
    machine.judge()?;
    machine.prove_usable()
}

/// Runs a workload's cases; panics with the first that fails and the command to repeat it.
fn run(workload: &Workload, sealed: bool) {
    let seed = number("TINTYPE_CRASH_SEED").unwrap_or(1);
    run_as(workload, Build::honest(sealed, seed));
}

/// The same of a box that is built so.
fn run_as(workload: &Workload, build: Build) {
    let (sealed, seed) = (build.sealed, build.seed);
    let start = prepared(build, &workload.before).unwrap();
    let steps = trace(build, &start, &workload.acts).unwrap();
    let name = format!("rebuild-{}-{}", workload.name, if sealed { "sealed" } else { "plain" });
    for (at, step) in steps.iter().enumerate() {
        for fault in FAULTS {
            let is_chosen = |number: &usize| chosen(workload, &name, seed, at as u64, *number);
            let Some(number) = numbers_of(fault).find(is_chosen) else { continue };
            if let Err(verdict) = case(build, &start, &workload.acts, at as u64, fault) {
                panic!(
                    "{name}: the disk was lost after step {at}, {step:?}, failed as {fault:?}\n{verdict}\nrepeat it \
                     with\n  TINTYPE_CRASH_SEED={seed} TINTYPE_CRASH_CASE={name}:{at}:{number} \
                     cargo test --test crash rebuild"
                );
            }
        }
    }
}

/// The numbers of the ways that a step fails in like this; what the lost disk had synced is all that tells them apart.
fn numbers_of(fault: Fault) -> impl Iterator<Item = usize> {
    ways().into_iter().enumerate().filter(move |(_, way)| way.0 == fault).map(|(number, _)| number)
}

/// The same workload with fewer cases.
fn thinned(workload: Workload) -> Workload {
    Workload { stride: 3, ..workload }
}

#[test]
fn p8_a_box_whose_disk_is_lost_under_uploads() {
    run(&thinned(upload()), false);
    run(&thinned(upload()), true);
}

#[test]
fn p8_a_box_with_a_place_whose_disk_is_lost() {
    let workload = Workload { stride: 5, ..places() };
    run_as(&workload, Build::honest(false, number("TINTYPE_CRASH_SEED").unwrap_or(1)).with_place());
}

#[test]
fn p8_a_box_whose_disk_is_lost_under_deletes() {
    run(&thinned(delete()), false);
}

#[test]
fn p8_a_box_whose_disk_is_lost_under_hits_on_condemned_data() {
    run(&thinned(hits()), false);
}

#[test]
fn p8_a_box_whose_disk_is_lost_under_changes_of_records() {
    run(&update(), false);
}

#[test]
fn p8_p9_a_box_whose_disk_is_lost_while_a_domain_is_sealed_anew() {
    let mut workload = thinned(resealing());
    // Which master key is the store's is not what is told here.
    workload.acts.retain(|act| !matches!(act, Act::Rotate(_)));
    run(&workload, true);
}

#[test]
fn p8_p9_a_box_whose_disk_is_lost_while_a_domain_is_erased() {
    run(&thinned(erasing()), true);
}

#[test]
fn p8_p9_a_box_whose_disk_is_lost_while_keys_go_with_their_images() {
    run(&thinned(own_keys()), true);
}

/// A box that has been through something: snapshots, deletes, and what was told of neither.
fn lived() -> Before {
    let acts = vec![
        Act::Create(0),
        Act::Upload(0, dense(0), Vec::new()),
        Act::Share(0, 1),
        Act::Create(1),
        Act::Upload(1, dense(1), Vec::new()),
        Act::Ship,
        Act::Delete(0),
        Act::Reclaim,
        Act::Create(2),
        Act::Upload(2, dense(2), Vec::new()),
        Act::Update(1, 7),
    ];
    Before::Done(acts)
}

#[test]
fn p8_every_durable_step_of_a_rebuild_fails_once() {
    for sealed in [false, true] {
        let seed = number("TINTYPE_CRASH_SEED").unwrap_or(1);
        let build = Build::honest(sealed, seed);
        let start = prepared(build, &lived()).unwrap();
        let lost = Media { disk: Vec::new(), ..start.media.clone() };
        let machine = Machine::new(build, &lost, World::default());
        machine.arm(None);
        machine.rebuild().unwrap();
        let steps = machine.power.trace().len() as u64;
        judge_whole(build, machine, start.world.clone()).unwrap();
        let mut dice = Dice::new(seed);
        let mut survived = 0;
        for at in 0..steps {
            let drawn = dice.below(ways().len() as u64) as usize;
            let is_chosen = |number| if is_long() { of_part(at, number) } else { number == drawn };
            for fault in FAULTS.into_iter().filter(|fault| numbers_of(*fault).any(is_chosen)) {
                survived += u32::from(survives(build, &start, &lost, Plan { at, fault }));
            }
        }
        println!("{steps} steps, {survived} faults survived");
    }
}

/// Whether a rebuild ends well although a step of it fails; then it must have made the whole. The
/// store is as it was in any case, so that the next try finds what this one did.
fn survives(build: Build, start: &Start, lost: &Media, plan: Plan) -> bool {
    let machine = Machine::new(build, lost, World::default());
    machine.arm(Some(plan));
    let survived = machine.rebuild().is_ok();
    let (stock, left_over) = machine.shelf.remains();
    assert_eq!((&stock, left_over), (&lost.stock, lost.left_over), "{plan:?}");
    if survived {
        let whole = judge_whole(build, machine, start.world.clone());
        whole.unwrap_or_else(|verdict| panic!("{plan:?}: {verdict}"));
    }
    survived
}
