//! What callers may set of an image's record, and within which bounds.
//!
//! Invariant: a record changed only through here satisfies the Image API's schema. Create and
//! update share it, so that no rule holds for one and not for the other.

use std::collections::BTreeSet;

use super::protection::{Protections, Use};
use super::sealing::{asks_for_key, check_key_change};
use super::verdicts::is_of_verdict;
use crate::base::limits;
use crate::model::image::{CONTAINER_FORMATS, DISK_FORMATS};
use crate::model::{Image, ProjectId, Status, Visibility};
use crate::service::rights::{Action, Point, Resource};
use crate::service::{Actor, Error};

/// Start of property names that the service keeps for itself.
pub(super) const RESERVED_PREFIX: &str = "os_glance";

/// One change to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a base field.
    Set(Field),
    /// Sets a custom property.
    SetProperty {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// What must hold of it before.
        existing: Existing,
    },
    /// Removes a custom property, which must be there.
    RemoveProperty(String),
}

/// What must hold of a property before it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Nothing: it is added or replaced.
    Any,
    /// It must be there.
    Required,
    /// It must not be there.
    Forbidden,
}

/// A base field and its new value.
#[allow(missing_docs)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    Name(Option<String>),
    Visibility(Visibility),
    Protected(bool),
    Hidden(bool),
    Owner(Option<ProjectId>),
    ContainerFormat(Option<String>),
    DiskFormat(Option<String>),
    MinDiskGib(u64),
    MinRamMib(u64),
    Tags(BTreeSet<String>),
}

/// Applies `change` to `image` for `actor`, who may write it, as far as the operator's rules let it.
pub(super) fn apply(
    actor: &Actor,
    image: &mut Image,
    change: &Change,
    protections: Option<&Protections>,
) -> Result<(), Error> {
    if let Some(protections) = protections {
        expect_unprotected(actor, image, change, protections)?;
    }
    match change {
        Change::Set(field) => set(actor, image, field),
        Change::SetProperty { name, value, existing } => set_property(image, name, value, *existing),
        Change::RemoveProperty(name) => {
            check_property_name(name)?;
            if asks_for_key(name) {
                check_key_change(image, name, None)?;
            }
            match image.properties.remove(name) {
                Some(_) => Ok(()),
                None => Err(no_property(name)),
            }
        }
    }
}

fn expect_unprotected(
    actor: &Actor,
    image: &Image,
    change: &Change,
    protections: &Protections,
) -> Result<(), Error> {
    let (name, use_of_it) = match change {
        Change::Set(_) => return Ok(()),
        Change::SetProperty { name, .. } if image.properties.contains_key(name) => (name, Use::Update),
        Change::SetProperty { name, .. } => (name, Use::Create),
        Change::RemoveProperty(name) => (name, Use::Delete),
    };
    check_property_name(name)?;
    protections.expect(actor, name, use_of_it)
}

fn set(actor: &Actor, image: &mut Image, field: &Field) -> Result<(), Error> {
    match field {
        Field::Name(name) => {
            check_length("name", name.as_deref().unwrap_or(""))?;
            image.name.clone_from(name);
        }
        Field::Visibility(visibility) => {
            if *visibility == Visibility::Public && !actor.allows(Action::ImagesPublish, Resource::of(image))
            {
                let by_rule = actor.overridden(Action::ImagesPublish, Resource::of(image));
                return Err(by_rule.filter(|rule| !rule.lets_through).map_or_else(
                    || Error::forbidden("only administrators may make an image public"),
                    |rule| rule.refusal(),
                ));
            }
            if *visibility == Visibility::Community && image.visibility != Visibility::Community {
                actor.obey(Point::Communitize, Resource::of(image))?;
            }
            image.visibility = *visibility;
        }
        Field::Protected(protected) => image.protected = *protected,
        Field::Hidden(hidden) => image.hidden = *hidden,
        Field::Owner(owner) => {
            check_length("owner", owner.as_ref().map_or("", ProjectId::as_str))?;
            image.owner.clone_from(owner);
        }
        Field::ContainerFormat(format) => {
            check_format(image, "container_format", format.as_deref(), &CONTAINER_FORMATS)?;
            image.container_format.clone_from(format);
        }
        Field::DiskFormat(format) => {
            check_format(image, "disk_format", format.as_deref(), &DISK_FORMATS)?;
            image.disk_format.clone_from(format);
        }
        Field::MinDiskGib(least) => image.min_disk_gib = check_least("min_disk", *least)?,
        Field::MinRamMib(least) => image.min_ram_mib = check_least("min_ram", *least)?,
        Field::Tags(tags) => {
            for tag in tags {
                check_length("tag", tag)?;
            }
            check_count("tags", tags.len(), limits::IMAGE_TAGS_MAX)?;
            image.tags.clone_from(tags);
        }
    }
    Ok(())
}

