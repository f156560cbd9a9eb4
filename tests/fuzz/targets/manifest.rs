//! Inputs for what `tintype` opens to nobody but this: `tintype::store::fuzzed::manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tintype::store::fuzzed::manifest(data));
