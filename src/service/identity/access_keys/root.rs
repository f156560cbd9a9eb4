//! Secrets of access keys, and the root that all of them follow from.
//!
//! A signature can only be checked by who has the secret, so no hash of it would do. Instead of keeping
//! secrets, each follows from the root and the key's public half. Invariant: neither has a printed
//! form, and both are wiped when dropped.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::base::Entropy;
use crate::catalog::access_keys::ROOT_BYTES;
use crate::model::AccessId;
use crate::model::access_key::RootName;

/// Characters of a secret: hex digits, 160 bits.
const SECRET_CHARS: usize = 40;

/// What every secret of a box follows from. No `Debug`: whoever has it can sign as anyone with a key.
#[derive(Clone)]
pub struct AccessRoot(Zeroizing<[u8; ROOT_BYTES]>);

impl AccessRoot {
    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> AccessRoot {
        let mut root = Zeroizing::new([0; ROOT_BYTES]);
        entropy.fill(root.as_mut());
        AccessRoot(root)
    }

    /// Reads the form of [`AccessRoot::to_hex`], with or without a line end.
    pub fn parse(text: &str) -> Option<AccessRoot> {
        let mut root = Zeroizing::new([0; ROOT_BYTES]);
        hex::decode_to_slice(text.trim_end(), root.as_mut()).ok()?;
        Some(AccessRoot(root))
    }

    /// The root as 64 hex digits, for the one file that keeps it.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0.as_ref()))
    }

    pub(super) fn new(bytes: Zeroizing<[u8; ROOT_BYTES]>) -> AccessRoot {
        AccessRoot(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; ROOT_BYTES] {
        &self.0
    }

    /// What tells it from another root, and nothing else of it.
    pub(in crate::service::identity) fn name(&self) -> RootName {
        let digest = blake3::derive_key("tintype 2026-11 name of an access key root", self.0.as_ref());
        let [a, b, c, d, e, f, g, h, ..] = digest;
        [a, b, c, d, e, f, g, h]
    }

    /// The secret of the access key with this public half.
    pub(super) fn secret_of(&self, access: &AccessId) -> AccessSecret {
        self.secret(format!("access key secret {access}").as_bytes())
    }

    /// The secret of the temporary key whose security token says `words`.
    pub(super) fn secret_of_token(&self, words: &[u8]) -> AccessSecret {
        self.secret(&[b"temporary access key secret ", words].concat())
    }

    /// What proves that a security token which says `words` was made under this root.
    pub(super) fn code_of_token(&self, words: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, &[b"security token ", words].concat()).as_bytes()
    }

    /// The key that links to images are signed with.
    pub(in crate::service) fn key_of_links(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*blake3::keyed_hash(&self.0, b"image links").as_bytes())
    }

    /// The key that seals what one credential says.
    pub(in crate::service::identity) fn key_of_blob(&self, salt: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*blake3::keyed_hash(&self.0, &[b"credential blob ", &salt[..]].concat()).as_bytes())
    }

    fn secret(&self, of: &[u8]) -> AccessSecret {
        let digest = Zeroizing::new(*blake3::keyed_hash(&self.0, of).as_bytes());
        let mut text = Zeroizing::new(hex::encode(digest.as_ref()));
        text.truncate(SECRET_CHARS);
        AccessSecret(text)
    }
}

/// The secret half of an access key. Has no `Debug`.
#[derive(Clone)]
pub struct AccessSecret(Zeroizing<String>);

impl AccessSecret {
    /// The text, for whoever the key was made for.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `signature` is the HMAC-SHA-256 of `text` under this secret. Takes as long when it is not.
    pub(super) fn signed(&self, text: &str, signature: &[u8; 32]) -> bool {
        // HMAC takes keys of any length, so that this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()) else { return false };
        mac.update(text.as_bytes());
        mac.verify_slice(signature).is_ok()
    }
}

/// A public half: 20 letters and digits, 100 random bits.
pub(super) fn new_access_id(entropy: &dyn Entropy) -> AccessId {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut random = [0; 20];
    entropy.fill(&mut random);
    AccessId(random.iter().map(|&byte| char::from(LETTERS[usize::from(byte & 31)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::OsEntropy;

    #[test]
    fn secrets_follow_from_the_root_and_the_public_half_alone() {
        let root = AccessRoot::generate(&OsEntropy);
        let again = AccessRoot::parse(&format!("{}\n", *root.to_hex())).unwrap();
        let access = new_access_id(&OsEntropy);
        assert_eq!(root.secret_of(&access).expose(), again.secret_of(&access).expose());
        assert_eq!(root.name(), again.name());
        let other = AccessRoot::generate(&OsEntropy);
        assert_ne!(root.secret_of(&access).expose(), other.secret_of(&access).expose());
        assert_ne!(root.name(), other.name());
        assert_ne!(root.secret_of(&access).expose(), root.secret_of(&new_access_id(&OsEntropy)).expose());
        assert!(AccessRoot::parse("abc").is_none());
    }

    #[test]
    fn the_form_of_a_key_is_what_clients_take() {
        let access = new_access_id(&OsEntropy);
        assert_eq!(access.as_str().len(), 20);
        assert!(access.as_str().bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
        assert_eq!(AccessRoot::generate(&OsEntropy).secret_of(&access).expose().len(), SECRET_CHARS);
    }
}
