//! Cuts a stream into chunks to deduplicate and holes that need no bytes.
//!
//! Owns: where chunks end, and which cutter fits a stream. Invariant: the pieces, in order, are
//! the stream, and where they end depends on the bytes and [`CutterParams`] alone, never on how
//! the bytes arrived; moving a cut for given parameters would undo deduplication against
//! everything stored, so a change of rule needs a new id. Must not know hashes, packs or images.

mod blocks;
mod choice;
mod content;
mod grid;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use blocks::{BlockCutter, BlockState};
pub use choice::choose;
use content::{ContentCutter, ContentState};
use grid::{GridCutter, GridState};

/// The block of the guest grid: what file systems allocate by.
const BLOCK: usize = 4096;
/// The same, as places in streams are counted.
pub(super) const BLOCK_BYTES: u64 = BLOCK as u64;
static ZERO_BLOCK: [u8; BLOCK] = [0; BLOCK];

const KIB: u32 = 1024;
const GRID_ID: u16 = 1;
const CONTENT_ID: u16 = 2;
const BLOCKS_ID: u16 = 3;

/// Which cutter cut a stream, and how. Recorded in every manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CutterParams {
    /// The rule: 1 cuts on the guest's block grid, 2 by content at any byte, 3 on the grid of each block of a dynamic VHD.
    pub id: u16,
    /// The shortest chunk, but for those that end at a hole or at the end of the stream.
    pub min_bytes: u32,
    /// The length from which on ends are sought eagerly.
    pub avg_bytes: u32,
    /// The longest chunk.
    pub max_bytes: u32,
    /// Offset of the first block of the guest grid, below 4096; of a VHD's first block; the content cutter has none.
    pub phase: u32,
}

impl CutterParams {
    /// The grid cutter at its measured best, with the grid starting at `phase` (modulo 4096).
    pub fn grid(phase: u32) -> CutterParams {
        let phase = phase % BLOCK as u32;
        CutterParams { id: GRID_ID, min_bytes: 4 * KIB, avg_bytes: 64 * KIB, max_bytes: 256 * KIB, phase }
    }

    /// The cutter of dynamic VHDs whose blocks follow each other from byte `start` on.
    pub fn blocks(start: u32) -> CutterParams {
        CutterParams { id: BLOCKS_ID, phase: start, ..CutterParams::grid(0) }
    }

    /// The content cutter's, for streams without a grid.
    pub const CONTENT: CutterParams = CutterParams {
        id: CONTENT_ID,
        min_bytes: 16 * KIB,
        avg_bytes: 64 * KIB,
        max_bytes: 256 * KIB,
        phase: 0,
    };

    /// The content cutter, for streams without a grid.
    pub fn content() -> CutterParams {
        CutterParams::CONTENT
    }
}

/// The next part of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'a> {
    /// That many zero bytes, never followed by another hole.
    Zeros(u64),
    /// Bytes to store; never empty.
    Chunk(&'a [u8]),
}

/// What a cutter knows between two bytes of a stream, but for the bytes it holds back: with those, and
/// the parameters, it can be taken up again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CutterState {
    /// Of the grid cutter.
    Grid(GridState),
    /// Of the content cutter.
    Content(ContentState),
    /// Of the cutter of dynamic VHDs.
    Blocks(BlockState),
}

/// Takes a stream in parts of any size and gives it back piece by piece.
#[derive(Clone)]
pub struct Cutter(Rule);

#[derive(Clone)]
enum Rule {
    Grid(GridCutter),
    Content(ContentCutter),
    Blocks(BlockCutter),
}

impl Cutter {
    /// A cutter at the start of a stream. An id that this release does not know cuts on the grid.
    pub fn new(params: CutterParams) -> Cutter {
        Cutter(match params.id {
            CONTENT_ID => Rule::Content(ContentCutter::new(params)),
            BLOCKS_ID => Rule::Blocks(BlockCutter::new(params)),
            _ => Rule::Grid(GridCutter::new(params)),
        })
    }

    /// A cutter as it was when this state was taken, with the bytes it held back; `None` when they
    /// contradict each other.
    pub fn resume(params: CutterParams, state: &CutterState, held_back: Vec<u8>) -> Option<Cutter> {
        Some(Cutter(match (Cutter::new(params).0, state) {
            (Rule::Grid(cutter), CutterState::Grid(state)) => Rule::Grid(cutter.resume(state, held_back)?),
            (Rule::Content(cutter), CutterState::Content(state)) => {
                Rule::Content(cutter.resume(state, held_back)?)
            }
            (Rule::Blocks(cutter), CutterState::Blocks(state)) => {
                Rule::Blocks(cutter.resume(state, held_back)?)
            }
            _ => return None,
        }))
    }

    /// What it knows, and how many of the latest bytes it holds back.
    pub fn state(&self) -> (CutterState, usize) {
        match &self.0 {
            Rule::Grid(cutter) => {
                let (state, held_back) = cutter.state();
                (CutterState::Grid(state), held_back)
            }
            Rule::Content(cutter) => {
                let (state, held_back) = cutter.state();
                (CutterState::Content(state), held_back)
            }
            Rule::Blocks(cutter) => {
                let (state, held_back) = cutter.state();
                (CutterState::Blocks(state), held_back)
            }
        }
    }

    /// Takes the next bytes. A chunk within `data` is emitted as a part of it; only what spans
    /// calls is copied.
    pub fn push(&mut self, data: &[u8], emit: &mut dyn FnMut(Piece<'_>)) {
        match &mut self.0 {
            Rule::Grid(cutter) => cutter.push(data, emit),
            Rule::Content(cutter) => cutter.push(data, emit),
            Rule::Blocks(cutter) => cutter.push(data, emit),
        }
    }

    /// Ends the stream: emits what was held back. The cutter is spent afterwards.
    pub fn finish(&mut self, emit: &mut dyn FnMut(Piece<'_>)) {
        match &mut self.0 {
            Rule::Grid(cutter) => cutter.finish(emit),
            Rule::Content(cutter) => cutter.finish(emit),
            Rule::Blocks(cutter) => cutter.finish(emit),
        }
    }
}

/// Whether bytes (at most a block of them) are all zero; leaves at the first that is not.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.len() <= BLOCK && bytes == &ZERO_BLOCK[..bytes.len()]
}

/// Whether a block ends in zeros, as the last block of a file does.
fn ends_in_zeros(block: &[u8]) -> bool {
    block.ends_with(&ZERO_BLOCK[..16])
}
