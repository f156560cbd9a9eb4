//! Metadata definitions below `/v2/metadefs`: namespaces, and the properties, objects, tags and types of resources in
//! each.
//!
//! Invariant: a path of one kind looks like those of the others, so that [`Place`] says of each what it takes.

mod namespaces;
mod objects;
mod page;
mod print;
mod properties;
mod read;
mod resource_types;
pub(super) mod schemas;
mod tags;

#[cfg(test)]
mod tests;

pub(in crate::api) use read::new_namespace;

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, LOCATION};
use axum::response::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::call::{Call, json_response};
use super::error::Refusal;

/// Where namespaces are.
const NAMESPACES: &str = "/v2/metadefs/namespaces";
/// What stays as it is in a link: names have colons, and clients compare.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// What a path below `/v2/metadefs` can name.
#[derive(Debug)]
pub(super) enum Place<'path> {
    Namespaces,
    Namespace(&'path str),
    Properties(&'path str),
    Property(&'path str, &'path str),
    Objects(&'path str),
    Object(&'path str, &'path str),
    Tags(&'path str),
    Tag(&'path str, &'path str),
    Associations(&'path str),
    Association(&'path str, &'path str),
    ResourceTypes,
}

impl<'path> Place<'path> {
    /// What the path names, if anything.
    pub(super) fn find(segments: &[&'path str]) -> Option<Place<'path>> {
        if segments.iter().any(|segment| segment.is_empty()) {
            return None;
        }
        Some(match *segments {
            ["namespaces"] => Place::Namespaces,
            ["namespaces", namespace] => Place::Namespace(namespace),
            ["namespaces", namespace, "properties"] => Place::Properties(namespace),
            ["namespaces", namespace, "properties", name] => Place::Property(namespace, name),
            ["namespaces", namespace, "objects"] => Place::Objects(namespace),
            ["namespaces", namespace, "objects", name] => Place::Object(namespace, name),
            ["namespaces", namespace, "tags"] => Place::Tags(namespace),
            ["namespaces", namespace, "tags", name] => Place::Tag(namespace, name),
            ["namespaces", namespace, "resource_types"] => Place::Associations(namespace),
            ["namespaces", namespace, "resource_types", name] => Place::Association(namespace, name),
            ["resource_types"] => Place::ResourceTypes,
            _ => return None,
        })
    }

    /// The methods it takes, as `Allow` lists them.
    pub(super) fn allow(&self) -> &'static str {
        match self {
            Place::Namespaces | Place::Associations(_) => "GET, POST",
            Place::Namespace(_) | Place::Property(..) | Place::Object(..) => "GET, PUT, DELETE",
            Place::Properties(_) | Place::Objects(_) | Place::Tags(_) => "GET, POST, DELETE",
            Place::Tag(..) => "GET, POST, PUT, DELETE",
            Place::Association(..) => "DELETE",
            Place::ResourceTypes => "GET",
        }
    }

    /// Answers a call, where there is an answer to its method.
    pub(super) async fn answer(self, call: Call) -> Result<Response, Refusal> {
        use Place::{
            Association, Associations, Namespace, Namespaces, Object, Objects, Properties, Property,
            ResourceTypes, Tag, Tags,
        };
        match (call.parts.method.as_str(), self) {
            ("GET", Namespaces) => namespaces::list(call).await,
            ("POST", Namespaces) => namespaces::create(call).await,
            ("GET", Namespace(name)) => namespaces::show(call, name.into()).await,
            ("PUT", Namespace(name)) => namespaces::update(call, name.into()).await,
            ("DELETE", Namespace(name)) => namespaces::delete(call, name.into()).await,
            ("GET", Properties(of)) => properties::list(call, of.into()).await,
            ("POST", Properties(of)) => properties::create(call, of.into()).await,
            ("DELETE", Properties(of)) => properties::clear(call, of.into()).await,
            ("GET", Property(of, name)) => properties::show(call, of.into(), name.into()).await,
            ("PUT", Property(of, name)) => properties::update(call, of.into(), name.into()).await,
            ("DELETE", Property(of, name)) => properties::delete(call, of.into(), name.into()).await,
            ("GET", Objects(of)) => objects::list(call, of.into()).await,
            ("POST", Objects(of)) => objects::create(call, of.into()).await,
            ("DELETE", Objects(of)) => objects::clear(call, of.into()).await,
            ("GET", Object(of, name)) => objects::show(call, of.into(), name.into()).await,
            ("PUT", Object(of, name)) => objects::update(call, of.into(), name.into()).await,
            ("DELETE", Object(of, name)) => objects::delete(call, of.into(), name.into()).await,
            ("GET", Tags(of)) => tags::list(call, of.into()).await,
            ("POST", Tags(of)) => tags::put_all(call, of.into()).await,
            ("DELETE", Tags(of)) => tags::clear(call, of.into()).await,
            ("GET", Tag(of, name)) => tags::show(call, of.into(), name.into()).await,
            ("POST", Tag(of, name)) => tags::create(call, of.into(), name.into()).await,
            ("PUT", Tag(of, name)) => tags::update(call, of.into(), name.into()).await,
            ("DELETE", Tag(of, name)) => tags::delete(call, of.into(), name.into()).await,
            ("GET", Associations(of)) => resource_types::list_of(call, of.into()).await,
            ("POST", Associations(of)) => resource_types::associate(call, of.into()).await,
            ("DELETE", Association(of, name)) => {
                resource_types::dissociate(call, of.into(), name.into()).await
            }
            ("GET", ResourceTypes) => resource_types::list(call).await,
            (_, other) => Err(Refusal::method_not_allowed(other.allow())),
        }
    }
}

/// A name as it stands in a path.
fn in_path(name: &str) -> impl std::fmt::Display {
    utf8_percent_encode(name, IN_PATH)
}

/// Says that something was made, and where it is.
fn created(path: &str, body: Vec<u8>) -> Response {
    let mut response = json_response(StatusCode::CREATED, body);
    if let Ok(location) = HeaderValue::from_str(path) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
