//! The ring's objects `keyring/<version>-<a|b|c>` on a medium.
//!
//! Invariant: an object of the ring is never overwritten; a version counts as written when all three
//! copies read back as they were meant.

use std::collections::BTreeMap;

use super::record::{Fault, RingRecord};
use super::{KeyError, Keyring, MasterKey};
use crate::objects::{self, ObjectKey, Objects};

pub(super) const PREFIX: &str = "keyring/";
pub(super) const COPIES: [char; 3] = ['a', 'b', 'c'];

/// What the copies of one version hold.
pub(super) enum Found {
    /// The ring, and its bytes.
    Opened(Keyring, Vec<u8>),
    /// A whole ring under another master key.
    OtherKey,
    /// Nothing whole.
    Damaged,
}

/// The copies there are, by version. Foreign names below the prefix are passed over.
pub(super) fn versions(objects: &dyn Objects) -> Result<BTreeMap<u32, Vec<ObjectKey>>, objects::Error> {
    let mut versions: BTreeMap<u32, Vec<ObjectKey>> = BTreeMap::new();
    objects.list(PREFIX, &mut |info| {
        if let Some(version) = version_of(info.key.as_str()) {
            versions.entry(version).or_default().push(info.key);
        }
    })?;
    Ok(versions)
}

fn version_of(key: &str) -> Option<u32> {
    let (version, copy) = key.strip_prefix(PREFIX)?.split_once('-')?;
    let is_copy = version.len() == 8 && COPIES.iter().any(|&letter| copy.chars().eq([letter]));
    is_copy.then(|| u32::from_str_radix(version, 16).ok())?
}

fn names(version: u32) -> Result<Vec<ObjectKey>, objects::Error> {
    COPIES.map(|copy| ObjectKey::new(format!("{PREFIX}{version:08x}-{copy}"))).into_iter().collect()
}

/// Reads the copies of one version until one is whole; what is wrong with others goes to `damage`.
/// A medium that fails is never taken for damage.
pub(super) fn read(
    objects: &dyn Objects,
    (version, copies): (u32, &[ObjectKey]),
    master: &MasterKey,
    store_id: [u8; 16],
    damage: &mut Vec<String>,
) -> Result<Found, objects::Error> {
    let mut failure = None;
    for key in copies {
        let bytes = match objects.get(key) {
            Ok(bytes) => bytes,
            Err(error) => {
                failure = Some(error);
                continue;
            }
        };
        match whole(&bytes, version).map_err(Fault::Damaged).and_then(|record| record.open(master, store_id))
        {
            Ok(ring) => return Ok(Found::Opened(ring, bytes)),
            Err(Fault::Wrong) => return Ok(Found::OtherKey),
            Err(Fault::Damaged(reason)) => damage.push(format!("{key}: {reason}")),
        }
    }
    failure.map_or(Ok(Found::Damaged), Err)
}

/// The record of a whole copy of this version.
fn whole(bytes: &[u8], version: u32) -> Result<RingRecord, String> {
    let record = RingRecord::read(bytes)?;
    if record.version != version {
        return Err(format!("it holds version {} instead", record.version));
    }
    Ok(record)
}

/// How many copies of a version are whole, whoever can open them.
pub(super) fn count_whole(objects: &dyn Objects, version: u32, copies: &[ObjectKey]) -> usize {
    let is_whole = |key: &&ObjectKey| objects.get(key).is_ok_and(|bytes| whole(&bytes, version).is_ok());
    copies.iter().filter(is_whole).count()
}

/// Writes three copies.
pub(super) fn put(objects: &dyn Objects, version: u32, bytes: &[u8]) -> Result<(), objects::Error> {
    names(version)?.iter().try_for_each(|key| objects.put(key, bytes))
}

/// Whether all three copies are these bytes.
pub(super) fn read_back(objects: &dyn Objects, version: u32, bytes: &[u8]) -> Result<(), KeyError> {
    for key in names(version)? {
        if objects.get(&key)? != bytes {
            return Err(KeyError::Damaged(format!("{key}: it is not what was just written")));
        }
    }
    Ok(())
}

/// Makes every copy of a version these bytes again, one after the other; says how many were not. One
/// copy was whole and stays so while the others are replaced.
pub(super) fn mend(objects: &dyn Objects, version: u32, bytes: &[u8]) -> Result<usize, objects::Error> {
    let mut mended = 0;
    for key in names(version)? {
        match objects.get(&key) {
            Ok(found) if found == bytes => continue,
            Ok(_) => objects.delete(&key)?,
            Err(objects::Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        objects.put(&key, bytes)?;
        mended += 1;
    }
    Ok(mended)
}

/// Deletes every version but one; with `None`, every version.
pub(super) fn delete_others(objects: &dyn Objects, kept: Option<u32>) -> Result<(), objects::Error> {
    let others = versions(objects)?.into_iter().filter(|(version, _)| Some(*version) != kept);
    others.flat_map(|(_, copies)| copies).try_for_each(|key| objects.delete(&key))
}
