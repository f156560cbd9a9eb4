//! Which key domain an image's data is sealed in.
//!
//! Owns the property by which an image asks for a key, and whose domains there are. Invariants: the
//! choice is made before data arrives and holds as long as it is there; a key's name means another
//! key in each project, so that nobody reaches into another project's, nor learns what it has; a key
//! that an image has to itself goes when the image has gone.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use crate::catalog::images;
use crate::db::codec::{self, Record};
use crate::model::{Image, ImageId, ProjectId, Status};
use crate::service::{Error, ErrorKind, KeyDomains, Service};
use crate::store::{Reach, Reclaimed, Scope};

use super::fields::Change;

/// The property by which an image asks for a key.
pub const KEY_PROPERTY: &str = "tintype_key";
/// Its value for a key that no other image has.
pub const OWN_KEY: &str = "own";
/// Longest name of a key, in characters.
const KEY_NAME_CHARS_MAX: usize = 64;

/// Whose a key domain is: what is kept beside it in the key ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// All images of a project that ask for no other.
    Project {
        /// Its id.
        project: String,
    },
    /// The images of a project that name it.
    Named {
        /// The project's id; empty for images that nobody owns.
        project: String,
        /// What they name it.
        name: String,
    },
    /// One image.
    Image {
        /// Its id.
        image: [u8; 16],
        /// The id of its project when its data arrived; empty for none.
        project: String,
        /// Whether it asked for that; else the setting has it so.
        asked: bool,
    },
}

impl Record for Holder {
    const VERSION: u8 = 1;
    const NAME: &'static str = "holder of a key";
}

impl Holder {
    /// Whose the domain of new data of an image is; `None` for the store's own.
    fn of(image: &Image, domains: KeyDomains) -> Option<Holder> {
        let project = image.owner.as_ref().map_or("", ProjectId::as_str).to_owned();
        let own = |asked| Holder::Image { image: *image.id.0.as_bytes(), project: project.clone(), asked };
        match image.properties.get(KEY_PROPERTY) {
            Some(name) if name == OWN_KEY => Some(own(true)),
            Some(name) => Some(Holder::Named { project, name: name.clone() }),
            None => match domains {
                KeyDomains::Image => Some(own(false)),
                KeyDomains::Project if image.owner.is_some() => Some(Holder::Project { project }),
                KeyDomains::Project | KeyDomains::Store => None,
            },
        }
    }

    /// What the ring knows the domain of a holder by.
    pub fn scope(&self) -> Scope {
        match self {
            Holder::Project { project } => Scope::of("project", project),
            // The length tells where the project's id ends.
            Holder::Named { project, name } => {
                Scope::of("key", &format!("{}:{project}{name}", project.len()))
            }
            Holder::Image { image, .. } => Scope::of("image", &hex::encode(image)),
        }
    }

    /// The holder that was written beside a domain; `None` where none was, as by earlier releases.
    pub fn read(note: &[u8]) -> Option<Holder> {
        (!note.is_empty()).then(|| codec::decode(note).ok())?
    }

    /// The id of the project whose images are in it; empty for none.
    pub fn project(&self) -> &str {
        match self {
            Holder::Project { project } | Holder::Named { project, .. } | Holder::Image { project, .. } => {
                project
            }
        }
    }

    /// The project whose images made this domain by asking for it.
    fn asked_by(&self) -> Option<&str> {
        match self {
            Holder::Named { project, .. } | Holder::Image { project, asked: true, .. } => Some(project),
            Holder::Image { .. } | Holder::Project { .. } => None,
        }
    }
}

