//! Looking at a whole stored object without any key: which of its blocks are not what was written.
//!
//! Invariant: what is looked at is what the medium has, not a copy that lies nearer. A medium that does
//! not answer is never taken for damage, nor is what was changed on its way; a place that cannot be read
//! is, when the rest of the object can. Must not know what sections mean.

use std::ops::ControlFlow;

use super::error::Error;
use super::format::{HASH_BLOCK_BYTES, HEADER_BYTES, Header, TAIL_BYTES, Tail, tail_sum, trailer_sum};
use crate::objects::{self, ObjectKey, Objects};

/// How an object differs from what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rot {
    /// The first difference, in words.
    pub reason: String,
    /// The blocks of the trailer that are changed or cannot be read; `None` when the trailer cannot
    /// tell, so that any may be.
    pub blocks: Option<Vec<u32>>,
}

/// What a look at an object found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is what its trailer says.
    Whole {
        /// The sum in its tail.
        sum: [u8; 32],
    },
    /// It is not.
    Rotten(Rot),
    /// The look was broken off.
    Stopped,
}

/// Is told of each stretch of bytes that was read, may take its time over it, and can end the look.
pub type Watch<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// Compares an object with its clear trailer.
///
/// # Errors
/// When the medium does not answer.
pub fn survey(
    objects: &dyn Objects,
    header: &Header,
    expected_bytes: u64,
    watch: &mut Watch<'_>,
) -> Result<Found, Error> {
    let key = header.key();
    let object_bytes = match objects.size(&key) {
        Ok(bytes) => bytes,
        Err(objects::Error::NotFound(_)) => return Ok(unknown("the object is not there".into())),
        Err(error) => return Err(error.into()),
    };
    if object_bytes != expected_bytes {
        return Ok(unknown(format!("it has {object_bytes} bytes, {expected_bytes} were written")));
    }
    let mut look = Look { objects, key: &key, unreadable: None, has_read: false, may_differ: None };
    let other_header = look.trusting(|look| look.header(header)).err();
    let trailer = match look.trusting(|look| look.trailer(object_bytes)) {
        Ok(trailer) => trailer,
        Err(reason) => return look.outcome(unknown(reason)),
    };
    let mut blocks = Vec::new();
    let mut reason = other_header.clone();
    let mut block = vec![0; HASH_BLOCK_BYTES];
    for (number, hash) in trailer.hashes.chunks_exact(32).enumerate() {
        let at = (number * HASH_BLOCK_BYTES) as u64;
        let bytes = (trailer.body_bytes - at).min(HASH_BLOCK_BYTES as u64);
        let block = &mut block[..bytes as usize];
        let compared = look.trusting(|look| match look.read(at, block) {
            Err(fault) => Err(format!("bytes {at} to {} {fault}", at + bytes)),
            Ok(()) if blake3::hash(block).as_bytes() != hash => {
                Err(format!("bytes {at} to {} are changed", at + bytes))
            }
            Ok(()) => Ok(()),
        });
        if let Err(fault) = compared {
            blocks.push(number as u32);
            reason.get_or_insert(fault);
        }
        if watch(bytes).is_break() {
            return Ok(Found::Stopped);
        }
    }
    // A whole object that is another one.
    let blocks = (other_header.is_none() || blocks.first() == Some(&0)).then_some(blocks);
    let whole = Found::Whole { sum: trailer.sum };
    look.outcome(reason.map_or(whole, |reason| Found::Rotten(Rot { reason, blocks })))
}

fn unknown(reason: String) -> Found {
    Found::Rotten(Rot { reason, blocks: None })
}

/// An object's clear trailer.
pub struct Trailer {
    /// Bytes before it.
    pub body_bytes: u64,
    /// BLAKE3 of each block of them.
    pub hashes: Vec<u8>,
    /// BLAKE3 of these and of the tail.
    pub sum: [u8; 32],
}

impl Trailer {
    /// Where the block hashes begin, and how long they are together.
    fn place(tail: &Tail, object_bytes: u64) -> Result<(u64, usize), String> {
        let hashes = u64::from(tail.blocks) * 32;
        if tail.body_bytes.checked_add(hashes + TAIL_BYTES as u64) != Some(object_bytes) {
            return Err("its tail contradicts its length".into());
        }
        Ok((tail.body_bytes, hashes as usize))
    }

