//! The box's own services, endpoints and region: which there are, and that nobody changes them.
//!
//! They are nowhere kept. Ids follow from names, so that they are the same on every start; addresses are the protocols'
//! to know.

use crate::service::Error;
use crate::service::rights::REGION;

/// The types of the box's own services.
pub const OWN_SERVICES: [&str; 2] = ["identity", "image"];
/// The ways to reach a service.
pub const INTERFACES: [&str; 3] = ["public", "internal", "admin"];

/// The id of the box's own service of this type.
pub fn own_service_id(kind: &str) -> String {
    derived_id(&format!("service/{kind}"))
}

/// The id of an endpoint of the box's own service of this type.
pub fn own_endpoint_id(kind: &str, interface: &str) -> String {
    derived_id(&format!("endpoint/{kind}/{interface}"))
}

fn derived_id(name: &str) -> String {
    hex::encode(&blake3::hash(name.as_bytes()).as_bytes()[..16])
}

/// Refuses to change one of the box's own services.
pub(super) fn expect_not_own_service(id: &str) -> Result<(), Error> {
    match OWN_SERVICES.into_iter().find(|kind| own_service_id(kind) == id) {
        Some(kind) => Err(own(&format!("service {id} of type {kind}"))),
        None => Ok(()),
    }
}

/// Refuses to change one of the box's own endpoints.
pub(super) fn expect_not_own_endpoint(id: &str) -> Result<(), Error> {
    let all = OWN_SERVICES.into_iter().flat_map(|kind| INTERFACES.map(|interface| (kind, interface)));
    match all.into_iter().find(|(kind, interface)| own_endpoint_id(kind, interface) == id) {
        Some((kind, interface)) => Err(own(&format!("{interface} endpoint {id} of the service {kind}"))),
        None => Ok(()),
    }
}

/// Refuses to change the box's own region.
pub(super) fn expect_not_own_region(id: &str) -> Result<(), Error> {
    if id == REGION { Err(own(&format!("region {id}"))) } else { Ok(()) }
}

fn own(what: &str) -> Error {
    Error::forbidden(format!(
        "The {what} is this server's own and cannot be changed: its address is the one that clients use, or the setting \
         server.public_url."
    ))
}
