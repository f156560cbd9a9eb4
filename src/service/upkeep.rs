//! Upkeep of the whole box: what is stored, and whether it is whole. For administrators.
//!
//! Invariant: upkeep changes no record; it works on what is visible while others go on working,
//! and never takes an image that is deleted under it for damage.

use std::collections::HashMap;

use super::audit::Act;
use super::rights::{Action, Resource};
use super::{Actor, Error, ErrorKind, Service};
use crate::base::Time;
use crate::catalog::{self, images};
use crate::db::ReadTxn;
use crate::model::{ByteRange, ContentId, DataCopy, Image, ImageId, Operation};
use crate::store;

/// Bytes read at once while checking.
const READ_BYTES: u64 = 1 << 20;
/// Bytes between two steps that are told.
const STEP_BYTES: u64 = 256 << 20;

/// How far long work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is being done.
    pub phase: &'static str,
    /// How much of it, in bytes.
    pub done: u64,
    /// Of how much, where that is known.
    pub total: Option<u64>,
}

/// What the box holds, as its users see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Images, those without data included.
    pub images: u64,
    /// Bytes of all images' data, before deduplication and compression.
    pub image_bytes: u64,
    /// Deleted images that are retained.
    pub deleted_images: u64,
    /// Bytes of their data.
    pub deleted_image_bytes: u64,
    /// Bytes the store keeps for them, packs and manifests.
    pub stored_bytes: u64,
    /// Chunks kept, each once.
    pub chunks: u64,
    /// Packs they lie in.
    pub packs: u64,
    /// Whether what is stored is sealed.
    pub sealed: bool,
}

/// An image whose data does not read back as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Which.
    pub image: ImageId,
    /// Its name, for the person who must upload it again.
    pub name: Option<String>,
    /// What was found.
    pub reason: String,
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// When it began.
    pub started_at: Time,
    /// Images whose data was read.
    pub images: u64,
    /// Bytes that were read and compared.
    pub image_bytes: u64,
    /// Images whose data is damaged.
    pub damaged: Vec<Damage>,
    /// Images whose key was revoked: whole, and unreadable for good.
    pub revoked: Vec<ImageId>,
    /// What stored objects are damaged, whether an image needs them or not.
    pub damaged_objects: Vec<String>,
    /// Indexes of the catalog that do not follow from its records.
    pub differing_indexes: Vec<&'static str>,
    /// The store's description of itself.
    pub description: Described,
    /// What was found damaged of the store's header, its key ring and its log, and what became of it.
    pub incidents: Vec<store::Incident>,
}

/// How far the store alone, without its catalog, tells what the box holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// Commits it tells of, from the first on.
    pub commits: u64,
    /// When the last of them was written down.
    pub written_at: Option<Time>,
    /// What is damaged of it, or differs from the catalog.
    pub damage: Vec<String>,
}

impl From<store::Description> for Described {
    fn from(found: store::Description) -> Described {
        let damage = found.damage.iter().map(ToString::to_string).collect();
        Described { commits: found.commits, written_at: found.written_at, damage }
    }
}

impl Service {
    /// Makes what an earlier release left of indexes anew; says whether there was any. Takes a second for some ten
    /// thousand images, once; nothing may be served before it ends.
    ///
    /// # Errors
    /// When the database fails, or a record is unreadable.
    pub fn renew_indexes(&self) -> Result<bool, Error> {
        let jobs = catalog::jobs::renew_index(&self.db)?;
        let usage = catalog::quotas::renew(&self.db)?;
        Ok(images::renew_index(&self.db)? || jobs || usage)
    }

    /// Lets those through who may look after the box, where no action of its own says what for.
    ///
    /// # Errors
    /// [`super::ErrorKind::Forbidden`] for everyone else.
    pub fn authorise_upkeep(&self, actor: &Actor) -> Result<(), Error> {
        actor.expect(Action::UpkeepManage, Resource::None)
    }

    /// What the box holds.
    ///
    /// # Errors
    /// [`super::ErrorKind::Forbidden`], or when the catalog fails.
    pub fn usage(&self, actor: &Actor) -> Result<Usage, Error> {
        actor.expect(Action::StoreGet, Resource::None)?;
        let stored = self.store.stats()?;
        let usage = usage(&self.db.read()?)?;
        Ok(Usage {
            stored_bytes: stored.stored_bytes,
            chunks: stored.chunks,
            packs: stored.packs,
            sealed: self.store.is_sealed(),
            ..usage
        })
    }

