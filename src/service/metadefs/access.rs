//! Who sees a namespace and whose it is, beside the rights that [`Actor::allows`] decides.
//!
//! Invariant: what the caller could not show is not found, whatever was asked, unless the caller has the very right
//! that was asked for. Must not change anything.

use crate::catalog::metadefs;
use crate::db::Rows;
use crate::model::ProjectId;
use crate::model::metadef::Namespace;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Reason};

/// The caller's project; metadata definitions need one, as images do.
pub(super) fn project(actor: &Actor) -> Result<&ProjectId, Error> {
    actor.project().ok_or_else(|| {
        Error::forbidden("metadata definitions need a token scoped to a project; sign in to one")
    })
}

/// The namespace, when the caller may show it.
pub(super) fn visible(rows: &impl Rows, actor: &Actor, name: &str) -> Result<Namespace, Error> {
    let namespace = in_sight(rows, actor, name)?;
    if may(actor, Action::MetadefsGet, name) { Ok(namespace) } else { Err(not_found(name)) }
}

/// The namespace, when the caller acts for its owner and has the right.
pub(super) fn writable(
    rows: &impl Rows,
    actor: &Actor,
    name: &str,
    action: Action,
) -> Result<Namespace, Error> {
    let namespace = in_sight(rows, actor, name)?;
    let is_own = actor.project() == Some(&namespace.owner) || sees_all(actor, name);
    if is_own && may(actor, action, name) {
        return Ok(namespace);
    }
    if !may(actor, Action::MetadefsGet, name) {
        return Err(not_found(name));
    }
    actor.expect(action, Resource::Id(name))?;
    let message = format!(
        "you may see namespace {name:?} but not change it: it belongs to another project, and that takes \
         {} besides",
        Action::MetadefsAccessAll.name()
    );
    Err(Error::forbidden(message).because(Reason::NotOwner))
}

/// Whether a listing has it.
pub(super) fn is_in_sight(actor: &Actor, namespace: &Namespace) -> bool {
    namespace.public || actor.project() == Some(&namespace.owner) || sees_all(actor, &namespace.name)
}

/// Whether every project's namespaces are the caller's.
pub(super) fn sees_all(actor: &Actor, name: &str) -> bool {
    may(actor, Action::MetadefsAccessAll, name)
}

/// Lets those give a namespace to another project, or publish it, to whom all are their own.
pub(super) fn expect_sees_all(actor: &Actor, name: &str) -> Result<(), Error> {
    actor.expect(Action::MetadefsAccessAll, Resource::Id(name))
}

fn in_sight(rows: &impl Rows, actor: &Actor, name: &str) -> Result<Namespace, Error> {
    if actor.project().is_none() {
        return Err(not_found(name));
    }
    let found = metadefs::get(rows, name)?.filter(|namespace| is_in_sight(actor, namespace));
    found.ok_or_else(|| not_found(name))
}

fn may(actor: &Actor, action: Action, name: &str) -> bool {
    actor.allows(action, Resource::Id(name))
}

/// What a caller hears of a namespace that is not there, or not for its eyes.
pub(super) fn not_found(name: &str) -> Error {
    Error::not_found(format!("there is no namespace {name:?}"))
}
