//! Why a use case refused: a closed set of kinds that every protocol maps exhaustively.

use super::Hindrance;
use crate::model::quota::Resource;
use crate::store::KeyError;
use crate::{catalog, db, store};

/// The word for programs of what a limit of a project refused. Records of jobs keep it.
pub const OVER_LIMIT: &str = "over_limit";

/// What the caller should make of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not there, or not visible to the caller: look elsewhere.
    NotFound,
    /// Sign in (again).
    Unauthenticated,
    /// Visible, but not allowed: ask for the right.
    Forbidden,
    /// The thing's state does not allow it now: look, then decide.
    Conflict,
    /// The request is wrong: correct it.
    Invalid,
    /// The content is not what was declared: correct either.
    UnsupportedContent,
    /// Over a limit or quota: free something, or ask for more.
    TooLarge,
    /// It was deleted while the request ran, or the key that its data is sealed with was.
    Gone,
    /// Not now: try again later.
    Unavailable,
    /// Stored data is damaged: tell the operator.
    Corrupt,
    /// A fault of the service: tell the operator.
    Internal,
}

impl ErrorKind {
    /// A word for programs. Records of jobs keep it, so that none ever changes.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "not_found",
            ErrorKind::Unauthenticated => "unauthenticated",
            ErrorKind::Forbidden => "forbidden",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Invalid => "invalid",
            ErrorKind::UnsupportedContent => "unsupported_content",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::Gone => "gone",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::Internal => "internal",
        }
    }
}

/// What exactly was in the way, where a protocol has a word of its own for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The caller's role allows no changes.
    Role,
    /// The image belongs to another project.
    NotOwner,
    /// The image is public.
    IsPublic,
    /// The image is not active.
    NotActive,
    /// The image is not open to members.
    NotShared,
    /// Attributes of the image exclude each other.
    Exclusive,
    /// The image would have too many tags.
    TooManyTags,
    /// The image has no such tag.
    NoSuchTag,
    /// There is no such custom key that the caller may use.
    NoKey,
    /// The image is sealed with that custom key already.
    SameKey,
    /// The custom key is disabled, or about to be deleted.
    KeyDisabled,
    /// The custom key was deleted.
    KeyDeleted,
    /// The custom key is another project's, and was not granted.
    KeyNotGranted,
    /// The image would be shared with its own project.
    ShareWithSelf,
    /// No project and no domain is named.
    NoRecipient,
    /// There is no such project or domain.
    UnknownProject,
    /// The caller acts in another project.
    OtherProject,
    /// The image is everybody's already.
    PublicShare,
    /// The image is sealed with a key that the recipient does not have.
    Encrypted,
    /// The image is a product of a market.
    MarketImage,
    /// The image is of a whole server without a backup.
    WholeImage,
    /// The image would have too many members.
    TooManyMembers,
    /// The image is shared with it already.
    MemberExists,
    /// The image is not shared with it.
    NoMember,
    /// The image was not offered to the caller.
    NotOffered,
    /// The share was not accepted.
    NotAccepted,
    /// The image is another's, and sealed with that one's key.
    SharedAndEncrypted,
    /// A project would have more of this than its limit.
    OverLimit(Resource),
    /// More came lately than the server keeps in mind.
    TooManyRequests,
    /// Something of moving images in and out.
    Transfer(Hindrance),
}

/// A refusal. `message` is for the caller; `internal` is for the log only.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What to make of it.
    pub kind: ErrorKind,
    /// Says what happened, to what, and what to do next. Safe to show.
    pub message: String,
    /// What the log should keep besides.
    pub internal: Option<String>,
    /// What exactly was in the way, where that matters.
    pub reason: Option<Reason>,
}

impl Error {
    /// A refusal with a message for the caller.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), internal: None, reason: None }
    }

    /// The same, with what exactly was in the way.
    pub fn because(self, reason: Reason) -> Error {
        Error { reason: Some(reason), ..self }
    }

    /// A word for programs: what exactly was in the way, or else the kind's.
    pub fn code(&self) -> &'static str {
        self.reason.map_or(self.kind.as_str(), Reason::as_str)
    }

    /// Nothing there, as far as the caller may know.
    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::NotFound, message)
    }

    /// Not allowed.
    pub fn forbidden(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Forbidden, message)
    }

    /// The state is in the way.
    pub fn conflict(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Conflict, message)
    }

    /// The request is wrong.
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, message)
    }

    /// Over a limit.
    pub fn too_large(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::TooLarge, message)
    }

    fn inside(kind: ErrorKind, message: &str, cause: impl std::fmt::Display) -> Error {
        Error { kind, message: message.to_owned(), internal: Some(cause.to_string()), reason: None }
    }
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Error {
        match &error {
            db::Error::Full(_) => {
                Error::inside(ErrorKind::Unavailable, "the server has no space left for its catalog", error)
            }
            db::Error::Poisoned(_) | db::Error::Closed => {
                Error::inside(ErrorKind::Unavailable, "the server is restarting; try again", error)
            }
            _ => Error::inside(ErrorKind::Internal, "the server's catalog failed", error),
        }
    }
}

impl From<catalog::Error> for Error {
    fn from(error: catalog::Error) -> Error {
        match error {
            catalog::Error::Db(error) => error.into(),
            catalog::Error::Exists(what) => Error::conflict(what),
            catalog::Error::Missing(what) => Error::not_found(what),
            catalog::Error::OverLimit(over) => {
                Error::too_large(over.to_string()).because(Reason::OverLimit(over.resource))
            }
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        match &error {
            store::Error::Full(_) => {
                let message = "the server has no space left for image data: its log tells how much there is, and \
                               store.reserve_bytes keeps some of it for the catalog";
                Error::inside(ErrorKind::TooLarge, message, error)
            }
            store::Error::TooFragmented(_) => Error::too_large(error.to_string()),
            store::Error::Reclaimed(_) | store::Error::Lost(_) | store::Error::Crowded => {
                Error::new(ErrorKind::Unavailable, error.to_string())
            }
            store::Error::Unavailable(_) => {
                Error::inside(ErrorKind::Unavailable, "image data cannot be reached now; try again", error)
            }
            store::Error::Away { place, .. } => {
                let text = format!(
                    "image data lies in {place}, which cannot be reached now; it is tried again every few seconds: \
                     repeat the request then"
                );
                Error::inside(ErrorKind::Unavailable, &text, error)
            }
            store::Error::Damaged { .. } => Error::inside(
                ErrorKind::Corrupt,
                "stored image data is damaged; the server's log says where",
                error,
            ),
            store::Error::Key(KeyError::Revoked(_)) => Error::new(ErrorKind::Gone, error.to_string()),
            store::Error::Key(KeyError::Unknown(_)) => Error::not_found(error.to_string()),
            store::Error::Key(KeyError::UnknownVersion { .. }) => {
                Error::new(ErrorKind::Corrupt, error.to_string())
            }
            store::Error::Key(KeyError::TooMany(_)) => Error::too_large(error.to_string()),
            store::Error::Key(KeyError::Plain | KeyError::Same | KeyError::StoreDomain) => {
                Error::conflict(error.to_string())
            }
            store::Error::Key(KeyError::OlderRemains { .. }) => {
                Error::new(ErrorKind::Unavailable, error.to_string())
            }
            store::Error::Key(KeyError::Objects(_)) => {
                Error::inside(ErrorKind::Unavailable, "the key ring cannot be reached now; try again", error)
            }
            store::Error::Db(error) => error.clone().into(),
            _ => Error::inside(ErrorKind::Internal, "the image store failed", error),
        }
    }
}
