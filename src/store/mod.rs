//! The chunk store: bytes in, bytes out, each block once. Has never heard of an image.
//!
//! Receives a stream ([`Store::ingest`]), keeps it durably, and gives any range of it back,
//! verified ([`Store::reader`]). A stream becomes visible when its [`Receipt`] is published in
//! the caller's transaction, and is let go of by [`Store::release`].

#[allow(dead_code, unused_imports)]
mod cutter;
#[allow(dead_code, unused_imports)]
mod keyring;
#[allow(dead_code)]
mod seal;

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::db::{self, WriteTxn};
use crate::model::{ByteRange, ContentId, Digests};

/// A store failure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No space for more data.
    #[error("no space left for image data: {0}")]
    Full(String),
    /// The medium does not answer, or not now.
    #[error("the store's medium failed: {0}")]
    Unavailable(String),
    /// Stored bytes are not what was written.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// The pack or manifest.
        what: String,
        /// What was expected and found.
        reason: String,
    },
    /// No such content.
    #[error("no content {0}")]
    Missing(ContentId),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] db::Error),
}

/// The store. Cheap to share.
#[derive(Clone)]
pub struct Store {}

/// A stream on its way in. Dropping it abandons the stream; what it stored is reclaimed later.
pub struct Ingest {}

/// A stream that is durable but not yet visible. Holding it keeps its packs from being reclaimed.
#[derive(Clone)]
pub struct Receipt {}

/// A published stream, open for reading. Holding it keeps its packs from being deleted.
#[derive(Clone)]
pub struct Reader {}

impl Store {
    /// Starts a stream.
    ///
    /// # Errors
    /// When the store is poisoned or closing.
    pub fn ingest(&self) -> Result<Ingest, Error> {
        unimplemented!()
    }
    /// Makes a durable stream visible, inside the caller's transaction. Checks again that every
    /// pack it names is alive.
    ///
    /// # Errors
    /// When a pack has gone meanwhile, or the database fails.
    pub fn publish(&self, _txn: &WriteTxn, _receipt: &Receipt) -> Result<(), Error> {
        unimplemented!()
    }
    /// Lets go of a stream, inside the caller's transaction. Its space is reclaimed later.
    ///
    /// # Errors
    /// When the database fails.
    pub fn release(&self, _txn: &WriteTxn, _content: &ContentId) -> Result<(), Error> {
        unimplemented!()
    }
    /// Opens a published stream. Blocks on the medium.
    ///
    /// # Errors
    /// [`Error::Missing`], or the medium's failure.
    pub fn reader(&self, _content: &ContentId) -> Result<Reader, Error> {
        unimplemented!()
    }
}

impl Ingest {
    /// Takes the next bytes; waits while the store is busy (back-pressure).
    ///
    /// # Errors
    /// Whatever broke the stream; it is abandoned then.
    pub async fn write(&mut self, _bytes: Bytes) -> Result<(), Error> {
        unimplemented!()
    }
    /// Ends the stream: everything durable, nothing visible yet. `record` is kept beside the
    /// content, so that the store can be read without the catalog.
    ///
    /// # Errors
    /// Whatever broke the stream.
    pub async fn finish(self, _record: Vec<u8>) -> Result<Receipt, Error> {
        unimplemented!()
    }
}

impl Receipt {
    /// The stream's name.
    pub fn content(&self) -> ContentId {
        unimplemented!()
    }
    /// Its length.
    pub fn size_bytes(&self) -> u64 {
        unimplemented!()
    }
    /// Its digests.
    pub fn digests(&self) -> &Digests {
        unimplemented!()
    }
}

impl Reader {
    /// The stream's length.
    pub fn size_bytes(&self) -> u64 {
        unimplemented!()
    }
    /// The bytes of `range`, in order, verified; ends with an error where they are damaged.
    pub fn stream(&self, _range: ByteRange) -> BoxStream<'static, Result<Bytes, Error>> {
        unimplemented!()
    }
    /// Fills `out` from `offset`. Blocks on the medium.
    ///
    /// # Errors
    /// Past the end, damage, or the medium's failure.
    pub fn read_at(&self, _offset: u64, _out: &mut [u8]) -> Result<(), Error> {
        unimplemented!()
    }
}
