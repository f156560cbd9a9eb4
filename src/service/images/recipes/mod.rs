//! Compressed containers kept by recipes, so that they share what they hold with every other image of the same disk.
//!
//! Invariants: an image is the same to everybody before and after; one that somebody read a short while ago is left alone
//! where the operator wants that; what was tried in vain is not tried again by this process; one image that cannot be had, or
//! takes longer than a run, keeps none of the others from its turn. Must not know how units are made again.

mod pieces;
mod planning;
mod reads;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use planning::RecipePlan;
pub use reads::Reads;

use super::stored::{Stored, refusal};
use crate::base::Time;
use crate::catalog::images;
use crate::disk::probe::Format;
use crate::disk::{self, Budgets, Guest, Source};
use crate::model::{ContentId, Image, Status, StorePlace};
use crate::service::{Error, ErrorKind, Service};
use crate::store::{self, Progress, Recast, Watch};

/// Whether a store keeps compressed containers by recipes. They take less space where the same disks are there in other
/// forms, and more time to download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecipePolicy {
    /// As they came.
    #[default]
    Off,
    /// Those that nobody has read for a while.
    Idle,
    /// All of them.
    Always,
}

/// Which images are to be kept by recipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that each store's policy says; idle is who was not read for so many seconds.
    ByPolicy {
        /// How long.
        idle_s: i64,
    },
    /// All, as somebody asks for it.
    All,
}

/// What came of it. A stream is the data of an image in a store; images that are copies of each other share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Streams that were looked at, or had been since the process began.
    pub looked_at: u64,
    /// Streams that are kept by a recipe now.
    pub streams: u64,
    /// Streams that were before.
    pub kept_before: u64,
    /// Units of theirs, which are made again when they are read.
    pub units: u64,
    /// What these took as they came, in bytes.
    pub packed_bytes: u64,
    /// What they hold.
    pub plain_bytes: u64,
    /// What it takes to make them again.
    pub correction_bytes: u64,
    /// What was written for them, in bytes.
    pub written_bytes: u64,
    /// Streams that stay as they are: next to nothing in them is compressed.
    pub not_packed: u64,
    /// Streams that stay as they are: too little of them can be made again to the bit.
    pub not_made_again: u64,
    /// Streams that stay as they are: their recipes would be too long for the memory that the box has.
    pub too_long: u64,
    /// Streams that stay as they are: they could not be read as what their images say, or went meanwhile.
    pub unreadable: u64,
    /// Streams that wait for the next run: they were read or changed meanwhile, or their store does not answer.
    pub put_off: u64,
    /// Images that recipes are not for: no qcow2 or VMDK, or too small. Counted where all images are asked for.
    pub unfit: u64,
    /// Whether it was ended before all was done.
    pub ended_early: bool,
}

/// Streams that were tried, and what came of it.
#[derive(Clone, Default)]
pub struct Tried(Arc<Mutex<Outcomes>>);

#[derive(Default)]
struct Outcomes {
    of: HashMap<ContentId, Outcome>,
    /// How many were cut off.
    cut_off: u64,
}

/// What came of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Kept,
    NotPacked,
    NotMadeAgain,
    TooLong,
    Unreadable,
    /// Whoever watched ended it, when so many had been ended before: others come first.
    CutOff(u64),
}

/// What one run passes over.
#[derive(Default)]
struct PassedOver {
    contents: HashSet<ContentId>,
    /// Stores beside the home that do not answer.
    places: HashSet<StorePlace>,
}

/// A stream whose turn it is.
struct Chosen {
    content: ContentId,
    place: StorePlace,
    format: Format,
    /// When its image changed last.
    updated_at: Time,
}

/// So many are kept in mind; then all are forgotten, and tried once more.
const TRIED_MAX: usize = 1 << 16;
/// Streams that are chosen at once.
const CHOSEN_MAX: usize = 1024;
/// Compressed data that is less than one part in so many of what is not gains nothing.
const PACKED_SHARE: u64 = 10;
/// What is smaller gains nothing, in bytes.
const SIZE_BYTES_MIN: u64 = 1 << 20;

