//! The master key: what an operator keeps outside the store.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::base::Entropy;
use crate::store::seal::KEY_BYTES;

/// The key that wraps all others. Without it a sealed store cannot be read by anyone.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

/// Bytes that are no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// Neither 32 bytes nor 64 digits.
    #[error("a master key is 64 hexadecimal digits or exactly 32 raw bytes; this has {0} bytes")]
    Length(usize),
    /// As long as 64 digits, but not all are.
    #[error("a master key of 64 characters must be hexadecimal digits; character {0} is none")]
    Digit(usize),
}

impl MasterKey {
    /// Draws a new key.
    pub fn generate(entropy: &dyn Entropy) -> MasterKey {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        entropy.fill(&mut *key);
        MasterKey(key)
    }

    /// Reads a key file: exactly 32 raw bytes, or 64 hexadecimal digits with or without a line end.
    ///
    /// # Errors
    /// [`NotAKey`], which tells nothing of the bytes.
    pub fn parse(bytes: &[u8]) -> Result<MasterKey, NotAKey> {
        if let Ok(raw) = bytes.try_into() {
            return Ok(MasterKey(Zeroizing::new(raw)));
        }
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() != 2 * KEY_BYTES {
            return Err(NotAKey::Length(bytes.len()));
        }
        if let Some(at) = text.iter().position(|byte| !byte.is_ascii_hexdigit()) {
            return Err(NotAKey::Digit(at + 1));
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(text, &mut *key).map_err(|_| NotAKey::Length(bytes.len()))?;
        Ok(MasterKey(key))
    }

    /// The key as 64 hexadecimal digits, to be written to a key file.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0.as_slice()))
    }

    /// Whether both are the same key.
    pub(super) fn is(&self, other: &MasterKey) -> bool {
        self.0.ct_eq(&*other.0).into()
    }

    pub(super) fn secret(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_key_file_are_read() {
        let key = MasterKey(Zeroizing::new([0xab; KEY_BYTES]));
        let text = key.to_hex();
        assert_eq!(*text, "ab".repeat(32));
        let forms = [text.to_string(), text.to_uppercase(), format!("{}\n", *text), format!("{}\r\n", *text)];
        for form in forms {
            assert_eq!(MasterKey::parse(form.as_bytes()).unwrap().0, key.0, "{form:?}");
        }
        assert_eq!(MasterKey::parse(&[0xab; 32]).unwrap().0, key.0);
    }

    #[test]
    fn what_is_no_key_is_refused_without_repeating_it() {
        assert_eq!(MasterKey::parse(b"").unwrap_err(), NotAKey::Length(0));
        assert_eq!(MasterKey::parse(&[1; 31]).unwrap_err(), NotAKey::Length(31));
        assert_eq!(MasterKey::parse(&[1; 33]).unwrap_err(), NotAKey::Length(33));
        let mut text = [b'a'; 64];
        text[5] = b'x';
        assert_eq!(MasterKey::parse(&text).unwrap_err(), NotAKey::Digit(6));
    }

    #[test]
    fn a_key_does_not_print() {
        assert_eq!(format!("{:?}", MasterKey(Zeroizing::new([1; KEY_BYTES]))), "MasterKey(..)");
    }
}
