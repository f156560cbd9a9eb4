//! Inputs for the driver `vdi`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tintype_fuzz::vdi(data));
