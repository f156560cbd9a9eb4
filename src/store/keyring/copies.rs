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

/// Whether a version has a whole copy, whoever can open it.
///
/// # Errors
/// When none is and no copy can be read: the medium may be away, and what it has be whole.
pub(super) fn has_whole(
    objects: &dyn Objects,
    version: u32,
    copies: &[ObjectKey],
) -> Result<bool, objects::Error> {
    let (mut readable, mut failure) = (false, None);
    for key in copies {
        match objects.get(key) {
            Ok(bytes) if whole(&bytes, version).is_ok() => return Ok(true),
            Ok(_) | Err(objects::Error::NotFound(_)) => readable = true,
            Err(error) => failure = Some(error),
        }
    }
    failure.filter(|_| !readable).map_or(Ok(false), Err)
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

/// Makes every copy of a version these bytes again, one after the other, each in one step; says which
/// were not, and why. One that cannot be read is replaced where another one can.
pub(super) fn mend(
    objects: &dyn Objects,
    version: u32,
    bytes: &[u8],
) -> Result<Vec<(ObjectKey, String)>, objects::Error> {
    let (mut damaged, mut readable, mut failure) = (Vec::new(), false, None);
    for key in names(version)? {
        let reason = match objects.get(&key) {
            Ok(found) => {
                readable = true;
                if found == bytes {
                    continue;
                }
                whole(&found, version).err().unwrap_or_else(|| "it is not what was written".to_owned())
            }
            Err(objects::Error::NotFound(_)) => "it is not there".to_owned(),
            Err(error) => {
                failure = Some(error.clone());
                format!("it cannot be read: {error}")
            }
        };
        damaged.push((key, reason));
    }
    // Where nothing could be read, the medium is away.
    if let Some(failure) = failure.filter(|_| !readable) {
        return Err(failure);
    }
    for (key, _) in &damaged {
        let mut writer = objects.replace(key)?;
        writer.write(bytes)?;
        writer.commit()?;
    }
    Ok(damaged)
}

/// A ring of this version in a copy of the store, where no copy here is whole.
pub(super) fn elsewhere(
    objects: &dyn Objects,
    version: u32,
    master: &MasterKey,
    store_id: [u8; 16],
) -> Result<Option<(Keyring, Vec<u8>)>, objects::Error> {
    for source in objects.copies() {
        for key in names(version)? {
            let Ok(bytes) = source.objects().get(&key) else { continue };
            let opened = whole(&bytes, version).ok().and_then(|record| record.open(master, store_id).ok());
            if let Some(ring) = opened {
                tracing::warn!(
                    version,
                    copy = source.name(),
                    "the key ring is taken from a copy of the store"
                );
                return Ok(Some((ring, bytes)));
            }
        }
    }
    Ok(None)
}

/// Deletes every version but one; with `None`, every version.
pub(super) fn delete_others(objects: &dyn Objects, kept: Option<u32>) -> Result<(), objects::Error> {
    let others = versions(objects)?.into_iter().filter(|(version, _)| Some(*version) != kept);
    others.flat_map(|(_, copies)| copies).try_for_each(|key| objects.delete(&key))
}
