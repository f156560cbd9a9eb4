//! What happened to stored data, for whoever has to answer for it: damage, healing, scrubs, keys.
//!
//! Owns: the last [`KEPT`] events, in the catalog, whoever listens to new ones, and events that wait until it
//! is known whom they hit. Invariants: an event that cannot be written down is told all the same, and stops
//! nothing; events are told in the order in which they came. Names and streams are the store's own; who
//! listens knows whose they are.
//!
//! Events are derived in the sense that a rebuilt catalog begins without any.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::stored::Stored;
use super::{Store, thread};
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

/// Is told of events, those that are known at once together.
pub type Listener = Box<dyn Fn(&[Event]) + Send + Sync>;

/// Who is told, and of what not yet.
#[derive(Default)]
pub(super) struct Events {
    listener: OnceLock<Listener>,
    pending: Mutex<Pending>,
    /// One tells at a time.
    telling: Mutex<()>,
}

/// Events that wait.
#[derive(Default)]
struct Pending {
    events: Vec<Untold>,
    /// Whether a thread is about to tell them.
    has_teller: bool,
}

/// An event that was written down, and is told once it is known whom it hits.
struct Untold {
    /// Its number; `None` where it could not be written down.
    number: Option<u64>,
    event: Event,
    /// The object whose damage it tells of.
    damaged: Option<Stored>,
}

impl Events {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an event of damage that was written down under `number` until it is told.
    pub fn wait(&self, number: u64, event: Event, damaged: Stored) {
        let untold = Untold { number: Some(number), event, damaged: Some(damaged) };
        self.pending().events.push(untold);
    }

    /// Whether somebody has to be found who tells what waits; whoever asks is that.
    fn needs_teller(&self) -> bool {
        let mut pending = self.pending();
        !pending.events.is_empty() && !std::mem::replace(&mut pending.has_teller, true)
    }

    /// Whether the teller may go: nothing waits.
    fn is_done(&self) -> bool {
        let mut pending = self.pending();
        pending.has_teller = !pending.events.is_empty();
        !pending.has_teller
    }

    fn tell(&self, events: &[Event]) {
        if let Some(listener) = self.listener.get().filter(|_| !events.is_empty()) {
            listener(events);
        }
    }
}

/// Writes an event down in a transaction, and forgets the oldest beyond [`KEPT`]; gives its number.
pub(super) fn put(txn: &WriteTxn, event: &Event) -> Result<u64, Error> {
    let mut last = None;
    txn.scan(&EVENTS, (Bound::Unbounded, Bound::Unbounded), true, &mut |key, _| {
        last = key.try_into().ok().map(u64::from_be_bytes);
        ControlFlow::Break(())
    })?;
    let number = last.map_or(0, |last| last + 1);
    txn.put_record(&EVENTS, &number.to_be_bytes(), &EventRow::from(event))?;
    if let Some(old) = number.checked_sub(KEPT) {
        txn.remove(&EVENTS, &old.to_be_bytes())?;
    }
    Ok(number)
}

/// Writes down whom events hit, of those that are still kept.
fn amend(txn: &WriteTxn, rows: &[(u64, EventRow)]) -> Result<(), Error> {
    for (number, row) in rows {
        let key = number.to_be_bytes();
        if txn.get(&EVENTS, &key)?.is_some() {
            txn.put_record(&EVENTS, &key, row)?;
        }
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
        self.tell_untold()?;
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
        let written = event.clone();
        let number = match self.inner.db.write(move |txn| put(txn, &written)) {
            Ok(number) => Some(number),
            Err(error) => {
                let (event, object) = (kind.name(), &event.object);
                tracing::warn!(%error, event, object, "an event could not be written down");
                None
            }
        };
        let mut pending = self.inner.events.pending();
        if pending.events.is_empty() {
            drop(pending);
            self.inner.events.tell(&[event]);
        } else {
            pending.events.push(Untold { number, event, damaged: None });
        }
    }

    /// Tells of damage that was found and not told yet, and counts the streams that lost something: both
    /// from one look at all streams, so that much damage found at once costs no more than a little.
    ///
    /// # Errors
    /// When the database or the medium does not answer; what waited is told all the same, without
    /// whom it hits.
    pub(super) fn tell_damage(&self) -> Result<(), Error> {
        let _one = self.inner.events.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = std::mem::take(&mut self.inner.events.pending().events);
        let damage = self.count_affected();
        let hit: BTreeMap<Stored, Vec<ContentId>> = match &damage {
            Ok(damage) => damage.iter().map(|damaged| (damaged.stored, damaged.hit().collect())).collect(),
            Err(error) => {
                tracing::warn!(%error, "cannot tell now whom damage hits");
                BTreeMap::new()
            }
        };
        let (mut events, mut rows) = (Vec::new(), Vec::new());
        for Untold { number, mut event, damaged } in untold {
            if let Some(contents) = damaged.and_then(|damaged| hit.get(&damaged)) {
                event.contents.clone_from(contents);
                rows.extend(number.map(|number| (number, EventRow::from(&event))));
            }
            events.push(event);
        }
        if !rows.is_empty()
            && let Err(error) = self.inner.db.write(move |txn| amend(txn, &rows))
        {
            tracing::warn!(%error, "whom events hit could not be written down");
        }
        self.inner.events.tell(&events);
        damage.map(drop)
    }

    /// Tells of damage that was found and not told yet, if there is any; waits for whoever does it.
    ///
    /// # Errors
    /// As telling: when the database or the medium does not answer.
    pub fn tell_untold(&self) -> Result<(), Error> {
        drop(self.inner.events.telling.lock().unwrap_or_else(PoisonError::into_inner));
        let waits = !self.inner.events.pending().events.is_empty();
        if waits { self.tell_damage() } else { Ok(()) }
    }

    /// Has a thread tell of damage that was found: whoever met it, and reads on, does not wait.
    pub(super) fn tell_damage_soon(&self) {
        if !self.inner.events.needs_teller() {
            return;
        }
        let store = self.clone();
        let started = thread::spawn("damage", move || store.tell_until_done());
        if let Err(error) = started {
            tracing::warn!(%error, "damage is told where it was met");
            self.tell_until_done();
        }
    }

    fn tell_until_done(&self) {
        loop {
            // What failed has told so.
            let _ = self.tell_damage();
            if self.inner.events.is_done() {
                return;
            }
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
        b.store.listen(Box::new(move |events| {
            assert!(events.iter().all(|event| event.kind == EventKind::Healed));
            *ear.lock().unwrap() += events.len() as u64;
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
