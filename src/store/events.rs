//! What happened to stored data, for whoever has to answer for it: damage, healing, scrubs, keys.
//!
//! Owns: the last [`KEPT`] events, in the catalog, and whoever listens to new ones. Invariant: an event that
//! cannot be written down is told all the same, and stops nothing. Names and streams are the store's own;
//! who listens knows whose they are.
//!
//! Events are derived in the sense that a rebuilt catalog begins without any.

use std::ops::{Bound, ControlFlow};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::Store;
use super::error::Error;
use crate::base::Time;
use crate::db::codec::Record;
use crate::db::{Rows, Table, WriteTxn};
use crate::model::ContentId;

/// Events by number, from 0 on.
pub const EVENTS: Table = Table::derived("events-1");

/// Events that are kept.
pub const KEPT: u64 = 1000;
/// Streams that one event names.
const CONTENTS_MAX: usize = 64;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    /// An object is not what was written, and all data still reads.
    Damaged = 1,
    /// Data of an object cannot be read.
    Lost = 2,
    /// A damaged object was put right.
    Healed = 3,
    /// An object that was damaged is whole again, or needed no more.
    Over = 4,
    /// A scrub began.
    ScrubBegan = 5,
    /// A scrub compared everything.
    ScrubEnded = 6,
    /// The key ring has another version.
    KeysChanged = 7,
    /// The medium did not answer when the store was opened, and is not used until it was recognised.
    Away = 8,
    /// The medium was recognised after that.
    Back = 9,
}

impl EventKind {
    const ALL: [EventKind; 9] = [
        EventKind::Damaged,
        EventKind::Lost,
        EventKind::Healed,
        EventKind::Over,
        EventKind::ScrubBegan,
        EventKind::ScrubEnded,
        EventKind::KeysChanged,
        EventKind::Away,
        EventKind::Back,
    ];

    /// Its name, which never changes.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Damaged => "damaged",
            EventKind::Lost => "lost",
            EventKind::Healed => "healed",
            EventKind::Over => "damage-over",
            EventKind::ScrubBegan => "scrub-began",
            EventKind::ScrubEnded => "scrub-ended",
            EventKind::KeysChanged => "keys-changed",
            EventKind::Away => "medium-away",
            EventKind::Back => "medium-back",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Time,
    /// What.
    pub kind: EventKind,
    /// What it happened to.
    pub object: String,
    /// What was found, and what was done.
    pub detail: String,
    /// Streams it hits; the first of them where there are more than 64.
    pub contents: Vec<ContentId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EventRow {
    at: i64,
    kind: u8,
    object: String,
    detail: String,
    contents: Vec<[u8; 16]>,
}

impl Record for EventRow {
    const VERSION: u8 = 1;
    const NAME: &'static str = "event";
}

impl From<&Event> for EventRow {
    fn from(event: &Event) -> EventRow {
        EventRow {
            at: event.at.0,
            kind: event.kind as u8,
            object: event.object.clone(),
            detail: event.detail.clone(),
            contents: event.contents.iter().take(CONTENTS_MAX).map(|content| content.0).collect(),
        }
    }
}

impl EventRow {
    /// The event; `None` of a kind that only a later release knows.
    fn event(self) -> Option<Event> {
        Some(Event {
            at: Time(self.at),
            kind: EventKind::ALL.into_iter().find(|kind| *kind as u8 == self.kind)?,
            object: self.object,
            detail: self.detail,
            contents: self.contents.into_iter().map(ContentId).collect(),
        })
    }
}

/// Is told of each event, on whatever thread it happens.
pub type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// Who is told.
#[derive(Default)]
pub(super) struct Events {
    listener: OnceLock<Listener>,
}

/// Writes an event down in a transaction, and forgets the oldest beyond [`KEPT`].
fn put(txn: &WriteTxn, row: &EventRow) -> Result<(), Error> {
    let mut last = None;
    txn.scan(&EVENTS, (Bound::Unbounded, Bound::Unbounded), true, &mut |key, _| {
        last = key.try_into().ok().map(u64::from_be_bytes);
        ControlFlow::Break(())
    })?;
    let number = last.map_or(0, |last| last + 1);
    txn.put_record(&EVENTS, &number.to_be_bytes(), row)?;
    if let Some(old) = number.checked_sub(KEPT) {
        txn.remove(&EVENTS, &old.to_be_bytes())?;
    }
    Ok(())
}

impl Store {
    /// Has `listener` told of everything that happens from now on. The first one stays.
    pub fn listen(&self, listener: Listener) {
        if self.inner.events.listener.set(listener).is_err() {
            tracing::debug!("somebody listens to the store's events already");
        }
    }

    /// The last events, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn events(&self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        super::rows::each(&self.inner.db.read()?, &EVENTS, |_, row: EventRow| {
            events.extend(row.event());
            Ok(())
        })?;
        events.reverse();
        Ok(events)
    }

    /// Tells of something that happened to an object.
    pub(super) fn record(
        &self,
        kind: EventKind,
        object: impl ToString,
        detail: impl ToString,
        contents: Vec<ContentId>,
    ) {
        let (at, object, detail) = (self.inner.clock.now(), object.to_string(), detail.to_string());
        let event = Event { at, kind, object, detail, contents };
        let row = EventRow::from(&event);
        if let Err(error) = self.inner.db.write(move |txn| put(txn, &row)) {
            tracing::warn!(%error, event = kind.name(), object = event.object, "an event could not be written down");
        }
        if let Some(listener) = self.inner.events.listener.get() {
            listener(&event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::tests::{fresh, open};
    use super::*;
    use crate::db::codec::encode;

    #[test]
    fn rows_are_golden() {
        let row =
            EventRow { at: 1, kind: 2, object: "ab".into(), detail: "c".into(), contents: vec![[3; 16]] };
        assert_eq!(
            hex::encode(encode(&row)),
            format!(
                "0101000000000000000202000000000000006162010000000000000063{}{}",
                "0100000000000000",
                "03".repeat(16)
            )
        );
        let later = EventRow { kind: 99, ..row.clone() };
        assert_eq!((later.event(), row.event().map(|event| event.kind)), (None, Some(EventKind::Lost)));
    }

    #[test]
    fn the_last_events_are_kept_and_whoever_listens_hears_of_each() {
        let b = fresh(None);
        let heard = Arc::new(Mutex::new(0));
        let ear = heard.clone();
        b.store.listen(Box::new(move |event| {
            assert_eq!(event.kind, EventKind::Healed);
            *ear.lock().unwrap() += 1;
        }));
        for number in 0..KEPT + 5 {
            b.store.record(EventKind::Healed, number, "again", vec![ContentId([1; 16])]);
        }
        let store = open(b.objects.clone(), b.db.clone(), None).unwrap();
        let events = store.events().unwrap();
        assert_eq!((events.len() as u64, *heard.lock().unwrap()), (KEPT, KEPT + 5));
        assert_eq!((events[0].object.clone(), events[0].contents.len()), ((KEPT + 4).to_string(), 1));
    }
}
