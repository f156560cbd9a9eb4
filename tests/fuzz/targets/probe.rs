//! Inputs for the driver `probe`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tintype_fuzz::probe(data));
