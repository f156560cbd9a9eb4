//! A bucket that images are exchanged through: other people's objects under their own keys.
//!
//! Invariants: nothing is overwritten, as far as S3 lets one say so: an object that goes in one request is
//! put on condition that its name is free; a larger one is looked for when its parts begin and once more
//! before they become an object. It appears in one step. Nothing of others is swept here.

use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{Error as Answer, ObjectMeta, PutMode, PutPayload};

use super::Bucket;
use super::fault::of_bucket;
use crate::objects::Error as Fault;
use crate::objects::exchange::{Error, Exchange, Key, PIECE_BYTES, Piece, Sink, Source};

/// Parts that one object may have.
const PARTS_MAX: u64 = 10_000;
/// Bytes of one request for what is read.
const READ_BYTES: u64 = 4 << 20;

/// Reads and writes objects of other people in a bucket.
#[derive(Debug, Clone)]
pub struct BucketExchange(Bucket);

impl BucketExchange {
    /// Takes a bucket; all below its prefix can be named.
    pub fn new(bucket: Bucket) -> BucketExchange {
        BucketExchange(bucket)
    }

    fn path(&self, key: &Key) -> Result<Path, Error> {
        let below = Path::parse(key.as_str());
        let below = below.map_err(|_| {
            Error::BadKey(key.as_str().chars().take(100).collect(), "it has characters that no bucket takes")
        })?;
        Ok(self.0.inner.prefix.parts().chain(below.parts()).collect())
    }

    fn look(&self, key: &Key, path: &Path) -> Result<ObjectMeta, Error> {
        self.0.handle().block_on(self.0.head(path)).map_err(|answer| told(key, answer))
    }
}

impl Exchange for BucketExchange {
    fn open(&self, key: &Key) -> Result<Box<dyn Source>, Error> {
        let path = self.path(key)?;
        let meta = self.look(key, &path)?;
        let (size_bytes, stamp) = (meta.size, stamp(&meta));
        let ahead = (0, Vec::new());
        Ok(Box::new(Reading { exchange: self.clone(), key: key.clone(), path, size_bytes, stamp, ahead }))
    }

    fn create(&self, key: &Key, size_bytes: u64, _: &str) -> Result<Box<dyn Sink>, Error> {
        let path = self.path(key)?;
        match self.look(key, &path) {
            Err(Error::Missing(_)) => {}
            Ok(_) => return Err(Error::Taken(key.to_string())),
            Err(error) => return Err(error),
        }
        let part_bytes = part_bytes(size_bytes, self.0.options().part_bytes);
        let exchange = self.clone();
        let (part, upload) = (Vec::new(), None);
        Ok(Box::new(Writing { exchange, key: key.clone(), path, part_bytes, part, upload, sent: Vec::new() }))
    }
}

/// Parts are larger than they are to be where an object would have too many.
fn part_bytes(size_bytes: u64, wanted: usize) -> usize {
    wanted.max(usize::try_from(size_bytes.div_ceil(PARTS_MAX)).unwrap_or(usize::MAX))
}

fn stamp(meta: &ObjectMeta) -> String {
    let etag = meta.e_tag.as_deref().unwrap_or("-");
    format!("object {} bytes {} {etag}", meta.size, meta.last_modified.timestamp_micros())
}

struct Reading {
    exchange: BucketExchange,
    key: Key,
    path: Path,
    size_bytes: u64,
    stamp: String,
    /// What the last request brought more than was asked for, and where it begins.
    ahead: (u64, Vec<Bytes>),
}

impl Source for Reading {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn stamp(&self) -> &str {
        &self.stamp
    }

