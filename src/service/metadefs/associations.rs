//! Types of resources, and to which of them a namespace applies.
//!
//! Types are names alone: some are there from the start, others as long as a namespace applies to them. They are
//! everybody's, as in the reference: the name of a type is told even where no namespace that names it is the caller's
//! to see.

use std::collections::BTreeMap;

use super::access::{project, writable};
use super::namespaces::act_on;
use super::written::{NewAssociation, check_associations};
use crate::base::Time;
use crate::catalog::metadefs;
use crate::model::Operation;
use crate::model::metadef::{Association, Namespace};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// Types that are there from the start: those that OpenStack's own catalogue names.
pub const RESOURCE_TYPES: [&str; 6] = [
    "OS::Cinder::Volume",
    "OS::Glance::Image",
    "OS::Nova::Aggregate",
    "OS::Nova::Flavor",
    "OS::Nova::Server",
    "OS::Trove::Instance",
];

/// A type of resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownType {
    /// Its name.
    pub name: String,
    /// Since when a namespace applies to it, and when that changed last; `None` where none does.
    pub times: Option<(Time, Time)>,
}

impl Service {
    /// The types that are there from the start, and those that any namespace applies to; by name.
    ///
    /// # Errors
    /// `Forbidden` without the role reader in a project.
    pub fn resource_types(&self, actor: &Actor) -> Result<Vec<KnownType>, Error> {
        project(actor)?;
        actor.expect(Action::MetadefsList, Resource::None)?;
        let mut known: BTreeMap<String, Option<(Time, Time)>> =
            RESOURCE_TYPES.iter().map(|name| ((*name).to_owned(), None)).collect();
        let namespaces = metadefs::list(&self.db.read()?)?;
        for association in namespaces.into_iter().flat_map(|namespace| namespace.associations) {
            let times = known.entry(association.resource_type).or_default();
            let (made, changed) = times.unwrap_or((association.created_at, association.updated_at));
            *times = Some((made.min(association.created_at), changed.max(association.updated_at)));
        }
        Ok(known.into_iter().map(|(name, times)| KnownType { name, times }).collect())
    }

    /// The types that a namespace applies to, in the order in which they came.
    ///
    /// # Errors
    /// `NotFound` for the namespace.
    pub fn metadef_associations(&self, actor: &Actor, namespace: &str) -> Result<Vec<Association>, Error> {
        Ok(self.namespace(actor, namespace)?.namespace.associations)
    }

    /// Lets a namespace apply to a type of resources.
    ///
    /// # Errors
    /// `NotFound` and `Forbidden` for the namespace; `Invalid`; `Conflict` when it does already; `TooLarge`.
    pub fn associate_metadefs(
        &self,
        actor: &Actor,
        namespace: &str,
        new: NewAssociation,
    ) -> Result<Association, Error> {
        let now = self.clock.now();
        self.edit_associations(
            actor,
            namespace,
            format!("applies to {:?}", new.resource_type),
            move |namespace| {
                let association = new.checked("the resource type", now)?;
                if namespace.association(&association.resource_type).is_some() {
                    return Err(Error::conflict(format!(
                        "namespace {:?} applies to {:?} already",
                        namespace.name, association.resource_type
                    )));
                }
                namespace.associations.push(association.clone());
                check_associations(&namespace.associations)?;
                Ok(association)
            },
        )
    }

    /// Lets a namespace no longer apply to a type of resources.
    ///
    /// # Errors
    /// `NotFound`, also where it does not; `Forbidden`.
    pub fn dissociate_metadefs(
        &self,
        actor: &Actor,
        namespace: &str,
        resource_type: &str,
    ) -> Result<(), Error> {
        let resource_type = resource_type.to_owned();
        self.edit_associations(
            actor,
            namespace,
            format!("no longer applies to {resource_type:?}"),
            move |namespace| {
                let count = namespace.associations.len();
                namespace.associations.retain(|association| association.resource_type != resource_type);
                if namespace.associations.len() == count {
                    let name = &namespace.name;
                    return Err(Error::not_found(format!(
                        "namespace {name:?} does not apply to {resource_type:?}"
                    )));
                }
                Ok(())
            },
        )
    }

    fn edit_associations<T: Send + 'static>(
        &self,
        actor: &Actor,
        name: &str,
        said: String,
        change: impl Fn(&mut Namespace) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (caller, name) = (actor.clone(), name.to_owned());
        self.recorded(actor, Act::new(Operation::UpdateMetadef), move |txn, act| {
            let mut namespace = writable(txn, &caller, &name, Action::MetadefsUpdate)?;
            *act = act_on(Operation::UpdateMetadef, &namespace).saying(&said);
            let done = change(&mut namespace)?;
            metadefs::update(txn, &name, &namespace)?;
            Ok(done)
        })
    }
}
