//! One stored object, written once from front to back and read at any place: sections (each
//! sealed by itself in a sealed domain), a footer section, a locator, and a clear trailer.
//!
//! Invariant: the counter runs over all sections, then the footer; the locator has the one value
//! no counter reaches; and every attempt to write has a fresh id. So no nonce repeats. Must not know what sections mean.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::format::{
    FORMAT_VERSION, HASH_BLOCK_BYTES, HEADER_BYTES, Header, LOCATOR_BYTES, TAIL_BYTES, Tail, padded,
    trailer_sum,
};
use super::seal::{DomainKey, ObjectCipher, SealContext, TAG_BYTES};
use crate::objects::{ObjectKey, ObjectWriter, Objects};

/// Where a section lies, sealed or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Section {
    /// First byte in the object.
    pub offset: u64,
    /// Stored bytes, tag included.
    pub bytes: u32,
    /// Its place in the sealing order.
    pub counter: u64,
}

/// A finished object, as rows keep it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Written {
    /// Length of the whole object.
    pub object_bytes: u64,
    /// The footer section.
    pub footer: Section,
}

fn cipher(header: &Header, key: Option<&DomainKey>) -> Option<ObjectCipher> {
    key.map(|key| {
        ObjectCipher::new(
            key,
            SealContext {
                kind: header.kind as u8,
                object: header.id,
                number: header.number,
                generation: header.generation,
                domain: header.domain,
                format: FORMAT_VERSION,
            },
        )
    })
}

/// Writes one object.
pub struct Builder {
    writer: Box<dyn ObjectWriter>,
    cipher: Option<ObjectCipher>,
    offset: u64,
    counter: u64,
    block: blake3::Hasher,
    block_filled: usize,
    hashes: Vec<u8>,
}

impl Builder {
    /// Starts the object that `header` names; `key` seals it.
    pub fn start(objects: &dyn Objects, header: &Header, key: Option<&DomainKey>) -> Result<Builder, Error> {
        let mut builder = Builder {
            writer: objects.create(&header.key())?,
            cipher: cipher(header, key),
            offset: 0,
            counter: 0,
            block: blake3::Hasher::new(),
            block_filled: 0,
            hashes: Vec::new(),
        };
        builder.write(&header.encode())?;
        Ok(builder)
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// Adds a section; in a sealed object `data` is sealed in place.
    pub fn append(&mut self, data: &mut Vec<u8>) -> Result<Section, Error> {
        if let Some(cipher) = &self.cipher {
            cipher.seal(self.counter, data);
        }
        let bytes = u32::try_from(data.len())
            .map_err(|_| Error::damaged("a section", "longer than four GiB, which nothing writes"))?;
        let section = Section { offset: self.offset, bytes, counter: self.counter };
        self.counter += 1;
        self.write(data)?;
        Ok(section)
    }

    /// Ends the object; returns once it is durable under its name.
    pub fn finish(mut self, mut footer: Vec<u8>) -> Result<Written, Error> {
        let footer = self.append(&mut footer)?;
        let mut locator = Vec::with_capacity(LOCATOR_BYTES + TAG_BYTES);
        locator.extend_from_slice(&footer.offset.to_le_bytes());
        locator.extend_from_slice(&u64::from(footer.bytes).to_le_bytes());
        locator.extend_from_slice(&footer.counter.to_le_bytes());
        if self.cipher.is_some() {
            let body = self.offset + (LOCATOR_BYTES + TAG_BYTES) as u64;
            self.write(&vec![0; (padded(body) - body) as usize])?;
        }
        if let Some(cipher) = &self.cipher {
            cipher.seal(LOCATOR_COUNTER, &mut locator);
        }
        self.write(&locator)?;
        if self.block_filled > 0 {
            self.close_block();
        }
        let tail = Tail { body_bytes: self.offset, blocks: (self.hashes.len() / 32) as u32 };
        let tail = tail.encode(&self.hashes);
        self.writer.write(&self.hashes)?;
        self.writer.write(&tail)?;
        let object_bytes = self.offset + (self.hashes.len() + TAIL_BYTES) as u64;
        self.writer.commit()?;
        Ok(Written { footer, object_bytes })
    }

    fn write(&mut self, mut data: &[u8]) -> Result<(), Error> {
        self.writer.write(data)?;
        self.offset += data.len() as u64;
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(HASH_BLOCK_BYTES - self.block_filled));
            self.block.update(now);
            self.block_filled += now.len();
            if self.block_filled == HASH_BLOCK_BYTES {
                self.close_block();
            }
            data = later;
        }
        Ok(())
    }

    fn close_block(&mut self) {
        self.hashes.extend_from_slice(self.block.finalize().as_bytes());
        self.block.reset();
        self.block_filled = 0;
    }
}

