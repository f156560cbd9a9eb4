//! The names of objects. Invariant: an [`ObjectKey`] is safe as a path below any folder and as a
//! key in any bucket.

use std::fmt;

use super::Error;

/// Longest key, in bytes: buckets allow 1024, of which an operator's own prefix takes some.
const KEY_BYTES_MAX: usize = 512;
/// Longest segment, in bytes: what a file name may have.
const SEGMENT_BYTES_MAX: usize = 255;
/// The first segment that no key may have: a directory keeps unfinished objects there.
pub(super) const UNFINISHED: &str = "tmp";

/// An object's name: segments of `a-z`, `0-9`, `.`, `_` and `-`, joined by `/`; for example
/// `pack/3f/3f0a`. No segment is empty or begins with a dot, and the first is not `tmp`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Takes a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it breaks a rule above, or is too long.
    pub fn new(text: impl Into<String>) -> Result<ObjectKey, Error> {
        let text = text.into();
        match fault(&text) {
            None => Ok(ObjectKey(text)),
            Some(fault) => Err(Error::Invalid(format!("{text:?} is no object name: {fault}"))),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(text: &str) -> Option<&'static str> {
    if text.len() > KEY_BYTES_MAX {
        return Some("it is longer than 512 bytes");
    }
    if text.split('/').next() == Some(UNFINISHED) {
        return Some("tmp/ is kept for unfinished objects");
    }
    text.split('/').find_map(segment_fault)
}

fn segment_fault(segment: &str) -> Option<&'static str> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    if segment.is_empty() {
        Some("a segment is empty")
    } else if segment.len() > SEGMENT_BYTES_MAX {
        Some("a segment is longer than 255 bytes")
    } else if segment.starts_with('.') {
        Some("a segment begins with a dot")
    } else if !segment.bytes().all(allowed) {
        Some("only a-z, 0-9, '.', '_', '-' and '/' are allowed")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_text() {
        for text in ["a", "pack/3f/3f0a", "log/0000.1_x-y", "packs/tmp", "tmp2/a"] {
            let key = ObjectKey::new(text).unwrap();
            assert_eq!(key.as_str(), text);
            assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn a_name_that_could_leave_its_folder_is_refused() {
        for text in
            ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", ".hidden", "A", "a b", "a\\b", "ä", "a\0"]
        {
            assert!(matches!(ObjectKey::new(text), Err(Error::Invalid(_))), "{text:?}");
        }
    }

    #[test]
    fn the_folder_of_unfinished_objects_is_no_key() {
        assert!(ObjectKey::new("tmp").is_err());
        assert!(ObjectKey::new("tmp/a").is_err());
    }

    #[test]
    fn names_too_long_for_a_medium_are_refused() {
        assert!(ObjectKey::new("a".repeat(255)).is_ok());
        assert!(ObjectKey::new("a".repeat(256)).is_err());
        assert!(ObjectKey::new("a/".repeat(256) + "b").is_err());
    }
}