    /// Compares the catalog's indexes with its records, every image's data with the digest taken
    /// when it arrived, and the store's description of itself with the catalog.
    ///
    /// # Errors
    /// [`super::ErrorKind::Forbidden`], or when the catalog or the medium fails; damage is no
    /// error but part of the outcome.
    pub fn check(&self, actor: &Actor, tell: &mut dyn FnMut(Step)) -> Result<Checked, Error> {
        actor.expect(Action::StoreCheck, Resource::None)?;
        let read = self.db.read()?;
        let total = Some(usage(&read)?.image_bytes);
        let mut stored = Vec::new();
        images::for_each_stored(&read, &mut |image| {
            if let Some(digests) = &image.digests {
                stored.extend(image.data().map(|copy| (image.id, copy, digests.blake3)));
            }
        })?;
        drop(read);
        let mut checked = Checked {
            started_at: self.clock.now(),
            images: 0,
            image_bytes: 0,
            damaged: Vec::new(),
            revoked: Vec::new(),
            damaged_objects: Vec::new(),
            differing_indexes: catalog::differing_indexes(&self.db.read()?)?,
            description: Described::default(),
            incidents: Vec::new(),
        };
        let mut hurt = HashMap::new();
        for store::Damage { error, contents } in self.store.verify()? {
            hurt.extend(contents.into_iter().map(|content| (content, error.to_string())));
            checked.damaged_objects.push(error.to_string());
        }
        let mut last = None;
        for (id, copy, blake3) in stored {
            let (before, content) = (checked.image_bytes, copy.content);
            let found = self.read_back(&copy, &blake3, &mut |bytes| {
                if (checked.image_bytes + bytes) / STEP_BYTES > checked.image_bytes / STEP_BYTES {
                    tell(Step { phase: "reading images back", done: checked.image_bytes + bytes, total });
                }
                checked.image_bytes += bytes;
            });
            let found = match found {
                Err(error) if error.kind == ErrorKind::Gone => {
                    checked.revoked.push(id);
                    continue;
                }
                found => found?,
            };
            let Some(image) = self.still_names(&id, &content)? else {
                checked.image_bytes = before;
                continue;
            };
            // Copies of one image follow each other.
            checked.images += u64::from(last.replace(id) != Some(id));
            checked.damaged.extend(hurt.get(&content).cloned().or(found).map(|reason| Damage {
                image: id,
                name: image.name,
                reason,
            }));
        }
        checked.description = self.store.verify_description()?.into();
        // After it: what is damaged of the description is told of as damage, and written anew here.
        checked.incidents = self.store.tend()?;
        let lasting = checked.incidents.iter().filter(|incident| incident.outcome.is_err());
        checked.damaged_objects.extend(lasting.map(ToString::to_string));
        // Not before the comparison: it would be one more record, in the place of one that was cut off.
        let said = format!("{} images, {} of them damaged", checked.images, checked.damaged.len());
        self.record(actor, Act::new(Operation::Check).saying(said))?;
        Ok(checked)
    }

    /// Reads a stream and says what is wrong with it, if anything.
    fn read_back(
        &self,
        copy: &DataCopy,
        blake3: &[u8; 32],
        passed: &mut dyn FnMut(u64),
    ) -> Result<Option<String>, Error> {
        let outcome = digest(&self.store, &copy.content, passed);
        match outcome {
            // What lies at a place that does not answer cannot be read now; the rest of the box can be checked.
            Err(error) if error.is_absence() && !copy.place.is_home() => Ok(Some(error.to_string())),
            Ok(found) if found == *blake3 => Ok(None),
            Ok(_) => Ok(Some("its bytes are not those that were stored".to_owned())),
            Err(error) if error.is_unreadable() || matches!(error, store::Error::Missing(_)) => {
                Ok(Some(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The image, if it still has this content.
    fn still_names(&self, id: &ImageId, content: &ContentId) -> Result<Option<Image>, Error> {
        let image = images::get_stored(&self.db.read()?, id)?;
        Ok(image.filter(|image| image.contents().any(|own| own == *content)))
    }
}

fn usage(read: &ReadTxn) -> Result<Usage, Error> {
    let all = catalog::quotas::usage_of_all(read)?;
    Ok(Usage {
        images: all.images + all.killed,
        image_bytes: all.image_bytes,
        deleted_images: all.deleted_images,
        deleted_image_bytes: all.deleted_image_bytes,
        ..Usage::default()
    })
}

fn digest(
    store: &store::Store,
    content: &ContentId,
    passed: &mut dyn FnMut(u64),
) -> Result<[u8; 32], store::Error> {
    let reader = store.reader(content)?;
    let whole = ByteRange::whole(reader.size_bytes());
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; READ_BYTES.min(whole.len()) as usize];
    let mut at = whole.start;
    while at < whole.end {
        let piece = &mut buffer[..READ_BYTES.min(whole.end - at) as usize];
        reader.read_at(at, piece)?;
        hasher.update(piece);
        at += piece.len() as u64;
        passed(piece.len() as u64);
    }
    Ok(*hasher.finalize().as_bytes())
}