    fn read(&mut self, offset: u64) -> Result<Piece, Error> {
        if offset >= self.size_bytes {
            return Ok(Piece::Bytes(Bytes::new()));
        }
        if self.ahead.0 != offset || self.ahead.1.is_empty() {
            let end = self.size_bytes.min(offset + READ_BYTES);
            let bucket = &self.exchange.0;
            let mut pieces = bucket
                .handle()
                .block_on(bucket.range(&self.path, offset, end))
                .map_err(|answer| told(&self.key, answer))?;
            let came: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
            if came != end - offset {
                return Err(Error::Changed(self.key.to_string()));
            }
            pieces.retain(|piece| !piece.is_empty());
            pieces.reverse();
            self.ahead = (offset, pieces);
        }
        let mut piece = self.ahead.1.pop().unwrap_or_default();
        if piece.len() > PIECE_BYTES {
            self.ahead.1.push(piece.split_off(PIECE_BYTES));
        }
        self.ahead.0 = offset + piece.len() as u64;
        Ok(Piece::Bytes(piece))
    }

    fn expect_unchanged(&mut self) -> Result<(), Error> {
        match stamp(&self.exchange.look(&self.key, &self.path)?) == self.stamp {
            true => Ok(()),
            false => Err(Error::Changed(self.key.to_string())),
        }
    }
}

struct Writing {
    exchange: BucketExchange,
    key: Key,
    path: Path,
    part_bytes: usize,
    /// What is gathered of the next part.
    part: Vec<u8>,
    /// The bucket's name for the parts, once there are some.
    upload: Option<String>,
    sent: Vec<PartId>,
}

impl Writing {
    fn send_part(&mut self) -> Result<(), Error> {
        let bucket = &self.exchange.0;
        let failed = |answer| told(&self.key, answer);
        let id = match &self.upload {
            Some(id) => id.clone(),
            None => {
                let create = || bucket.store().create_multipart(&self.path);
                bucket.handle().block_on(bucket.calls().run(create)).map_err(failed)?
            }
        };
        self.upload = Some(id.clone());
        let (part, number) = (PutPayload::from(std::mem::take(&mut self.part)), self.sent.len());
        let put = || bucket.store().put_part(&self.path, &id, number, part.clone());
        self.sent.push(bucket.handle().block_on(bucket.calls().run(put)).map_err(failed)?);
        Ok(())
    }

    fn put_whole(&mut self) -> Result<(), Error> {
        let bucket = &self.exchange.0;
        let payload = PutPayload::from(std::mem::take(&mut self.part));
        let mode = if bucket.options().conditional_puts { PutMode::Create } else { PutMode::Overwrite };
        let put = || bucket.store().put_opts(&self.path, payload.clone(), mode.clone().into());
        let put = bucket.handle().block_on(bucket.calls().run(put));
        put.map(drop).map_err(|answer| told(&self.key, answer))
    }

    fn expect_free(&self) -> Result<(), Error> {
        match self.exchange.look(&self.key, &self.path) {
            Err(Error::Missing(_)) => Ok(()),
            Ok(_) => Err(Error::Taken(self.key.to_string())),
            Err(error) => Err(error),
        }
    }
}

impl Sink for Writing {
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            if self.part.len() == self.part_bytes {
                self.send_part()?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.part_bytes - self.part.len()));
            self.part.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<(), Error> {
        if self.upload.is_none() {
            if !self.exchange.0.options().conditional_puts {
                self.expect_free()?;
            }
            return self.put_whole();
        }
        self.send_part()?;
        self.expect_free()?;
        let Some(id) = self.upload.clone() else { return Ok(()) };
        let (bucket, parts) = (self.exchange.0.clone(), self.sent.clone());
        let complete = || bucket.store().complete_multipart(&self.path, &id, parts.clone());
        match bucket.handle().block_on(bucket.calls().run(complete)) {
            Ok(_) => {}
            // An earlier try completed it, and its answer was lost.
            Err(Answer::NotFound { .. }) if self.exchange.look(&self.key, &self.path).is_ok() => {}
            Err(answer) => return Err(told(&self.key, answer)),
        }
        self.upload = None;
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let Some(id) = self.upload.take() else { return };
        let (bucket, path) = (self.exchange.0.clone(), self.path.clone());
        self.exchange.0.in_background(async move {
            if let Err(error) = bucket.store().abort_multipart(&path, &id).await {
                tracing::warn!(%error, %path, "parts of an unfinished export stay in the bucket");
            }
        });
    }
}

