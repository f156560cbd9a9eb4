//! Images: registering, describing, filling, handing out, sharing and deleting them.
//!
//! Every action is one commit that checks everything again inside. Invariants: an image that
//! the caller could not show is [`NotFound`](super::ErrorKind::NotFound) for every action, any
//! other refusal says why; an image is active exactly when its content is published.

mod access;
mod caching;
mod capturing;
mod choosing;
mod create;
mod delete;
mod download;
mod exporting;
mod extents;
mod families;
mod fields;
mod guests;
mod importing;
mod inspecting;
mod links;
mod looking;
mod looking_turns;
mod members;
mod own;
mod placing;
mod protection;
mod read;
mod recipes;
mod referring;
mod reserving;
mod resumable;
mod retained;
mod screen;
mod sealing;
mod sharing;
mod signature;
mod stored;
mod transfer;
mod update;
mod upload;
mod verdicts;

pub use crate::catalog::images::Retained;
pub use crate::catalog::images::{
    Absent, Comparison, Direction, Filters, NumberBounds, PropertyTest, SortKey, Standing, TagTest,
};
pub use caching::{CacheListing, CacheTarget, WholeDownload};
pub use create::NewImage;
pub use download::Download;
pub(super) use download::expect_readable;
pub(super) use exporting::Exports;
pub use exporting::{Export, ExportRules};
pub use extents::{Page, Stretch};
pub use families::{DEPRECATED_PROPERTY, FAMILY_PROPERTY, Family, FamilyEntry, Unfit};
pub use fields::{Change, Existing, Field, may_be_injected};
pub use guests::DISK_PROPERTY;
pub(super) use guests::Guests;
pub use guests::{GuestDisk, OpenDisk};
pub use importing::{Destination, ImportMethod, ImportRules, NewIntake, TaskFilter, TaskState};
pub(super) use importing::{conclude, give_back, take_back};
pub(super) use inspecting::Inspections;
pub use inspecting::{
    Boot, CloudInit, Described, Driver, DriverState, Finding, Inspection, Kernel, Mount, OpenFile, OpenTree,
    Severity, System, Volume,
};
pub use links::{LinkGives, LinkRefusal, LinkRules, LinkSignature, MadeLink, NewLink, TTL_MIN_S};
pub(super) use looking_turns::Looks;
pub use own::{Kind, Label};
pub use protection::Protections;
pub use read::Listing;
pub use recipes::{Kept, RecipePlan, RecipePolicy, Which};
pub(super) use recipes::{Reads, Tried};
pub(super) use referring::Fetches;
pub use referring::{Beside, LocationChange, NewLocation, Validation};
pub use resumable::Patch;
pub(super) use resumable::Turns;
pub use sealing::{CUSTOM_KEY_PROPERTY, Holder, KEY_PROPERTY, OWN_KEY};
pub use sharing::{Recipient, Shared, Shares, expect_may_copy};
pub use signature::{Certificates, SignatureRules};
pub use transfer::{
    BucketPlace, Buckets, CopyAcross, MachineBackup, NewImport, NewMachine, Places, Region, Regions,
    SharedBucket,
};
pub(super) use transfer::{kill, revive};
pub use upload::{BodyBroken, Upload};
pub use verdicts::{DiskPolicy, FINDINGS_PROPERTY, FORMAT_PROPERTY, READER, is_of_verdict};

#[cfg(test)]
mod tests;
