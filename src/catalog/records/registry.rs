//! Records of registered services, endpoints and regions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::db::codec::Record;
use crate::model::registry::{Endpoint, Region, RegisteredService};

/// A service without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    kind: String,
    name: Option<String>,
    description: Option<String>,
    enabled: bool,
    extra: BTreeMap<String, String>,
}

impl Record for ServiceRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "service";
}

impl From<&RegisteredService> for ServiceRecord {
    fn from(service: &RegisteredService) -> ServiceRecord {
        let RegisteredService { kind, name, description, enabled, extra, .. } = service.clone();
        ServiceRecord { kind, name, description, enabled, extra }
    }
}

impl ServiceRecord {
    pub fn into_service(self, id: String) -> RegisteredService {
        let ServiceRecord { kind, name, description, enabled, extra } = self;
        RegisteredService { id, kind, name, description, enabled, extra }
    }
}

/// An endpoint without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRecord {
    service: String,
    interface: String,
    region: Option<String>,
    url: String,
    enabled: bool,
    extra: BTreeMap<String, String>,
}

impl Record for EndpointRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "endpoint";
}

impl From<&Endpoint> for EndpointRecord {
    fn from(endpoint: &Endpoint) -> EndpointRecord {
        let Endpoint { service, interface, region, url, enabled, extra, .. } = endpoint.clone();
        EndpointRecord { service, interface, region, url, enabled, extra }
    }
}

impl EndpointRecord {
    pub fn into_endpoint(self, id: String) -> Endpoint {
        let EndpointRecord { service, interface, region, url, enabled, extra } = self;
        Endpoint { id, service, interface, region, url, enabled, extra }
    }
}

/// A region without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRecord {
    description: String,
    parent: Option<String>,
    extra: BTreeMap<String, String>,
}

impl Record for RegionRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "region";
}

impl From<&Region> for RegionRecord {
    fn from(region: &Region) -> RegionRecord {
        let Region { description, parent, extra, .. } = region.clone();
        RegionRecord { description, parent, extra }
    }
}

impl RegionRecord {
    pub fn into_region(self, id: String) -> Region {
        let RegionRecord { description, parent, extra } = self;
        Region { id, description, parent, extra }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    const ONE: &str = "0100000000000000";

    #[test]
    fn the_services_form_is_golden() {
        let service = RegisteredService {
            id: "i".into(),
            kind: "k".into(),
            name: Some("n".into()),
            description: None,
            enabled: true,
            extra: [("a".to_owned(), "1".to_owned())].into(),
        };
        let bytes = encode(&ServiceRecord::from(&service));
        assert_eq!(hex::encode(&bytes), format!("01{ONE}6b01{ONE}6e0001{ONE}{ONE}61{ONE}31"));
        assert_eq!(decode::<ServiceRecord>(&bytes).unwrap().into_service("i".into()), service);
    }

    #[test]
    fn the_endpoints_form_is_golden() {
        let endpoint = Endpoint {
            id: "i".into(),
            service: "s".into(),
            interface: "p".into(),
            region: Some("r".into()),
            url: "u".into(),
            enabled: false,
            extra: Default::default(),
        };
        let bytes = encode(&EndpointRecord::from(&endpoint));
        let none = "00".repeat(8);
        assert_eq!(hex::encode(&bytes), format!("01{ONE}73{ONE}7001{ONE}72{ONE}7500{none}"));
        assert_eq!(decode::<EndpointRecord>(&bytes).unwrap().into_endpoint("i".into()), endpoint);
    }

    #[test]
    fn the_regions_form_is_golden() {
        let region = Region {
            id: "i".into(),
            description: "d".into(),
            parent: Some("p".into()),
            extra: Default::default(),
        };
        let bytes = encode(&RegionRecord::from(&region));
        assert_eq!(hex::encode(&bytes), format!("01{ONE}6401{ONE}70{}", "00".repeat(8)));
        assert_eq!(decode::<RegionRecord>(&bytes).unwrap().into_region("i".into()), region);
    }
}
