//! What happened to stored data, told by image: the audit log, and the list of the last events.
//!
//! Owns the lines with the target `tintype::audit`: their target, and the fields `event`, `object`, `detail`,
//! `images` and `verdict`, are what programs may rely on. Invariant: events name images to administrators
//! and to the log alone.

use std::collections::HashSet;

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
        EventKind::Over => "over",
        EventKind::ScrubBegan | EventKind::ScrubEnded | EventKind::KeysChanged => "done",
    }
}

/// Has a store's events told in the log.
pub(super) fn log(db: &Db, store: &Store) {
    let db = db.clone();
    store.listen(Box::new(move |event| {
        let images = match hit(&db, &event.contents) {
            Ok(images) => images.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            Err(error) => format!("cannot be told: {error:?}"),
        };
        let (name, verdict) = (event.kind.name(), verdict(event.kind));
        let (object, detail) = (&event.object, &event.detail);
        match event.kind {
            EventKind::Damaged | EventKind::Lost | EventKind::Healed => tracing::warn!(
                target: "tintype::audit", event = name, object, detail, images, verdict, "stored data"
            ),
            _ => tracing::info!(
                target: "tintype::audit", event = name, object, detail, images, verdict, "stored data"
            ),
        }
    }));
}

/// The images that have one of these contents.
fn hit(db: &Db, contents: &[ContentId]) -> Result<Vec<ImageId>, Error> {
    let contents: HashSet<&ContentId> = contents.iter().collect();
    let mut hit = Vec::new();
    if !contents.is_empty() {
        images::for_each(&db.read()?, &mut |image| {
            if image.content.as_ref().is_some_and(|content| contents.contains(content)) {
                hit.push(image.id);
            }
        })?;
    }
    Ok(hit)
}

impl Service {
    /// The last events, the newest first.
    ///
    /// # Errors
    /// [`super::ErrorKind::Forbidden`], or when the catalog fails.
    pub fn events(&self, actor: &Actor) -> Result<Vec<Event>, Error> {
        self.authorise_upkeep(actor)?;
        let told = |event: store::Event| {
            Ok(Event {
                at: event.at,
                event: event.kind.name(),
                images: hit(&self.db, &event.contents)?,
                object: event.object,
                detail: event.detail,
            })
        };
        self.store.events()?.into_iter().map(told).collect()
    }
}