    fn checked(tail: &Tail, end: &[u8; TAIL_BYTES], hashes: &[u8]) -> Result<Trailer, String> {
        let sum = tail_sum(end);
        if trailer_sum(hashes, &end[..32]) != sum {
            return Err("its trailer is changed".into());
        }
        Ok(Trailer { body_bytes: tail.body_bytes, hashes: hashes.to_vec(), sum })
    }

    /// The sum of a stored object's trailer, if that is whole, whatever the rest of it is.
    pub fn sum_of(objects: &dyn Objects, key: &ObjectKey, object_bytes: u64) -> Option<[u8; 32]> {
        let mut look = Look { objects, key, unreadable: None, has_read: false, may_differ: None };
        look.trusting(|look| look.trailer(object_bytes)).ok().map(|trailer| trailer.sum)
    }

    /// Compares the end of an object, from a block's first byte to the last of all, with the trailer
    /// in it; gives the number of bytes before the trailer.
    pub fn check_end(end: &[u8], from: u64, object_bytes: u64) -> Result<usize, String> {
        let tail_bytes = end.last_chunk::<TAIL_BYTES>().ok_or_else(|| "no room for a tail".to_owned())?;
        let tail = Tail::decode(tail_bytes)?;
        let (body_bytes, hash_bytes) = Trailer::place(&tail, object_bytes)?;
        let body =
            body_bytes.checked_sub(from).ok_or_else(|| "its tail contradicts its length".to_owned())?;
        let body = body as usize;
        let trailer = Trailer::checked(&tail, tail_bytes, &end[body..body + hash_bytes])?;
        let first = (from / HASH_BLOCK_BYTES as u64) as usize;
        let hashes = trailer.hashes.chunks_exact(32).skip(first);
        for (number, (block, hash)) in end[..body].chunks(HASH_BLOCK_BYTES).zip(hashes).enumerate() {
            if blake3::hash(block).as_bytes() != hash {
                let at = from + (number * HASH_BLOCK_BYTES) as u64;
                return Err(format!("bytes {at} to {} are changed", at + block.len() as u64));
            }
        }
        Ok(body)
    }
}

/// Compares an object that passes by from front to back with the trailer it ends in.
pub struct Comparison {
    /// Bytes of the body that are still to come.
    body_left: u64,
    block: blake3::Hasher,
    in_block: usize,
    hashes: Vec<u8>,
    end: Vec<u8>,
}

impl Comparison {
    /// Of an object of this length; `None` when no object has it.
    pub fn new(object_bytes: u64) -> Option<Comparison> {
        let block_bytes = HASH_BLOCK_BYTES as u64;
        let hashed = object_bytes.checked_sub(TAIL_BYTES as u64)?;
        let blocks = hashed.div_ceil(block_bytes + 32);
        let body_left = hashed.checked_sub(blocks * 32)?;
        (body_left.div_ceil(block_bytes) == blocks).then(|| Comparison {
            body_left,
            block: blake3::Hasher::new(),
            in_block: 0,
            hashes: Vec::new(),
            end: Vec::new(),
        })
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let (mut body, end) = bytes.split_at((bytes.len() as u64).min(self.body_left) as usize);
        self.body_left -= body.len() as u64;
        self.end.extend_from_slice(end);
        while !body.is_empty() {
            let (now, later) = body.split_at(body.len().min(HASH_BLOCK_BYTES - self.in_block));
            self.block.update(now);
            self.in_block += now.len();
            if self.in_block == HASH_BLOCK_BYTES {
                self.close_block();
            }
            body = later;
        }
    }

    fn close_block(&mut self) {
        self.hashes.extend_from_slice(self.block.finalize().as_bytes());
        self.block.reset();
        self.in_block = 0;
    }

    /// Ends it: the sum in its tail, if all of it is what its trailer says.
    pub fn finish(mut self) -> Option<[u8; 32]> {
        if self.in_block > 0 {
            self.close_block();
        }
        let (hashes, tail) = self.end.split_last_chunk::<TAIL_BYTES>()?;
        let sum = tail_sum(tail);
        let is_whole = self.body_left == 0
            && Tail::decode(tail).is_ok()
            && trailer_sum(hashes, &tail[..32]) == sum
            && hashes == self.hashes;
        is_whole.then_some(sum)
    }
}

