//! Inputs for the driver `ova`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tintype_fuzz::ova(data));