/// Reads one object's sections.
pub struct Object {
    objects: Arc<dyn Objects>,
    header: Header,
    cipher: Option<ObjectCipher>,
}

impl Object {
    /// The object that `header` names; nothing is read yet.
    pub fn new(objects: Arc<dyn Objects>, header: Header, key: Option<&DomainKey>) -> Object {
        Object { objects, cipher: cipher(&header, key), header }
    }

    /// One section, opened.
    pub fn section(&self, section: Section) -> Result<Vec<u8>, Error> {
        let mut data = vec![0; section.bytes as usize];
        self.objects.read(&self.header.key(), section.offset, &mut data)?;
        self.open(section.counter, data)
    }

    /// Runs a read of this object; where what came is damaged, once more, past whatever lies nearer
    /// than the medium. Only what is damaged then is damage.
    pub fn trusting<T>(&self, read: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        match read() {
            Err(error @ Error::Damaged { .. }) if self.objects.distrust(&self.header.key()) => {
                tracing::warn!(%error, "what came is damaged; it is read again");
                read()
            }
            outcome => outcome,
        }
    }

    /// The footer section of an object that a row describes, as it was written: a sealed one proves
    /// itself, a plain one is compared with the trailer, which lies right behind it.
    pub fn footer_of(&self, written: &Written) -> Result<Vec<u8>, Error> {
        self.trusting(|| match self.cipher {
            Some(_) => self.section(written.footer),
            None => self.compared_footer(written),
        })
    }

    fn compared_footer(&self, written: &Written) -> Result<Vec<u8>, Error> {
        let Section { offset, bytes, .. } = written.footer;
        let first = offset / HASH_BLOCK_BYTES as u64;
        let start = first * HASH_BLOCK_BYTES as u64;
        let odd = || self.damaged("its trailer contradicts its length");
        let length = written.object_bytes.checked_sub(start).ok_or_else(odd)?;
        let mut data = vec![0; usize::try_from(length).map_err(|_| odd())?];
        self.objects.read(&self.header.key(), start, &mut data)?;
        let (rest, end) = data.split_last_chunk::<TAIL_BYTES>().ok_or_else(odd)?;
        let tail = Tail::decode(end).map_err(|reason| self.damaged(reason))?;
        let body = tail.body_bytes.checked_sub(start).ok_or_else(odd)? as usize;
        let (body, hashes) = rest.split_at_checked(body).ok_or_else(odd)?;
        if hashes.len() as u64 != u64::from(tail.blocks) * 32 || trailer_sum(hashes, &end[..32]) != end[32..]
        {
            return Err(self.damaged("its trailer is changed"));
        }
        let told = hashes.chunks_exact(32).skip(first as usize);
        for (block, hash) in body.chunks(HASH_BLOCK_BYTES).zip(told) {
            if blake3::hash(block).as_bytes() != hash {
                return Err(self.damaged("its footer, or what lies around it, is changed"));
            }
        }
        let from = (offset - start) as usize;
        let footer = body.get(from..from.saturating_add(bytes as usize)).ok_or_else(odd)?;
        Ok(footer.to_vec())
    }

    /// Hands several sections, opened, to `take`, in order; those that lie side by side are read
    /// together. `stored` is room to read them into.
    pub fn sections(
        &self,
        sections: &[Section],
        stored: &mut Vec<u8>,
        mut take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for adjacent in sections.chunk_by(|one, next| one.offset + u64::from(one.bytes) == next.offset) {
            let bytes = adjacent.iter().map(|section| section.bytes as usize).sum();
            stored.resize(bytes, 0);
            self.objects.read(&self.header.key(), adjacent[0].offset, stored)?;
            let mut rest = &stored[..];
            for section in adjacent {
                let (now, after) = rest.split_at(section.bytes as usize);
                match &self.cipher {
                    None => take(now)?,
                    Some(_) => take(&self.open(section.counter, now.to_vec())?)?,
                }
                rest = after;
            }
        }
        Ok(())
    }

