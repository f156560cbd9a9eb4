//! The catalog's records as they lie on disk: versioned, held still by golden-byte tests.
//!
//! Ids that are a row's key are not repeated in its record, but for an image's. Must not know
//! which table a record is kept in, nor any rule about its values.

pub(super) mod access_key;
pub(super) mod application_credential;
pub(super) mod cached_image;
pub(super) mod credential;
pub(super) mod custom_key;
pub(super) mod deleted_image;
pub(super) mod disk_export;
pub(super) mod identity;
pub(super) mod image;
pub(super) mod image_link;
pub(super) mod job;
pub(super) mod location;
pub(super) mod member;
pub(super) mod metadef;
pub(super) mod password;
pub(super) mod policy;
pub(super) mod quota;
pub(super) mod registry;
pub(super) mod tokens;
pub(super) mod trace;
pub(super) mod upload;
