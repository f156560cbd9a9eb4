//! What keeping images by recipes would come to, as far as their tables tell. Must not change anything, nor remember it.

use super::{Kept, Outcome, Packed, Service, compressible, packed};
use crate::catalog::images;
use crate::disk::probe::Format;
use crate::model::ContentId;
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
        let mut untried = Vec::new();
        images::for_each_stored(&self.db.read()?, &mut |image| {
            let Some(format) = compressible(&image) else { return };
            let contents = self.stores.iter().filter_map(|store| image.copy_at(store.place));
            untried.extend(
                contents
                    .filter(|content| self.recipes_tried.of(content).is_none())
                    .map(|content| (content, format)),
            );
        })?;
        untried.sort_unstable_by_key(|(content, _)| *content);
        untried.dedup_by_key(|(content, _)| *content);
        for (content, format) in untried {
            match self.foresee(&content, format)? {
                Foreseen::Tried { packed_bytes } => {
                    plan.streams += 1;
                    plan.packed_bytes += packed_bytes;
                }
                Foreseen::Settled(outcome) => plan.settled.add(outcome),
            }
        }
        Ok(plan)
    }

    fn foresee(&self, content: &ContentId, format: Format) -> Result<Foreseen, Error> {
        let opened = self.store.reader_for_upkeep(content).map_err(Error::from).and_then(|reader| {
            if reader.is_made() {
                return Ok(Foreseen::Settled(Outcome::Kept));
            }
            Ok(match packed(format, Stored(reader), &self.rules.disks)? {
                Some(Packed { packed_bytes, .. }) => Foreseen::Tried { packed_bytes },
                None => Foreseen::Settled(Outcome::NotPacked),
            })
        });
        match opened {
            Err(error) if error.kind != ErrorKind::Unavailable => Ok(Foreseen::Settled(Outcome::Unreadable)),
            foreseen => foreseen,
        }
    }
}

/// What is foreseen of one stream.
enum Foreseen {
    Tried { packed_bytes: u64 },
    Settled(Outcome),
}
