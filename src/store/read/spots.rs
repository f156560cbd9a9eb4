//! Where the bytes of streams lie, to tell what two of them have in common without reading any.
//!
//! Invariant: what is called the same is; what is not may be all the same, where it is stored in other chunks. Reads lists of
//! packs, and no data.

use super::super::error::Error;
use super::super::manifest::Extent;
use super::super::pack::Pack;
use super::super::recipe::Segment;
use super::Reader;
use super::fetch::no_run;

/// A place among all bytes that are stored for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot(u64);

/// What lies at a spot, and for how many bytes from there on.
enum Matter {
    Zeros(u64),
    Chunk { pack: u64, ordinal: u32, skip: u64, name: [u8; 32], chunk_bytes: u64, run_bytes: u64 },
}

impl Spot {
    /// The spot so many bytes further on.
    pub fn plus(self, bytes: u64) -> Spot {
        Spot(self.0 + bytes)
    }
}

impl Reader {
    /// The spot of byte `at` of the stream, and for how many bytes spots follow each other; `None` where it is made of others.
    pub fn spot_at(&self, at: u64) -> Option<(Spot, u64)> {
        match self.layout.composition() {
            None => Some((Spot(at), self.size_bytes().saturating_sub(at))),
            Some(composition) => match composition.segment_at(at)? {
                Segment::Stored(range) => Some((Spot(range.start), range.len())),
                Segment::Packed { .. } => None,
            },
        }
    }

    /// The spot of what comes out of the compressed unit that begins at byte `at` of the stream, where it is stored like that.
    pub fn spot_of_unit(&self, at: u64) -> Option<Spot> {
        self.layout.unit_at(at).map(|plain| Spot(plain.start))
    }

    /// Compares what lies at a spot with what lies at another stream's: whether it is known to be the same, and for how many
    /// bytes that holds. Blocks on the medium.
    ///
    /// # Errors
    /// Damage of lists of packs, or the medium's failure.
    pub fn compare_at(&self, at: Spot, other: &Reader, other_at: Spot) -> Result<(u64, bool), Error> {
        Ok(match (self.matter_at(at)?, other.matter_at(other_at)?) {
            (Matter::Zeros(bytes), Matter::Zeros(other)) => (bytes.min(other), true),
            (Matter::Zeros(zeros), Matter::Chunk { chunk_bytes, .. })
            | (Matter::Chunk { chunk_bytes, .. }, Matter::Zeros(zeros)) => (zeros.min(chunk_bytes), false),
            (Matter::Chunk { pack, ordinal, skip, name, chunk_bytes, run_bytes }, other) => match other {
                Matter::Chunk { pack: p, ordinal: o, skip: s, run_bytes: r, .. }
                    if (pack, ordinal, skip) == (p, o, s) =>
                {
                    (run_bytes.min(r), true)
                }
                Matter::Chunk { name: n, skip: s, chunk_bytes: c, .. } => {
                    (chunk_bytes.min(c), (name, skip) == (n, s))
                }
                Matter::Zeros(zeros) => (zeros.min(chunk_bytes), false),
            },
        })
    }

    fn matter_at(&self, spot: Spot) -> Result<Matter, Error> {
        let (extent, skip) = self.layout.extent_at(spot.0)?;
        match extent {
            Extent::Zeros { bytes } => Ok(Matter::Zeros(bytes - skip)),
            Extent::Run { bytes, pack: number, first, count } => {
                let pack = self.store.pack(number)?;
                let (ordinal, into) = chunk_at(&pack, first, count, skip)?;
                let absent = || no_run(&pack, first, count);
                let name = *pack.name(ordinal).ok_or_else(absent)?;
                let length = u64::from(pack.length(ordinal).ok_or_else(absent)?);
                let (chunk_bytes, run_bytes) = (length - into, bytes - skip);
                Ok(Matter::Chunk { pack: number, ordinal, skip: into, name, chunk_bytes, run_bytes })
            }
        }
    }
}

/// The chunk of a run that has the byte `at` of it, and where in the chunk that is.
fn chunk_at(pack: &Pack, first: u32, count: u32, at: u64) -> Result<(u32, u64), Error> {
    let absent = || no_run(pack, first, count);
    // Chunks of a run follow each other: how far the first few reach grows with their number.
    let (mut low, mut high) = (0, count);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let before = pack.span(first, middle).ok_or_else(absent)?.len();
        if before <= at { low = middle } else { high = middle }
    }
    let before = if low == 0 { 0 } else { pack.span(first, low).ok_or_else(absent)?.len() };
    Ok((first + low, at - before))
}
