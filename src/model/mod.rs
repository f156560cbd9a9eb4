//! The field's nouns: ids, images, states, identities, byte ranges. No I/O, no wire formats.

pub mod access_key;
pub mod content;
pub mod custom_key;
pub mod identity;
pub mod ids;
pub mod image;
pub mod job;
pub mod os_versions;
pub mod policy;
pub mod quota;
pub mod range;
pub mod store_place;
pub mod trace;
pub mod upload;

pub use access_key::{AccessId, AccessKey};
pub use content::{ContentId, DigestChoice, Digests, HashAlgorithm, SecureHash};
pub use custom_key::{CustomKey, KeyId, KeyState};
pub use ids::{DomainId, GroupId, ImageId, PolicyId, ProjectId, RoleId, UserId};
pub use image::{DataCopy, Image, Status, Visibility};
pub use range::ByteRange;
pub use store_place::StorePlace;
pub use trace::{Interface, Operation, Rating, Trace, TraceContent, TraceHead};
pub use upload::PartialUpload;
