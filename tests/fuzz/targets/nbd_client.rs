//! Inputs for the driver `nbd_client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tintype_fuzz::nbd_client(data));
