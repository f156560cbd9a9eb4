//! Inputs for what `tintype` opens to nobody but this: `tintype::nbd::fuzzed::serve`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tintype::nbd::fuzzed::serve(data));
