//! The one database file: a thin, typed door to redb.
//!
//! Owns: opening, sealing of the whole file, the format stamp, the single writer with group commit, the journal of logical
//! changes, the record codec, and the form that digests have in records. Invariant: a write is acknowledged only after its transaction
//! is durable, and after a failed commit nothing more is accepted ([`Error::Poisoned`]).
//! Must not know what any table means. No redb type leaves this module, except the
//! [`redb::StorageBackend`] a caller may bring to open a database on another medium.

pub mod codec;
mod digests;
mod error;
mod file;
mod journal;
mod open;
mod sealed;
mod sum;
mod table;
mod txn;
mod writer;

pub use digests::{DigestsForm, FirstDigestsForm};
pub use error::Error;
pub use file::{CatalogFile, Form, seal_anew};
pub use journal::{Change, JournalEntry};
pub use open::{Db, Options};
pub use redb::StorageBackend;
pub use sealed::{
    Original, Place, SEAL_KEY_BYTES, SEALED_HEADER_BYTES, SEALED_MAGIC, SEALED_VERSION, SealKey, Sealed,
};
pub use sum::{RowHash, RowSum, row_hash};
pub use table::{Key, KeyReader, Table};
pub use txn::{ReadTxn, Rows, Visit, WriteTxn};
