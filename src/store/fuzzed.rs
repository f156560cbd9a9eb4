//! Doors for tests alone: units of containers that are taken apart, and manifests.
//!
//! `tests/fuzz` comes in here, and the tests below with the inputs that it keeps. Must not be in what is served.

use super::manifest::Manifest;
use super::recipe;
use crate::db::codec;

/// Bytes that a unit holds, at most: what a container's largest has.
const UNIT_BYTES_MAX: usize = 2 << 20;

/// Takes a deflate stream apart that says with its first four bytes how much it holds.
///
/// # Panics
/// When what is made of the parts is another stream.
pub fn take_apart(data: &[u8]) {
    // What fails on a stream that no encoder makes is caught where it is called; a fuzzer's hook would end it before.
    #[cfg(fuzzing)]
    std::panic::set_hook(Box::new(|_| {}));
    let Some((head, packed)) = data.split_at_checked(4) else { return };
    let plain_bytes = head.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) % UNIT_BYTES_MAX;
    if let Some(unit) = recipe::taken_apart(packed, plain_bytes) {
        assert_eq!(unit.plain.len(), plain_bytes);
        let made = recipe::made(&unit.plain, &unit.corrections);
        assert!(made.is_some_and(|made| packed.starts_with(&made)), "it is made anew to the bit");
    }
}

/// Reads a manifest, and writes it again where it is one.
///
/// # Panics
/// When what is written is another.
pub fn manifest(data: &[u8]) {
    let Ok(manifest) = codec::decode::<Manifest>(data) else { return };
    let again = codec::decode::<Manifest>(&manifest.to_bytes());
    assert!(again.is_ok_and(|again| again == manifest), "a manifest is what was written");
    let _ = manifest.packs();
}

#[cfg(test)]
mod tests {
    fn each_input(target: &str, drive: fn(&[u8])) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
        let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
        assert!(!inputs.is_empty());
        for input in inputs {
            drive(&std::fs::read(input.unwrap().path()).unwrap());
        }
    }

    #[test]
    fn s11_every_kept_unit_is_taken_apart_or_not() {
        each_input("recipe", super::take_apart);
    }

    #[test]
    fn s11_every_kept_manifest_is_one_or_not() {
        each_input("manifest", super::manifest);
    }
}
