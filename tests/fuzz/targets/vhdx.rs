//! Inputs for the driver `vhdx`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tintype_fuzz::vhdx(data));
