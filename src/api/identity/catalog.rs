//! The service catalog: this box's identity and image endpoints in one region, then what administrators registered.
//!
//! The box's own is never stored: addresses follow the configured public URL, or the request's own host. Its ids are
//! derived from names, so they are the same on every start.

use serde_json::{Value, json};

use super::call::Call;
use super::error::Refusal;
use crate::model::registry::{Endpoint as Registered, RegisteredService};
use crate::model::{ProjectId, UserId};
use crate::service::identity::{INTERFACES, own_endpoint_id, own_service_id};
pub(in crate::api) use crate::service::rights::REGION;

/// A service of the box's own.
pub(super) struct CatalogService {
    /// Its type, by which clients find it.
    pub kind: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// What follows `scheme://host:port` in its endpoints.
    path: &'static str,
}

/// Every service of the box's own.
pub(super) const SERVICES: [CatalogService; 2] = [
    CatalogService {
        kind: "identity",
        name: "keystone",
        description: "Identity service",
        path: "/identity/v3",
    },
    CatalogService { kind: "image", name: "glance", description: "Image service", path: "" },
];

/// An address of a service of the box's own.
pub(super) struct Endpoint {
    pub id: String,
    pub service_id: String,
    pub interface: &'static str,
    pub url: String,
}

impl CatalogService {
    pub(super) fn id(&self) -> String {
        own_service_id(self.kind)
    }

    pub(super) fn endpoints(&self, base_url: &str) -> Vec<Endpoint> {
        INTERFACES
            .iter()
            .map(|&interface| Endpoint {
                id: own_endpoint_id(self.kind, interface),
                service_id: self.id(),
                interface,
                url: format!("{base_url}{}", self.path),
            })
            .collect()
    }
}

/// For whom a catalog is: what addresses in it may name.
#[derive(Clone)]
pub(super) struct Reader {
    pub user: UserId,
    pub project: Option<ProjectId>,
}

/// The catalog as tokens carry it.
pub(super) async fn catalog(call: &Call, reader: &Reader) -> Result<Value, Refusal> {
    let registered = call.state.blocking(|service| service.served_registry()).await?;
    let base_url = call.base_url();
    let own = SERVICES.iter().map(|service| print_own(service, &base_url));
    let others = registered.iter().map(|(service, endpoints)| print_registered(service, endpoints, reader));
    Ok(own.chain(others).collect())
}

fn print_own(service: &CatalogService, base_url: &str) -> Value {
    let print = |endpoint: Endpoint| {
        json!({
            "id": endpoint.id,
            "interface": endpoint.interface,
            "region_id": REGION,
            "region": REGION,
            "url": endpoint.url,
        })
    };
    let endpoints: Vec<Value> = service.endpoints(base_url).into_iter().map(print).collect();
    json!({"id": service.id(), "type": service.kind, "name": service.name, "endpoints": endpoints})
}

fn print_registered(service: &RegisteredService, endpoints: &[Registered], reader: &Reader) -> Value {
    let print = |endpoint: &Registered| {
        let url = filled_in(&endpoint.url, reader)?;
        Some(json!({
            "id": endpoint.id,
            "interface": endpoint.interface,
            "region_id": endpoint.region,
            "region": endpoint.region,
            "url": url,
        }))
    };
    let endpoints: Vec<Value> = endpoints.iter().filter_map(print).collect();
    json!({
        "id": service.id,
        "type": service.kind,
        "name": service.name.as_deref().unwrap_or_default(),
        "endpoints": endpoints,
    })
}

/// The address for this reader; `None` where it names a project and the reader is in none.
fn filled_in(url: &str, reader: &Reader) -> Option<String> {
    let mut url = url.to_owned();
    for (open, close) in [("$(", ")s"), ("%(", ")s")] {
        for name in ["tenant_id", "project_id"] {
            let place = format!("{open}{name}{close}");
            if url.contains(&place) {
                url = url.replace(&place, reader.project.as_ref()?.as_str());
            }
        }
        url = url.replace(&format!("{open}user_id{close}"), reader.user.as_str());
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_filled_in_for_who_reads_them() {
        let reader = Reader { user: "u".into(), project: Some("p".into()) };
        let url = filled_in("http://h/%(tenant_id)s/$(project_id)s/$(user_id)s", &reader);
        assert_eq!(url.as_deref(), Some("http://h/p/p/u"));
        let nowhere = Reader { project: None, ..reader };
        assert_eq!(filled_in("http://h/$(project_id)s", &nowhere), None);
        assert_eq!(filled_in("http://h/v1", &nowhere).as_deref(), Some("http://h/v1"));
    }
}
