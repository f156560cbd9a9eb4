//! A whole namespace at once, as it comes from a file: made, or brought together with the one that is there.
//!
//! Invariant: all of it is taken in one commit, or none.

use super::access::writable;
use super::items;
use super::namespaces::{Whole, act_on, expect_to_dispose, insert};
use super::written::{NamespaceFields, NewNamespace, check_associations, check_bounds};
use crate::base::Time;
use crate::catalog::metadefs;
use crate::db::WriteTxn;
use crate::model::metadef::{Association, Namespace};
use crate::model::{Operation, ProjectId};
use crate::service::rights::Action;
use crate::service::{Actor, Error, Service};

/// What to do where there is a namespace of the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Refuse.
    Create,
    /// Leave it as it is.
    Skip,
    /// What is loaded goes in the place of what has its name; all else stays.
    Merge,
    /// What is loaded goes in the place of all of it, but for its owner where none is said. That it is protected does
    /// not matter: it stays.
    Overwrite,
}

/// What became of a namespace that was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loaded {
    /// It was made.
    Created,
    /// There was one, which is as it was.
    Skipped,
    /// It was merged into the one there was.
    Merged,
    /// It took the place of the one there was.
    Overwritten,
}

impl Service {
    /// Makes a namespace, or does with the one of its name as the mode says.
    ///
    /// # Errors
    /// As [`Service::create_namespace`], and [`Service::update_namespace`] where there is one.
    pub fn load_namespace(&self, actor: &Actor, new: NewNamespace, mode: Mode) -> Result<Loaded, Error> {
        let made = self.new_namespace(actor, &new)?;
        let (caller, now) = (actor.clone(), self.clock.now());
        let act = act_on(Operation::LoadMetadef, &made.namespace);
        self.recorded(actor, act, move |txn, act| {
            let name = &made.namespace.name;
            let is_there = metadefs::get(txn, name)?.is_some();
            if !is_there || mode == Mode::Create {
                act.say("created");
                insert(txn, &made)?;
                return Ok(Loaded::Created);
            }
            let before = writable(txn, &caller, name, Action::MetadefsUpdate)?;
            match mode {
                Mode::Create | Mode::Skip => {
                    act.say("left as it is");
                    Ok(Loaded::Skipped)
                }
                Mode::Merge => {
                    act.say("merged");
                    merge(txn, &caller, before, (&new.fields, &made), now)?;
                    Ok(Loaded::Merged)
                }
                Mode::Overwrite => {
                    act.say("overwritten");
                    overwrite(txn, &before, (&new.fields, &made))?;
                    Ok(Loaded::Overwritten)
                }
            }
        })
    }
}

fn overwrite(
    txn: &WriteTxn,
    before: &Namespace,
    (fields, made): (&NamespaceFields, &Whole),
) -> Result<(), Error> {
    let owner = if fields.owner.is_some() { &made.namespace.owner } else { &before.owner };
    let after = Namespace { created_at: before.created_at, owner: owner.clone(), ..made.namespace.clone() };
    metadefs::update(txn, &before.name, &after)?;
    Ok(metadefs::put_definitions(txn, &after.name, &made.definitions)?)
}

/// What is said of the namespace counts where it is said; what is in it goes in the place of what has its name.
fn merge(
    txn: &WriteTxn,
    actor: &Actor,
    before: Namespace,
    (fields, made): (&NamespaceFields, &Whole),
    now: Time,
) -> Result<(), Error> {
    let is_given_away = fields.owner.as_deref().is_some_and(|owner| owner != before.owner.as_str());
    let is_published = fields.public == Some(true) && !before.public;
    let mut after = Namespace {
        display_name: fields.display_name.clone().or(before.display_name),
        description: fields.description.clone().or(before.description),
        public: fields.public.unwrap_or(before.public),
        protected: fields.protected.unwrap_or(before.protected),
        owner: fields.owner.clone().map_or(before.owner, ProjectId),
        updated_at: now,
        ..before
    };
    for association in &made.namespace.associations {
        apply(&mut after, association);
    }
    check_associations(&after.associations)?;
    if is_given_away || is_published {
        expect_to_dispose(actor, &after)?;
    }
    let mut all = metadefs::definitions(txn, &after.name)?;
    let new = made.definitions.clone();
    new.properties.into_iter().for_each(|property| items::merge(&mut all, property));
    new.objects.into_iter().for_each(|object| items::merge(&mut all, object));
    new.tags.into_iter().for_each(|tag| items::merge(&mut all, tag));
    check_bounds(&all)?;
    let name = after.name.clone();
    metadefs::update(txn, &name, &after)?;
    Ok(metadefs::put_definitions(txn, &name, &all)?)
}

fn apply(namespace: &mut Namespace, new: &Association) {
    let known = namespace.associations.iter_mut().find(|known| known.resource_type == new.resource_type);
    match known {
        Some(known) => *known = Association { created_at: known.created_at, ..new.clone() },
        None => namespace.associations.push(new.clone()),
    }
}
