//! Services beside this box, registered by administrators so that clients find them in its catalog.
//!
//! Invariant: the box's own are never changed ([`own`]), and come first.

mod endpoints;
mod own;
mod regions;

pub use endpoints::{EndpointChange, NewEndpoint};
pub use own::{INTERFACES, OWN_SERVICES, own_endpoint_id, own_service_id};
pub use regions::RegionChange;

use own::expect_not_own_service;

use super::values::merge_extra;
use super::{missing, new_id};
use crate::base::limits::{NAME_CHARS_MAX, REGISTERED_MAX};
use crate::catalog::registry;
use crate::db::Rows;
use crate::model::Operation;
use crate::model::identity::Extra;
use crate::model::registry::{Endpoint, RegisteredService};
use crate::service::audit::Act;
use crate::service::description::check_description;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// What to say of a service; `None` leaves a field as it is, or at its default.
#[derive(Debug, Clone, Default)]
pub struct ServiceChange {
    /// Its type; a new one has one.
    pub kind: Option<String>,
    /// Its name.
    pub name: Option<Option<String>>,
    /// Free text.
    pub description: Option<Option<String>>,
    /// Whether it is in the catalog of tokens.
    pub enabled: Option<bool>,
    /// Members to set.
    pub extra: Extra,
}

impl Service {
    /// What tokens' catalogs have beside the box's own: services and their endpoints that are enabled.
    ///
    /// # Errors
    /// When the database fails.
    pub fn served_registry(&self) -> Result<Vec<(RegisteredService, Vec<Endpoint>)>, Error> {
        let rows = self.db.read()?;
        let mut endpoints = registry::endpoints(&rows)?;
        endpoints.retain(|endpoint| endpoint.enabled);
        let services = registry::services(&rows)?.into_iter().filter(|service| service.enabled);
        let with_own = |service: RegisteredService| {
            let own = endpoints.iter().filter(|endpoint| endpoint.service == service.id).cloned().collect();
            (service, own)
        };
        Ok(services.map(with_own).collect())
    }

    /// The services beside the box's own.
    ///
    /// # Errors
    /// Refused without the right.
    pub fn registered_services(&self, actor: &Actor) -> Result<Vec<RegisteredService>, Error> {
        actor.expect(Action::ServicesList, Resource::None)?;
        Ok(registry::services(&self.db.read()?)?)
    }

    /// A service beside the box's own.
    ///
    /// # Errors
    /// Refused without the right; `NotFound` when there is none.
    pub fn registered_service(&self, actor: &Actor, id: &str) -> Result<RegisteredService, Error> {
        actor.expect(Action::ServicesGet, Resource::Id(id))?;
        service(&self.db.read()?, id)
    }

    /// Registers a service.
    ///
    /// # Errors
    /// Refused without the right; `Invalid` for a bad type or name; `TooLarge` when there are too many.
    pub fn register_service(&self, actor: &Actor, new: ServiceChange) -> Result<RegisteredService, Error> {
        actor.expect(Action::ServicesManage, Resource::None)?;
        let mut service = RegisteredService {
            id: new_id(&*self.entropy),
            kind: String::new(),
            name: None,
            description: None,
            enabled: true,
            extra: Extra::new(),
        };
        apply(&mut service, new)?;
        let act = Act::on(Operation::CreateService, &service.id).named(&service.kind);
        self.recorded(actor, act, move |txn, _| {
            expect_room(registry::services(txn)?.len(), "services")?;
            registry::put_service(txn, &service)?;
            Ok(service.clone())
        })
    }

    /// Changes a service beside the box's own.
    ///
    /// # Errors
    /// As [`Service::register_service`], and for the box's own; `NotFound` when there is none.
    pub fn update_service(
        &self,
        actor: &Actor,
        id: &str,
        change: ServiceChange,
    ) -> Result<RegisteredService, Error> {
        actor.expect(Action::ServicesManage, Resource::Id(id))?;
        expect_not_own_service(id)?;
        let id = id.to_owned();
        self.recorded(actor, Act::on(Operation::UpdateService, &id), move |txn, act| {
            let mut service = service(txn, &id)?;
            apply(&mut service, change.clone())?;
            act.name(&id, &service.kind);
            registry::put_service(txn, &service)?;
            Ok(service)
        })
    }

    /// Deletes a service beside the box's own, with its endpoints.
    ///
    /// # Errors
    /// Refused without the right, and for the box's own; `NotFound` when there is none.
    pub fn delete_service(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        actor.expect(Action::ServicesManage, Resource::Id(id))?;
        expect_not_own_service(id)?;
        let id = id.to_owned();
        self.recorded(actor, Act::on(Operation::DeleteService, &id), move |txn, act| {
            act.name(&id, &service(txn, &id)?.kind);
            registry::delete_service(txn, &id)?;
            Ok(())
        })
    }
}

fn service(rows: &impl Rows, id: &str) -> Result<RegisteredService, Error> {
    registry::service(rows, id)?.ok_or_else(|| missing("service", id))
}

fn apply(service: &mut RegisteredService, change: ServiceChange) -> Result<(), Error> {
    service.kind = change.kind.unwrap_or_else(|| std::mem::take(&mut service.kind));
    service.name = change.name.unwrap_or_else(|| service.name.take());
    service.description = change.description.unwrap_or_else(|| service.description.take());
    service.enabled = change.enabled.unwrap_or(service.enabled);
    merge_extra(&mut service.extra, &change.extra)?;
    check_text("type", &service.kind)?;
    if let Some(name) = &service.name {
        check_text("name", name)?;
    }
    check_description(service.description.as_deref())
}

/// Refuses what is empty, too long, or would break a line.
fn check_text(name: &str, text: &str) -> Result<(), Error> {
    let chars = text.chars().count();
    if !(1..=NAME_CHARS_MAX).contains(&chars) || text.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "Invalid input for field/attribute {name}: it has 1 to {NAME_CHARS_MAX} characters, none of them control \
             characters."
        )));
    }
    Ok(())
}

fn expect_room(count: usize, what: &str) -> Result<(), Error> {
    if count >= REGISTERED_MAX {
        return Err(Error::too_large(format!(
            "there are {REGISTERED_MAX} registered {what}, and no more are kept: delete one first"
        )));
    }
    Ok(())
}
