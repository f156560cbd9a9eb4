//! Inputs for the driver `iso`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tintype_fuzz::iso(data));
