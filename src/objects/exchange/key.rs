//! Keys of other people's objects. Invariant: a [`Key`] names something below its bucket, whatever a medium
//! makes of dots and slashes.

use std::fmt;

use super::Error;

/// Longest key, in bytes, as S3 has it.
const KEY_BYTES_MAX: usize = 1024;
/// Longest segment, in bytes: what a file name may have.
const SEGMENT_BYTES_MAX: usize = 255;
/// Start of the names of files that are being written here.
pub(super) const UNFINISHED: &str = ".tintype-";

/// A key: segments of any text, joined by `/`. No segment is empty, `.` or `..`, none has control characters
/// or a backslash, and none begins as the names of unfinished files do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Takes a key.
    ///
    /// # Errors
    /// [`Error::BadKey`], saying which rule it breaks.
    pub fn new(text: &str) -> Result<Key, Error> {
        match fault(text) {
            None => Ok(Key(text.to_owned())),
            Some(fault) => Err(Error::BadKey(text.chars().take(100).collect(), fault)),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments: the folders, and the last one.
    pub(super) fn segments(&self) -> (Vec<&str>, &str) {
        match self.0.rsplit_once('/') {
            Some((folders, last)) => (folders.split('/').collect(), last),
            None => (Vec::new(), &self.0),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > KEY_BYTES_MAX {
        return Some("it is longer than 1024 bytes");
    }
    if text.starts_with('/') {
        return Some("it begins with a slash");
    }
    text.split('/').find_map(segment_fault)
}

fn segment_fault(segment: &str) -> Option<&'static str> {
    if segment.is_empty() {
        Some("it has two slashes side by side, or ends with one")
    } else if segment == "." || segment == ".." {
        Some("it has a segment of dots")
    } else if segment.len() > SEGMENT_BYTES_MAX {
        Some("a segment is longer than 255 bytes")
    } else if segment.chars().any(|c| c.is_control() || c == '\\') {
        Some("it has control characters or a backslash")
    } else if segment.starts_with(UNFINISHED) {
        Some("a segment begins with .tintype-, as files do that are not finished")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_people_are_taken_as_they_are() {
        for text in
            ["a", "A B/c.qcow2", "images/Ubuntu 22.04 (1).qcow2", "ü/漢字.raw", "a:b", "...", ".hidden"]
        {
            assert_eq!(Key::new(text).unwrap().as_str(), text);
        }
        let key = Key::new("a/b/c").unwrap();
        assert_eq!(key.segments(), (vec!["a", "b"], "c"));
        assert_eq!(Key::new("c").unwrap().segments(), (vec![], "c"));
    }

    #[test]
    fn a_key_that_could_lead_elsewhere_is_refused() {
        for text in [
            "",
            "/",
            "/etc/passwd",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/..",
            "a/../../b",
            "a/./b",
            "a\0b",
            "a\nb",
            "..\\a",
            "a\\b",
            ".tintype-1",
            "a/.tintype-1",
        ] {
            assert!(matches!(Key::new(text), Err(Error::BadKey(..))), "{text:?}");
        }
        assert!(Key::new(&"a".repeat(255)).is_ok());
        assert!(Key::new(&"a".repeat(256)).is_err());
        assert!(Key::new(&"ab/".repeat(400)).is_err());
    }
}
