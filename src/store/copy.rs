//! A stream again, under a name of its own, from the chunks that are there.
//!
//! Invariant: what the copy names is held from before it is looked at until it is published, which checks once
//! more that all of it is there.

use super::Store;
use super::error::Error;
use super::ingest::{Body, Receipt, seal_manifest};
use super::manifest::{Extent, Manifest};
use super::realm::{Realm, Scope};
use crate::model::{ContentId, StorePlace};

impl Store {
    /// Makes a durable stream of the same bytes as `content`, which shares all its chunks; visible once it is
    /// published. `record` is kept beside it. `None` where streams of `scope` are sealed with other keys, or lie elsewhere:
    /// then its bytes have to be stored anew. Blocks on the medium.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Reclaimed`] when chunks are about to go, which may help to repeat; what the
    /// medium says.
    pub fn copy(&self, content: &ContentId, scope: Scope, record: Vec<u8>) -> Result<Option<Receipt>, Error> {
        self.expect_entered()?;
        let row = self.content_row(content)?.ok_or(Error::Missing(*content))?;
        if row.domain != Realm::new(self.inner.domain, scope).domain {
            return Ok(None);
        }
        // While it is open none of its packs goes.
        let reader = self.reader(content)?;
        let mut held = self.inner.pins.hold();
        if self.place_of_stream(reader.manifest())?.is_some_and(|place| place != scope.place()) {
            return Ok(None);
        }
        for extent in reader.extents() {
            if let Extent::Run { pack, first, count, .. } = *extent
                && !held.run(pack, first, count)
            {
                return Err(Error::Reclaimed(pack));
            }
        }
        let manifest = reader.manifest();
        let body = Body {
            domain: row.domain,
            cutter: manifest.cutter,
            extents: manifest.extents.clone(),
            held,
            last_pack: None,
            digests: manifest.digests.clone().into(),
            record,
            recipe: reader.recipe(),
        };
        seal_manifest(self, body).map(Some)
    }

    /// Where a stream's packs lie, which are all of one place; `None` where it has none.
    pub(super) fn place_of_stream(&self, manifest: &Manifest) -> Result<Option<StorePlace>, Error> {
        let Some(pack) = manifest.packs().min() else { return Ok(None) };
        Ok(self.pack_row(pack)?.map(|row| row.realm().place))
    }
}
