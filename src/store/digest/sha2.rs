//! SHA-2 by whole blocks. The crate uses what instructions the processor has for it.

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::digest::{Digest, Output};

use super::Algorithm;

/// SHA-512 or SHA-256.
#[derive(Clone, Default)]
pub struct Sha2<D, const N: usize>(D);

impl<D, const N: usize> Algorithm for Sha2<D, N>
where
    D: Digest + SerializableState + Clone + Default + Send + 'static,
    [u8; N]: From<Output<D>>,
{
    type Output = [u8; N];

    fn blocks(&mut self, whole: &[u8]) {
        self.0.update(whole);
    }

    fn finalize(&self, tail: &[u8]) -> [u8; N] {
        self.0.clone().chain_update(tail).finalize().into()
    }

    fn state(&self) -> Vec<u8> {
        self.0.serialize().to_vec()
    }

    fn resume(state: &[u8]) -> Option<Self> {
        let state = <&SerializedState<D>>::try_from(state).ok()?;
        D::deserialize(state).ok().map(Sha2)
    }
}
