//! The built-in service catalog: this box's identity and image endpoints in one region.
//!
//! Never stored: addresses follow the configured public URL, or the request's own host. Ids are
//! derived from names, so they are the same on every start.

use serde_json::{Value, json};

pub(in crate::api) use crate::service::rights::REGION;

const INTERFACES: [&str; 3] = ["public", "internal", "admin"];

/// A service of the catalog.
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

/// Every service.
pub(super) const SERVICES: [CatalogService; 2] = [
    CatalogService {
        kind: "identity",
        name: "keystone",
        description: "Identity service",
        path: "/identity/v3",
    },
    CatalogService { kind: "image", name: "glance", description: "Image service", path: "" },
];

/// An address of a service.
pub(super) struct Endpoint {
    pub id: String,
    pub service_id: String,
    pub interface: &'static str,
    pub url: String,
}

impl CatalogService {
    pub(super) fn id(&self) -> String {
        derived_id(&format!("service/{}", self.kind))
    }

    pub(super) fn endpoints(&self, base_url: &str) -> Vec<Endpoint> {
        INTERFACES
            .iter()
            .map(|&interface| Endpoint {
                id: derived_id(&format!("endpoint/{}/{interface}", self.kind)),
                service_id: self.id(),
                interface,
                url: format!("{base_url}{}", self.path),
            })
            .collect()
    }
}

fn derived_id(name: &str) -> String {
    hex::encode(&blake3::hash(name.as_bytes()).as_bytes()[..16])
}

/// The catalog as tokens carry it.
pub(super) fn catalog(base_url: &str) -> Value {
    let service = |service: &CatalogService| {
        let endpoints: Vec<Value> = service
            .endpoints(base_url)
            .into_iter()
            .map(|endpoint| {
                json!({
                    "id": endpoint.id,
                    "interface": endpoint.interface,
                    "region_id": REGION,
                    "region": REGION,
                    "url": endpoint.url,
                })
            })
            .collect();
        json!({"id": service.id(), "type": service.kind, "name": service.name, "endpoints": endpoints})
    };
    SERVICES.iter().map(service).collect()
}
