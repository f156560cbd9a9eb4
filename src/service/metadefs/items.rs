//! What properties, objects and tags of a namespace have in common: they are found by name, and no two have one.

use crate::model::metadef::{Definitions, Object, Property, Tag};
use crate::service::Error;

/// One of the kinds of things that a namespace defines.
pub trait Item: Clone + Send + 'static {
    /// What people call it.
    const KIND: &'static str;

    /// Its name.
    fn name(&self) -> &str;

    /// The form of a name in which equal ones are equal.
    fn folded(name: &str) -> String {
        name.to_owned()
    }

    /// All of them.
    fn of(definitions: &Definitions) -> &[Self];

    /// All of them, to be changed.
    fn of_mut(definitions: &mut Definitions) -> &mut Vec<Self>;

    /// The same, made when the one was that it replaces.
    #[must_use]
    fn replacing(self, before: &Self) -> Self;
}

impl Item for Property {
    const KIND: &'static str = "property";

    fn name(&self) -> &str {
        &self.name
    }

    fn of(definitions: &Definitions) -> &[Property] {
        &definitions.properties
    }

    fn of_mut(definitions: &mut Definitions) -> &mut Vec<Property> {
        &mut definitions.properties
    }

    fn replacing(self, _before: &Property) -> Property {
        self
    }
}

impl Item for Object {
    const KIND: &'static str = "object";

    fn name(&self) -> &str {
        &self.name
    }

    fn of(definitions: &Definitions) -> &[Object] {
        &definitions.objects
    }

    fn of_mut(definitions: &mut Definitions) -> &mut Vec<Object> {
        &mut definitions.objects
    }

    fn replacing(self, before: &Object) -> Object {
        Object { created_at: before.created_at, ..self }
    }
}

impl Item for Tag {
    const KIND: &'static str = "tag";

    fn name(&self) -> &str {
        &self.name
    }

    fn folded(name: &str) -> String {
        name.to_lowercase()
    }

    fn of(definitions: &Definitions) -> &[Tag] {
        &definitions.tags
    }

    fn of_mut(definitions: &mut Definitions) -> &mut Vec<Tag> {
        &mut definitions.tags
    }

    fn replacing(self, before: &Tag) -> Tag {
        Tag { created_at: before.created_at, ..self }
    }
}

/// Where the item of this name is.
fn position<T: Item>(definitions: &Definitions, name: &str) -> Option<usize> {
    let folded = T::folded(name);
    T::of(definitions).iter().position(|item| T::folded(item.name()) == folded)
}

/// The item of this name.
pub(super) fn find<'a, T: Item>(definitions: &'a Definitions, name: &str) -> Result<&'a T, Error> {
    let at = position::<T>(definitions, name).ok_or_else(|| missing::<T>(name))?;
    Ok(&T::of(definitions)[at])
}

/// Adds an item.
pub(super) fn insert<T: Item>(definitions: &mut Definitions, item: T) -> Result<(), Error> {
    if position::<T>(definitions, item.name()).is_some() {
        return Err(taken::<T>(item.name()));
    }
    T::of_mut(definitions).push(item);
    Ok(())
}

/// Puts an item in the place of the one called `name`; gives it back as it is kept.
pub(super) fn replace<T: Item>(definitions: &mut Definitions, name: &str, item: T) -> Result<T, Error> {
    let at = position::<T>(definitions, name).ok_or_else(|| missing::<T>(name))?;
    if position::<T>(definitions, item.name()).is_some_and(|other| other != at) {
        return Err(taken::<T>(item.name()));
    }
    let item = item.replacing(&T::of(definitions)[at]);
    T::of_mut(definitions)[at] = item.clone();
    Ok(item)
}

/// Adds an item, or puts it in the place of the one with its name.
pub(super) fn merge<T: Item>(definitions: &mut Definitions, item: T) {
    match position::<T>(definitions, item.name()) {
        Some(at) => {
            let item = item.replacing(&T::of(definitions)[at]);
            T::of_mut(definitions)[at] = item;
        }
        None => T::of_mut(definitions).push(item),
    }
}

/// Takes the item of this name away.
pub(super) fn remove<T: Item>(definitions: &mut Definitions, name: &str) -> Result<(), Error> {
    let at = position::<T>(definitions, name).ok_or_else(|| missing::<T>(name))?;
    T::of_mut(definitions).remove(at);
    Ok(())
}

fn missing<T: Item>(name: &str) -> Error {
    Error::not_found(format!("the namespace has no {} {name:?}", T::KIND))
}

fn taken<T: Item>(name: &str) -> Error {
    Error::conflict(format!("the namespace has a {} {name:?} already", T::KIND))
}
