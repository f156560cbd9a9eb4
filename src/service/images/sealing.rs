//! Which key domain an image's data is sealed in.
//!
//! Owns the properties by which an image asks for a key, and whose domains there are. Invariants: the
//! choice is made before data arrives and holds as long as it is there; a key's name means another
//! key in each project, so that nobody reaches into another project's, nor learns what it has; a key
//! that an image has to itself goes when the image has gone.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use crate::catalog::images;
use crate::db::codec::{self, Record};
use crate::model::{Image, ImageId, KeyId, ProjectId, Status};
use crate::service::{Actor, Error, ErrorKind, KeyDomains, Reason, Service, custom_keys};
use crate::store::{Reach, Reclaimed, Scope};

use super::fields::Change;

/// The property by which an image asks for a key.
pub const KEY_PROPERTY: &str = "tintype_key";
/// The property by which an image asks for a custom key: its id, as the image management API has it.
pub const CUSTOM_KEY_PROPERTY: &str = "__system__cmkid";
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
    /// The images that were given a custom key.
    Custom {
        /// The key's id.
        key: [u8; 16],
        /// The id of the project of the first of them.
        project: String,
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
        if let Some(key) = custom_key(image) {
            return Some(Holder::Custom { key: *key.bytes(), project });
        }
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
            Holder::Custom { key, .. } => Scope::of("custom key", &hex::encode(key)),
        }
    }

    /// The holder that was written beside a domain; `None` where none was, as by earlier releases.
    pub fn read(note: &[u8]) -> Option<Holder> {
        (!note.is_empty()).then(|| codec::decode(note).ok())?
    }

    /// The id of the project whose images are in it; empty for none.
    pub fn project(&self) -> &str {
        match self {
            Holder::Project { project }
            | Holder::Named { project, .. }
            | Holder::Image { project, .. }
            | Holder::Custom { project, .. } => project,
        }
    }

    /// The project whose images made this domain by asking for it.
    fn asked_by(&self) -> Option<&str> {
        match self {
            Holder::Named { project, .. } | Holder::Image { project, asked: true, .. } => Some(project),
            // Custom keys are counted when they are made.
            Holder::Image { .. } | Holder::Project { .. } | Holder::Custom { .. } => None,
        }
    }
}

/// Whether a property says which key an image is sealed with.
pub(super) fn asks_for_key(name: &str) -> bool {
    name == KEY_PROPERTY || name == CUSTOM_KEY_PROPERTY
}

/// The custom key that an image asks for.
fn custom_key(image: &Image) -> Option<KeyId> {
    KeyId::parse(image.properties.get(CUSTOM_KEY_PROPERTY)?)
}

/// Refuses what is no name of a key, a second choice beside the first, and a change once data is there. Where the
/// choice is taken back, `value` is `None`.
pub(super) fn check_key_change(image: &Image, property: &str, value: Option<&str>) -> Result<(), Error> {
    if image.status != Status::Queued {
        let status = image.status.as_str();
        return Err(Error::forbidden(format!(
            "{property} is fixed once data arrives; the image is {status}"
        )));
    }
    let Some(value) = value else { return Ok(()) };
    let other = if property == KEY_PROPERTY { CUSTOM_KEY_PROPERTY } else { KEY_PROPERTY };
    if image.properties.contains_key(other) {
        return Err(Error::conflict(format!("{property}: the image asks for a key by {other} already")));
    }
    if property == CUSTOM_KEY_PROPERTY {
        return match KeyId::parse(value) {
            Some(_) => Ok(()),
            None => Err(no_key_id(value)),
        };
    }
    let is_name = (1..=KEY_NAME_CHARS_MAX).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if is_name {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{property} {value:?} is no name of a key: it takes 1 to {KEY_NAME_CHARS_MAX} letters, digits, dots, \
         underscores or hyphens, or \"{OWN_KEY}\" for a key of the image's own"
    )))
}

impl Service {
    /// Refuses changes that ask for a key where there are none to be had, or for a custom key that the caller may
    /// not use.
    pub(super) fn expect_keys_for(&self, actor: &Actor, changes: &[Change]) -> Result<(), Error> {
        for change in changes {
            let Change::SetProperty { name, value, .. } = change else { continue };
            if !asks_for_key(name) {
                continue;
            }
            if !self.store.is_sealed() {
                return Err(plain(name));
            }
            if name == CUSTOM_KEY_PROPERTY {
                // Only ids: an alias means another key for each project.
                if KeyId::parse(value).is_none() {
                    return Err(no_key_id(value));
                }
                self.key_for_new_data(actor, value)?;
            } else if self.rules.project_keys_max == 0 {
                return Err(Error::forbidden(format!(
                    "{KEY_PROPERTY}: images cannot ask for keys on this box (seal.project_keys_max is 0)"
                )));
            }
        }
        Ok(())
    }

    /// A scope of an image's data inside the key domain it is sealed in, which is made where there is
    /// none.
    pub(super) fn sealed_scope(&self, image: &Image, scope: Scope) -> Result<Scope, Error> {
        if !self.store.is_sealed() {
            let asks = image.properties.keys().find(|name| asks_for_key(name));
            return asks.map_or(Ok(scope), |name| Err(plain(name)));
        }
        let Some(holder) = Holder::of(image, self.rules.key_domains) else { return Ok(scope) };
        if let Some(key) = custom_key(image) {
            custom_keys::expect_seals(&self.db.read()?, key, image.owner.as_ref())?;
        }
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
                && images::get_stored(&read, &ImageId(uuid::Uuid::from_bytes(image)))?.is_none()
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

fn no_key_id(value: &str) -> Error {
    Error::invalid(format!("{CUSTOM_KEY_PROPERTY} {value:?} is not the id of a custom key"))
        .because(Reason::NoKey)
}

fn plain(property: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("{property}: the box is plain and has no keys; only a box that was made sealed has some"),
    )
}
