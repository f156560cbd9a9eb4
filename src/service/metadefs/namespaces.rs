//! Namespaces: which there are, and what becomes of each as a whole.
//!
//! Invariant: whoever changes or deletes one saw it in the transaction that does so.

use std::cmp::Ordering;

use super::access::{self, not_found, project, visible, writable};
use super::written::{NamespaceFields, NewNamespace};
use crate::base::Time;
use crate::base::limits::METADEF_NAMESPACES_MAX;
use crate::catalog::metadefs;
use crate::db::WriteTxn;
use crate::model::metadef::{Definitions, Namespace};
use crate::model::{Operation, ProjectId};
use crate::service::audit::Act;
use crate::service::images::Direction;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// By what a listing of namespaces is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NamespaceKey {
    /// When they were made.
    #[default]
    CreatedAt,
    /// When they were changed last.
    UpdatedAt,
    /// Their names.
    Name,
    /// What people see.
    DisplayName,
    /// Private ones, public ones.
    Visibility,
    /// Whether they are protected.
    Protected,
    /// Their projects.
    Owner,
}

/// A page of namespaces that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceQuery {
    /// How many.
    pub limit: usize,
    /// Name of the one before the page.
    pub marker: Option<String>,
    /// By what they are sorted; their names tell equal ones apart.
    pub sort_key: NamespaceKey,
    /// In which direction.
    pub direction: Direction,
    /// Public ones alone, or private ones alone.
    pub public: Option<bool>,
    /// Those alone that apply to any of these types; all where there is none.
    pub resource_types: Vec<String>,
}

/// A namespace and what it defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// What it says of itself.
    pub namespace: Namespace,
    /// What it defines.
    pub definitions: Definitions,
}

impl Service {
    /// A page of the namespaces that the caller may see.
    ///
    /// # Errors
    /// `Forbidden` without the role reader in a project; `NotFound` when the marker names none of them.
    pub fn namespaces(&self, actor: &Actor, query: &NamespaceQuery) -> Result<Vec<Namespace>, Error> {
        project(actor)?;
        actor.expect(Action::MetadefsList, Resource::None)?;
        let mut found = metadefs::list(&self.db.read()?)?;
        found.retain(|namespace| access::is_in_sight(actor, namespace));
        let marker = match &query.marker {
            Some(name) => {
                let known = found.iter().find(|namespace| namespace.name == *name);
                Some(known.cloned().ok_or_else(|| not_found(name))?)
            }
            None => None,
        };
        found.retain(|namespace| query.takes(namespace));
        found.sort_by(|one, other| query.order(one, other));
        let is_after = |namespace: &Namespace| {
            marker.as_ref().is_none_or(|marker| query.order(marker, namespace) == Ordering::Less)
        };
        Ok(found.into_iter().filter(is_after).take(query.limit).collect())
    }

    /// A namespace and what it defines.
    ///
    /// # Errors
    /// `NotFound`, also for one that is not the caller's to see.
    pub fn namespace(&self, actor: &Actor, name: &str) -> Result<Whole, Error> {
        let read = self.db.read()?;
        let namespace = visible(&read, actor, name)?;
        Ok(Whole { definitions: metadefs::definitions(&read, name)?, namespace })
    }

    /// Makes a namespace with all that is in it.
    ///
    /// # Errors
    /// `Forbidden` without the right, or for another project, or for a public one, without that to all namespaces;
    /// `Invalid`; `Conflict` when the name is taken, or a name is there twice; `TooLarge` when there are too many.
    pub fn create_namespace(&self, actor: &Actor, new: NewNamespace) -> Result<Whole, Error> {
        let made = self.new_namespace(actor, &new)?;
        let act = act_on(Operation::CreateMetadef, &made.namespace);
        self.recorded(actor, act, move |txn, _| {
            insert(txn, &made)?;
            Ok(made.clone())
        })
    }

    /// Replaces what a namespace says of itself, its name too; what is not said gets its default. What is in it stays.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` as for [`Service::create_namespace`]; `Invalid`; `Conflict` when the new name is taken.
    pub fn update_namespace(
        &self,
        actor: &Actor,
        name: &str,
        fields: NamespaceFields,
    ) -> Result<Namespace, Error> {
        writable(&self.db.read()?, actor, name, Action::MetadefsUpdate)?;
        fields.check()?;
        let (caller, name, now) = (actor.clone(), name.to_owned(), self.clock.now());
        self.recorded(actor, Act::new(Operation::UpdateMetadef), move |txn, act| {
            let before = writable(txn, &caller, &name, Action::MetadefsUpdate)?;
            *act = act_on(Operation::UpdateMetadef, &before);
            let after = Namespace {
                associations: before.associations.clone(),
                created_at: before.created_at,
                ..of_fields(&caller, &fields, now)?
            };
            if (after.public && !before.public) || after.owner != before.owner {
                expect_to_dispose(&caller, &after)?;
            }
            if after.name != name {
                act.say(format!("called {:?} from now on", after.name));
            }
            metadefs::update(txn, &name, &after)?;
            Ok(after)
        })
    }

