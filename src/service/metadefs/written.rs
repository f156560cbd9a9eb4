//! Namespaces and what is in them as callers write them, and what of that is taken.
//!
//! Invariant: whatever becomes a record went through here, and every refusal says where in the request it is.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::definition;
use super::items::Item;
use crate::base::Time;
use crate::base::limits::{
    METADEF_BYTES_MAX, METADEF_DESCRIPTION_CHARS_MAX, METADEF_ITEMS_MAX, METADEF_NAME_CHARS_MAX,
    METADEF_TYPES_MAX,
};
use crate::model::metadef::{Association, Definitions, Object, Property, Tag};
use crate::service::Error;

/// What a namespace says of itself. What is `None` gets its default, or stays as it is where definitions are merged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceFields {
    /// Its name.
    pub name: String,
    /// What people see.
    pub display_name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Whether every project sees it; else its owner alone, which is the default.
    pub public: Option<bool>,
    /// Whether deleting it is refused; not so by default.
    pub protected: Option<bool>,
    /// Id of the project it belongs to; by default the caller's.
    pub owner: Option<String>,
}

/// A namespace to be made, with all that is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewNamespace {
    /// What it says of itself.
    pub fields: NamespaceFields,
    /// Types of resources it applies to.
    pub associations: Vec<NewAssociation>,
    /// Properties.
    pub properties: Vec<NewProperty>,
    /// Groups of properties.
    pub objects: Vec<NewObject>,
    /// Tags.
    pub tags: Vec<String>,
}

/// A type of resources that a namespace is to apply to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewAssociation {
    /// The type's name.
    pub resource_type: String,
    /// What stands before the names of properties there.
    pub prefix: Option<String>,
    /// Which of several sets of properties of such a resource is meant.
    pub properties_target: Option<String>,
}

/// A property to be defined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewProperty {
    /// Its name.
    pub name: String,
    /// Its definition, a JSON object.
    pub definition: Map<String, Value>,
}

/// An object to be defined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewObject {
    /// Its name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Names of properties that must be set.
    pub required: Vec<String>,
    /// Its properties.
    pub properties: Vec<NewProperty>,
}

impl NamespaceFields {
    pub(super) fn check(&self) -> Result<(), Error> {
        check_name("namespace", &self.name)?;
        check_chars("display_name", self.display_name.as_deref(), METADEF_NAME_CHARS_MAX)?;
        check_chars("description", self.description.as_deref(), METADEF_DESCRIPTION_CHARS_MAX)?;
        check_chars("owner", self.owner.as_deref(), crate::base::limits::NAME_CHARS_MAX)
    }
}

impl NewNamespace {
    /// What is defined, once it is checked.
    pub(super) fn definitions(&self, now: Time) -> Result<Definitions, Error> {
        let properties = checked_properties("properties", &self.properties)?;
        let object = |object: &NewObject| object.checked(&format!("objects.{}", object.name), now);
        let objects = self.objects.iter().map(object).collect::<Result<Vec<_>, _>>()?;
        let tags = checked_tags(&self.tags, now)?;
        expect_distinct(&objects)?;
        let definitions = Definitions { properties, objects, tags };
        check_bounds(&definitions)?;
        Ok(definitions)
    }

    /// The types of resources it applies to, once they are checked.
    pub(super) fn associations(&self, now: Time) -> Result<Vec<Association>, Error> {
        let checked = |association: &NewAssociation| {
            association.checked(&format!("resource_type_associations.{}", association.resource_type), now)
        };
        let checked = self.associations.iter().map(checked).collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashSet::new();
        if let Some(twice) = checked.iter().find(|one| !seen.insert(&one.resource_type)) {
            return Err(Error::conflict(format!("resource type {:?} is there twice", twice.resource_type)));
        }
        check_associations(&checked)?;
        Ok(checked)
    }
}

impl NewAssociation {
    pub(super) fn checked(&self, place: &str, now: Time) -> Result<Association, Error> {
        check_name(&format!("{place}.name"), &self.resource_type)?;
        check_chars(&format!("{place}.prefix"), self.prefix.as_deref(), METADEF_NAME_CHARS_MAX)?;
        let target = self.properties_target.as_deref();
        check_chars(&format!("{place}.properties_target"), target, METADEF_NAME_CHARS_MAX)?;
        Ok(Association {
            resource_type: self.resource_type.clone(),
            prefix: self.prefix.clone(),
            properties_target: self.properties_target.clone(),
            created_at: now,
            updated_at: now,
        })
    }
}

