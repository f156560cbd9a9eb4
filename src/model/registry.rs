//! Services beside this box that administrators registered, so that clients find them: their endpoints, and regions.

use super::identity::Extra;

/// A service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisteredService {
    /// 32 hex digits.
    pub id: String,
    /// Its type, by which clients find it.
    pub kind: String,
    /// Its name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Whether it is in the catalog of tokens.
    pub enabled: bool,
    /// Unknown members, kept.
    pub extra: Extra,
}

/// An address of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// 32 hex digits.
    pub id: String,
    /// Its service.
    pub service: String,
    /// `public`, `internal` or `admin`.
    pub interface: String,
    /// Its region.
    pub region: Option<String>,
    /// The address; `$(project_id)s` and its like stand for what the token says.
    pub url: String,
    /// Whether it is in the catalog of tokens.
    pub enabled: bool,
    /// Unknown members, kept.
    pub extra: Extra,
}

/// A region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// What its maker chose, or 32 hex digits.
    pub id: String,
    /// Free text.
    pub description: String,
    /// The region that it is a part of.
    pub parent: Option<String>,
    /// Unknown members, kept.
    pub extra: Extra,
}