    /// Deletes a namespace and all that is in it.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without the right, and while it is protected.
    pub fn delete_namespace(&self, actor: &Actor, name: &str) -> Result<(), Error> {
        let (caller, name) = (actor.clone(), name.to_owned());
        self.recorded(actor, Act::new(Operation::DeleteMetadef), move |txn, act| {
            let namespace = writable(txn, &caller, &name, Action::MetadefsDelete)?;
            *act = act_on(Operation::DeleteMetadef, &namespace);
            if namespace.protected {
                return Err(Error::forbidden(format!(
                    "namespace {name:?} is protected; set protected to false first"
                )));
            }
            Ok(metadefs::remove(txn, &name)?)
        })
    }

    /// The namespace that is to be made, once it is known that the caller may and that it is in order.
    pub(super) fn new_namespace(&self, actor: &Actor, new: &NewNamespace) -> Result<Whole, Error> {
        project(actor)?;
        actor.expect(Action::MetadefsCreate, Resource::Id(&new.fields.name))?;
        new.fields.check()?;
        let now = self.clock.now();
        let namespace =
            Namespace { associations: new.associations(now)?, ..of_fields(actor, &new.fields, now)? };
        expect_to_dispose(actor, &namespace)?;
        Ok(Whole { namespace, definitions: new.definitions(now)? })
    }
}

impl NamespaceQuery {
    fn takes(&self, namespace: &Namespace) -> bool {
        let types = &self.resource_types;
        self.public.is_none_or(|public| namespace.public == public)
            && (types.is_empty() || types.iter().any(|one| namespace.association(one).is_some()))
    }

    fn order(&self, one: &Namespace, other: &Namespace) -> Ordering {
        let by_key = match self.sort_key {
            NamespaceKey::CreatedAt => one.created_at.cmp(&other.created_at),
            NamespaceKey::UpdatedAt => one.updated_at.cmp(&other.updated_at),
            NamespaceKey::Name => Ordering::Equal,
            NamespaceKey::DisplayName => one.display_name.cmp(&other.display_name),
            NamespaceKey::Visibility => one.public.cmp(&other.public),
            NamespaceKey::Protected => one.protected.cmp(&other.protected),
            NamespaceKey::Owner => one.owner.cmp(&other.owner),
        };
        let order = by_key.then_with(|| one.name.cmp(&other.name));
        if self.direction == Direction::Descending { order.reverse() } else { order }
    }
}

/// Adds a namespace, if there is room for one more.
pub(super) fn insert(txn: &WriteTxn, new: &Whole) -> Result<(), Error> {
    metadefs::insert(txn, &new.namespace)?;
    if metadefs::count(txn)? > METADEF_NAMESPACES_MAX as u64 {
        return Err(Error::too_large(format!(
            "there are {METADEF_NAMESPACES_MAX} namespaces, and no more are kept: delete one first"
        )));
    }
    Ok(metadefs::put_definitions(txn, &new.namespace.name, &new.definitions)?)
}

/// What is done to a namespace, for its record.
pub(super) fn act_on(operation: Operation, namespace: &Namespace) -> Act {
    let shown = namespace.display_name.clone().unwrap_or_default();
    Act::on(operation, &namespace.name).named(shown).of_project(&namespace.owner)
}

/// Refuses to make a namespace for another project, or for everybody, without the right to all.
pub(super) fn expect_to_dispose(actor: &Actor, namespace: &Namespace) -> Result<(), Error> {
    if namespace.public || actor.project() != Some(&namespace.owner) {
        access::expect_sees_all(actor, &namespace.name)?;
    }
    Ok(())
}

/// A namespace that says this of itself and applies to nothing.
fn of_fields(actor: &Actor, fields: &NamespaceFields, now: Time) -> Result<Namespace, Error> {
    let owner = match &fields.owner {
        Some(owner) => ProjectId(owner.clone()),
        None => project(actor)?.clone(),
    };
    Ok(Namespace {
        name: fields.name.clone(),
        display_name: fields.display_name.clone(),
        description: fields.description.clone(),
        public: fields.public.unwrap_or_default(),
        protected: fields.protected.unwrap_or_default(),
        owner,
        associations: Vec::new(),
        created_at: now,
        updated_at: now,
    })
}
