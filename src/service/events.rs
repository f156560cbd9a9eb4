//! What happened to stored data, told by image: the audit log, and the list of the last events.
//!
//! Owns the lines with the target `tintype::audit`: their target, and the fields `event`, `object`, `detail`,
//! `images` and `verdict`, are what programs may rely on. Invariant: events name images to administrators
//! and to the log alone.

use std::collections::HashMap;

use super::rights::{Action, Resource};
use super::{Actor, Error, Service};
use crate::base::Time;
use crate::catalog::images;
use crate::db::Db;
use crate::model::{ContentId, ImageId};
use crate::store::{self, EventKind, Store};

/// Something that happened to stored data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Time,
    /// What, by a name that never changes.
    pub event: &'static str,
    /// What it happened to.
    pub object: String,
    /// What was found, and what was done.
    pub detail: String,
    /// The images it hits, of those that are still there.
    pub images: Vec<ImageId>,
}

/// What an event means for the data.
fn verdict(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Damaged => "damage, nothing lost",
        EventKind::Lost => "data lost",
        EventKind::Healed => "healed",
        EventKind::Over | EventKind::Back => "over",
        EventKind::Away => "waiting",
        EventKind::ScrubBegan | EventKind::ScrubEnded | EventKind::KeysChanged => "done",
    }
}

/// Has a store's events told in the log.
pub(super) fn log(db: &Db, store: &Store) {
    let db = db.clone();
    store.listen(Box::new(move |events| {
        let hit = images_of(&db, events.iter().flat_map(|event| &event.contents));
        events.iter().for_each(|event| log_one(event, &hit));
    }));
}

fn log_one(event: &store::Event, hit: &Result<HashMap<ContentId, Vec<ImageId>>, Error>) {
    let images = match hit {
        Ok(hit) => {
            let images = event.contents.iter().filter_map(|content| hit.get(content)).flatten();
            images.map(ToString::to_string).collect::<Vec<_>>().join(",")
        }
        Err(error) => format!("cannot be told: {error:?}"),
    };
    let (name, verdict) = (event.kind.name(), verdict(event.kind));
    let (object, detail) = (&event.object, &event.detail);
    match event.kind {
        EventKind::Damaged | EventKind::Lost | EventKind::Healed | EventKind::Away => tracing::warn!(
            target: "tintype::audit", event = name, object, detail, images, verdict, "stored data"
        ),
        _ => tracing::info!(
            target: "tintype::audit", event = name, object, detail, images, verdict, "stored data"
        ),
    }
}

/// The images that have one of these contents, by content, from one look at all.
fn images_of<'c>(
    db: &Db,
    contents: impl Iterator<Item = &'c ContentId>,
) -> Result<HashMap<ContentId, Vec<ImageId>>, Error> {
    let mut found: HashMap<ContentId, Vec<ImageId>> =
        contents.map(|content| (*content, Vec::new())).collect();
    if !found.is_empty() {
        images::for_each_stored(&db.read()?, &mut |image| {
            for content in image.contents() {
                if let Some(images) = found.get_mut(&content) {
                    images.push(image.id);
                }
            }
        })?;
    }
    Ok(found)
}

impl Service {
    /// The last events, the newest first.
    ///
    /// # Errors
    /// [`super::ErrorKind::Forbidden`], or when the catalog fails.
    pub fn events(&self, actor: &Actor) -> Result<Vec<Event>, Error> {
        actor.expect(Action::StoreGet, Resource::None)?;
        let events = self.store.events()?;
        let hit = images_of(&self.db, events.iter().flat_map(|event| &event.contents))?;
        let told = |event: store::Event| Event {
            at: event.at,
            event: event.kind.name(),
            images: event.contents.iter().filter_map(|content| hit.get(content)).flatten().copied().collect(),
            object: event.object,
            detail: event.detail,
        };
        Ok(events.into_iter().map(told).collect())
    }
}