    /// The footer section, found through the locator: for objects that no row describes.
    pub fn footer(&self) -> Result<Vec<u8>, Error> {
        let key = self.header.key();
        let end = self.objects.size(&key)?;
        let tail_at = end.checked_sub(TAIL_BYTES as u64).ok_or_else(|| self.damaged("no tail"))?;
        let mut tail = [0; TAIL_BYTES];
        self.objects.read(&key, tail_at, &mut tail)?;
        let tail = Tail::decode(&tail).map_err(|reason| self.damaged(reason))?;
        let mut locator = vec![0; LOCATOR_BYTES + self.cipher.as_ref().map_or(0, |_| TAG_BYTES)];
        let locator_at = tail
            .body_bytes
            .checked_sub(locator.len() as u64)
            .ok_or_else(|| self.damaged("it has no room for a locator"))?;
        self.objects.read(&key, locator_at, &mut locator)?;
        let locator = self.open(LOCATOR_COUNTER, locator)?;
        let mut numbers = locator
            .chunks_exact(8)
            .map(|part| part.iter().rev().fold(0, |number: u64, byte| number << 8 | u64::from(*byte)));
        let mut number = || numbers.next().unwrap_or_default();
        let (offset, bytes, counter) = (number(), number(), number());
        match u32::try_from(bytes) {
            Ok(bytes) if offset.checked_add(bytes.into()).is_some_and(|end| end <= locator_at) => {
                self.section(Section { offset, bytes, counter })
            }
            _ => Err(self.damaged("its locator points outside")),
        }
    }

    fn open(&self, counter: u64, mut data: Vec<u8>) -> Result<Vec<u8>, Error> {
        if let Some(cipher) = &self.cipher {
            cipher
                .open(counter, &mut data)
                .map_err(|_| self.damaged("a section does not open with its key: changed, or not ours"))?;
        }
        Ok(data)
    }

    fn damaged(&self, reason: impl std::fmt::Display) -> Error {
        Error::damaged(self.header.key().to_string(), reason)
    }
}

/// The locator is sealed under a counter no section can reach, so that it opens first.
pub const LOCATOR_COUNTER: u64 = u64::MAX;

/// The header of the object under this name, which must be the name it says.
pub fn read_header(objects: &dyn Objects, key: &ObjectKey) -> Result<Header, Error> {
    let mut head = [0; HEADER_BYTES];
    objects.read(key, 0, &mut head)?;
    let header = Header::decode(&head).map_err(|reason| Error::damaged(key.to_string(), reason))?;
    if header.key() != *key {
        return Err(Error::damaged(key.to_string(), format!("it is {}", header.key())));
    }
    Ok(header)
}

/// Reads a whole object and compares it with its clear trailer. Needs no key. Gives the first
/// damaged place.
pub fn verify_stored(objects: &dyn Objects, header: &Header, expected_bytes: u64) -> Result<(), Error> {
    match compare_stored(objects, header, expected_bytes) {
        // It may have been changed on its way here.
        Err(Error::Damaged { .. }) if objects.distrust(&header.key()) => {
            compare_stored(objects, header, expected_bytes)
        }
        outcome => outcome,
    }
}

fn compare_stored(objects: &dyn Objects, header: &Header, expected_bytes: u64) -> Result<(), Error> {
    let key = &header.key();
    let damaged = |reason: String| Error::damaged(key.to_string(), reason);
    let object_bytes = objects.size(key)?;
    if object_bytes != expected_bytes {
        return Err(damaged(format!("it has {object_bytes} bytes, {expected_bytes} were written")));
    }
    let mut head = [0; HEADER_BYTES];
    objects.read_stored(key, 0, &mut head)?;
    if Header::decode(&head).map_err(damaged)? != *header {
        return Err(damaged("its header is not the one that was written".into()));
    }
    let mut end = [0; TAIL_BYTES];
    let tail_at = object_bytes.checked_sub(TAIL_BYTES as u64).ok_or_else(|| damaged("no tail".into()))?;
    objects.read_stored(key, tail_at, &mut end)?;
    let tail = Tail::decode(&end).map_err(damaged)?;
    if tail.body_bytes.checked_add(u64::from(tail.blocks) * 32) != Some(tail_at) {
        return Err(damaged("its tail contradicts its length".into()));
    }
    let mut hashes = vec![0; tail.blocks as usize * 32];
    objects.read_stored(key, tail.body_bytes, &mut hashes)?;
    if trailer_sum(&hashes, &end[..32]) != end[32..] {
        return Err(damaged("its trailer is changed".into()));
    }
    let mut block = vec![0; HASH_BLOCK_BYTES];
    for (number, hash) in hashes.chunks_exact(32).enumerate() {
        let at = (number * HASH_BLOCK_BYTES) as u64;
        let bytes = (tail.body_bytes - at).min(HASH_BLOCK_BYTES as u64) as usize;
        let block = &mut block[..bytes];
        objects.read_stored(key, at, block)?;
        if blake3::hash(block).as_bytes() != hash {
            return Err(damaged(format!("bytes {at} to {} are changed", at + bytes as u64)));
        }
    }
    Ok(())
}
