//! Keeping what is stored whole: the scrub, the damage it and reads find, and what heals it.
//!
//! Invariant: damage is told by image and byte range, to administrators only; healing changes
//! nothing of an image's record but which streams have its data.

use std::collections::{HashMap, HashSet};

use super::audit::Act;
use super::rights::{Action, Resource};
use super::upkeep::Step;
use super::{Actor, Error, ErrorKind, Service};
use crate::base::Time;
use crate::catalog::images;
use crate::model::{ByteRange, ContentId, Image, ImageId, Operation};
use crate::store::{Incident, Mended, Reach, ScrubStatus, Scrubbed};

/// Bytes between two steps that are told.
const STEP_BYTES: u64 = 256 << 20;

/// A damaged object, and the images it hits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedObject {
    /// What is damaged.
    pub object: String,
    /// When it was found.
    pub found_at: Time,
    /// The first thing that was found.
    pub reason: String,
    /// Its damaged 1 MiB blocks, as runs; none where that cannot be told.
    pub blocks: Vec<(u32, u32)>,
    /// Chunks that are lost; `None` for all of them.
    pub lost_chunks: Option<u64>,
    /// The images that lose something by it.
    pub images: Vec<HitImage>,
}

/// An image that lost something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HitImage {
    /// Which.
    pub image: ImageId,
    /// Its name, for the person who must upload it again.
    pub name: Option<String>,
    /// The bytes of it that cannot be read.
    pub ranges: Vec<ByteRange>,
}

/// The outcome of a scrub that somebody waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubReport {
    /// The round.
    pub status: ScrubStatus,
    /// Objects that are damaged now, after healing.
    pub damaged_objects: u64,
    /// What was healed on the way.
    pub mended: Mended,
    /// What else was found damaged, and what became of it: of the store's header, its key ring, its log.
    pub incidents: Vec<Incident>,
}

/// What is left to do for a scrub in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextScrub {
    /// The round is not complete.
    Soon,
    /// The next round is due in so many seconds.
    In(u64),
}

impl Service {
    /// How far the scrub is.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`], or when the catalog fails.
    pub fn scrub_status(&self, actor: &Actor) -> Result<ScrubStatus, Error> {
        actor.expect(Action::StoreGet, Resource::None)?;
        Ok(self.store.scrub_status()?)
    }