/// One object being looked at.
struct Look<'a> {
    objects: &'a dyn Objects,
    key: &'a ObjectKey,
    /// Why some place could not be read.
    unreadable: Option<objects::Error>,
    /// Whether some place could.
    has_read: bool,
    /// Whether reading again may give other bytes, once that was asked.
    may_differ: Option<bool>,
}

impl Look<'_> {
    /// Looks at a place, and where it is not what was written once more, if it may have been changed on
    /// its way here: only what is damaged then is damage.
    fn trusting<T>(&mut self, mut look: impl FnMut(&mut Self) -> Result<T, String>) -> Result<T, String> {
        let outcome = look(self);
        let (objects, key) = (self.objects, self.key);
        if outcome.is_err() && *self.may_differ.get_or_insert_with(|| objects.distrust(key)) {
            return look(self);
        }
        outcome
    }

    /// Reads, a second time where the first fails; what is in the way, in words.
    fn read(&mut self, at: u64, out: &mut [u8]) -> Result<(), String> {
        let read = self.objects.read_stored(self.key, at, out);
        match read.or_else(|_| self.objects.read_stored(self.key, at, out)) {
            Ok(()) => {
                self.has_read = true;
                Ok(())
            }
            Err(error @ (objects::Error::NotFound(_) | objects::Error::Invalid(_))) => Err(error.to_string()),
            Err(error) => {
                let words = format!("cannot be read: {error}");
                self.unreadable = Some(error);
                Err(words)
            }
        }
    }

    fn header(&mut self, header: &Header) -> Result<(), String> {
        let mut head = [0; HEADER_BYTES];
        self.read(0, &mut head)?;
        if Header::decode(&head)? != *header {
            return Err("its header is not the one that was written".into());
        }
        Ok(())
    }

    fn trailer(&mut self, object_bytes: u64) -> Result<Trailer, String> {
        let mut end = [0; TAIL_BYTES];
        let tail_at = object_bytes.checked_sub(TAIL_BYTES as u64).ok_or_else(|| "no tail".to_owned())?;
        self.read(tail_at, &mut end)?;
        let tail = Tail::decode(&end)?;
        let (at, bytes) = Trailer::place(&tail, object_bytes)?;
        let mut hashes = vec![0; bytes];
        self.read(at, &mut hashes)?;
        Trailer::checked(&tail, &end, &hashes)
    }

    /// What was found, unless nothing at all could be read: then the medium is away.
    fn outcome(self, found: Found) -> Result<Found, Error> {
        match self.unreadable {
            Some(error) if !self.has_read => Err(error.into()),
            _ => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::Kind;
    use super::super::object::Builder;
    use super::*;
    use crate::objects::Memory;

    #[test]
    fn p3_what_passes_by_is_whole_only_as_it_was_written() {
        for bytes in [0, 1, HASH_BLOCK_BYTES - 200, HASH_BLOCK_BYTES, 2 * HASH_BLOCK_BYTES + 77] {
            let objects = Memory::new();
            let header = Header::plain(Kind::Pack, [7; 16], 1);
            let mut builder = Builder::start(&objects, &header, None).unwrap();
            builder.append(&mut vec![9; bytes]).unwrap();
            builder.finish(b"footer".to_vec()).unwrap();
            let object = objects.get(&header.key()).unwrap();
            let is_whole = |object: &[u8], piece: usize| {
                let mut comparison = Comparison::new(object.len() as u64).unwrap();
                object.chunks(piece).for_each(|piece| comparison.push(piece));
                comparison.finish().is_some()
            };
            for piece in [1000, 65_536, object.len()] {
                assert!(is_whole(&object, piece), "{bytes} bytes in pieces of {piece}");
            }
            for at in [0, 63, object.len() / 2, object.len() - 65, object.len() - 40, object.len() - 1] {
                let mut changed = object.clone();
                changed[at] ^= 1;
                assert!(!is_whole(&changed, 65_536), "byte {at} of {bytes}");
            }
            let mut short = Comparison::new(object.len() as u64).unwrap();
            short.push(&object[..object.len() - 1]);
            assert!(short.finish().is_none());
        }
        assert!(Comparison::new(10).is_none());
    }
}