/// Refuses what is no name of a key, and a change of it once data is there.
pub(super) fn check_key_change(image: &Image, name: Option<&str>) -> Result<(), Error> {
    if image.status != Status::Queued {
        let status = image.status.as_str();
        return Err(Error::forbidden(format!(
            "{KEY_PROPERTY} is fixed once data arrives; the image is {status}"
        )));
    }
    let is_name = |name: &str| {
        (1..=KEY_NAME_CHARS_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    match name {
        Some(name) if !is_name(name) => Err(Error::invalid(format!(
            "{KEY_PROPERTY} {name:?} is no name of a key: it takes 1 to {KEY_NAME_CHARS_MAX} letters, digits, dots, \
             underscores or hyphens, or \"{OWN_KEY}\" for a key of the image's own"
        ))),
        _ => Ok(()),
    }
}

impl Service {
    /// Refuses changes that ask for a key where there are none to be had.
    pub(super) fn expect_keys_for(&self, changes: &[Change]) -> Result<(), Error> {
        let asks =
            |change: &Change| matches!(change, Change::SetProperty { name, .. } if name == KEY_PROPERTY);
        if !changes.iter().any(asks) {
            return Ok(());
        }
        if !self.store.is_sealed() {
            return Err(plain());
        }
        if self.rules.project_keys_max == 0 {
            return Err(Error::forbidden(format!(
                "{KEY_PROPERTY}: images cannot ask for keys on this box (seal.project_keys_max is 0)"
            )));
        }
        Ok(())
    }

    /// A scope of an image's data inside the key domain it is sealed in, which is made where there is
    /// none.
    pub(super) fn sealed_scope(&self, image: &Image, scope: Scope) -> Result<Scope, Error> {
        if !self.store.is_sealed() {
            let asks = image.properties.contains_key(KEY_PROPERTY);
            return if asks { Err(plain()) } else { Ok(scope) };
        }
        let Some(holder) = Holder::of(image, self.rules.key_domains) else { return Ok(scope) };
        // One at a time, so that what is counted is still so when a domain is made.
        let _one = self.key_making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(project) = holder.asked_by()
            && !self.store.has_domain(holder.scope())
        {
            self.expect_key_quota(project)?;
        }
        Ok(self.store.sealed_for(holder.scope(), &codec::encode(&holder), scope)?)
    }

    /// Refuses another key for a project that has as many as it may.
    fn expect_key_quota(&self, project: &str) -> Result<(), Error> {
        let most = self.rules.project_keys_max;
        let holders = self.store.domains().into_iter().filter_map(|status| Holder::read(&status.note));
        if holders.filter(|holder| holder.asked_by() == Some(project)).count() < most {
            return Ok(());
        }
        Err(Error::too_large(format!(
            "the project's images have asked for {most} keys already, which is the most \
             (seal.project_keys_max); name one that is there, or delete images with keys of their own"
        )))
    }

    /// Gives back what nothing needs any more, and drops the keys of images that have gone.
    ///
    /// # Errors
    /// When the catalog or the medium fails; what was done by then stays.
    pub fn give_back(&self, reach: Reach) -> Result<Reclaimed, Error> {
        let freed = self.store.reclaim(reach)?;
        self.drop_keys_of_the_gone()?;
        Ok(freed)
    }

    /// Drops the key of every image that had one to itself and was deleted, once nothing it sealed is
    /// there or in use: no id is given out twice, so nothing comes to need it again. Says how many.
    fn drop_keys_of_the_gone(&self) -> Result<usize, Error> {
        let mut gone = Vec::new();
        let read = self.db.read()?;
        for status in self.store.domains() {
            if let Some(Holder::Image { image, .. }) = Holder::read(&status.note)
                && images::get(&read, &ImageId(uuid::Uuid::from_bytes(image)))?.is_none()
            {
                gone.push(status.domain);
            }
        }
        drop(read);
        if gone.is_empty() {
            return Ok(0);
        }
        // A catalog that is rebuilt must not have the images back without their keys.
        self.store.ship()?;
        let used = self.store.domains_in_use()?;
        gone.retain(|domain| !used.contains(domain));
        for domain in &gone {
            self.store.erase_domain(*domain)?;
            tracing::info!(domain, "dropped the key of an image that was deleted");
        }
        Ok(gone.len())
    }
}

fn plain() -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("{KEY_PROPERTY}: the box is plain and has no keys; only a box that was made sealed has some"),
    )
}
