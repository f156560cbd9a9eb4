//! Compressed containers that are kept by recipes, while others come and go.

use crate::acts::{Act, Part};
use crate::every_step::{Before, Workload, run};
use crate::workloads::filled;

/// A compressed container that is kept by a recipe beside another, read by a copy that stays when it goes.
pub fn recipes() -> Workload {
    let parts = |label| vec![Part::Noise(label, 5000), Part::Packed(label, 3), Part::Noise(label + 9, 700)];
    Workload {
        name: "recipes",
        before: Before::Done([filled(0, parts(1)), filled(1, parts(2)), vec![Act::Create(2)]].concat()),
        acts: vec![
            Act::Recipe(0, parts(1)),
            Act::Upload(2, parts(2), vec![Act::Recipe(1, parts(2))]),
            Act::Delete(1),
            Act::Rewrite,
        ],
        recovery: vec![Act::Recipe(0, parts(1))],
        stride: 3,
    }
}

#[test]
fn p2_recipes_plain() {
    run(&recipes(), false);
}

#[test]
fn p2_recipes_sealed() {
    run(&recipes(), true);
}
