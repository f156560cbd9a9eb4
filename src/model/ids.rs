//! Names of things. Each is its own type, so that a project is never taken for a user.

use std::fmt;

use uuid::Uuid;

/// An image's id: a UUID, printed hyphenated and in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(pub Uuid);

impl ImageId {
    /// Reads the hyphenated form (8-4-4-4-12 hex digits, either case); anything else is `None`.
    pub fn parse(text: &str) -> Option<ImageId> {
        if text.len() != 36 {
            return None;
        }
        Uuid::try_parse(text).ok().map(ImageId)
    }

    /// The sixteen bytes, in the order they print.
    pub fn bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id!(
    /// A project's id: 32 hex digits when made here; an image's owner or member may be any text.
    ProjectId
);
text_id!(
    /// A user's id: 32 hex digits.
    UserId
);
text_id!(
    /// An identity domain's id: 32 hex digits, or `default`.
    DomainId
);
text_id!(
    /// A role's id: 32 hex digits.
    RoleId
);
text_id!(
    /// A group's id: 32 hex digits.
    GroupId
);
text_id!(
    /// An application credential's id: 32 hex digits.
    ApplicationCredentialId
);
text_id!(
    /// A policy's id: 32 hex digits, or the fixed name of one that is built in.
    PolicyId
);
