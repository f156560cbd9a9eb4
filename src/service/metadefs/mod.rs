//! Metadata definitions: what may be said about images and other resources, in namespaces.
//!
//! Owns who sees and changes a namespace, and its bounds. Invariants: a namespace that is not the caller's to see is
//! not found, whatever is asked of it; what was taken can be read back in one piece, and loaded again. Nothing here
//! is asked when an image gets a property: clients do that. Must not know any wire format; a property's definition is
//! a JSON object for everybody ([`definition`]).

mod access;
mod associations;
pub mod definition;
mod items;
mod load;
mod namespaces;
mod parts;
mod written;

#[cfg(test)]
mod access_tests;
#[cfg(test)]
mod tests;

pub use associations::{KnownType, RESOURCE_TYPES};
pub use items::Item;
pub use load::{Loaded, Mode};
pub use namespaces::{NamespaceKey, NamespaceQuery, Whole};
pub use written::{NamespaceFields, NewAssociation, NewNamespace, NewObject, NewProperty};
