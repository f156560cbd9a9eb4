//! The digests of a stream on its way in: those that were chosen when it began, and BLAKE3.
//!
//! Invariant: what was not chosen is not computed, and a stream that is taken up again goes on with
//! what it began with. Must not know which thread computes what.

use serde::{Deserialize, Serialize};

use super::super::digest::{Md5Blocks, SecureBlocks, Sha256Blocks, Sha512Blocks};
use super::super::root::Root;
use crate::model::{DigestChoice, Digests};

/// Digests so far.
#[derive(Clone)]
pub struct Digesting {
    /// MD5, where it was chosen.
    pub md5: Option<Md5Blocks>,
    /// The hash that was chosen.
    pub secure: Option<SecureBlocks>,
    /// BLAKE3.
    pub root: Root,
}

/// States of the digests that were chosen, after the last whole block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct States {
    /// MD5's.
    pub md5: Option<Vec<u8>>,
    /// The hash's.
    pub secure: Option<SecureState>,
}

/// The state of a hash. New algorithms are appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecureState {
    /// SHA-512's.
    Sha512(Vec<u8>),
    /// SHA-256's.
    Sha256(Vec<u8>),
}

impl Digesting {
    /// Of no bytes yet.
    pub fn new(choice: DigestChoice) -> Digesting {
        let secure = choice.secure.map(SecureBlocks::new);
        Digesting { md5: choice.md5.then(Md5Blocks::default), secure, root: Root::default() }
    }

    /// Goes on from these states; what follows the last whole block, and what `root` has not settled, is
    /// to be given again. `None` when a state is none.
    pub fn resume(states: &States, root: Root) -> Option<Digesting> {
        let md5 = match &states.md5 {
            Some(state) => Some(Md5Blocks::resume(state)?),
            None => None,
        };
        let secure = match &states.secure {
            Some(SecureState::Sha512(state)) => Some(SecureBlocks::Sha512(Sha512Blocks::resume(state)?)),
            Some(SecureState::Sha256(state)) => Some(SecureBlocks::Sha256(Sha256Blocks::resume(state)?)),
            None => None,
        };
        Some(Digesting { md5, secure, root })
    }

    /// Takes again what the states do not cover: `tail` behind the last whole block, `unsettled` behind
    /// the last complete subtree.
    pub fn repeat(&mut self, tail: &[u8], unsettled: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(tail);
        }
        if let Some(secure) = &mut self.secure {
            secure.update(tail);
        }
        self.root.update(unsettled);
    }

    /// How to go on, but for the root.
    pub fn states(&self) -> States {
        let secure = self.secure.as_ref().map(|blocks| match blocks {
            SecureBlocks::Sha512(blocks) => SecureState::Sha512(blocks.state()),
            SecureBlocks::Sha256(blocks) => SecureState::Sha256(blocks.state()),
        });
        States { md5: self.md5.as_ref().map(Md5Blocks::state), secure }
    }

    /// The digests of all bytes so far.
    pub fn finalize(&self) -> Digests {
        Digests {
            md5: self.md5.as_ref().map(Md5Blocks::finalize),
            secure: self.secure.as_ref().map(SecureBlocks::finalize),
            blake3: self.root.finalize(),
        }
    }
}
