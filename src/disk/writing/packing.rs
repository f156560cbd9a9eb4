//! Units of a guest's disk, compressed.
//!
//! Invariant: the same unit gives the same bytes on any machine: the compressor takes no other way on another processor, and a
//! change of its own shows in a test.

use flate2::{Compress, Compression, FlushCompress, Status};

/// What a unit is packed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Packed {
    /// Deflate without a frame, which never looks back further than 4 KiB: what readers of qcow2 undo.
    Cluster,
    /// Deflate in a zlib frame: what readers of VMDK undo.
    Grain,
}

/// Windows of readers, in bits: of qcow2 it is said nowhere, and QEMU has this.
const CLUSTER_WINDOW_BITS: u8 = 12;
const GRAIN_WINDOW_BITS: u8 = 15;

/// Packs one unit; a unit of zeros alone gives none. What does not get smaller is longer than the unit.
///
/// # Errors
/// When the compressor gives up, which it does for no data.
pub fn pack(unit: &[u8], as_: Packed) -> std::io::Result<Vec<u8>> {
    if unit.iter().all(|byte| *byte == 0) {
        return Ok(Vec::new());
    }
    let level = Compression::default();
    let mut compress = match as_ {
        Packed::Cluster => Compress::new_with_window_bits(level, false, CLUSTER_WINDOW_BITS),
        Packed::Grain => Compress::new_with_window_bits(level, true, GRAIN_WINDOW_BITS),
    };
    // What a small window lets noise grow by, at most (zlib's deflateBound).
    let mut packed = Vec::with_capacity(unit.len() + unit.len() / 8 + unit.len() / 64 + 64);
    match compress.compress_vec(unit, &mut packed, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => Ok(packed),
        Ok(_) => Err(std::io::Error::other("a unit does not fit where it is packed")),
        Err(error) => Err(error.into()),
    }
}
