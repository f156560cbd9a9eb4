//! Names and numbers that containers carry so that no two are taken for one: made from the data, not by chance.

use uuid::{Builder, Uuid};

/// Where the names of one disk's files come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names([u8; 32]);

impl Names {
    /// Those of the disk that this digest stands for.
    pub fn new(seed: [u8; 32]) -> Names {
        Names(seed)
    }

    /// The name for a purpose.
    pub(super) fn uuid(&self, purpose: &str) -> Uuid {
        Builder::from_custom_bytes(self.bytes(purpose)).into_uuid()
    }

    /// The number for a purpose, which is neither all zeros nor all ones.
    pub(super) fn number(&self, purpose: &str) -> u32 {
        let [a, b, c, d, ..]: [u8; 16] = self.bytes(purpose);
        u32::from_le_bytes([a, b, c, d]).clamp(1, u32::MAX - 2)
    }

    fn bytes<const N: usize>(&self, purpose: &str) -> [u8; N] {
        let mut bytes = [0; N];
        blake3::Hasher::new_keyed(&self.0).update(purpose.as_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }
}
