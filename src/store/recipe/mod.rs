//! Recipes: how a stream is made of other bytes, which are stored in its place.
//!
//! A compressed container is kept as what comes out of its units, which shares its chunks with every other image of the same
//! disk, and as the little that it takes to make the very same units again ([`deflate`]). All that is stored for a stream is
//! its *material*: everything that lies on the guest's grid, then, from the next block on, the rest. Extents of a manifest are
//! those of the material.
//!
//! Invariants: a recipe makes the stream's bytes and no others: each unit is compared with its sum before it is handed out,
//! and the whole with the stream's digest before the recipe counts. Must not know what a container is.

mod composition;
mod deflate;
mod making;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::error::Error;

pub(super) use composition::{Composition, Segment};
#[cfg(any(test, fuzzing))]
pub(super) use deflate::{make as made, take_apart as taken_apart};
pub use making::{Piece, Recast};

/// What the codec of a recipe's units is: `preflate-rs` 0.7, whose outcome follows from its release.
pub(super) const PREFLATE_0_7: u16 = 1;

/// How a stream is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// How units are made again.
    pub codec: u16,
    /// Its steps, in groups that are found by where they begin.
    pub groups: Vec<Group>,
}

/// Steps that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// In the stream's order.
    pub steps: Vec<Step>,
}

/// The next bytes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// As they stand in the rest.
    Rest {
        /// How many.
        bytes: u32,
    },
    /// As they stand on the guest's grid.
    Plain {
        /// How many.
        bytes: u32,
    },
    /// A unit, made of what it holds, on the guest's grid, and of corrections, in the rest.
    Packed {
        /// Its length in the stream.
        packed_bytes: u32,
        /// What it holds.
        plain_bytes: u32,
        /// Its corrections.
        correction_bytes: u32,
        /// The first four bytes of the BLAKE3 of the unit.
        sum: [u8; 4],
    },
}

impl Step {
    /// Bytes of the stream.
    pub(super) fn bytes(&self) -> u64 {
        match *self {
            Step::Rest { bytes } | Step::Plain { bytes } => bytes.into(),
            Step::Packed { packed_bytes, .. } => packed_bytes.into(),
        }
    }

    /// What it takes itself in the manifest's object.
    fn object_bytes(&self) -> u64 {
        match self {
            Step::Rest { .. } | Step::Plain { .. } => 8,
            Step::Packed { .. } => 20,
        }
    }

    /// Bytes on the guest's grid that it takes.
    pub(super) fn plain_bytes(&self) -> u64 {
        match *self {
            Step::Rest { .. } => 0,
            Step::Plain { bytes } => bytes.into(),
            Step::Packed { plain_bytes, .. } => plain_bytes.into(),
        }
    }

    /// Bytes of the rest that it takes.
    pub(super) fn rest_bytes(&self) -> u64 {
        match *self {
            Step::Rest { bytes } => bytes.into(),
            Step::Plain { .. } => 0,
            Step::Packed { correction_bytes, .. } => correction_bytes.into(),
        }
    }
}

impl Recipe {
    /// Bytes of the stream that it makes.
    pub(super) fn size_bytes(&self) -> u64 {
        self.groups.iter().flat_map(|group| &group.steps).map(Step::bytes).sum()
    }

    /// Bytes of the material that lie on the guest's grid.
    pub(super) fn plain_bytes(&self) -> u64 {
        self.groups.iter().flat_map(|group| &group.steps).map(Step::plain_bytes).sum()
    }

    /// Memory it takes, in bytes, about.
    pub(super) fn weight(&self) -> usize {
        let steps = self.groups.iter().map(|group| group.steps.capacity()).sum::<usize>();
        steps * size_of::<Step>() + self.groups.capacity() * size_of::<Group>()
    }
}

/// Makes a unit.
///
/// # Errors
/// [`Error::Damaged`] when what comes of it is another.
pub(super) fn unit(
    plain: &[u8],
    corrections: &[u8],
    packed_bytes: u32,
    sum_wanted: [u8; 4],
) -> Result<Vec<u8>, Error> {
    let made = deflate::make(plain, corrections);
    let is_right = |unit: &Vec<u8>| u64::from(packed_bytes) == unit.len() as u64 && sum(unit) == sum_wanted;
    made.filter(is_right)
        .ok_or_else(|| Error::damaged("a compressed unit", "what is made of its parts is not what it was"))
}

/// The sum of a unit.
fn sum(unit: &[u8]) -> [u8; 4] {
    let hash = blake3::hash(unit);
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}
