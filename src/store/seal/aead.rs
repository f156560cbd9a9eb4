//! AES-256-GCM from one of two sources that give the same bytes.
//!
//! Owns the choice: with the feature `fast-crypto` the assembly of aws-lc, else (and beside it in
//! tests) the portable crate. Tests write down every key and nonce they meet.

#[cfg(all(not(test), feature = "fast-crypto"))]
pub(in crate::store) use fast::Aead;
#[cfg(all(not(test), not(feature = "fast-crypto")))]
pub(in crate::store) use portable::Aead;
#[cfg(test)]
pub(in crate::store) use recorded::Aead;

#[cfg(test)]
pub(in crate::store) mod recorded {
    //! The build's cipher, with a record of every seal made in this process.

    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex};

    #[cfg(feature = "fast-crypto")]
    use super::fast::Aead as Cipher;
    #[cfg(not(feature = "fast-crypto"))]
    use super::portable::Aead as Cipher;
    use crate::store::seal::{KEY_BYTES, Unsealable};

    type Key = [u8; KEY_BYTES];

    static SEALS: LazyLock<Mutex<HashMap<Key, Vec<[u8; 12]>>>> = LazyLock::new(Mutex::default);

    /// Every nonce that `key` sealed with, in order.
    pub(in crate::store) fn nonces_of(key: &Key) -> Vec<[u8; 12]> {
        SEALS.lock().unwrap().get(key).cloned().unwrap_or_default()
    }

    /// A key, ready for use.
    pub(in crate::store) struct Aead(Cipher, Key);

    impl Aead {
        pub(in crate::store) fn new(key: &Key) -> Aead {
            Aead(Cipher::new(key), *key)
        }

        pub(in crate::store) fn seal(&self, nonce: &[u8; 12], bound: &[u8], data: &mut Vec<u8>) {
            SEALS.lock().unwrap().entry(self.1).or_default().push(*nonce);
            self.0.seal(nonce, bound, data);
        }

        pub(in crate::store) fn open(
            &self,
            nonce: &[u8; 12],
            bound: &[u8],
            data: &mut Vec<u8>,
        ) -> Result<(), Unsealable> {
            self.0.open(nonce, bound, data)
        }
    }
}

#[cfg(feature = "fast-crypto")]
pub(super) mod fast {
    //! AES-256-GCM by aws-lc.

    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

    use crate::store::seal::{KEY_BYTES, Unsealable};

    /// A key, ready for use.
    pub(in crate::store) struct Aead(LessSafeKey);

    impl Aead {
        #[allow(clippy::expect_used)]
        pub(in crate::store) fn new(key: &[u8; KEY_BYTES]) -> Aead {
            let key = UnboundKey::new(&AES_256_GCM, key).expect("the key has the cipher's length");
            Aead(LessSafeKey::new(key))
        }

        #[allow(clippy::expect_used)]
        pub(in crate::store) fn seal(&self, nonce: &[u8; 12], bound: &[u8], data: &mut Vec<u8>) {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(bound), data);
            let tag = tag.expect("nothing near the cipher's limit of 64 GiB is ever sealed");
            data.extend_from_slice(tag.as_ref());
        }

        pub(in crate::store) fn open(
            &self,
            nonce: &[u8; 12],
            bound: &[u8],
            data: &mut Vec<u8>,
        ) -> Result<(), Unsealable> {
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let opened = self.0.open_in_place(nonce, Aad::from(bound), data).map(|plain| plain.len());
            // What a failed opening leaves behind must not be taken for data.
            data.truncate(opened.unwrap_or(0));
            opened.map(|_| ()).map_err(|_| Unsealable)
        }
    }
}

#[cfg(any(test, not(feature = "fast-crypto")))]
pub(super) mod portable {
    //! AES-256-GCM in Rust alone.

    use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};

    use crate::store::seal::{KEY_BYTES, Unsealable};

    /// A key, ready for use.
    pub(in crate::store) struct Aead(Aes256Gcm);

    impl Aead {
        pub(in crate::store) fn new(key: &[u8; KEY_BYTES]) -> Aead {
            Aead(Aes256Gcm::new(key.into()))
        }

        #[allow(clippy::expect_used)]
        pub(in crate::store) fn seal(&self, nonce: &[u8; 12], bound: &[u8], data: &mut Vec<u8>) {
            let sealed = self.0.encrypt_in_place(nonce.into(), bound, data);
            sealed.expect("nothing near the cipher's limit of 64 GiB is ever sealed");
        }

        pub(in crate::store) fn open(
            &self,
            nonce: &[u8; 12],
            bound: &[u8],
            data: &mut Vec<u8>,
        ) -> Result<(), Unsealable> {
            let opened = self.0.decrypt_in_place(nonce.into(), bound, data);
            if opened.is_err() {
                // What a failed opening leaves behind must not be taken for data.
                data.clear();
            }
            opened.map_err(|_| Unsealable)
        }
    }
}
