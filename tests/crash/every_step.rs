//! Lets every durable step of a workload fail, one case a step, and judges what a restart finds.
//!
//! A step is named by its number in the undisturbed run. A stream goes on while its last pack
//! becomes durable, and between two syncs the database may write its pages in any order, so a
//! number means the same step again only up to that; every number is tried all the same.
//!
//! Invariant: a case is judged by what its media hold. What a fault leaves is made once for all that may then be lost, and of
//! those that leave the very same bytes one is judged.

use crate::acts::Act;
use crate::chance::Dice;
use crate::disk::Loss;
use crate::machine::{Build, Machine, Media, Wreck};
use crate::power::{Fault, Plan, Step};
use crate::world::World;

/// A workload: what is there before, and the acts whose steps fail, the start among them.
pub struct Workload {
    /// Its name in the command that repeats a case.
    pub name: &'static str,
    /// What is there before.
    pub before: Before,
    /// The acts.
    pub acts: Vec<Act>,
    /// What is done before the verdict, without faults: for workloads that leave damage when they are
    /// cut off.
    pub recovery: Vec<Act>,
    /// In a short run one step in so many fails.
    pub stride: u64,
}

/// What a workload starts from.
pub enum Before {
    /// A directory in which nothing is set up yet.
    Nothing,
    /// A box that did these things and was stopped.
    Done(Vec<Act>),
    /// A box of an earlier release, with a sealed store and a plain catalog, that did these things.
    PlainCatalog(Vec<Act>),
    /// A box that did the first things, and lost power at this step of the second.
    Interrupted(Vec<Act>, Vec<Act>, u64),
}

/// How one step fails, and what becomes of unsynced bytes when the process then ends.
pub type Way = (Fault, Loss);

/// How steps fail.
pub const FAULTS: [Fault; 5] =
    [Fault::CutBefore, Fault::CutAfter, Fault::Refused, Fault::Full, Fault::FailedButDone];
const LOSSES: [Loss; 3] = [Loss::All, Loss::Some, Loss::None];

/// Every way.
pub fn ways() -> Vec<Way> {
    FAULTS.iter().flat_map(|fault| LOSSES.map(|loss| (*fault, loss))).collect()
}

/// Media, and what callers of the next box on them may expect.
pub struct Start {
    pub media: Media,
    pub world: World,
}

/// Makes what a workload starts from.
///
/// # Errors
/// When the product refuses.
pub fn prepared(build: Build, before: &Before) -> Result<Start, String> {
    let (acts, interrupted) = match before {
        Before::Nothing => return Ok(Start { media: Media::default(), world: World::default() }),
        Before::Done(acts) | Before::PlainCatalog(acts) => (acts, None),
        Before::Interrupted(acts, more, at) => (acts, Some((more, *at))),
    };
    let plain_catalog = matches!(before, Before::PlainCatalog(_));
    let machine = Machine::new(Build { plain_catalog, ..build }, &Media::default(), World::default());
    machine.start()?;
    machine.perform(acts)?;
    if let Some((more, at)) = interrupted {
        machine.arm(Some(Plan { at, fault: Fault::CutAfter }));
        machine.perform(more)?;
        if machine.power.struck().is_none() {
            return Err(format!("{more:?} ended before step {at}, and nothing was interrupted"));
        }
    } else {
        machine.stop()?;
    }
    let (media, world) = machine.remains(Loss::None, &mut Dice::new(build.seed));
    Ok(Start { media, world })
}

/// Every step of the workload when nothing fails.
///
/// # Errors
/// When the product refuses.
pub fn trace(build: Build, start: &Start, acts: &[Act]) -> Result<Vec<Step>, String> {
    let machine = undisturbed(build, start, acts)?;
    machine.stop()?;
    Ok(machine.power.trace())
}

/// The box after the workload, when nothing fails.
///
/// # Errors
/// When the product refuses.
pub fn undisturbed(build: Build, start: &Start, acts: &[Act]) -> Result<Machine, String> {
    let machine = Machine::new(build, &start.media, start.world.clone());
    machine.arm(None);
    machine.start()?;
    machine.perform(acts)?;
    Ok(machine)
}

/// One case: the steps up to the fault, the restart on honest media, the verdict.
///
/// # Errors
/// The verdict, when it is not what it should be.
pub fn case(build: Build, start: &Start, workload: &Workload, at: u64, way: Way) -> Result<(), String> {
    cases(build, start, workload, at, way.0, &[(0, way.1)]).map(drop).map_err(|(_, verdict)| verdict)
}

/// The cases of a step that fails like this, one for each of these losses, which have numbers. Says how many had to be judged.
///
/// # Errors
/// The first verdict that is not what it should be, and the number of its loss.
fn cases(
    build: Build,
    start: &Start,
    workload: &Workload,
    at: u64,
    fault: Fault,
    losses: &[(usize, Loss)],
) -> Result<u64, (usize, String)> {
    let Some((first, _)) = losses.first() else { return Ok(0) };
    let wreck = wreck(build, start, workload, at, fault).map_err(|verdict| (*first, verdict))?;
    let mut judged: Vec<Vec<u8>> = Vec::new();
    for (number, loss) in losses {
        let media = wreck.media(*loss, &mut Dice::new(build.seed ^ at.wrapping_mul(31)));
        if !judged.contains(&media.disk) {
            judged.push(media.disk.clone());
            judge(build, workload, &media, wreck.world.clone()).map_err(|verdict| (*number, verdict))?;
        }
    }
    Ok(judged.len() as u64)
}

