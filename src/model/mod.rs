//! The field's nouns: ids, images, states, identities, byte ranges. No I/O, no wire formats.

pub mod access_key;
pub mod access_rule;
pub mod application_credential;
pub mod cached_image;
pub mod content;
pub mod credential;
pub mod custom_key;
pub mod disk_export;
pub mod identity;
pub mod ids;
pub mod image;
pub mod image_link;
pub mod job;
pub mod metadef;
pub mod os_versions;
pub mod password;
pub mod policy;
pub mod quota;
pub mod range;
pub mod registry;
pub mod store_place;
pub mod trace;
pub mod upload;

pub use access_key::{AccessId, AccessKey};
pub use access_rule::AccessRule;
pub use application_credential::ApplicationCredential;
pub use content::{ContentId, DigestChoice, Digests, HashAlgorithm, SecureHash};
pub use custom_key::{CustomKey, KeyId, KeyState};
pub use disk_export::{DiskExport, ExportHash, Opener};
pub use ids::{ApplicationCredentialId, DomainId, GroupId, ImageId, PolicyId, ProjectId, RoleId, UserId};
pub use image::{DataCopy, Image, Status, Visibility};
pub use image_link::{ImageLink, LinkId};
pub use range::ByteRange;
pub use store_place::StorePlace;
pub use trace::{Interface, Operation, Rating, Trace, TraceContent, TraceHead};
pub use upload::PartialUpload;
