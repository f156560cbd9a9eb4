//! Whether an image's custom key may seal or open its data now.

use super::{CustomKey, DEFAULT_ALIAS, Error, KeyId, KeyState, Service};
use crate::catalog::custom_keys;
use crate::db::Rows;
use crate::model::{Image, ProjectId};
use crate::service::images::CUSTOM_KEY_PROPERTY;
use crate::service::{Actor, Reason};

impl Service {
    /// The key that a caller names for new data: an id, an alias of its project, or the default key, which is made
    /// where there is none.
    ///
    /// # Errors
    /// `Conflict` in a plain box; `Invalid` when there is no such key that the caller may use; `Forbidden` when it
    /// is not enabled.
    pub fn key_for_new_data(&self, actor: &Actor, named: &str) -> Result<CustomKey, Error> {
        self.expect_sealed()?;
        let found = super::visible(&self.db.read()?, actor, named);
        let key = match found {
            Err(_) if named == DEFAULT_ALIAS => self.make_default_key(actor)?,
            Err(_) => return Err(unknown(named)),
            Ok(key) => key,
        };
        if !super::sees_all(actor) {
            expect_own(&key, actor.project())?;
        }
        expect_enabled(&key)?;
        Ok(key)
    }

    fn make_default_key(&self, actor: &Actor) -> Result<CustomKey, Error> {
        let new = super::NewCustomKey { alias: DEFAULT_ALIAS.to_owned(), ..super::NewCustomKey::default() };
        match self.create_custom_key(actor, new) {
            // Somebody else's request made it meanwhile.
            Err(error) if error.kind == super::ErrorKind::Conflict => self.custom_key(actor, DEFAULT_ALIAS),
            made => made,
        }
    }
}

/// Refuses to seal an image's data with a key that is not enabled, or not its owner's to use.
pub(in crate::service) fn expect_seals(
    rows: &impl Rows,
    id: KeyId,
    owner: Option<&ProjectId>,
) -> Result<(), Error> {
    let key = custom_keys::get(rows, id)?.ok_or_else(|| unknown(&id.to_string()))?;
    expect_own(&key, owner)?;
    expect_enabled(&key)
}

/// Refuses to seal with another project's key. A grant lets others read: whoever sealed with such a key would lose its
/// data when its owner deletes it.
fn expect_own(key: &CustomKey, project: Option<&ProjectId>) -> Result<(), Error> {
    if project == Some(&key.project) {
        return Ok(());
    }
    let message = format!(
        "custom key {} belongs to another project, and seals that one's images alone; make a key of your own",
        key.id
    );
    Err(Error::forbidden(message).because(Reason::KeyNotGranted))
}

/// Refuses to open an image's data for a project while its key is not enabled, or not the project's to use.
pub(in crate::service) fn expect_opens(rows: &impl Rows, image: &Image, actor: &Actor) -> Result<(), Error> {
    let Some(key) = key_of(rows, image)? else { return Ok(()) };
    expect_enabled(&key)?;
    let is_open = |project: &ProjectId| key.is_open_to(project) || image.owner.as_ref() == Some(project);
    if super::sees_all(actor) || actor.project().is_some_and(is_open) {
        return Ok(());
    }
    Err(not_granted(&key))
}

/// Refuses to share an image with a project that its key was not granted to: it could not open it.
pub(in crate::service) fn expect_shares(
    rows: &impl Rows,
    image: &Image,
    project: &ProjectId,
) -> Result<(), Error> {
    let Some(key) = key_of(rows, image)? else { return Ok(()) };
    if key.is_open_to(project) {
        return Ok(());
    }
    Err(Error::forbidden(format!(
        "image {} is sealed with custom key {} ({}), which project {project} may not use: grant it the key first \
         (a default key cannot be granted)",
        image.id, key.id, key.alias
    ))
    .because(Reason::Encrypted))
}

/// The custom key of an image; `None` when it has none, also where the property is of a release that did not know it:
/// keys never leave the catalog, so that nothing was sealed with one that is not there.
fn key_of(rows: &impl Rows, image: &Image) -> Result<Option<CustomKey>, Error> {
    let id = image.properties.get(CUSTOM_KEY_PROPERTY).and_then(|text| KeyId::parse(text));
    Ok(id.map(|id| custom_keys::get(rows, id)).transpose()?.flatten())
}

fn expect_enabled(key: &CustomKey) -> Result<(), Error> {
    let (id, alias) = (key.id, &key.alias);
    let what = match key.state {
        KeyState::Enabled => return Ok(()),
        KeyState::Disabled => "disabled; enable it to use what it sealed".to_owned(),
        KeyState::PendingDeletion(due) => {
            format!("pending deletion on {}; keep and enable it to use what it sealed", due.rfc3339_seconds())
        }
        KeyState::Deleted(at) => {
            let message = format!(
                "custom key {id} ({alias}) was deleted on {}: what it sealed cannot be read by anyone any more",
                at.rfc3339_seconds()
            );
            return Err(Error::new(super::ErrorKind::Gone, message).because(Reason::KeyDeleted));
        }
    };
    Err(Error::forbidden(format!("custom key {id} ({alias}) is {what}")).because(Reason::KeyDisabled))
}

fn not_granted(key: &CustomKey) -> Error {
    Error::forbidden(format!(
        "custom key {} belongs to another project, which did not grant it: ask its owner for a grant",
        key.id
    ))
    .because(Reason::KeyNotGranted)
}

fn unknown(named: &str) -> Error {
    Error::invalid(format!("there is no custom key {named} that your project may use")).because(Reason::NoKey)
}