fn told(key: &Key, answer: Answer) -> Error {
    let key = key.to_string();
    match &answer {
        Answer::AlreadyExists { .. } | Answer::Precondition { .. } => return Error::Taken(key),
        Answer::NotFound { .. } if !answer.to_string().contains("<Code>NoSuchBucket</Code>") => {
            return Error::Missing(key);
        }
        _ => {}
    }
    match of_bucket(answer) {
        Fault::Denied(text) => Error::Denied(text),
        Fault::Full(text) => Error::Full(text),
        other => Error::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use tokio::runtime::Runtime;

    use super::*;
    use crate::objects::BucketOptions;

    fn exchange(conditional_puts: bool) -> (Runtime, tempfile::TempDir, BucketExchange) {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = BucketOptions { part_bytes: 100_000, conditional_puts, ..BucketOptions::default() };
        let prefix = Path::from("shared");
        let bucket =
            Bucket::new(Arc::new(InMemory::new()), prefix, runtime.handle().clone(), folder.path(), options);
        (runtime, folder, BucketExchange::new(bucket.unwrap()))
    }

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    fn write(exchange: &BucketExchange, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut sink = exchange.create(&key(name), bytes.len() as u64, "mark")?;
        bytes.chunks(33_333).try_for_each(|piece| sink.write(piece))?;
        sink.commit()
    }

    fn whole(exchange: &BucketExchange, name: &str) -> Vec<u8> {
        let mut source = exchange.open(&key(name)).unwrap();
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < source.size_bytes() {
            match source.read(bytes.len() as u64).unwrap() {
                Piece::Bytes(piece) => bytes.extend_from_slice(&piece),
                Piece::Hole(_) => panic!("a bucket knows no holes"),
            }
        }
        source.expect_unchanged().unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read_and_nothing_is_overwritten() {
        for conditional in [true, false] {
            let (_runtime, _folder, exchange) = exchange(conditional);
            for (name, length) in [("Small 1.raw", 10), ("a/large", 1_050_000), ("one part", 100_000)] {
                let bytes: Vec<u8> = (0..length).map(|at| (at >> 3) as u8).collect();
                write(&exchange, name, &bytes).unwrap();
                assert!(whole(&exchange, name) == bytes, "{name}");
                assert_eq!(write(&exchange, name, b"other"), Err(Error::Taken(name.into())));
                // One that comes while another is being written stays.
                let late = format!("{name} late");
                let mut sink = exchange.create(&key(&late), length as u64, "mark").unwrap();
                sink.write(&bytes).unwrap();
                write(&exchange, &late, b"theirs").unwrap();
                assert_eq!(sink.commit(), Err(Error::Taken(late.clone())));
                assert_eq!(whole(&exchange, &late), b"theirs");
            }
            assert_eq!(exchange.open(&key("none")).map(|_| ()), Err(Error::Missing("none".into())));
        }
    }

    #[test]
    fn an_object_that_changes_is_noticed() {
        let (_runtime, _folder, exchange) = exchange(true);
        write(&exchange, "a", &[1; 10]).unwrap();
        let mut source = exchange.open(&key("a")).unwrap();
        let path = exchange.path(&key("a")).unwrap();
        let bucket = &exchange.0;
        bucket
            .handle()
            .block_on(bucket.store().put_opts(&path, vec![2; 10].into(), Default::default()))
            .unwrap();
        assert_eq!(source.expect_unchanged(), Err(Error::Changed("a".into())));
    }

    #[test]
    fn an_object_has_no_more_parts_than_a_bucket_takes() {
        assert_eq!(part_bytes(100, 8 << 20), 8 << 20);
        let terabyte: u64 = 1 << 40;
        assert!(terabyte.div_ceil(part_bytes(terabyte, 8 << 20) as u64) <= PARTS_MAX);
    }
}
