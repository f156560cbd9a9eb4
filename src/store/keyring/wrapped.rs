//! What is wrapped of one domain: its keys, its owner, and what the owner wrote beside it.
//!
//! The newest key's two halves (of objects, of names), the owner, the newest key's version, how many
//! older keys there are, each with its version, and the note. What earlier releases wrapped ends
//! behind the keys or behind the owner. Invariant: no copy of a key is left behind in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Domain;
use crate::store::seal::{DomainKey, KEY_BYTES};

const OWNER_BYTES: usize = 16;
const NUMBER_BYTES: usize = 4;

/// The bytes of a domain, with room for the tag that wrapping appends.
pub(super) fn write(domain: &Domain) -> Zeroizing<Vec<u8>> {
    let mut older: Vec<_> = domain.keys.iter().collect();
    let Some((version, newest)) = older.pop() else { return Zeroizing::default() };
    let length =
        OWNER_BYTES + 2 * NUMBER_BYTES + older.len() * (NUMBER_BYTES + KEY_BYTES) + domain.note.len();
    let mut rest = Zeroizing::new(Vec::with_capacity(length));
    rest.extend_from_slice(&domain.owner);
    rest.extend_from_slice(&version.to_le_bytes());
    rest.extend_from_slice(&(older.len() as u32).to_le_bytes());
    for (version, key) in older {
        rest.extend_from_slice(&version.to_le_bytes());
        rest.extend_from_slice(key.sealing());
    }
    rest.extend_from_slice(&domain.note);
    newest.to_bytes(&rest)
}

/// The domain in these bytes; `None` where they are none.
pub(super) fn read(bytes: &[u8]) -> Option<Domain> {
    let (keys, rest) = bytes.split_at_checked(DomainKey::BYTES)?;
    let newest = DomainKey::from_bytes(keys)?;
    let Some((owner, mut rest)) = rest.split_first_chunk::<OWNER_BYTES>() else {
        let is_first_form = rest.is_empty();
        return is_first_form.then(|| Domain {
            owner: [0; OWNER_BYTES],
            note: Vec::new(),
            keys: [(0, Arc::new(newest))].into(),
        });
    };
    let mut keys = BTreeMap::new();
    let mut version = 0;
    if !rest.is_empty() {
        version = number(&mut rest)?;
        for _ in 0..number(&mut rest)? {
            let of = number(&mut rest)?;
            let (sealing, after) = rest.split_first_chunk::<KEY_BYTES>()?;
            rest = after;
            keys.insert(of, Arc::new(newest.with_sealing(sealing)));
        }
    }
    let is_newest = keys.last_key_value().is_none_or(|(older, _)| *older < version);
    keys.insert(version, Arc::new(newest));
    is_newest.then(|| Domain { owner: *owner, note: rest.to_vec(), keys })
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk::<NUMBER_BYTES>()?;
    *rest = after;
    Some(u32::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> DomainKey {
        DomainKey::from_bytes(&[seed; DomainKey::BYTES]).unwrap()
    }

    #[test]
    fn the_form_is_golden_and_earlier_ones_are_read() {
        let newest = key(1);
        let older = newest.with_sealing(&[2; KEY_BYTES]);
        let keys = [(3, Arc::new(older)), (7, Arc::new(newest))].into();
        let bytes = write(&Domain { owner: [9; 16], note: b"note".to_vec(), keys });
        let form =
            ["01".repeat(64), "09".repeat(16), "07000000".into(), "01000000".into(), "03000000".into()];
        assert_eq!(hex::encode(&*bytes), [form.concat(), "02".repeat(32), hex::encode("note")].concat());
        let domain = read(&bytes).unwrap();
        assert_eq!((domain.owner, &domain.note[..]), ([9; 16], &b"note"[..]));
        assert_eq!(domain.keys.keys().copied().collect::<Vec<_>>(), [3, 7]);
        assert_eq!(domain.keys[&3].to_bytes(&[]), Zeroizing::new([[2; 32], [1; 32]].concat()));

        for (length, owner) in [(64, [0; 16]), (80, [9; 16])] {
            let domain = read(&bytes[..length]).unwrap();
            assert_eq!((domain.owner, domain.note.len(), domain.keys.len()), (owner, 0, 1));
            assert_eq!(domain.keys[&0].to_bytes(&[]), key(1).to_bytes(&[]));
        }
        for length in (0..64).chain(65..80).chain(81..88).chain(89..124) {
            assert!(read(&bytes[..length]).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn an_older_key_that_is_newer_is_refused() {
        let keys = [(3, Arc::new(key(1))), (7, Arc::new(key(2)))].into();
        let mut bytes = write(&Domain { owner: [9; 16], note: Vec::new(), keys });
        bytes[80] = 3;
        assert!(read(&bytes).is_none());
    }
}
