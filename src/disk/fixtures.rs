//! Small images made byte by byte, for tests: whole ones, and what no tool makes.

use crate::disk::fields::Fields;
use crate::disk::probe::Format;
use crate::disk::{Budgets, Code, Error, Guest, View, open};

/// The whole disk of an image, which is the same whichever way it is read.
pub(crate) fn read(format: Format, image: Vec<u8>) -> Result<Vec<u8>, Error> {
    let budgets = Budgets::default();
    let guest = open(format, image, &budgets)?.expect("it is a container");
    let mut disk = vec![0xaa; guest.size_bytes() as usize];
    let view = View::new(guest, &budgets);
    view.read_at(0, &mut disk)?;
    assert!(view.pieces_at(0, disk.len())?.concat() == disk, "in pieces");
    let mut near = vec![0x55; disk.len()];
    assert!(!view.read_near(0, &mut near) || near == disk, "from memory");
    Ok(disk)
}

/// Why an image is refused, at whichever step of reading it whole; `None` when it is read.
pub(super) fn fault(format: Format, image: Vec<u8>) -> Option<(Code, &'static str)> {
    match read(format, image) {
        Err(Error::Refused(refusal)) => Some((refusal.code, refusal.field)),
        Err(Error::Source(error)) => panic!("{error}"),
        Ok(_) => None,
    }
}

/// Bytes that differ from place to place and compress a little.
pub(crate) fn pattern(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..bytes).map(|at| if at % 3 == 0 { b'x' } else { next() }).collect()
}

/// Overwrites the bytes from `at` on.
pub(super) fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A table of numbers by their bytes.
pub(super) fn be64s(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// What stands at a place.
pub(super) fn be64(image: &[u8], at: usize) -> u64 {
    Fields(image).be64(at)
}

/// A qcow2 without data, of a disk of this size (some 270 GiB at most), in 70,000 bytes.
pub(crate) fn empty_qcow2(virtual_bytes: u64) -> Vec<u8> {
    const CLUSTER_BITS: u32 = 16;
    let cluster = 1 << CLUSTER_BITS;
    let mut image = vec![0; 70_000];
    put(&mut image, 0, b"QFI\xfb\0\0\0\x02");
    put(&mut image, 20, &CLUSTER_BITS.to_be_bytes());
    put(&mut image, 24, &virtual_bytes.to_be_bytes());
    let l1_entries = virtual_bytes.div_ceil(cluster * (cluster / 8)) as u32;
    put(&mut image, 36, &l1_entries.to_be_bytes());
    put(&mut image, 40, &cluster.to_be_bytes());
    image
}
