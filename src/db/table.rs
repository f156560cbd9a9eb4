//! Tables and their keys. A table is a name; its keys are bytes whose order is the listing order.

use super::error::Error;
use super::journal::JOURNAL;
use super::open::META;

/// What the file needs for itself.
const INTERNAL: [Table; 2] = [META, JOURNAL];

/// A table of byte keys and byte values. The name ends in the layout's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// The redb table's name, for example `images-1`.
    pub name: &'static str,
    /// Whether changes go to the journal, from which a lost catalog is rebuilt. Indexes, tokens
    /// and anything else that can be derived or must not survive are not journaled.
    pub journaled: bool,
}

impl Table {
    /// A table whose changes are journaled: it holds facts.
    pub const fn facts(name: &'static str) -> Table {
        Table { name, journaled: true }
    }

    /// A table that is not journaled: it can be derived from facts, or must not outlive the file.
    pub const fn derived(name: &'static str) -> Table {
        Table { name, journaled: false }
    }

    pub(super) fn definition(&self) -> redb::TableDefinition<'static, &'static [u8], &'static [u8]> {
        redb::TableDefinition::new(self.name)
    }
}

/// The tables a file was opened with.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) facts: Vec<Table>,
    pub(super) derived: Vec<Table>,
}

impl Known {
    /// Whether changes of the table are journaled; refuses a table that nobody would miss in a
    /// rebuilt file.
    pub(super) fn journals(&self, table: &Table) -> Result<bool, Error> {
        if INTERNAL.contains(table) {
            return Ok(false);
        }
        let listed = if table.journaled { &self.facts } else { &self.derived };
        if !listed.is_empty() && !listed.contains(table) {
            return Err(Error::Unlisted(table.name));
        }
        Ok(table.journaled && !listed.is_empty())
    }
}

/// Builds a composite key whose byte order is the order of its parts.
///
/// Text parts are escaped so that no part can run into the next: `00` becomes `00 FF`, and
/// `00 01` ends the part. Integers are big-endian.
#[derive(Debug, Clone, Default)]
pub struct Key(Vec<u8>);

impl Key {
    /// An empty key: the start of every range.
    pub fn new() -> Key {
        Key::default()
    }

    /// Appends one byte.
    pub fn byte(mut self, value: u8) -> Key {
        self.0.push(value);
        self
    }

    /// Appends a 32-bit number, big-endian.
    pub fn number32(mut self, value: u32) -> Key {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Appends a 64-bit number, big-endian.
    pub fn number(mut self, value: u64) -> Key {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Appends a signed number so that negative ones sort first.
    pub fn signed(self, value: i64) -> Key {
        self.number((value as u64) ^ (1 << 63))
    }

    /// Appends bytes of a length every key of the table shares.
    pub fn fixed(mut self, value: &[u8]) -> Key {
        self.0.extend_from_slice(value);
        self
    }

    /// Appends text of any length, escaped and terminated.
    pub fn text(mut self, value: &str) -> Key {
        for &byte in value.as_bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xff);
            }
        }
        self.0.extend_from_slice(&[0, 1]);
        self
    }

    /// The finished key.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The finished key, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The first key after every key that starts with this one; `None` when there is none.
    pub fn successor(&self) -> Option<Vec<u8>> {
        let mut end = self.0.clone();
        while let Some(last) = end.pop() {
            if last < 0xff {
                end.push(last + 1);
                return Some(end);
            }
        }
        None
    }
}

/// Takes a composite key apart, in the order it was built. Each call is `None` on a short key.
#[derive(Debug, Clone, Copy)]
pub struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    /// Starts at the key's first byte.
    pub fn new(key: &'a [u8]) -> KeyReader<'a> {
        KeyReader(key)
    }

    /// Takes one byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Takes a 32-bit number.
    pub fn number32(&mut self) -> Option<u32> {
        self.fixed::<4>().map(u32::from_be_bytes)
    }

    /// Takes a 64-bit number.
    pub fn number(&mut self) -> Option<u64> {
        self.fixed::<8>().map(u64::from_be_bytes)
    }

    /// Takes a signed number.
    pub fn signed(&mut self) -> Option<i64> {
        self.number().map(|n| (n ^ (1 << 63)) as i64)
    }

    /// Takes `N` bytes.
    pub fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// Takes a text part.
    pub fn text(&mut self) -> Option<String> {
        let mut out = Vec::new();
        let mut rest = self.0;
        loop {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            if byte != 0 {
                out.push(byte);
                continue;
            }
            let (&mark, after) = rest.split_first()?;
            rest = after;
            match mark {
                0xff => out.push(0),
                1 => break,
                _ => return None,
            }
        }
        self.0 = rest;
        String::from_utf8(out).ok()
    }

    /// What has not been taken.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composite_keys_sort_as_their_parts() {
        let texts = ["", "\0", "\0a", "a", "a\0", "a\0b", "aa", "b"];
        let keys: Vec<_> = texts.iter().map(|t| Key::new().text(t).number(7).into_bytes()).collect();
        let mut sorted = keys.clone();
        sorted.sort();
        assert_eq!(keys, sorted);
        for (text, key) in texts.iter().zip(&keys) {
            let mut reader = KeyReader::new(key);
            assert_eq!(reader.text().as_deref(), Some(*text));
            assert_eq!(reader.number(), Some(7));
            assert!(reader.rest().is_empty());
        }
    }

    #[test]
    fn signed_parts_sort_through_zero() {
        let keys: Vec<_> = [i64::MIN, -1, 0, 1, i64::MAX].map(|n| Key::new().signed(n).into_bytes()).into();
        assert!(keys.is_sorted());
        assert_eq!(KeyReader::new(&keys[1]).signed(), Some(-1));
    }

    #[test]
    fn a_successor_ends_the_prefix() {
        assert_eq!(Key::new().fixed(&[1, 0xff]).successor(), Some(vec![2]));
        assert_eq!(Key::new().fixed(&[0xff]).successor(), None);
    }
}
