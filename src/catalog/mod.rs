//! Records: images, links to them, members, identities, tokens, access keys, application credentials, custom keys, metadata definitions,
//! jobs, audit. Has never heard of a chunk.
//!
//! An interface of operations in domain types; redb (behind [`crate::db`]) is its one
//! implementation. Writing operations take the caller's transaction, so that several layers
//! commit together. Invariant: every index row follows from a fact row, and changes with it in
//! the same transaction.

pub mod access_keys;
pub mod application_credentials;
pub mod audit;
pub mod cached_images;
pub mod credentials;
pub mod custom_keys;
pub mod disk_exports;
pub mod domain_members;
mod error;
pub mod identity;
pub mod image_links;
pub mod images;
mod index;
pub mod jobs;
pub mod locations;
pub mod members;
pub mod metadefs;
pub mod passwords;
pub mod quotas;
mod records;
pub mod registry;
pub mod tokens;
pub mod uploads;

pub use error::Error;

use crate::db::{Db, ReadTxn, Table};
use index::Index;

/// Every table of the catalog that holds facts: what a lost catalog is rebuilt from.
pub fn fact_tables() -> Vec<Table> {
    let others = [
        members::MEMBERS,
        uploads::UPLOADS,
        locations::LOCATIONS,
        jobs::JOBS,
        custom_keys::CUSTOM_KEYS,
        credentials::CREDENTIALS,
        passwords::LIVES,
        image_links::IMAGE_LINKS,
    ];
    [
        &images::FACTS[..],
        &others,
        &identity::FACTS,
        &access_keys::FACTS,
        &application_credentials::FACTS,
        &audit::FACTS,
        &domain_members::FACTS,
        &quotas::FACTS,
        &metadefs::FACTS,
        &registry::FACTS,
    ]
    .concat()
}

/// Every table of the catalog that is no fact: indexes, tokens, the revision of rights, how far audit records were
/// forwarded, notes on what was cached, disks that are open to whoever has their names, limits that a Keystone told, which end with the file they are in, and what is left of an index of an older form.
pub fn derived_tables() -> Vec<Table> {
    let mut tables: Vec<Table> = indexes().iter().map(|index| index.derived).collect();
    tables.extend([tokens::TOKENS, identity::REVISION, audit::CURSOR, quotas::USAGE, quotas::TOLD]);
    tables.extend([cached_images::CACHED, disk_exports::EXPORTS]);
    tables.extend(images::OLD_INDEXES);
    tables
}

/// Names of derived tables whose rows are not those that follow from the facts. There are none but
/// for a fault of the program. Memory does not grow with the number of images.
///
/// # Errors
/// When the database fails, or a fact is unreadable.
pub fn differing_indexes(read: &ReadTxn) -> Result<Vec<&'static str>, Error> {
    let mut differing = Vec::new();
    for index in indexes() {
        if !index.is_whole(read)? {
            differing.push(index.derived.name);
        }
    }
    if !quotas::is_whole(read)? {
        differing.push(quotas::USAGE.name);
    }
    Ok(differing)
}

/// Makes every index anew from what it follows from. For a catalog that nobody else writes to: each
/// transaction is bounded, so that what a crash leaves is neither the old nor the new.
///
/// # Errors
/// When the database fails, or a fact is unreadable.
pub fn reindex(db: &Db) -> Result<(), Error> {
    indexes().iter().try_for_each(|index| index.rebuild(db))?;
    quotas::recount_lost(db)
}

/// Every derived table of which each row follows from one row of another table.
fn indexes() -> Vec<Index> {
    [
        &[images::INDEX, members::INDEX, domain_members::INDEX, access_keys::INDEX][..],
        &[custom_keys::INDEX, jobs::INDEX, application_credentials::INDEX, credentials::INDEX],
        &identity::INDEXES,
        &tokens::INDEXES,
        &image_links::INDEXES,
    ]
    .concat()
}
