//! Properties, objects and tags, one by one: each change is a change of their namespace.
//!
//! Invariant: a change leaves the namespace within its bounds, or is not made.

use super::access::writable;
use super::items::{self, Item};
use super::namespaces::act_on;
use super::written::{self, NewObject, NewProperty, check_bounds};
use crate::catalog::metadefs;
use crate::model::Operation;
use crate::model::metadef::{Definitions, Object, Property, Tag};
use crate::service::audit::Act;
use crate::service::rights::Action;
use crate::service::{Actor, Error, Service};

impl Service {
    /// All of one kind that a namespace defines, in the order in which they came.
    ///
    /// # Errors
    /// `NotFound` for the namespace.
    pub fn metadef_items<T: Item>(&self, actor: &Actor, namespace: &str) -> Result<Vec<T>, Error> {
        Ok(T::of(&self.namespace(actor, namespace)?.definitions).to_vec())
    }

    /// One of them.
    ///
    /// # Errors
    /// `NotFound`, for the namespace or for what is in it.
    pub fn metadef_item<T: Item>(&self, actor: &Actor, namespace: &str, name: &str) -> Result<T, Error> {
        Ok(items::find::<T>(&self.namespace(actor, namespace)?.definitions, name)?.clone())
    }

    /// A property by the name it has on resources of a type, with the prefix that the namespace has for that.
    ///
    /// # Errors
    /// `NotFound`, also where the namespace does not apply to the type, or the name lacks the prefix.
    pub fn prefixed_metadef_property(
        &self,
        actor: &Actor,
        namespace: &str,
        resource_type: &str,
        name: &str,
    ) -> Result<Property, Error> {
        let whole = self.namespace(actor, namespace)?;
        let association = whole.namespace.association(resource_type).ok_or_else(|| {
            Error::not_found(format!("namespace {namespace:?} does not apply to {resource_type:?}"))
        })?;
        let prefix = association.prefix.as_deref().unwrap_or_default();
        let own = name.strip_prefix(prefix).ok_or_else(|| {
            Error::not_found(format!(
                "on {resource_type:?} the names of its properties begin with {prefix:?}"
            ))
        })?;
        Ok(items::find::<Property>(&whole.definitions, own)?.clone())
    }

    /// Defines a property.
    ///
    /// # Errors
    /// `NotFound` and `Forbidden` for the namespace; `Invalid`; `Conflict` when the name is taken; `TooLarge`.
    pub fn create_metadef_property(
        &self,
        actor: &Actor,
        namespace: &str,
        new: NewProperty,
    ) -> Result<Property, Error> {
        self.edit_metadefs(actor, namespace, format!("property {:?}", new.name), move |all| {
            let property = new.checked("the property")?;
            items::insert(all, property.clone())?;
            Ok(property)
        })
    }

    /// Replaces a property, its name too.
    ///
    /// # Errors
    /// As [`Service::create_metadef_property`].
    pub fn update_metadef_property(
        &self,
        actor: &Actor,
        namespace: &str,
        name: &str,
        new: NewProperty,
    ) -> Result<Property, Error> {
        let name = name.to_owned();
        self.edit_metadefs(actor, namespace, format!("property {name:?}"), move |all| {
            items::replace(all, &name, new.checked("the property")?)
        })
    }

    /// Defines an object.
    ///
    /// # Errors
    /// As [`Service::create_metadef_property`].
    pub fn create_metadef_object(
        &self,
        actor: &Actor,
        namespace: &str,
        new: NewObject,
    ) -> Result<Object, Error> {
        let now = self.clock.now();
        self.edit_metadefs(actor, namespace, format!("object {:?}", new.name), move |all| {
            let object = new.checked("the object", now)?;
            items::insert(all, object.clone())?;
            Ok(object)
        })
    }

    /// Replaces an object, its name too.
    ///
    /// # Errors
    /// As [`Service::create_metadef_property`].
    pub fn update_metadef_object(
        &self,
        actor: &Actor,
        namespace: &str,
        name: &str,
        new: NewObject,
    ) -> Result<Object, Error> {
        let (name, now) = (name.to_owned(), self.clock.now());
        self.edit_metadefs(actor, namespace, format!("object {name:?}"), move |all| {
            items::replace(all, &name, new.checked("the object", now)?)
        })
    }

    /// Adds a tag.
    ///
    /// # Errors
    /// As [`Service::create_metadef_property`].
    pub fn create_metadef_tag(&self, actor: &Actor, namespace: &str, name: &str) -> Result<Tag, Error> {
        let (name, now) = (name.to_owned(), self.clock.now());
        self.edit_metadefs(actor, namespace, format!("tag {name:?}"), move |all| {
            let tag = written::checked_tag(&name, now)?;
            items::insert(all, tag.clone())?;
            Ok(tag)
        })
    }

    /// Gives a tag another name.
    ///
    /// # Errors
    /// As [`Service::create_metadef_property`].
    pub fn rename_metadef_tag(
        &self,
        actor: &Actor,
        namespace: &str,
        name: &str,
        new: &str,
    ) -> Result<Tag, Error> {
        let (name, new, now) = (name.to_owned(), new.to_owned(), self.clock.now());
        self.edit_metadefs(actor, namespace, format!("tag {name:?}"), move |all| {
            items::replace(all, &name, written::checked_tag(&new, now)?)
        })
    }

    /// Puts these tags in the place of all there are, or adds them: all or none.
    ///
    /// # Errors
    /// As [`Service::create_metadef_property`].
    pub fn put_metadef_tags(
        &self,
        actor: &Actor,
        namespace: &str,
        names: Vec<String>,
        keep_others: bool,
    ) -> Result<Vec<Tag>, Error> {
        let now = self.clock.now();
        let said = if keep_others { "more tags" } else { "all tags" };
        self.edit_metadefs(actor, namespace, said.into(), move |all| {
            let tags = written::checked_tags(&names, now)?;
            if !keep_others {
                all.tags.clear();
            }
            tags.iter().try_for_each(|tag| items::insert(all, tag.clone()))?;
            Ok(tags)
        })
    }

    /// Takes one of a namespace's properties, objects or tags away.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub fn remove_metadef_item<T: Item>(
        &self,
        actor: &Actor,
        namespace: &str,
        name: &str,
    ) -> Result<(), Error> {
        let name = name.to_owned();
        let said = format!("{} {name:?} removed", T::KIND);
        self.edit_metadefs(actor, namespace, said, move |all| items::remove::<T>(all, &name))
    }

    /// Takes all of one kind away.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub fn clear_metadef_items<T: Item>(&self, actor: &Actor, namespace: &str) -> Result<(), Error> {
        self.edit_metadefs(actor, namespace, format!("each {} removed", T::KIND), |all| {
            T::of_mut(all).clear();
            Ok(())
        })
    }

    /// One commit: finds the namespace, authorises, lets `change` work, saves.
    fn edit_metadefs<T: Send + 'static>(
        &self,
        actor: &Actor,
        name: &str,
        said: String,
        change: impl Fn(&mut Definitions) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (caller, name) = (actor.clone(), name.to_owned());
        self.recorded(actor, Act::new(Operation::UpdateMetadef), move |txn, act| {
            let namespace = writable(txn, &caller, &name, Action::MetadefsUpdate)?;
            *act = act_on(Operation::UpdateMetadef, &namespace).saying(&said);
            let mut all = metadefs::definitions(txn, &name)?;
            let done = change(&mut all)?;
            check_bounds(&all)?;
            metadefs::put_definitions(txn, &name, &all)?;
            Ok(done)
        })
    }
}
