//! The catalog becomes sealed, or sealed with another key: each durable step of that fails.

use crate::acts::{Act, Part};
use crate::every_step::{Before, Workload, prepared, run, trace};
use crate::machine::Build;
use crate::workloads::{filled, resealing_the_store};

/// The start that seals the plain catalog of an earlier release, and a change on it.
fn sealing_the_catalog() -> Workload {
    Workload {
        name: "sealing_the_catalog",
        before: Before::PlainCatalog(filled(0, vec![Part::Noise(6, 30_000)])),
        acts: vec![Act::Update(0, 1)],
        recovery: Vec::new(),
        stride: 1,
    }
}

#[test]
fn p9_sealing_the_catalog_sealed() {
    run(&sealing_the_catalog(), true);
}

#[test]
fn each_durable_step_of_a_catalogs_sealing_is_among_those_that_fail() {
    for workload in [sealing_the_catalog(), resealing_the_store()] {
        let build = Build::honest(true, 1);
        let steps = trace(build, &prepared(build, &workload.before).unwrap(), &workload.acts).unwrap();
        let at = |action| steps.iter().position(|step| step.on == "the folder" && step.action == action);
        let [create, rename, sync] = ["create", "rename", "sync"].map(|action| at(action).unwrap());
        let copied = &steps[create..rename];
        assert!(copied.iter().filter(|step| step.action == "write").count() > 1, "{copied:?}");
        assert_eq!(copied.last().unwrap().action, "sync", "the copy is durable before it has the name");
        assert_eq!(sync, rename + 1);
    }
}
