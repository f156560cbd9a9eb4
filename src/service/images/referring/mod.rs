//! Images by reference: the old way of locations. What an image's data is stands in its record, and the data lies at an
//! address of the web until somebody reads it.
//!
//! [`changing`] takes changes of an image's locations; [`fetching`] has the box fetch the data at its first read. The reference
//! serves such data from where it lies, unseen and unverified each time (OSSN-0065). Invariants: nothing of this happens unless the
//! operator says so; no byte is handed out that was not stored, looked at and compared before; no address of the
//! box's own media is ever told, nor taken from anybody; locations are told to an image's owners, and to whoever may see
//! all, alone.

mod changing;
mod fetching;

pub use changing::{LocationChange, NewLocation, Validation};
pub(in crate::service) use fetching::Fetches;

use super::access;
use crate::catalog::locations;
use crate::db::Rows;
use crate::model::Image;
use crate::model::image::{Declared, Located, Location};
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// The key of a location's metadata that names its store.
const STORE: &str = "store";

/// What one caller is told of an image's data, beside the image's record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// The name of the store that stands for addresses of the web, of an image that has one.
    pub web_store: Option<String>,
    /// What the data is said to be, of an image whose data nobody has read yet.
    pub declared: Declared,
    /// Where it lies; `None` where locations are not told.
    pub locations: Option<Vec<Location>>,
}

impl Service {
    /// Whether clients may hang locations on images, and see them in records.
    pub fn shows_locations(&self) -> bool {
        self.rules.imports.patch_locations && self.web_store().is_some()
    }

    /// What the caller is told of images' data beside their records.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn beside(&self, actor: &Actor, images: &[Image]) -> Result<Vec<Beside>, Error> {
        if self.web_store().is_none() {
            return Ok(vec![Beside::default(); images.len()]);
        }
        let read = self.db.read()?;
        images.iter().map(|image| self.beside_one(&read, actor, image)).collect()
    }

    fn beside_one(&self, rows: &impl Rows, actor: &Actor, image: &Image) -> Result<Beside, Error> {
        let located = locations::get(rows, &image.id)?;
        let is_told = self.shows_locations()
            && (access::owns(actor, image) || actor.allows(Action::ImagesGetLocations, Resource::of(image)));
        Ok(Beside {
            web_store: self.web_store().filter(|_| located.is_some()).map(str::to_owned),
            declared: located.as_ref().map(|located| located.declared).unwrap_or_default(),
            locations: is_told.then(|| self.told_locations(image, located.as_ref())),
        })
    }

    /// All locations of an image. Of data that is the box's own they say in which store it is, and nothing of where
    /// that is.
    fn told_locations(&self, image: &Image, located: Option<&Located>) -> Vec<Location> {
        let in_store = |name: &str, metadata: &std::collections::BTreeMap<String, String>| {
            let mut metadata = metadata.clone();
            metadata.insert(STORE.to_owned(), name.to_owned());
            metadata
        };
        if let Some(located) = located {
            let web = self.web_store().unwrap_or_default();
            let told = located.locations.iter();
            return told
                .map(|one| Location { url: one.url.clone(), metadata: in_store(web, &one.metadata) })
                .collect();
        }
        let own = self.stores().of(image);
        own.map(|store| Location {
            url: format!("tintype://{}/{}", store.name, image.id),
            metadata: in_store(&store.name, &Default::default()),
        })
        .collect()
    }
}