impl Tried {
    fn of(&self, content: &ContentId) -> Option<Outcome> {
        self.outcomes().of.get(content).copied()
    }

    /// Whether nothing more will become of a stream.
    fn is_settled(&self, content: &ContentId) -> bool {
        self.of(content).is_some_and(|outcome| !matches!(outcome, Outcome::CutOff(_)))
    }

    fn cut_off(&self, content: ContentId) {
        let mut outcomes = self.outcomes();
        let before = outcomes.cut_off;
        outcomes.cut_off += 1;
        drop(outcomes);
        self.add(content, Outcome::CutOff(before));
    }

    fn outcomes(&self) -> MutexGuard<'_, Outcomes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, content: ContentId, outcome: Outcome) {
        let tried = &mut self.outcomes().of;
        if tried.len() >= TRIED_MAX {
            tried.clear();
        }
        tried.insert(content, outcome);
    }
}

impl Kept {
    /// Streams that stay as they are.
    pub fn left_alone(&self) -> u64 {
        self.not_packed + self.not_made_again + self.too_long + self.unreadable
    }

    /// What it saves in bytes, about, once packs are written anew: compressed data takes about its own length.
    pub fn saved_bytes(&self) -> u64 {
        self.packed_bytes.saturating_sub(self.written_bytes)
    }

    fn add_done(&mut self, done: Recast) {
        if let Recast::Done { units, packed_bytes, plain_bytes, correction_bytes, written_bytes } = done {
            self.streams += 1;
            self.units += units;
            self.packed_bytes += packed_bytes;
            self.plain_bytes += plain_bytes;
            self.correction_bytes += correction_bytes;
            self.written_bytes += written_bytes;
        }
    }

    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Kept => self.kept_before += 1,
            Outcome::NotPacked => self.not_packed += 1,
            Outcome::NotMadeAgain => self.not_made_again += 1,
            Outcome::TooLong => self.too_long += 1,
            Outcome::Unreadable => self.unreadable += 1,
            Outcome::CutOff(_) => self.put_off += 1,
        }
    }
}

impl Service {
    /// Whether any store wants recipes.
    pub fn wants_recipes(&self) -> bool {
        self.stores.iter().any(|store| store.recipes != RecipePolicy::Off)
    }

    /// Keeps compressed containers by recipes, one after the other, until all are or `watch` ends it.
    ///
    /// # Errors
    /// When the catalog or the home medium fails, or there is no room. What was done by then stays.
    pub(in crate::service) fn keep_recipes(
        &self,
        which: Which,
        watch: &mut Watch<'_>,
    ) -> Result<Kept, Error> {
        let kept = self.keep_all_recipes(which, watch);
        if kept.is_err() {
            // What was written of the last one has no row that names it.
            self.litter.left(store::Reach::Everything);
        }
        kept
    }

    fn keep_all_recipes(&self, which: Which, watch: &mut Watch<'_>) -> Result<Kept, Error> {
        let mut kept = match which {
            Which::All => self.looked_at_before()?,
            Which::ByPolicy { .. } => Kept::default(),
        };
        let (mut looked_at, mut passed) = (0, PassedOver::default());
        loop {
            let chosen = self.choose(which, &passed)?;
            looked_at += chosen.len();
            // What was forgotten of those that were tried would be chosen again, for ever.
            if chosen.is_empty() || looked_at > TRIED_MAX {
                return Ok(Kept { ended_early: !chosen.is_empty(), ..kept });
            }
            for chosen in chosen {
                // Images that are copies of each other share one.
                let content = &chosen.content;
                if self.recipes_tried.is_settled(content) || passed.contents.contains(content) {
                    continue;
                }
                if passed.places.contains(&chosen.place) || !self.is_wanted(which, &chosen) {
                    passed.contents.insert(chosen.content);
                    kept.put_off += 1;
                    continue;
                }
                match self.keep_one(&chosen, watch)? {
                    Looked::Done(done) => {
                        kept.looked_at += 1;
                        kept.add_done(done);
                        self.recipes_tried.add(chosen.content, Outcome::Kept);
                    }
                    Looked::Settled(outcome) => {
                        kept.looked_at += 1;
                        kept.add(outcome);
                        self.recipes_tried.add(chosen.content, outcome);
                    }
                    Looked::PutOff => {
                        kept.put_off += 1;
                        passed.contents.insert(chosen.content);
                    }
                    Looked::Away => {
                        kept.put_off += 1;
                        passed.contents.insert(chosen.content);
                        passed.places.insert(chosen.place);
                    }
                    Looked::Ended { has_begun } => {
                        if has_begun {
                            self.recipes_tried.cut_off(chosen.content);
                        }
                        return Ok(Kept { ended_early: true, ..kept });
                    }
                }
            }
        }
    }

