//! Every input that the fuzz targets keep goes through its driver, with the toolchain that builds the service.
//!
//! What a fuzzer found once stays in `tests/fuzz/corpus`, beside what the makers of `tests/hostile` wrote for it to begin with.

#[path = "../fuzz/drivers/mod.rs"]
mod drivers;

use std::path::{Path, PathBuf};

/// Kept inputs of all targets together.
const KEPT_BYTES_MAX: u64 = 2 << 20;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = std::fs::read_dir(corpus().join(target)).unwrap_or_else(|error| panic!("{target}: {error}"));
    let paths = folder.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn s11_every_kept_input_goes_through_its_driver() {
    for (target, drive) in drivers::DRIVERS {
        let inputs = inputs(target);
        assert!(!inputs.is_empty(), "{target} keeps nothing");
        for (path, data) in inputs {
            let outcome = std::panic::catch_unwind(|| drive(&data));
            assert!(outcome.is_ok(), "{}", path.display());
        }
    }
}

#[test]
fn kept_inputs_are_small_and_each_belongs_to_a_target() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/targets");
    let mut bytes = 0;
    for folder in std::fs::read_dir(corpus()).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(targets.join(format!("{name}.rs")).exists(), "there is no target {name}");
        bytes += inputs(&name).iter().map(|(_, data)| data.len() as u64).sum::<u64>();
    }
    assert!(bytes <= KEPT_BYTES_MAX, "{bytes} bytes are kept");
}
