//! What keeping images by recipes would come to, as far as their tables tell. Must not change anything, nor remember it.

use std::collections::BTreeMap;

use super::{Kept, Looked, Outcome, Packed, Service, compressible, failed, packed};
use crate::catalog::images;
use crate::disk::probe::Format;
use crate::model::{ContentId, StorePlace};
use crate::service::images::stored::Stored;
use crate::service::{Error, ErrorKind};

/// Streams that would be looked at, and what is known of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecipePlan {
    /// Streams that would be tried. Whether they can be made again to the bit shows only then.
    pub streams: u64,
    /// What their compressed units hold, in bytes: what they may share with other images of the same disks.
    pub packed_bytes: u64,
    /// Streams that are kept by recipes, or stay as they are; and images that recipes are not for.
    pub settled: Kept,
}

impl Service {
    /// What keeping all compressed containers by recipes would try. Reads the tables of each; blocks on the medium.
    ///
    /// # Errors
    /// When the catalog or the medium fails.
    pub(in crate::service) fn plan_recipes(&self) -> Result<RecipePlan, Error> {
        let mut plan = RecipePlan { settled: self.looked_at_before()?, ..RecipePlan::default() };
        let mut untried = BTreeMap::new();
        images::for_each_stored(&self.db.read()?, &mut |image| {
            let Some(format) = compressible(&image) else { return };
            for place in self.stores.iter().map(|store| store.place) {
                let open = image.copy_at(place).filter(|content| !self.recipes_tried.is_settled(content));
                untried.extend(open.map(|content| (content, (place, format))));
            }
        })?;
        for (content, (place, format)) in untried {
            match self.foresee(&content, place, format)? {
                Foreseen::Tried { packed_bytes } => {
                    plan.streams += 1;
                    plan.packed_bytes += packed_bytes;
                }
                Foreseen::Settled(outcome) => plan.settled.add(outcome),
                Foreseen::PutOff => plan.settled.put_off += 1,
            }
        }
        Ok(plan)
    }

    fn foresee(&self, content: &ContentId, place: StorePlace, format: Format) -> Result<Foreseen, Error> {
        let reader = match self.store.reader_for_upkeep(content) {
            Ok(reader) if reader.is_made() => return Ok(Foreseen::Settled(Outcome::Kept)),
            Ok(reader) => reader,
            Err(error) => {
                return Ok(match failed(error, content, place)? {
                    Looked::Settled(outcome) => Foreseen::Settled(outcome),
                    _ => Foreseen::PutOff,
                });
            }
        };
        match packed(format, Stored(reader), &self.rules.disks) {
            Ok(Some(Packed { packed_bytes, .. })) => Ok(Foreseen::Tried { packed_bytes }),
            Ok(None) => Ok(Foreseen::Settled(Outcome::NotPacked)),
            Err(error) if error.kind != ErrorKind::Unavailable => Ok(Foreseen::Settled(Outcome::Unreadable)),
            Err(_) if !place.is_home() => Ok(Foreseen::PutOff),
            Err(error) => Err(error),
        }
    }
}

/// What is foreseen of one stream.
enum Foreseen {
    Tried { packed_bytes: u64 },
    Settled(Outcome),
    PutOff,
}
