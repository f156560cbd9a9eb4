//! Where in its material each byte of a stream comes from. Pure.

use super::super::cutter::BLOCK_BYTES;
use super::super::error::Error;
use super::{Group, Recipe, Step};
use crate::model::ByteRange;

/// A recipe made ready for look-ups by offset.
pub struct Composition {
    recipe: Recipe,
    groups: Vec<Begins>,
}

/// Where a group begins.
#[derive(Debug, Clone, Copy)]
struct Begins {
    stream: u64,
    plain: u64,
    rest: u64,
}

/// What a part of a stream is made of. Ranges are of the material.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// These bytes as they are.
    Stored(ByteRange),
    /// A unit.
    Packed {
        /// What it holds.
        plain: ByteRange,
        /// Its corrections.
        corrections: ByteRange,
        /// Its length.
        packed_bytes: u32,
        /// Its sum.
        sum: [u8; 4],
        /// Where in it the part begins.
        skip: u64,
    },
}

impl Segment {
    /// How long the part is.
    pub fn bytes(&self) -> u64 {
        match self {
            Segment::Stored(range) => range.len(),
            Segment::Packed { packed_bytes, skip, .. } => u64::from(*packed_bytes) - skip,
        }
    }
}

impl Group {
    fn sums(&self) -> (u64, u64, u64) {
        self.steps.iter().fold((0, 0, 0), |(stream, plain, rest), step| {
            (stream + step.bytes(), plain + step.plain_bytes(), rest + step.rest_bytes())
        })
    }
}

impl Composition {
    /// Of a recipe that was read.
    pub fn new(recipe: Recipe) -> Composition {
        let (mut stream, mut material) = (0u64, 0u64);
        let mut groups = Vec::with_capacity(recipe.groups.len());
        for group in &recipe.groups {
            let (made, plain, rest) = group.sums();
            groups.push(Begins { stream, plain: material, rest: material + plain });
            stream += made;
            material += (plain + rest).next_multiple_of(BLOCK_BYTES);
        }
        Composition { recipe, groups }
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Memory it takes, in bytes, about.
    pub fn weight(&self) -> usize {
        self.recipe.weight() + self.groups.capacity() * size_of::<Begins>()
    }

    /// What the byte `at` of the stream, and those after it up to the end of their step, are made of.
    pub fn segment_at(&self, at: u64) -> Option<Segment> {
        let index = self.groups.partition_point(|group| group.stream <= at).checked_sub(1)?;
        let Begins { mut stream, mut plain, mut rest } = self.groups[index];
        for step in &self.recipe.groups[index].steps {
            let end = stream + step.bytes();
            if at < end {
                return Some(segment(step, at - stream, plain, rest));
            }
            (stream, plain, rest) = (end, plain + step.plain_bytes(), rest + step.rest_bytes());
        }
        None
    }

    /// Which ranges of the stream need any of these bytes of the material.
    pub fn made_of(&self, material: ByteRange) -> Vec<ByteRange> {
        let mut found: Vec<ByteRange> = Vec::new();
        let first = self.groups.partition_point(|group| group.plain <= material.start).saturating_sub(1);
        let groups = self.groups.iter().zip(&self.recipe.groups).skip(first);
        for (begins, group) in groups.take_while(|(begins, _)| begins.plain < material.end) {
            let Begins { mut stream, mut plain, mut rest } = *begins;
            for step in &group.steps {
                let takes =
                    |from: u64, bytes: u64| bytes > 0 && from < material.end && material.start < from + bytes;
                if takes(plain, step.plain_bytes()) || takes(rest, step.rest_bytes()) {
                    match found.last_mut() {
                        Some(last) if last.end == stream => last.end += step.bytes(),
                        _ => found.push(ByteRange { start: stream, end: stream + step.bytes() }),
                    }
                }
                stream += step.bytes();
                plain += step.plain_bytes();
                rest += step.rest_bytes();
            }
        }
        found
    }

    /// Bytes of the material that it needs.
    pub fn material_bytes(&self) -> u64 {
        let of_last = |group: &Group| {
            let (_, plain, rest) = group.sums();
            (plain + rest).next_multiple_of(BLOCK_BYTES)
        };
        let begins = self.groups.last().map_or(0, |begins| begins.plain);
        begins + self.recipe.groups.last().map_or(0, of_last)
    }
}

fn segment(step: &Step, skip: u64, plain: u64, rest: u64) -> Segment {
    match *step {
        Step::Rest { bytes } => {
            Segment::Stored(ByteRange { start: rest + skip, end: rest + u64::from(bytes) })
        }
        Step::Plain { bytes } => {
            Segment::Stored(ByteRange { start: plain + skip, end: plain + u64::from(bytes) })
        }
        Step::Packed { packed_bytes, plain_bytes, correction_bytes, sum } => Segment::Packed {
            plain: ByteRange { start: plain, end: plain + u64::from(plain_bytes) },
            corrections: ByteRange { start: rest, end: rest + u64::from(correction_bytes) },
            packed_bytes,
            sum,
            skip,
        },
    }
}

/// Refuses a recipe that does not make a stream of `size_bytes` of `material_bytes`, or by means that this release does not
/// have.
pub(super) fn expect_sound(recipe: &Recipe, size_bytes: u64, material_bytes: u64) -> Result<(), Error> {
    let made = recipe.size_bytes();
    let needs = Composition::new(recipe.clone()).material_bytes();
    if made != size_bytes || needs > material_bytes {
        let reason = format!("it makes {made} bytes of {needs}, not {size_bytes} of {material_bytes}");
        return Err(Error::damaged("a stream's recipe", reason));
    }
    Ok(())
}