fn set_property(image: &mut Image, name: &str, value: &str, existing: Existing) -> Result<(), Error> {
    check_property_name(name)?;
    check_property_value(name, value)?;
    match (existing, image.properties.contains_key(name)) {
        (Existing::Required, false) => return Err(no_property(name)),
        (Existing::Forbidden, true) => {
            return Err(Error::conflict(format!("property {name} is already set")));
        }
        _ => {}
    }
    if asks_for_key(name) && image.properties.get(name).is_none_or(|before| before != value) {
        check_key_change(image, name, Some(value))?;
    }
    image.properties.insert(name.to_owned(), value.to_owned());
    check_count("properties", image.properties.len(), limits::IMAGE_PROPERTIES_MAX)
}

/// Whether the operator may have this property put on images; why not, otherwise.
///
/// # Errors
/// The reason.
pub fn may_be_injected(name: &str, value: &str) -> Result<(), String> {
    if asks_for_key(name) {
        return Err("it says which key seals the image, which is its owner's to say".to_owned());
    }
    check_property_name(name).and_then(|()| check_property_value(name, value)).map_err(|error| error.message)
}

fn check_property_value(name: &str, value: &str) -> Result<(), Error> {
    let most = limits::PROPERTY_VALUE_CHARS_MAX;
    if value.chars().count() > most {
        return Err(Error::invalid(format!("the value of property {name} has more than {most} characters")));
    }
    Ok(())
}

fn check_property_name(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::invalid("a property needs a name"));
    }
    if is_of_verdict(name) {
        let message = format!("property {name} tells what was found out about the data: nobody sets it");
        return Err(Error::forbidden(message));
    }
    if name.starts_with(RESERVED_PREFIX) {
        return Err(Error::forbidden(format!(
            "property {name}: names with {RESERVED_PREFIX} are the service's"
        )));
    }
    check_length("property name", name)
}

fn no_property(name: &str) -> Error {
    Error::conflict(format!("property {name} is not set; add it first"))
}

/// Refuses text that is longer than the API's schema allows.
pub(super) fn check_length(what: &str, text: &str) -> Result<(), Error> {
    // The count is only taken where the bytes alone do not settle it.
    if text.len() > limits::NAME_CHARS_MAX && text.chars().count() > limits::NAME_CHARS_MAX {
        let max = limits::NAME_CHARS_MAX;
        return Err(Error::invalid(format!("{what} is longer than {max} characters")));
    }
    Ok(())
}

/// Refuses more of something than an image may have.
pub(super) fn check_count(what: &str, count: usize, max: usize) -> Result<(), Error> {
    if count > max {
        return Err(Error::too_large(format!("an image takes at most {max} {what}, this makes {count}")));
    }
    Ok(())
}

fn check_least(what: &str, value: u64) -> Result<u64, Error> {
    if value > limits::MIN_RESOURCE_MAX {
        return Err(Error::invalid(format!("{what} is larger than {}", limits::MIN_RESOURCE_MAX)));
    }
    Ok(value)
}

fn check_format(image: &Image, what: &str, format: Option<&str>, known: &[&str]) -> Result<(), Error> {
    if image.status != Status::Queued {
        let status = image.status.as_str();
        return Err(Error::forbidden(format!("{what} is fixed once data arrives; the image is {status}")));
    }
    match format {
        Some(format) if !known.contains(&format) => {
            Err(Error::invalid(format!("{what} {format:?} is not one of: {}", known.join(", "))))
        }
        _ => Ok(()),
    }
}
