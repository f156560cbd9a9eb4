//! How long the packed units of a disk are: what places in a compressed file follow from.
//!
//! Invariant: memory is four bytes a unit, and a little.

/// Units between two sums that are kept.
const STRIDE: usize = 256;

/// The sizes of packed units, by ordinal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sizes {
    each: Vec<u32>,
    /// What was before each `STRIDE`th unit.
    sums: Vec<Before>,
    all: Before,
}

/// What units take, summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Before {
    /// Bytes of those that got smaller.
    pub(super) packed_bytes: u64,
    /// How many did not get smaller.
    pub(super) plain: u64,
    /// Sectors of all, each with a marker of 12 bytes before it.
    pub(super) marked_sectors: u64,
    /// How many are not zeros.
    pub(super) there: u64,
}

/// A unit, and what is before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sized {
    /// Its own size; 0 for zeros.
    pub(super) packed_bytes: u64,
    /// Of the units before it.
    pub(super) before: Before,
}

const UNIT: u32 = super::UNIT_BYTES as u32;
pub(super) const MARKER_BYTES: u64 = 12;

impl Before {
    fn add(&mut self, bytes: u32) {
        if bytes == 0 {
            return;
        }
        self.there += 1;
        self.marked_sectors += (u64::from(bytes) + MARKER_BYTES).div_ceil(512);
        if bytes < UNIT {
            self.packed_bytes += u64::from(bytes);
        } else {
            self.plain += 1;
        }
    }
}

impl Sizes {
    /// Takes note of the next unit: the bytes that it packs to, none for zeros.
    pub fn push(&mut self, packed_bytes: usize) {
        if self.each.len().is_multiple_of(STRIDE) {
            self.sums.push(self.all);
        }
        let bytes = u32::try_from(packed_bytes).unwrap_or(u32::MAX);
        self.each.push(bytes);
        self.all.add(bytes);
    }

    /// Memory that sizes of so many units take, in bytes.
    pub fn bytes_for(units: u64) -> u64 {
        units * size_of::<u32>() as u64 + units.div_ceil(STRIDE as u64) * size_of::<Before>() as u64
    }

    /// Of all units.
    pub(super) fn all(&self) -> Before {
        self.all
    }

    /// Memory that it takes, in bytes.
    pub(super) fn kept_bytes(&self) -> u64 {
        Sizes::bytes_for(self.each.len() as u64)
    }

    /// The units from this ordinal on.
    pub(super) fn from(&self, ordinal: u64) -> impl Iterator<Item = (u64, Sized)> + '_ {
        let at = usize::try_from(ordinal).unwrap_or(usize::MAX).min(self.each.len());
        let start = at / STRIDE;
        let mut before = self.sums.get(start).copied().unwrap_or(self.all);
        let known = self.each.get(start * STRIDE..).unwrap_or_default();
        known.iter().zip((start * STRIDE) as u64..).filter_map(move |(bytes, number)| {
            let unit = Sized { packed_bytes: u64::from(*bytes), before };
            before.add(*bytes);
            (number >= ordinal).then_some((number, unit))
        })
    }

    /// The last unit before which there is no more than `wanted` of something that units add to: where that lies before the
    /// end, the unit that it lies in, as those that add nothing cannot follow it.
    pub(super) fn find(&self, wanted: u64, of: impl Fn(&Before) -> u64) -> Option<(u64, Sized)> {
        let block = self.sums.partition_point(|before| of(before) <= wanted).checked_sub(1)?;
        self.from((block * STRIDE) as u64).take_while(|(_, unit)| of(&unit.before) <= wanted).last()
    }
}
