//! Manifests: the ordered extents of one stream, and what is known of it as a whole.

use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};

use super::cutter::CutterParams;
use crate::db::codec::Record;
use crate::model::Digests;

/// A stretch of a stream. New kinds are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extent {
    /// Zeros, stored nowhere.
    Zeros {
        /// How many.
        bytes: u64,
    },
    /// Chunks that follow each other in one pack.
    Run {
        /// Their length together.
        bytes: u64,
        /// The pack's number.
        pack: u64,
        /// Ordinal of the first chunk.
        first: u32,
        /// How many chunks.
        count: u32,
    },
}

impl Extent {
    /// Bytes of the stream it covers.
    pub fn bytes(&self) -> u64 {
        match self {
            Extent::Zeros { bytes } | Extent::Run { bytes, .. } => *bytes,
        }
    }
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its content id.
    pub content: [u8; 16],
    /// Its length.
    pub size_bytes: u64,
    /// Its MD5.
    pub md5: [u8; 16],
    /// Its SHA-512, in two halves.
    pub sha512: [[u8; 32]; 2],
    /// Its BLAKE3 root.
    pub blake3: [u8; 32],
    /// How it was cut.
    pub cutter: CutterParams,
    /// Its extents, in order.
    pub extents: Vec<Extent>,
    /// What the caller wanted kept beside it: the image's record.
    pub record: Vec<u8>,
}

impl Record for Manifest {
    const VERSION: u8 = 1;
    const NAME: &'static str = "manifest";
}

impl Manifest {
    /// The packs it names.
    pub fn packs(&self) -> RoaringTreemap {
        self.extents
            .iter()
            .filter_map(|extent| match extent {
                Extent::Run { pack, .. } => Some(*pack),
                Extent::Zeros { .. } => None,
            })
            .collect()
    }
}

/// The two halves of a SHA-512, as a manifest keeps them.
pub fn halves(digests: &Digests) -> [[u8; 32]; 2] {
    let mut out = [[0; 32]; 2];
    for (half, bytes) in out.iter_mut().zip(digests.sha512.chunks_exact(32)) {
        half.copy_from_slice(bytes);
    }
    out
}

/// Adds zeros to the end of a list of extents.
pub fn push_zeros(extents: &mut Vec<Extent>, more: u64) {
    match extents.last_mut() {
        Some(Extent::Zeros { bytes }) => *bytes += more,
        _ => extents.push(Extent::Zeros { bytes: more }),
    }
}

/// Adds one chunk to the end of a list of extents.
pub fn push_chunk(extents: &mut Vec<Extent>, at: (u64, u32), length: u64) {
    push_run(extents, at, 1, length);
}

/// Adds chunks that follow each other to the end of a list of extents: to its last run, where they
/// go on from there.
pub fn push_run(extents: &mut Vec<Extent>, at: (u64, u32), more: u32, length: u64) {
    if let Some(Extent::Run { bytes, pack, first, count }) = extents.last_mut()
        && *pack == at.0
        && u64::from(*first) + u64::from(*count) == u64::from(at.1)
    {
        *bytes += length;
        *count += more;
        return;
    }
    extents.push(Extent::Run { bytes: length, pack: at.0, first: at.1, count: more });
}
