//! What a catalog operation can refuse.

use crate::db;
use crate::model::quota::OverLimit;

/// A catalog failure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The name or id is taken; the text says which and by what.
    #[error("{0}")]
    Exists(String),
    /// What should change is not there; the text says what.
    #[error("{0}")]
    Missing(String),
    /// It would raise what a project uses above its limit.
    #[error("{0}")]
    OverLimit(Box<OverLimit>),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl From<db::codec::Unreadable> for Error {
    fn from(error: db::codec::Unreadable) -> Self {
        Error::Db(error.into())
    }
}