/// The steps up to the fault, and what the process still does after it.
fn wreck(build: Build, start: &Start, workload: &Workload, at: u64, fault: Fault) -> Result<Wreck, String> {
    let machine = Machine::new(build, &start.media, start.world.clone());
    machine.arm(Some(Plan { at, fault }));
    match machine.start() {
        Ok(()) => machine.perform(&workload.acts)?,
        Err(refusal) if machine.power.struck().is_none() => return Err(refusal),
        Err(_) => {}
    }
    if !machine.power.is_gone() && machine.is_running() {
        judge_survivor(&machine, &workload.recovery)?;
    }
    // The steps of an orderly end are among those that fail.
    if machine.power.struck().is_none()
        && let Err(refusal) = machine.stop()
        && machine.power.struck().is_none()
    {
        return Err(format!("the end of the process was refused without a fault: {refusal}"));
    }
    Ok(machine.cut())
}

/// The next start, and what it finds.
fn judge(build: Build, workload: &Workload, media: &Media, world: World) -> Result<(), String> {
    let machine = Machine::new(build.on_honest_media(), media, world);
    machine.start().map_err(|e| format!("the next start failed: {e}"))?;
    machine.judge_start()?;
    machine.judge_keys()?;
    machine.perform(&workload.recovery)?;
    machine.judge()?;
    machine.prove_usable()
}

/// A process that outlived a fault of its objects goes on as if nothing had been; one whose catalog
/// failed knows it, and accepts nothing.
fn judge_survivor(machine: &Machine, recovery: &[Act]) -> Result<(), String> {
    let Some(struck) = machine.power.struck() else { return Ok(()) };
    if struck.medium == "objects" {
        machine.let_go();
        machine.perform(recovery)?;
        return machine.judge().map_err(|e| format!("after {struck:?} failed, without a restart: {e}"));
    }
    let probe = machine.db().write(|_| Ok::<_, tintype::db::Error>(()));
    match (probe, machine.db().poisoned()) {
        (Err(_), None) => Err(format!("after {struck:?} failed nothing can be written, and nobody knows it")),
        (Ok(()), Some(reason)) => Err(format!("a write went through after {reason}")),
        _ => Ok(()),
    }
}

/// Runs a workload's cases; panics with the first that fails and the command to repeat it.
pub fn run(workload: &Workload, sealed: bool) {
    let seed = number("TINTYPE_CRASH_SEED").unwrap_or(1);
    run_as(workload, Build::honest(sealed, seed));
}

/// The same of a box that is built so.
pub fn run_as(workload: &Workload, build: Build) {
    let (sealed, seed) = (build.sealed, build.seed);
    let start = prepared(build, &workload.before).unwrap();
    let steps = trace(build, &start, &workload.acts).unwrap();
    let name = format!("{}-{}", workload.name, if sealed { "sealed" } else { "plain" });
    let (mut tried, mut judged) = (0, 0);
    for (at, step) in steps.iter().enumerate() {
        for fault in FAULTS {
            let losses = losses(fault, |number| chosen(workload, &name, seed, at as u64, number));
            tried += losses.len();
            judged += cases(build, &start, workload, at as u64, fault, &losses).unwrap_or_else(
                |(number, verdict)| {
                    panic!(
                        "{name}: step {at}, {step:?}, failed as {:?}\n{verdict}\nrepeat it with\n  \
                     TINTYPE_CRASH_SEED={seed} TINTYPE_CRASH_CASE={name}:{at}:{number} \
                     cargo test --test crash",
                        ways()[number]
                    )
                },
            );
        }
    }
    println!("{name}: {} steps, {tried} cases, which left {judged} states", steps.len());
}

/// What may be lost after this fault, as far as the ways are chosen, with their numbers.
fn losses(fault: Fault, is_chosen: impl Fn(usize) -> bool) -> Vec<(usize, Loss)> {
    let of_fault = ways().into_iter().enumerate().filter(|(_, way)| way.0 == fault);
    of_fault.filter(|(number, _)| is_chosen(*number)).map(|(number, way)| (number, way.1)).collect()
}

/// Whether a case is run: the one that was asked for; all in a long run, or one part of them; else one way a step.
pub fn chosen(workload: &Workload, name: &str, seed: u64, at: u64, way: usize) -> bool {
    if let Ok(only) = std::env::var("TINTYPE_CRASH_CASE") {
        return only == format!("{name}:{at}:{way}");
    }
    if is_long() {
        return of_part(at, way);
    }
    let ways = (FAULTS.len() * LOSSES.len()) as u64;
    let drawn = Dice::new(seed ^ (at << 8)).below(ways) as usize;
    drawn == way && at % workload.stride == seed % workload.stride
}

/// Whether a case belongs to the part that `TINTYPE_CRASH_PART=K/N` asks for. All `N` parts, in as many runs, are every case
/// once, whatever the seed; cases of one fault stay together, as what it leaves is made once for them.
pub fn of_part(at: u64, way: usize) -> bool {
    let Ok(asked) = std::env::var("TINTYPE_CRASH_PART") else { return true };
    let numbers =
        asked.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
    let Some((part @ 1.., parts)) = numbers.filter(|(part, parts): &(u64, u64)| part <= parts) else {
        panic!("TINTYPE_CRASH_PART is {asked:?}, not K/N with K from 1 to N");
    };
    // Drawn, so that each part has every fault of neighbouring steps in turn.
    Dice::new(at << 8 | (way / LOSSES.len()) as u64).below(parts) + 1 == part
}

/// Whether every way is tried, and many random runs.
pub fn is_long() -> bool {
    number("TINTYPE_LONG") == Some(1)
}

/// A number from the environment.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
