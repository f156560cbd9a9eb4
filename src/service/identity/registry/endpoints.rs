//! Endpoints of services beside this box.

use super::own::{INTERFACES, expect_not_own_endpoint, expect_not_own_service};
use super::{expect_room, service};
use crate::catalog::registry;
use crate::db::{Rows, WriteTxn};
use crate::model::Operation;
use crate::model::identity::Extra;
use crate::model::registry::Endpoint;
use crate::service::audit::Act;
use crate::service::identity::values::merge_extra;
use crate::service::identity::{missing, new_id};
use crate::service::rights::{Action, REGION, Resource};
use crate::service::{Actor, Error, Service};

/// Characters of an address, at most: it is in every token's answer.
const URL_CHARS_MAX: usize = 225;

/// An endpoint to be made.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// Its service.
    pub service: String,
    /// `public`, `internal` or `admin`.
    pub interface: String,
    /// Its region.
    pub region: Option<String>,
    /// The address.
    pub url: String,
    /// Whether it is in the catalog of tokens.
    pub enabled: bool,
    /// Members to keep.
    pub extra: Extra,
}

/// What to change in an endpoint; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct EndpointChange {
    /// Its service.
    pub service: Option<String>,
    /// `public`, `internal` or `admin`.
    pub interface: Option<String>,
    /// Its region.
    pub region: Option<Option<String>>,
    /// The address.
    pub url: Option<String>,
    /// Whether it is in the catalog of tokens.
    pub enabled: Option<bool>,
    /// Members to set.
    pub extra: Extra,
}

impl Service {
    /// The endpoints beside the box's own.
    ///
    /// # Errors
    /// Refused without the right.
    pub fn registered_endpoints(&self, actor: &Actor) -> Result<Vec<Endpoint>, Error> {
        actor.expect(Action::EndpointsList, Resource::None)?;
        Ok(registry::endpoints(&self.db.read()?)?)
    }

    /// An endpoint beside the box's own.
    ///
    /// # Errors
    /// Refused without the right; `NotFound` when there is none.
    pub fn registered_endpoint(&self, actor: &Actor, id: &str) -> Result<Endpoint, Error> {
        actor.expect(Action::EndpointsGet, Resource::Id(id))?;
        endpoint(&self.db.read()?, id)
    }

    /// Registers an endpoint of a service beside the box's own.
    ///
    /// # Errors
    /// Refused without the right, and for the box's own services; `Invalid` for a bad interface or address; `NotFound`
    /// for an unknown service or region; `TooLarge` when there are too many.
    pub fn register_endpoint(&self, actor: &Actor, new: NewEndpoint) -> Result<Endpoint, Error> {
        actor.expect(Action::EndpointsManage, Resource::None)?;
        let endpoint = Endpoint {
            id: new_id(&*self.entropy),
            service: new.service,
            interface: new.interface,
            region: new.region,
            url: new.url,
            enabled: new.enabled,
            extra: Extra::new(),
        };
        let change = EndpointChange { extra: new.extra, ..EndpointChange::default() };
        let act = Act::on(Operation::CreateEndpoint, &endpoint.id);
        self.recorded(actor, act, move |txn, act| {
            expect_room(registry::endpoints(txn)?.len(), "endpoints")?;
            put(txn, act, endpoint.clone(), &change)
        })
    }

    /// Changes an endpoint beside the box's own.
    ///
    /// # Errors
    /// As [`Service::register_endpoint`], and `NotFound` when there is none.
    pub fn update_endpoint(
        &self,
        actor: &Actor,
        id: &str,
        change: EndpointChange,
    ) -> Result<Endpoint, Error> {
        actor.expect(Action::EndpointsManage, Resource::Id(id))?;
        expect_not_own_endpoint(id)?;
        let id = id.to_owned();
        self.recorded(actor, Act::on(Operation::UpdateEndpoint, &id), move |txn, act| {
            put(txn, act, endpoint(txn, &id)?, &change)
        })
    }

    /// Deletes an endpoint beside the box's own.
    ///
    /// # Errors
    /// Refused without the right, and for the box's own; `NotFound` when there is none.
    pub fn delete_endpoint(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        actor.expect(Action::EndpointsManage, Resource::Id(id))?;
        expect_not_own_endpoint(id)?;
        let id = id.to_owned();
        self.recorded(actor, Act::on(Operation::DeleteEndpoint, &id), move |txn, act| {
            act.name(&id, &endpoint(txn, &id)?.url);
            registry::delete_endpoint(txn, &id)?;
            Ok(())
        })
    }
}

fn endpoint(rows: &impl Rows, id: &str) -> Result<Endpoint, Error> {
    registry::endpoint(rows, id)?.ok_or_else(|| missing("endpoint", id))
}

fn put(
    txn: &WriteTxn,
    act: &mut Act,
    mut endpoint: Endpoint,
    change: &EndpointChange,
) -> Result<Endpoint, Error> {
    endpoint.service = change.service.clone().unwrap_or(endpoint.service);
    endpoint.interface = change.interface.clone().unwrap_or(endpoint.interface);
    endpoint.region = change.region.clone().unwrap_or(endpoint.region);
    endpoint.url = change.url.clone().unwrap_or(endpoint.url);
    endpoint.enabled = change.enabled.unwrap_or(endpoint.enabled);
    merge_extra(&mut endpoint.extra, &change.extra)?;
    act.name(&endpoint.id, &endpoint.url);
    check(&endpoint)?;
    expect_not_own_service(&endpoint.service)?;
    service(txn, &endpoint.service)?;
    if let Some(region) = endpoint.region.as_deref().filter(|region| *region != REGION) {
        registry::region(txn, region)?.ok_or_else(|| missing("region", region))?;
    }
    registry::put_endpoint(txn, &endpoint)?;
    Ok(endpoint)
}

fn check(endpoint: &Endpoint) -> Result<(), Error> {
    if !INTERFACES.contains(&endpoint.interface.as_str()) {
        return Err(Error::invalid(format!(
            "Invalid input for field/attribute interface: {:?} is none of {}.",
            endpoint.interface,
            INTERFACES.join(", ")
        )));
    }
    let url = &endpoint.url;
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_web || !is_plain || url.len() > URL_CHARS_MAX {
        return Err(Error::invalid(format!(
            "Invalid input for field/attribute url: an address begins with http:// or https:// and has at most \
             {URL_CHARS_MAX} characters, none of them blank."
        )));
    }
    Ok(())
}
