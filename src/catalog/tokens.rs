//! Issued tokens, by the BLAKE3 hash of the token. The token itself is never kept.
//!
//! Not journaled: tokens do not outlive the file they are in. Expired rows are removed a few at
//! a time as new ones are issued ([`purge_expired`]).

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::index::{Index, Row};
use super::records::tokens::TokenRecord;
use crate::base::Time;
use crate::db::codec::{self, Unreadable};
use crate::db::{Key, KeyReader, Rows, Table, WriteTxn};
use crate::model::UserId;
use crate::model::identity::{Scope, Token};

/// A token's name in the catalog: the BLAKE3 hash of its text.
pub type TokenHash = [u8; 32];

pub(super) const TOKENS: Table = Table::derived("tokens-1");
/// Expiry, hash.
const BY_EXPIRY: Table = Table::derived("tokens-by-expiry-1");
/// User, hash.
const BY_USER: Table = Table::derived("tokens-by-user-1");
/// How the two follow from the tokens.
pub(super) const INDEXES: [Index; 2] = [
    Index { facts: TOKENS, derived: BY_EXPIRY, follow: expiry_rows },
    Index { facts: TOKENS, derived: BY_USER, follow: user_rows },
];

fn expiry_key(token: &Token, hash: &TokenHash) -> Key {
    Key::new().signed(token.expires_at.0).fixed(hash)
}

fn user_key(user: &UserId) -> Key {
    Key::new().text(user.as_str())
}

/// The token with this hash, expired or not.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, hash: &TokenHash) -> Result<Option<Token>, Error> {
    Ok(rows.record::<TokenRecord>(&TOKENS, hash)?.map(Token::from))
}

/// Adds a token.
///
/// # Errors
/// When the database fails.
pub fn insert(txn: &WriteTxn, hash: &TokenHash, token: &Token) -> Result<(), Error> {
    txn.put_record(&TOKENS, hash, &TokenRecord::from(token))?;
    txn.put(&BY_EXPIRY, expiry_key(token, hash).bytes(), &[])?;
    Ok(txn.put(&BY_USER, user_key(&token.user).fixed(hash).bytes(), &[])?)
}

/// Removes a token; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete(txn: &WriteTxn, hash: &TokenHash) -> Result<bool, Error> {
    let Some(token) = get(txn, hash)? else { return Ok(false) };
    txn.remove(&BY_EXPIRY, expiry_key(&token, hash).bytes())?;
    txn.remove(&BY_USER, user_key(&token.user).fixed(hash).bytes())?;
    Ok(txn.remove(&TOKENS, hash)?)
}

fn expiry_rows(key: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    let (hash, token) = read(key, value)?;
    Ok(vec![(expiry_key(&token, &hash).into_bytes(), Vec::new())])
}

fn user_rows(key: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    let (hash, token) = read(key, value)?;
    Ok(vec![(user_key(&token.user).fixed(&hash).into_bytes(), Vec::new())])
}

fn read(key: &[u8], value: &[u8]) -> Result<(TokenHash, Token), Unreadable> {
    let hash: TokenHash =
        key.try_into().map_err(|_| Unreadable { name: "token", reason: "its key is no hash".into() })?;
    Ok((hash, Token::from(codec::decode::<TokenRecord>(value)?)))
}

/// Removes a user's tokens: all of them, or those for one scope.
///
/// # Errors
/// When the database fails.
pub fn delete_of_user(txn: &WriteTxn, user: &UserId, scope: Option<&Scope>) -> Result<(), Error> {
    retain_of_user(txn, user, |token| Ok(scope.is_some() && token.scope.as_ref() != scope))
}

/// Removes those of a user's tokens that `keep` does not want.
pub(super) fn retain_of_user(
    txn: &WriteTxn,
    user: &UserId,
    keep: impl Fn(&Token) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut hashes = Vec::new();
    txn.scan_prefix(&BY_USER, user_key(user).bytes(), &mut |key, _| {
        let mut reader = KeyReader::new(key);
        hashes.extend(reader.text().and_then(|_| reader.fixed::<32>()));
        ControlFlow::Continue(())
    })?;
    for hash in hashes {
        if let Some(token) = get(txn, &hash)?
            && !keep(&token)?
        {
            delete(txn, &hash)?;
        }
    }
    Ok(())
}

/// Removes at most `count` tokens that had ended by `now`, oldest first; says how many.
///
/// # Errors
/// When the database fails.
pub fn purge_expired(txn: &WriteTxn, now: Time, count: usize) -> Result<usize, Error> {
    let mut hashes = Vec::new();
    let end = Key::new().signed(now.0).fixed(&[0xff; 32]);
    txn.scan(&BY_EXPIRY, (Bound::Unbounded, Bound::Included(end.bytes())), false, &mut |key, _| {
        let mut reader = KeyReader::new(key);
        hashes.extend(reader.signed().and_then(|_| reader.fixed::<32>()));
        if hashes.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    for hash in &hashes {
        delete(txn, hash)?;
    }
    Ok(hashes.len())
}
