//! Numbers at places of a structure.
//!
//! Invariant: nothing is read past the end of the bytes; what is not there reads as 0 only where a format says so, which
//! its reader asks for by [`Option::unwrap_or_default`].

/// The `N` bytes from `at` on.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Fields of one structure that is there whole: a place past its end reads as zeros, which no caller asks for.
pub(super) struct Fields<'b>(pub(super) &'b [u8]);

impl<'b> Fields<'b> {
    pub(super) fn be16(&self, at: usize) -> u16 {
        array(self.0, at).map(u16::from_be_bytes).unwrap_or_default()
    }

    pub(super) fn be32(&self, at: usize) -> u32 {
        array(self.0, at).map(u32::from_be_bytes).unwrap_or_default()
    }

    pub(super) fn be64(&self, at: usize) -> u64 {
        array(self.0, at).map(u64::from_be_bytes).unwrap_or_default()
    }

    pub(super) fn le16(&self, at: usize) -> u16 {
        array(self.0, at).map(u16::from_le_bytes).unwrap_or_default()
    }

    pub(super) fn le32(&self, at: usize) -> u32 {
        array(self.0, at).map(u32::from_le_bytes).unwrap_or_default()
    }

    pub(super) fn le64(&self, at: usize) -> u64 {
        array(self.0, at).map(u64::from_le_bytes).unwrap_or_default()
    }

    /// The bytes of this range.
    pub(super) fn bytes(&self, at: usize, count: usize) -> &'b [u8] {
        at.checked_add(count).and_then(|end| self.0.get(at..end)).unwrap_or_default()
    }

    pub(super) fn is_zero(&self, at: usize, count: usize) -> bool {
        self.bytes(at, count).iter().all(|byte| *byte == 0)
    }
}
