//! The Identity API v3, as far as the clients of an image service need it.
//!
//! Served at `/identity/v3` and, for clients that keep only scheme and host, at `/v3`. All paths
//! are on one page, `routes.rs`. Must not decide anything: it parses, calls one use case, prints.

mod application_credentials;
mod auth;
mod call;
mod catalog;
mod credentials;
mod domains;
mod elsewhere;
mod endpoints;
mod error;
mod grants;
mod groups;
mod implied;
mod limits;
mod listing;
mod members;
mod projects;
mod regions;
mod roles;
mod routes;
mod security_tokens;
mod services;
mod sign_in;
mod users;
mod versions;

pub(in crate::api) use catalog::REGION;
pub(in crate::api) use routes::routes;

#[cfg(test)]
mod application_credentials_tests;
#[cfg(test)]
mod cloud_tests;
#[cfg(test)]
mod credentials_tests;
#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod implied_tests;
#[cfg(test)]
mod password_tests;
#[cfg(test)]
mod registry_tests;
#[cfg(test)]
mod revocation_tests;
#[cfg(test)]
mod tests;
