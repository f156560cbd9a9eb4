//! An audit record and the anchor of a chain whose front was pruned; a record's number is the row's key.
//!
//! The hash of a record is over its number, the hash before and the content's own bytes, so that reading it
//! and writing it again gives the same hash.

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::{self, Record, Unreadable};
use crate::model::trace::{Interface, Rating, Trace, TraceContent, TraceHash, TraceHead};

/// What BLAKE3 derives the key of these hashes from.
const CONTEXT: &str = "tintype 2026 audit record 1";

/// What a record says, as its hash covers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentRecord {
    time: i64,
    recorded_at: i64,
    user: String,
    user_name: String,
    domain: String,
    domain_name: String,
    project: String,
    owner: String,
    operation: String,
    resource_type: String,
    resource_id: String,
    resource_name: String,
    rating: String,
    interface: String,
    source: String,
    request_id: String,
    call: String,
    request: String,
    code: String,
    message: String,
}

impl Record for ContentRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "content of an audit record";
}

/// A record without its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceRecord {
    before: TraceHash,
    hash: TraceHash,
    /// A [`ContentRecord`] with its version.
    content: Vec<u8>,
}

impl Record for TraceRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "audit record";
}

/// The last record that was pruned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorRecord {
    seq: u64,
    hash: TraceHash,
}

impl Record for AnchorRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "audit anchor";
}

impl From<TraceHead> for AnchorRecord {
    fn from(head: TraceHead) -> AnchorRecord {
        AnchorRecord { seq: head.seq, hash: head.hash }
    }
}

impl From<AnchorRecord> for TraceHead {
    fn from(record: AnchorRecord) -> TraceHead {
        TraceHead { seq: record.seq, hash: record.hash }
    }
}

impl TraceRecord {
    /// The record that follows `before`.
    pub fn after(before: TraceHead, content: &TraceContent) -> (TraceHead, TraceRecord) {
        let (seq, content) = (before.seq + 1, codec::encode(&ContentRecord::of(content)));
        let hash = hash(seq, &before.hash, &content);
        (TraceHead { seq, hash }, TraceRecord { before: before.hash, hash, content })
    }

    /// Its hash, and when it was recorded: what the next record needs to know, without reading all it says. `None`
    /// when its content is of no form that this release writes.
    pub fn place(&self) -> Option<(TraceHash, Time)> {
        const RECORDED_AT: std::ops::Range<usize> = 9..17;
        let recorded_at = self.content.get(RECORDED_AT)?.try_into().map(i64::from_le_bytes).ok()?;
        (self.content.first() == Some(&ContentRecord::VERSION)).then_some((self.hash, Time(recorded_at)))
    }

    /// Whether its hash is that of what it says.
    pub fn is_whole(&self, seq: u64) -> bool {
        hash(seq, &self.before, &self.content) == self.hash
    }

    /// The record with this number.
    ///
    /// # Errors
    /// When its content is of no form that this release knows.
    pub fn into_trace(self, seq: u64) -> Result<Trace, Unreadable> {
        let content = codec::decode::<ContentRecord>(&self.content)?.into_content()?;
        Ok(Trace { seq, before: self.before, hash: self.hash, content })
    }
}

fn hash(seq: u64, before: &TraceHash, content: &[u8]) -> TraceHash {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&seq.to_be_bytes()).update(before).update(content);
    *hasher.finalize().as_bytes()
}

impl ContentRecord {
    fn of(content: &TraceContent) -> ContentRecord {
        let content = content.clone();
        ContentRecord {
            time: content.time.0,
            recorded_at: content.recorded_at.0,
            user: content.user,
            user_name: content.user_name,
            domain: content.domain,
            domain_name: content.domain_name,
            project: content.project,
            owner: content.owner,
            operation: content.operation,
            resource_type: content.resource_type,
            resource_id: content.resource_id,
            resource_name: content.resource_name,
            rating: content.rating.as_str().to_owned(),
            interface: content.interface.as_str().to_owned(),
            source: content.source,
            request_id: content.request_id,
            call: content.call,
            request: content.request,
            code: content.code,
            message: content.message,
        }
    }

    fn into_content(self) -> Result<TraceContent, Unreadable> {
        let unknown = |what: &str, word: &str| Unreadable {
            name: Self::NAME,
            reason: format!("{what} {word:?} is unknown"),
        };
        Ok(TraceContent {
            time: Time(self.time),
            recorded_at: Time(self.recorded_at),
            user: self.user,
            user_name: self.user_name,
            domain: self.domain,
            domain_name: self.domain_name,
            project: self.project,
            owner: self.owner,
            operation: self.operation,
            resource_type: self.resource_type,
            resource_id: self.resource_id,
            resource_name: self.resource_name,
            rating: Rating::parse(&self.rating).ok_or_else(|| unknown("rating", &self.rating))?,
            interface: Interface::parse(&self.interface)
                .ok_or_else(|| unknown("interface", &self.interface))?,
            source: self.source,
            request_id: self.request_id,
            call: self.call,
            request: self.request,
            code: self.code,
            message: self.message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    fn content() -> TraceContent {
        let text = |letter: &str| letter.to_owned();
        TraceContent {
            time: Time(1),
            recorded_at: Time(2),
            user: text("a"),
            user_name: text("b"),
            domain: text("c"),
            domain_name: text("d"),
            project: text("e"),
            owner: text("f"),
            operation: text("g"),
            resource_type: text("h"),
            resource_id: text("i"),
            resource_name: text("j"),
            rating: Rating::Normal,
            interface: Interface::Ims,
            source: text("k"),
            request_id: text("l"),
            call: text("m"),
            request: text("n"),
            code: text("o"),
            message: text("p"),
        }
    }

    #[test]
    fn the_content_form_is_golden() {
        let bytes = encode(&ContentRecord::of(&content()));
        let text =
            |text: &str| format!("{}{}", hex::encode((text.len() as u64).to_le_bytes()), hex::encode(text));
        let mut golden = "0101000000000000000200000000000000".to_owned();
        for word in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "normal", "ims"] {
            golden += &text(word);
        }
        for word in ["k", "l", "m", "n", "o", "p"] {
            golden += &text(word);
        }
        assert_eq!(hex::encode(&bytes), golden);
        assert_eq!(decode::<ContentRecord>(&bytes).unwrap().into_content().unwrap(), content());
    }

    #[test]
    fn the_chain_form_is_golden() {
        let (head, record) = TraceRecord::after(TraceHead { seq: 6, hash: [9; 32] }, &content());
        assert_eq!(head.seq, 7);
        let bytes = encode(&record);
        let body = codec::encode(&ContentRecord::of(&content()));
        let golden = [&[1][..], &[9; 32], &head.hash, &(body.len() as u64).to_le_bytes(), &body].concat();
        assert_eq!(bytes, golden);
        let read = decode::<TraceRecord>(&bytes).unwrap();
        assert!(read.is_whole(7) && !read.is_whole(8));
        assert_eq!(read.place(), Some((head.hash, Time(2))));
        assert_eq!(read.into_trace(7).unwrap().content, content());
        let derived = blake3::derive_key(CONTEXT, &[&7u64.to_be_bytes()[..], &[9; 32], &body].concat());
        assert_eq!(derived, head.hash);
    }

    #[test]
    fn the_anchor_form_is_golden() {
        let bytes = encode(&AnchorRecord::from(TraceHead { seq: 258, hash: [3; 32] }));
        assert_eq!(hex::encode(&bytes), format!("010201000000000000{}", "03".repeat(32)));
        assert_eq!(TraceHead::from(decode::<AnchorRecord>(&bytes).unwrap()).seq, 258);
    }
}
