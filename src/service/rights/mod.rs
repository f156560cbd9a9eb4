//! Rights: the one engine that says whether a caller may do something.
//!
//! Whatever protocol asks, a use case names its [`Action`] and the resource, and [`Actor::allows`] decides: by the
//! policies that are attached to the caller's groups, and by the roles the caller holds, which are documents in
//! the same syntax, unless the operator has a rule about it ([`overrides`]). Whose an image is, and who sees it, are no rights: those rules stand with the use cases.
//! Must not know any protocol.
//!
//! [`Actor::allows`]: crate::service::Actor::allows

mod action;
mod attachments;
mod built_in;
mod condition;
mod document;
mod held;
mod lent;
mod library;
mod overrides;
mod pattern;
mod policies;
mod rulebook;
mod simulate;
mod syntax;

pub use action::{Action, Actions};
pub use attachments::{Attached, NewAttachment};
pub use built_in::{BuiltIn, keystone_roles, policies as built_in_policies};
pub use condition::Asked;
pub use document::Document;
pub use held::Rights;
pub use lent::Lent;
pub use overrides::{Decided, Overrides, Point, Said, WrittenRule};
pub use policies::{Kind, KnownPolicy, NewPolicy, PolicyChange};
pub use rulebook::{Holding, Match, Rulebook, Verdict};
pub use simulate::{Explained, Simulation, Weighed};
pub use syntax::{Effect, Members, Written, WrittenDependency, WrittenStatement};

pub(super) use library::{Groups, Library};

use std::borrow::Cow;

use crate::model::{Image, ImageId, ProjectId};

/// The region's name, in resources and in the service catalog.
pub const REGION: &str = "RegionOne";

/// What an action is done to. Its type follows from the action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// Nothing in particular: a listing, or something that is not there yet.
    None,
    /// An image.
    Image {
        /// Its id.
        id: &'a ImageId,
        /// Whose it is, as far as that is known.
        owner: Option<&'a ProjectId>,
    },
    /// Anything else that has an id.
    Id(&'a str),
}

impl<'a> Resource<'a> {
    /// An image whose record is at hand.
    pub fn of(image: &'a Image) -> Resource<'a> {
        Resource::Image { id: &image.id, owner: image.owner.as_ref() }
    }

    /// What statements name it by; empty for nothing in particular.
    fn path(self) -> Cow<'a, str> {
        match self {
            Resource::None => Cow::Borrowed(""),
            Resource::Image { id, .. } => Cow::Owned(id.to_string()),
            Resource::Id(id) => Cow::Borrowed(id),
        }
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
