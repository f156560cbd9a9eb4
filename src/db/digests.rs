//! Digests as records hold them: the catalog's of images and the store's of streams have one form.
//!
//! Must not know which record it stands in.

use serde::{Deserialize, Serialize};

use crate::model::{Digests, SecureHash};

/// Digests in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestsForm {
    md5: Option<[u8; 16]>,
    secure: Option<SecureForm>,
    blake3: [u8; 32],
}

/// A hash in a record. New algorithms are appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum SecureForm {
    /// In halves, because serde knows arrays up to 32 bytes only.
    Sha512([[u8; 32]; 2]),
    Sha256([u8; 32]),
}

/// The first form: every stream had an MD5 and a SHA-512.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstDigestsForm {
    md5: [u8; 16],
    sha512: [[u8; 32]; 2],
    blake3: [u8; 32],
}

impl From<&Digests> for DigestsForm {
    fn from(digests: &Digests) -> DigestsForm {
        let secure = digests.secure.map(|hash| match hash {
            SecureHash::Sha512(value) => SecureForm::Sha512(halves(&value)),
            SecureHash::Sha256(value) => SecureForm::Sha256(value),
        });
        DigestsForm { md5: digests.md5, secure, blake3: digests.blake3 }
    }
}

impl From<DigestsForm> for Digests {
    fn from(form: DigestsForm) -> Digests {
        let secure = form.secure.map(|hash| match hash {
            SecureForm::Sha512(halves) => SecureHash::Sha512(whole(&halves)),
            SecureForm::Sha256(value) => SecureHash::Sha256(value),
        });
        Digests { md5: form.md5, secure, blake3: form.blake3 }
    }
}

impl From<FirstDigestsForm> for DigestsForm {
    fn from(first: FirstDigestsForm) -> DigestsForm {
        DigestsForm {
            md5: Some(first.md5),
            secure: Some(SecureForm::Sha512(first.sha512)),
            blake3: first.blake3,
        }
    }
}

impl From<FirstDigestsForm> for Digests {
    fn from(first: FirstDigestsForm) -> Digests {
        DigestsForm::from(first).into()
    }
}

fn halves(value: &[u8; 64]) -> [[u8; 32]; 2] {
    let (halves, _) = value.as_chunks();
    [halves[0], halves[1]]
}

fn whole(halves: &[[u8; 32]; 2]) -> [u8; 64] {
    std::array::from_fn(|i| halves[i / 32][i % 32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_of_digests_survives() {
        let sha512 = SecureHash::Sha512(std::array::from_fn(|i| i as u8));
        for md5 in [None, Some([1; 16])] {
            for secure in [None, Some(sha512), Some(SecureHash::Sha256([3; 32]))] {
                let digests = Digests { md5, secure, blake3: [2; 32] };
                assert_eq!(Digests::from(DigestsForm::from(&digests)), digests);
            }
        }
    }
}
