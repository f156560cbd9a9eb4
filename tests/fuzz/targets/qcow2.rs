//! Inputs for the driver `qcow2`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tintype_fuzz::qcow2(data));
