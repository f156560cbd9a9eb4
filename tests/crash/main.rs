//! The crash suite: the whole box on simulated media whose power fails at every durable step.
//!
//! The database's disk and the medium of objects share one power supply that numbers each durable
//! step. A run lets one step fail: power goes before it or after it (and of what was not synced
//! nothing, a part with one write torn, or all survives), or the medium refuses it, is full, or does
//! it and says it failed while the process goes on. Then a fresh box opens what is left and is
//! judged: what was acknowledged is there and exact, nothing else is visible, the check is clean,
//! reclaiming gives all other space back, and work goes on.
//!
//! The same is done with the catalog's disk thrown away and the box made anew from its objects alone.
//!
//! A failure prints the command that repeats its case. `TINTYPE_CRASH_SEED` changes what is drawn;
//! `TINTYPE_LONG=1` tries every way at every step: some 350,000 cases, hours of processor time. `TINTYPE_CRASH_PART=3/10` beside it
//! runs the third of ten parts, so that all can be run one after the other.

mod acts;
mod audit;
mod chance;
mod disk;
mod every_step;
mod folder;
mod machine;
mod parts;
mod places;
mod planted;
mod power;
mod rebuild;
mod recipes;
mod rights;
mod sealing;
mod shelf;
mod staging;
mod tasks;
mod verdict;
mod workloads;
mod world;
