//! Where in its material each byte of a stream comes from. Pure.

use super::super::cutter::BLOCK_BYTES;
use super::super::error::Error;
use super::{PREFLATE_0_7, Recipe, Step};
use crate::model::ByteRange;

/// A recipe made ready for look-ups by offset.
pub struct Composition {
    recipe: Recipe,
    groups: Vec<Begins>,
    /// Where a further group would begin.
    end: Begins,
}

/// Where a group or a step begins, in the stream and in both parts of its material.
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

impl Begins {
    /// Goes on to the next step.
    fn pass(&mut self, step: &Step) {
        self.stream += step.bytes();
        self.plain += step.plain_bytes();
        self.rest += step.rest_bytes();
    }
}

impl Composition {
    /// Of a recipe that was read.
    pub fn new(recipe: Recipe) -> Composition {
        let mut next =
            Begins { stream: 0, plain: 0, rest: recipe.plain_bytes().next_multiple_of(BLOCK_BYTES) };
        let mut groups = Vec::with_capacity(recipe.groups.len());
        for group in &recipe.groups {
            groups.push(next);
            group.steps.iter().for_each(|step| next.pass(step));
        }
        Composition { recipe, groups, end: next }
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Refuses units that are made by means that this release does not have.
    ///
    /// # Errors
    /// [`Error::NewerFormat`].
    pub fn expect_known(&self) -> Result<(), Error> {
        match self.recipe.codec {
            PREFLATE_0_7 => Ok(()),
            other => Err(Error::NewerFormat { found: other.into(), supported: PREFLATE_0_7.into() }),
        }
    }

    /// Memory it takes, in bytes, about.
    pub fn weight(&self) -> usize {
        self.recipe.weight() + self.groups.capacity() * size_of::<Begins>()
    }

    /// What the byte `at` of the stream, and those after it up to the end of their step, are made of.
    pub fn segment_at(&self, at: u64) -> Option<Segment> {
        let index = self.groups.partition_point(|group| group.stream <= at).checked_sub(1)?;
        let mut begins = self.groups[index];
        for step in &self.recipe.groups[index].steps {
            if at < begins.stream + step.bytes() {
                return Some(segment(step, at - begins.stream, begins));
            }
            begins.pass(step);
        }
        None
    }

    /// Which ranges of the stream need any of these bytes of the material.
    pub fn made_of(&self, material: ByteRange) -> Vec<ByteRange> {
        let mut found: Vec<ByteRange> = Vec::new();
        for (begins, group) in self.groups.iter().zip(&self.recipe.groups) {
            let mut begins = *begins;
            for step in &group.steps {
                let takes =
                    |from: u64, bytes: u64| bytes > 0 && from < material.end && material.start < from + bytes;
                if takes(begins.plain, step.plain_bytes()) || takes(begins.rest, step.rest_bytes()) {
                    let end = begins.stream + step.bytes();
                    match found.last_mut() {
                        Some(last) if last.end == begins.stream => last.end = end,
                        _ => found.push(ByteRange { start: begins.stream, end }),
                    }
                }
                begins.pass(step);
            }
        }
        found
    }

    /// Bytes of the material that it needs.
    pub fn material_bytes(&self) -> u64 {
        self.end.rest
    }
}

fn segment(step: &Step, skip: u64, Begins { plain, rest, .. }: Begins) -> Segment {
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

/// Refuses a recipe that does not make a stream of `size_bytes` of `material_bytes`.
pub(super) fn expect_sound(recipe: &Recipe, size_bytes: u64, material_bytes: u64) -> Result<(), Error> {
    let made = recipe.size_bytes();
    let needs = Composition::new(recipe.clone()).material_bytes();
    if made != size_bytes || needs > material_bytes {
        let reason = format!("it makes {made} bytes of {needs}, not {size_bytes} of {material_bytes}");
        return Err(Error::damaged("a stream's recipe", reason));
    }
    Ok(())
}