    /// What is known of all images before any is tried.
    fn looked_at_before(&self) -> Result<Kept, Error> {
        let mut kept = Kept::default();
        images::for_each_stored(&self.db.read()?, &mut |image| {
            if compressible(&image).is_none() {
                kept.unfit += u64::from(image.content.is_some());
                return;
            }
            for store in self.stores.iter() {
                let content = image.copy_at(store.place);
                let settled = content.filter(|content| self.recipes_tried.is_settled(content));
                if let Some(outcome) = settled.and_then(|content| self.recipes_tried.of(&content)) {
                    kept.looked_at += 1;
                    kept.add(outcome);
                }
            }
        })?;
        Ok(kept)
    }

    fn keep_one(&self, chosen: &Chosen, watch: &mut Watch<'_>) -> Result<Looked, Error> {
        let Chosen { content, place, format, .. } = chosen;
        let reader = match self.store.reader_for_upkeep(content) {
            Ok(reader) => reader,
            Err(error) => return failed(error, content, *place),
        };
        let guest = match packed(*format, Stored(reader), &self.rules.disks) {
            Ok(Some(Packed { guest, .. })) => guest,
            Ok(None) => return Ok(Looked::Settled(Outcome::NotPacked)),
            Err(error) if error.kind == ErrorKind::Unavailable && !place.is_home() => {
                return Ok(Looked::Away);
            }
            Err(error) if error.kind == ErrorKind::Unavailable => return Err(error),
            // Not in order by today's rules: a scrub says more about what is damaged.
            Err(error) => {
                tracing::debug!(%error, %content, "an image is not kept by a recipe");
                return Ok(Looked::Settled(Outcome::Unreadable));
            }
        };
        let mut has_begun = false;
        let mut watch = |progress: Progress| {
            has_begun |= progress.done_bytes > 0;
            watch(progress)
        };
        match self.store.keep_by_recipe(content, &mut pieces::of(&*guest), &mut watch) {
            Ok(Recast::Pointless) => Ok(Looked::Settled(Outcome::NotMadeAgain)),
            Ok(Recast::TooLong) => Ok(Looked::Settled(Outcome::TooLong)),
            Ok(Recast::Kept) => Ok(Looked::Settled(Outcome::Kept)),
            Ok(Recast::Unchanged) => Ok(Looked::PutOff),
            Ok(Recast::Ended) => Ok(Looked::Ended { has_begun }),
            Ok(done @ Recast::Done { .. }) => Ok(Looked::Done(done)),
            Err(error) => failed(error, content, *place),
        }
    }