impl NewProperty {
    pub(super) fn checked(&self, place: &str) -> Result<Property, Error> {
        check_name(&format!("{place}.name"), &self.name)?;
        let definition = definition::checked(place, &self.definition)?;
        Ok(Property { name: self.name.clone(), definition })
    }
}

impl NewObject {
    pub(super) fn checked(&self, place: &str, now: Time) -> Result<Object, Error> {
        check_name(&format!("{place}.name"), &self.name)?;
        Ok(Object {
            name: self.name.clone(),
            description: self.description.clone(),
            required: self.required.clone(),
            properties: checked_properties(&format!("{place}.properties"), &self.properties)?,
            created_at: now,
            updated_at: now,
        })
    }
}

/// Tags of these names, each there once.
pub(super) fn checked_tags(names: &[String], now: Time) -> Result<Vec<Tag>, Error> {
    let tags = names.iter().map(|name| checked_tag(name, now)).collect::<Result<Vec<_>, _>>()?;
    expect_distinct(&tags)?;
    Ok(tags)
}

pub(super) fn checked_tag(name: &str, now: Time) -> Result<Tag, Error> {
    check_name("the name of a tag", name)?;
    Ok(Tag { name: name.to_owned(), created_at: now, updated_at: now })
}

/// Refuses a namespace that defines more than is kept.
pub(super) fn check_bounds(definitions: &Definitions) -> Result<(), Error> {
    expect_few("properties", definitions.properties.len())?;
    expect_few("objects", definitions.objects.len())?;
    expect_few("tags", definitions.tags.len())?;
    for object in &definitions.objects {
        expect_few(&format!("properties of object {:?}", object.name), object.properties.len())?;
        expect_few(&format!("required names of object {:?}", object.name), object.required.len())?;
    }
    match definitions.bytes() {
        bytes if bytes > METADEF_BYTES_MAX => Err(Error::too_large(format!(
            "the namespace would have {bytes} bytes of definitions, and may have {METADEF_BYTES_MAX}; make two of it"
        ))),
        _ => Ok(()),
    }
}

/// Refuses a namespace that applies to more types of resources than are kept.
pub(super) fn check_associations(associations: &[Association]) -> Result<(), Error> {
    expect_at_most(METADEF_TYPES_MAX, "resource types", associations.len())
}

fn checked_properties(place: &str, new: &[NewProperty]) -> Result<Vec<Property>, Error> {
    let checked = |property: &NewProperty| property.checked(&format!("{place}.{}", property.name));
    let properties = new.iter().map(checked).collect::<Result<Vec<_>, _>>()?;
    expect_distinct(&properties)?;
    Ok(properties)
}

fn expect_few(what: &str, count: usize) -> Result<(), Error> {
    expect_at_most(METADEF_ITEMS_MAX, what, count)
}

fn expect_at_most(most: usize, what: &str, count: usize) -> Result<(), Error> {
    if count <= most {
        return Ok(());
    }
    let message = format!("there would be {count} {what}; a namespace has at most {most}");
    Err(Error::too_large(message))
}

/// Refuses two of one name.
fn expect_distinct<T: Item>(all: &[T]) -> Result<(), Error> {
    let mut seen = HashSet::new();
    match all.iter().find(|item| !seen.insert(T::folded(item.name()))) {
        Some(twice) => Err(Error::conflict(format!("{} {:?} is there twice", T::KIND, twice.name()))),
        None => Ok(()),
    }
}

/// Refuses a name that is empty, too long, or could not stand in a path.
fn check_name(place: &str, name: &str) -> Result<(), Error> {
    let is_fine = !matches!(name, "" | "." | "..")
        && name.chars().count() <= METADEF_NAME_CHARS_MAX
        && !name.chars().any(|c| c.is_control() || c == '/');
    if is_fine {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{place} must have 1 to {METADEF_NAME_CHARS_MAX} characters, no slash and no control characters, and not be \
         . or .."
    )))
}

fn check_chars(place: &str, text: Option<&str>, most: usize) -> Result<(), Error> {
    if text.is_none_or(|text| text.chars().count() <= most) {
        return Ok(());
    }
    Err(Error::invalid(format!("{place} must have at most {most} characters")))
}
