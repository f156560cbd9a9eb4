//! Metadata definitions below `/v2/metadefs`: namespaces, and the properties, objects, tags and types of resources in
//! each.
//!
//! Invariant: a path of one kind looks like those of the others, and all of them stand in [`LINES`].

mod namespaces;
mod objects;
mod page;
mod print;
mod properties;
mod read;
mod resource_types;
pub(in crate::api) mod schemas;
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
use crate::api::table::{Line, table};

/// Where namespaces are.
const NAMESPACES: &str = "/v2/metadefs/namespaces";
/// What stays as it is in a link: names have colons, and clients compare.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// Which path and method leads where.
pub(super) static LINES: &[Line<Call, Refusal>] = table! {
    "GET" "/metadefs/namespaces" => namespaces::list();
    "POST" "/metadefs/namespaces" => namespaces::create();
    "GET" "/metadefs/namespaces/{namespace}" => namespaces::show(namespace);
    "PUT" "/metadefs/namespaces/{namespace}" => namespaces::update(namespace);
    "DELETE" "/metadefs/namespaces/{namespace}" => namespaces::delete(namespace);
    "GET" "/metadefs/namespaces/{namespace}/properties" => properties::list(namespace);
    "POST" "/metadefs/namespaces/{namespace}/properties" => properties::create(namespace);
    "DELETE" "/metadefs/namespaces/{namespace}/properties" => properties::clear(namespace);
    "GET" "/metadefs/namespaces/{namespace}/properties/{property}" => properties::show(namespace, property);
    "PUT" "/metadefs/namespaces/{namespace}/properties/{property}" => properties::update(namespace, property);
    "DELETE" "/metadefs/namespaces/{namespace}/properties/{property}" => properties::delete(namespace, property);
    "GET" "/metadefs/namespaces/{namespace}/objects" => objects::list(namespace);
    "POST" "/metadefs/namespaces/{namespace}/objects" => objects::create(namespace);
    "DELETE" "/metadefs/namespaces/{namespace}/objects" => objects::clear(namespace);
    "GET" "/metadefs/namespaces/{namespace}/objects/{object}" => objects::show(namespace, object);
    "PUT" "/metadefs/namespaces/{namespace}/objects/{object}" => objects::update(namespace, object);
    "DELETE" "/metadefs/namespaces/{namespace}/objects/{object}" => objects::delete(namespace, object);
    "GET" "/metadefs/namespaces/{namespace}/tags" => tags::list(namespace);
    "POST" "/metadefs/namespaces/{namespace}/tags" => tags::put_all(namespace);
    "DELETE" "/metadefs/namespaces/{namespace}/tags" => tags::clear(namespace);
    "GET" "/metadefs/namespaces/{namespace}/tags/{tag}" => tags::show(namespace, tag);
    "POST" "/metadefs/namespaces/{namespace}/tags/{tag}" => tags::create(namespace, tag);
    "PUT" "/metadefs/namespaces/{namespace}/tags/{tag}" => tags::update(namespace, tag);
    "DELETE" "/metadefs/namespaces/{namespace}/tags/{tag}" => tags::delete(namespace, tag);
    "GET" "/metadefs/namespaces/{namespace}/resource_types" => resource_types::list_of(namespace);
    "POST" "/metadefs/namespaces/{namespace}/resource_types" => resource_types::associate(namespace);
    "DELETE" "/metadefs/namespaces/{namespace}/resource_types/{resource_type}" =>
        resource_types::dissociate(namespace, resource_type);
    "GET" "/metadefs/resource_types" => resource_types::list();
};

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