    /// The next streams, some of them; those that were cut off before come when there is no other, the last cut off last.
    fn choose(&self, which: Which, passed: &PassedOver) -> Result<Vec<Chosen>, Error> {
        let (mut chosen, mut cut_off) = (Vec::new(), BTreeMap::new());
        images::for_each_stored(&self.db.read()?, &mut |image| {
            let Some(format) = compressible(&image) else { return };
            for store in self.stores.iter() {
                let place = store.place;
                let Some(content) = image.copy_at(place).filter(|content| !passed.contents.contains(content))
                else {
                    continue;
                };
                let one = Chosen { content, place, format, updated_at: image.updated_at };
                let (is_full, is_wanted) = (chosen.len() >= CHOSEN_MAX, self.is_wanted(which, &one));
                match self.recipes_tried.of(&content) {
                    None if is_wanted && !is_full => chosen.push(one),
                    Some(Outcome::CutOff(before)) if is_wanted => {
                        cut_off.insert(before, one);
                    }
                    _ => {}
                }
            }
        })?;
        if chosen.is_empty() {
            chosen.extend(cut_off.into_values().take(CHOSEN_MAX));
        }
        Ok(chosen)
    }

    /// Whether a stream is to be kept by a recipe, as things are now.
    fn is_wanted(&self, which: Which, chosen: &Chosen) -> bool {
        let Which::ByPolicy { idle_s } = which else { return true };
        let policy = self.stores.iter().find(|store| store.place == chosen.place).map(|store| store.recipes);
        match policy.unwrap_or_default() {
            RecipePolicy::Off => false,
            RecipePolicy::Always => true,
            RecipePolicy::Idle => {
                let last = self.reads.last(&chosen.content, chosen.updated_at);
                last + idle_s * Time::SECOND <= self.clock.now().0
            }
        }
    }
}

/// What is told of one stream.
enum Looked {
    /// It is kept by a recipe now, at this price.
    Done(Recast),
    /// Nothing more will become of it.
    Settled(Outcome),
    /// Another time.
    PutOff,
    /// Its store does not answer; nor does it for others there.
    Away,
    /// Whoever watches ended it.
    Ended {
        /// Whether anything of it had been done.
        has_begun: bool,
    },
}

/// What a stream's failure comes to: it is of this stream alone, unless all of the box is in trouble.
fn failed(error: store::Error, content: &ContentId, place: StorePlace) -> Result<Looked, Error> {
    let looked = match &error {
        _ if error.is_absence() && !place.is_home() => Looked::Away,
        // Deleted meanwhile, or a scrub says more about what is damaged.
        store::Error::Missing(_) | store::Error::NewerFormat { .. } => Looked::Settled(Outcome::Unreadable),
        _ if error.is_unreadable() => Looked::Settled(Outcome::Unreadable),
        store::Error::Crowded | store::Error::Reclaimed(_) | store::Error::Lost(_) => Looked::PutOff,
        _ => return Err(error.into()),
    };
    tracing::debug!(%error, %content, "an image is not kept by a recipe");
    Ok(looked)
}

/// An opened container whose tables tell that there is something to gain.
struct Packed {
    guest: Box<dyn Guest>,
    /// What its compressed units hold, in bytes.
    packed_bytes: u64,
}

/// Opens a container, and looks whether there is something to gain.
fn packed(format: Format, source: Stored, budgets: &Budgets) -> Result<Option<Packed>, Error> {
    let file_bytes = source.size_bytes();
    let Some(guest) = disk::open(format, source, budgets).map_err(refusal)? else { return Ok(None) };
    let survey = disk::survey(&*guest, file_bytes, format, budgets).map_err(refusal)?;
    let gains = survey.packed_bytes > survey.plain_bytes / PACKED_SHARE;
    Ok(gains.then_some(Packed { guest, packed_bytes: survey.packed_bytes }))
}

/// The container of an image that may have compressed units.
fn compressible(image: &Image) -> Option<Format> {
    let is_large = image.size_bytes.is_some_and(|bytes| bytes >= SIZE_BYTES_MIN);
    let is_bare = image.container_format.as_deref() == Some("bare");
    if image.status != Status::Active || !is_large || !is_bare {
        return None;
    }
    match image.disk_format.as_deref() {
        Some("qcow2") => Some(Format::Qcow2),
        Some("vmdk") => Some(Format::Vmdk),
        _ => None,
    }
}
