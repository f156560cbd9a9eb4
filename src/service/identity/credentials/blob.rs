//! What credentials say, sealed under the root of access keys, which is in neither the store nor its log in the clear.
//!
//! Invariant: each key seals once, as it follows from 256 random bits of its own; a text that was moved to another
//! credential does not open.

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

use crate::base::Entropy;
use crate::model::credential::SealedBlob;
use crate::service::identity::AccessRoot;

/// Each key seals one text, so that one nonce does for all.
const NONCE: [u8; 12] = [0; 12];

/// Seals what the credential with this id says.
pub(super) fn seal(root: &AccessRoot, entropy: &dyn Entropy, id: &str, text: &str) -> Option<SealedBlob> {
    let mut salt = [0; 32];
    entropy.fill(&mut salt);
    let mut bytes = text.as_bytes().to_vec();
    cipher(root, &salt).encrypt_in_place(&NONCE.into(), id.as_bytes(), &mut bytes).ok()?;
    Some(SealedBlob { root: root.name(), salt, bytes })
}

/// What the credential with this id says; `None` when it was sealed under another root, or changed.
pub(super) fn open(root: &AccessRoot, id: &str, blob: &SealedBlob) -> Option<Zeroizing<String>> {
    if root.name() != blob.root {
        return None;
    }
    let mut bytes = blob.bytes.clone();
    cipher(root, &blob.salt).decrypt_in_place(&NONCE.into(), id.as_bytes(), &mut bytes).ok()?;
    String::from_utf8(bytes).ok().map(Zeroizing::new)
}

fn cipher(root: &AccessRoot, salt: &[u8; 32]) -> Aes256Gcm {
    let key = root.key_of_blob(salt);
    Aes256Gcm::new(&(*key).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::OsEntropy;

    #[test]
    fn a_text_opens_under_its_root_and_for_its_credential_alone() {
        let (root, other) = (AccessRoot::generate(&OsEntropy), AccessRoot::generate(&OsEntropy));
        let blob = seal(&root, &OsEntropy, "one", "a secret").unwrap();
        assert_eq!(open(&root, "one", &blob).unwrap().as_str(), "a secret");
        assert!(!String::from_utf8_lossy(&blob.bytes).contains("secret"));
        assert!(open(&root, "two", &blob).is_none());
        assert!(open(&other, "one", &blob).is_none());
        let mut changed = blob.clone();
        changed.bytes[0] ^= 1;
        assert!(open(&root, "one", &changed).is_none());
        assert_ne!(seal(&root, &OsEntropy, "one", "a secret").unwrap().salt, blob.salt);
    }
}
