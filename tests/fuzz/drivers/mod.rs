//! What is done with one input of each fuzz target, on what the library has for everybody.
//!
//! The targets below `targets/` call these with what the fuzzer makes, and the test `kept` with the inputs that are kept in
//! `corpus/`. Invariant: whatever the bytes are, each ends soon; it panics only where a promise is broken.

mod containers;
mod inside;
mod ova;
mod remote;
mod sums;

use std::io::Read;

pub use containers::{iso, qcow2, vdi, vhd, vhdx, vmdk};
pub use inside::inside;
pub use ova::ova;
pub use remote::nbd_client;
use tintype::disk::probe::Probe;
use tintype::disk::wrapping::{Unwrapped, Wrapper};

/// A driver by the name of its target.
pub type Driver = (&'static str, fn(&[u8]));

/// Every one.
pub const DRIVERS: [Driver; 11] = [
    ("probe", probe),
    ("qcow2", qcow2),
    ("vmdk", vmdk),
    ("vhd", vhd),
    ("vhdx", vhdx),
    ("vdi", vdi),
    ("iso", iso),
    ("ova", ova),
    ("unwrap", unwrap),
    ("inside", inside),
    ("nbd_client", nbd_client),
];

/// Output of a wrapper that is read at most.
const UNWRAPPED_BYTES_MAX: u64 = 8 << 20;

/// Tells what a stream is; the first byte says in which pieces it comes.
pub fn probe(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let told = |piece: usize| {
        let mut probe = Probe::default();
        data.chunks(piece).for_each(|piece| probe.push(piece));
        probe
    };
    let (whole, pieces) = (told(data.len().max(1)), told(usize::from(*first) * 7 + 1));
    assert_eq!(whole.formats(), pieces.formats(), "the pieces that it comes in make no difference");
    for format in whole.formats() {
        assert_eq!(whole.hazard(format), pieces.hazard(format));
        assert_eq!(whole.virtual_size(format), pieces.virtual_size(format));
    }
}

/// Undoes the wrapper that a file begins with.
pub fn unwrap(data: &[u8]) {
    let Some(wrapper) = Wrapper::of(data) else { return };
    let Ok(unwrapped) = Unwrapped::new(wrapper, data) else { return };
    let mut out = Vec::new();
    // An error is as good as an end.
    let _ = unwrapped.take(UNWRAPPED_BYTES_MAX).read_to_end(&mut out);
}