    /// Compares everything stored with what was written, now and as fast as the medium gives, and
    /// heals what can be healed.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`], or when the catalog or the medium fails, or the server is told to
    /// stop; damage is no error.
    pub fn scrub(&self, actor: &Actor, tell: &mut dyn FnMut(Step)) -> Result<ScrubReport, Error> {
        actor.expect(Action::StoreScrub, Resource::None)?;
        self.record(actor, Act::new(Operation::Scrub))?;
        let total = Some(self.store.stats()?.stored_bytes);
        let mut done = 0;
        let ended = self.store.scrub_all(&mut |bytes| {
            if (done + bytes) / STEP_BYTES > done / STEP_BYTES {
                tell(Step { phase: "comparing stored objects", done: done + bytes, total });
            }
            done += bytes;
        })?;
        if ended == Scrubbed::Stopped {
            let text = "the server stops; the scrub goes on when it runs again";
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
        let incidents = self.store.tend()?;
        let mended = self.mend()?;
        let damage = self.store.damage_counts();
        let status = self.store.scrub_status()?;
        let lasting = incidents.iter().filter(|incident| incident.outcome.is_err()).count() as u64;
        Ok(ScrubReport {
            status,
            damaged_objects: damage.packs + damage.manifests + lasting,
            mended,
            incidents,
        })
    }

    /// Goes on with the round that is under way, or begins the next when it is due: each object once
    /// in a period. Blocks for as long as that takes.
    ///
    /// # Errors
    /// When the catalog or the medium fails.
    pub fn scrub_on(&self, bytes_per_s: u64, period_s: u64) -> Result<NextScrub, Error> {
        let rest = |status: &ScrubStatus| {
            let began = status.started_at.map_or(0, Time::seconds);
            let passed = self.clock.now().seconds().saturating_sub(began);
            // A clock that went back makes no period longer.
            period_s.saturating_sub(u64::try_from(passed).unwrap_or(period_s))
        };
        let status = self.store.scrub_status()?;
        if !status.is_under_way && rest(&status) > 0 {
            return Ok(NextScrub::In(rest(&status)));
        }
        self.store.begin_scrub()?;
        if self.store.scrub_on(bytes_per_s)? == Scrubbed::Stopped {
            return Ok(NextScrub::Soon);
        }
        self.store.tend()?;
        let status = self.store.scrub_status()?;
        tracing::info!(objects = status.objects, bytes = status.bytes, "a scrub is complete");
        if rest(&status) == 0 {
            tracing::warn!(period_s, bytes_per_s, "a scrub took longer than its period; let it read faster");
        }
        Ok(NextScrub::In(rest(&status)))
    }

    /// Everything that is known to be damaged.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`], or when the catalog or the medium fails.
    pub fn damage(&self, actor: &Actor) -> Result<Vec<DamagedObject>, Error> {
        actor.expect(Action::StoreGet, Resource::None)?;
        let found = self.store.damage()?;
        let hit: HashSet<ContentId> =
            found.iter().flat_map(|o| o.contents.iter().map(|(id, _)| *id)).collect();
        let mut images = HashMap::new();
        self.each_image_with_data(&mut |image, content| {
            if hit.contains(&content) {
                images.insert(content, (image.id, image.name));
            }
        })?;
        let named = |(content, ranges): (ContentId, Vec<ByteRange>)| {
            let (image, name) = images.get(&content)?.clone();
            Some(HitImage { image, name, ranges })
        };
        let told = found.into_iter().map(|object| DamagedObject {
            object: object.stored.to_string(),
            found_at: object.found_at,
            reason: object.reason,
            blocks: object.blocks,
            lost_chunks: object.lost_chunks,
            images: object.contents.into_iter().filter_map(named).collect(),
        });
        Ok(told.collect())
    }

    /// Heals what the store can heal by itself, then images that another image has the same bytes of, then copies of
    /// images that are whole in another store.
    ///
    /// # Errors
    /// When the catalog or the medium fails.
    pub fn mend(&self) -> Result<Mended, Error> {
        let mut mended = self.store.mend()?;
        let hit: HashSet<ContentId> = self
            .store
            .damage()?
            .iter()
            .flat_map(|object| object.contents.iter().map(|(id, _)| *id))
            .collect();
        let mut hurt: HashMap<[u8; 32], Vec<(ContentId, Image)>> = HashMap::new();
        if !hit.is_empty() {
            self.each_image_with_data(&mut |image, content| {
                if let Some(digests) = image.digests.as_ref().filter(|_| hit.contains(&content)) {
                    hurt.entry(digests.blake3).or_default().push((content, image));
                }
            })?;
        }
        let mut twins = Vec::new();
        if !hurt.is_empty() {
            self.each_image_with_data(&mut |image, content| {
                let same = image.digests.as_ref().and_then(|digests| hurt.get(&digests.blake3));
                if let Some(same) = same.filter(|_| !hit.contains(&content)) {
                    twins.extend(same.iter().map(|(hurt, record)| (*hurt, content, record.clone())));
                }
            })?;
        }
        let mut healed = HashSet::new();
        for (content, twin, image) in twins {
            if !healed.contains(&content)
                && self.store.mend_from_twin(&content, &twin, images::encode(&image))?
            {
                healed.insert(content);
                mended.manifests += 1;
            }
        }
        for (content, image) in hurt.into_values().flatten() {
            if !healed.contains(&content) && !image.copies.is_empty() {
                match self.renew_copy(&image, content) {
                    Ok(renewed) => mended.manifests += u64::from(renewed),
                    // The other copy or the place may be back later; what else is damaged need not wait.
                    Err(error) => {
                        tracing::warn!(image = %image.id, %error, "a damaged copy is not made anew now")
                    }
                }
            }
        }
        if mended.packs + mended.manifests > 0 {
            self.litter.left(Reach::Released);
        }
        Ok(mended)
    }

    fn each_image_with_data(&self, visit: &mut dyn FnMut(Image, ContentId)) -> Result<(), Error> {
        images::for_each_stored(&self.db.read()?, &mut |image| {
            for content in image.contents() {
                visit(image.clone(), content);
            }
        })?;
        Ok(())
    }
}
