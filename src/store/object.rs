//! One stored object, written once from front to back and read at any place: sections (each
//! sealed by itself in a sealed domain), a footer section, a locator, and a clear trailer.
//!
//! Invariant: the counter runs over all sections, then the footer; the locator has the one value
//! no counter reaches; and every attempt to write has a fresh id. So no nonce repeats. Must not know what sections mean.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::format::{
    FOOTER_SUM_BYTES, FORMAT_VERSION, HASH_BLOCK_BYTES, HEADER_BYTES, Header, LOCATOR_BYTES, TAIL_BYTES,
    Tail, padded, place_of, tail_sum,
};
use super::seal::{DomainKey, ObjectCipher, SealContext, TAG_BYTES};
use super::survey::{Found, Trailer, survey};
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
    /// The sum in its tail, into which every byte goes; zeros where an earlier release did not keep it.
    pub sum: [u8; 32],
}

impl Written {
    /// Bytes of a record up to here, as releases kept them that knew no sum.
    const BYTES_WITHOUT_SUM: usize = 28;

    /// The sum, where it is known.
    pub fn known_sum(&self) -> Option<[u8; 32]> {
        (self.sum != [0; 32]).then_some(self.sum)
    }

    /// The body of an earlier release's record, which keeps what was written from byte `at` on, with
    /// an unknown sum. What is too short stays so.
    pub fn add_unknown_sum(body: &[u8], at: usize) -> Vec<u8> {
        let (before, after) = body.split_at(body.len().min(at + Written::BYTES_WITHOUT_SUM));
        [before, &[0; 32], after].concat()
    }
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
                has_short_id: !place_of(&header.id).is_home(),
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
        let sum = self.cipher.is_none().then(|| blake3::hash(&footer));
        let footer = self.append(&mut footer)?;
        if let Some(sum) = sum {
            self.write(sum.as_bytes())?;
        }
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
        Ok(Written { footer, object_bytes, sum: tail_sum(&tail) })
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

    /// The object's id.
    pub fn id(&self) -> [u8; 16] {
        self.header.id
    }

    /// Its name on the medium.
    pub fn key(&self) -> ObjectKey {
        self.header.key()
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

    /// The footer section of an object that a row describes, sure to be what was written: a sealed one
    /// opens only then, a plain one has its sum behind it.
    pub fn footer_of(&self, written: &Written) -> Result<Vec<u8>, Error> {
        self.trusting(|| match self.cipher {
            Some(_) => self.section(written.footer),
            None if has_sum(written) => self.summed_footer(written.footer),
            None => self.compared_footer(written),
        })
    }

    /// The bytes of the object that [`Object::footer_of`] reads.
    pub fn footer_span(&self, written: &Written) -> Range<u64> {
        let Section { offset, bytes, .. } = written.footer;
        let end = offset + u64::from(bytes);
        match self.cipher {
            Some(_) => offset..end,
            None if has_sum(written) => offset..end + FOOTER_SUM_BYTES as u64,
            None => offset - offset % HASH_BLOCK_BYTES as u64..written.object_bytes,
        }
    }

    /// Whether the footer proves itself. Otherwise only the blocks of the trailer do, and these hold
    /// more than the footer.
    pub fn has_proven_footer(&self, written: &Written) -> bool {
        self.cipher.is_some() || has_sum(written)
    }

    fn summed_footer(&self, footer: Section) -> Result<Vec<u8>, Error> {
        let mut data = vec![0; footer.bytes as usize + FOOTER_SUM_BYTES];
        self.objects.read(&self.header.key(), footer.offset, &mut data)?;
        let sum = data.split_off(footer.bytes as usize);
        if blake3::hash(&data).as_bytes()[..] != sum[..] {
            return Err(self.damaged("its footer is changed"));
        }
        Ok(data)
    }

    /// A plain footer of the first release, which has no sum: the blocks it lies in are compared with
    /// the trailer, which lies right behind it.
    fn compared_footer(&self, written: &Written) -> Result<Vec<u8>, Error> {
        let Section { offset, bytes, .. } = written.footer;
        let from = offset - offset % HASH_BLOCK_BYTES as u64;
        let contradiction = || self.damaged("the catalog says of it what cannot be");
        let length = written.object_bytes.checked_sub(from).ok_or_else(contradiction)?;
        let mut end = vec![0; usize::try_from(length).map_err(|_| contradiction())?];
        self.objects.read(&self.header.key(), from, &mut end)?;
        let body = Trailer::check_end(&end, from, written.object_bytes).map_err(|e| self.damaged(e))?;
        let start = (offset - from) as usize;
        let footer = end[..body].get(start..start.saturating_add(bytes as usize));
        footer.map(<[u8]>::to_vec).ok_or_else(contradiction)
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

/// Whether a plain object has the sum of its footer, as its length tells.
fn has_sum(written: &Written) -> bool {
    let end = written.footer.offset + u64::from(written.footer.bytes);
    let body = end + (FOOTER_SUM_BYTES + LOCATOR_BYTES) as u64;
    body + body.div_ceil(HASH_BLOCK_BYTES as u64) * 32 + TAIL_BYTES as u64 == written.object_bytes
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
    match survey(objects, header, expected_bytes, &mut |_| ControlFlow::Continue(()))? {
        Found::Rotten(rot) => Err(Error::damaged(header.key().to_string(), rot.reason)),
        Found::Whole { .. } | Found::Stopped => Ok(()),
    }
}
