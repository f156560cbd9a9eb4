//! A sum of rows that does not depend on their order: two tables are compared without holding
//! either. Guards against faults, not against someone who chooses rows to fool it.

/// The hash of one row.
pub type RowHash = [u8; 32];

/// The hash of a row's key and value.
pub fn row_hash(key: &[u8], value: &[u8]) -> RowHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(value);
    *hasher.finalize().as_bytes()
}

/// Some rows, all different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowSum {
    /// How many.
    pub rows: u64,
    hashes: RowHash,
}

impl RowSum {
    /// Adds a row.
    pub fn add(&mut self, row: &RowHash) {
        self.rows += 1;
        for (sum, byte) in self.hashes.iter_mut().zip(row) {
            *sum ^= byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[(&[u8], &[u8])]) -> RowSum {
        let mut sum = RowSum::default();
        rows.iter().for_each(|(key, value)| sum.add(&row_hash(key, value)));
        sum
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let whole = sum(&[(b"a", b"1"), (b"b", b"2")]);
        assert_eq!(whole, sum(&[(b"b", b"2"), (b"a", b"1")]));
        for other in
            [&[(&b"a"[..], &b"1"[..])][..], &[(b"a", b"1"), (b"b", b"3")], &[(b"a", b"1"), (b"b2", b"")]]
        {
            assert_ne!(whole, sum(other));
        }
    }
}
