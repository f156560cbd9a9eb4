//! Records as bytes: one version byte, then bincode 1 in its default form (little-endian,
//! fixed-width integers, 64-bit lengths).
//!
//! The only user of bincode. The form is byte-identical to `bincode` 2 `config::legacy()` and to
//! `wincode`, which are the way out should bincode 1 ever fail us. Golden-byte tests next to each
//! record type hold it still. Never `skip_serializing_if`, `flatten` or `untagged` in a record.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type that is kept on disk. A change of shape gets a new version and a way from the old one.
pub trait Record: Serialize + DeserializeOwned {
    /// The version this release writes.
    const VERSION: u8;
    /// The record's name, for error messages.
    const NAME: &'static str;

    /// Reads a version other than [`Self::VERSION`]; by default there is none.
    ///
    /// # Errors
    /// [`Unreadable`] when the version is unknown or the bytes do not fit it.
    fn decode_other(version: u8, _bytes: &[u8]) -> Result<Self, Unreadable> {
        Err(Unreadable { name: Self::NAME, reason: format!("version {version} is unknown") })
    }
}

/// Bytes that are no record of the type expected.
#[derive(Debug, Clone, thiserror::Error)]
#[error("unreadable {name} record: {reason}")]
pub struct Unreadable {
    /// What was expected.
    pub name: &'static str,
    /// What was found.
    pub reason: String,
}

impl From<Unreadable> for super::Error {
    fn from(error: Unreadable) -> Self {
        super::Error::Corrupt(error.to_string())
    }
}

/// The longest record that is read, in bytes; a 2^20-extent manifest is 32 MiB.
pub const RECORD_BYTES_MAX: u64 = 1 << 30;

fn options() -> impl Options {
    bincode::options().with_fixint_encoding().reject_trailing_bytes().with_limit(RECORD_BYTES_MAX)
}

/// Writes a record.
///
/// # Panics
/// When a record is longer than [`RECORD_BYTES_MAX`], which callers' own bounds exclude.
#[allow(clippy::expect_used)]
pub fn encode<R: Record>(record: &R) -> Vec<u8> {
    let mut out = vec![R::VERSION];
    options().serialize_into(&mut out, record).expect("records have no unserialisable parts");
    out
}

/// Reads a record.
///
/// # Errors
/// [`Unreadable`] on an unknown version, a wrong shape, or bytes left over.
pub fn decode<R: Record>(bytes: &[u8]) -> Result<R, Unreadable> {
    let (&version, body) = bytes.split_first().ok_or(Unreadable { name: R::NAME, reason: "empty".into() })?;
    if version != R::VERSION {
        return R::decode_other(version, body);
    }
    decode_body(body)
}

/// Reads what follows the version byte of an `R` of its present version: for the ways from an old
/// form to the new one.
///
/// # Errors
/// [`Unreadable`] on a wrong shape, or bytes left over.
pub fn decode_body<R: Record>(body: &[u8]) -> Result<R, Unreadable> {
    options().deserialize(body).map_err(|e| Unreadable { name: R::NAME, reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Sample {
        number: u32,
        text: String,
        maybe: Option<[u8; 2]>,
    }

    impl Record for Sample {
        const VERSION: u8 = 3;
        const NAME: &'static str = "sample";
    }

    #[test]
    fn the_form_is_golden() {
        let sample = Sample { number: 258, text: "ab".into(), maybe: Some([9, 8]) };
        let bytes = encode(&sample);
        assert_eq!(bytes, [3, 2, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', 1, 9, 8]);
        assert_eq!(decode::<Sample>(&bytes).unwrap(), sample);
    }

    #[test]
    fn wrong_bytes_are_refused() {
        let bytes = encode(&Sample { number: 1, text: String::new(), maybe: None });
        assert!(decode::<Sample>(&[]).is_err());
        assert!(decode::<Sample>(&[&[4], &bytes[1..]].concat()).is_err());
        assert!(decode::<Sample>(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode::<Sample>(&[&bytes[..], &[0]].concat()).is_err());
        let mut huge = bytes.clone();
        huge[5..13].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(decode::<Sample>(&huge).is_err());
    }
}
