//! The field's nouns: ids, images, states, identities, byte ranges. No I/O, no wire formats.

pub mod access_key;
pub mod content;
pub mod identity;
pub mod ids;
pub mod image;
pub mod job;
pub mod os_versions;
pub mod range;
pub mod upload;

pub use access_key::{AccessId, AccessKey};
pub use content::{ContentId, DigestChoice, Digests, HashAlgorithm, SecureHash};
pub use ids::{DomainId, ImageId, ProjectId, RoleId, UserId};
pub use image::{Image, Status, Visibility};
pub use range::ByteRange;
pub use upload::PartialUpload;
