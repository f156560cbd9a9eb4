//! What a bucket's answers mean to us. Must not repeat credentials: only the crate's own texts,
//! which name addresses and objects, are passed on.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use http::StatusCode;
use object_store::Error as Answer;

use super::wire::refusal;
use crate::objects::{Error, ObjectKey};

/// The failure of a request for one object.
pub(super) fn fault(key: &ObjectKey, answer: Answer) -> Error {
    match answer {
        // Without its bucket no object is known to be missing.
        answer if tells_of_no_bucket(&answer) => of_bucket(answer),
        Answer::NotFound { .. } => Error::NotFound(key.clone()),
        Answer::AlreadyExists { .. } | Answer::Precondition { .. } => Error::Exists(key.clone()),
        answer => of_bucket(answer),
    }
}

/// The failure of a request for the bucket as a whole.
pub(super) fn of_bucket(answer: Answer) -> Error {
    let text = answer.to_string();
    match &answer {
        answer if tells_of_no_bucket(answer) => {
            Error::Denied("there is no such bucket; make it first, or correct the address".into())
        }
        Answer::PermissionDenied { .. } | Answer::Unauthenticated { .. } => Error::Denied(text),
        // It refuses what we cannot do without.
        Answer::NotFound { .. } | Answer::NotSupported { .. } | Answer::NotImplemented { .. } => {
            Error::Denied(text)
        }
        Answer::InvalidPath { .. } | Answer::UnknownConfigurationKey { .. } => Error::Invalid(text),
        answer => match (refusal(answer), system_fault(answer)) {
            (Some(refused), _) if refused.status == StatusCode::INSUFFICIENT_STORAGE => Error::Full(text),
            (Some(_), _) => Error::Denied(text),
            (None, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) => Error::Full(text),
            (None, Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)) => Error::Denied(text),
            (None, _) => Error::Unavailable(text),
        },
    }
}

/// Listings answer so, and so do requests for objects; the crate passes the code on in its text.
fn tells_of_no_bucket(answer: &Answer) -> bool {
    answer.to_string().contains("<Code>NoSuchBucket</Code>")
}

/// The operating system's answer below a failure, where there is one.
fn system_fault(answer: &Answer) -> Option<ErrorKind> {
    let mut cause = answer.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_medium_is_told_from_one_that_does_not_answer() {
        let generic = |kind: ErrorKind| {
            of_bucket(Answer::Generic { store: "test", source: Box::new(io::Error::from(kind)) })
        };
        assert!(matches!(generic(ErrorKind::StorageFull), Error::Full(_)));
        assert!(matches!(generic(ErrorKind::PermissionDenied), Error::Denied(_)));
        assert!(matches!(generic(ErrorKind::ConnectionRefused), Error::Unavailable(_)));
    }

    #[test]
    fn a_missing_bucket_needs_an_operator() {
        let source = "404 Not Found: <Error><Code>NoSuchBucket</Code></Error>".into();
        let answer = Answer::Generic { store: "S3", source };
        assert!(of_bucket(answer).to_string().contains("make it first"));
        let source = "404 Not Found: <Error><Code>NoSuchBucket</Code></Error>".into();
        let key = ObjectKey::new("a").unwrap();
        assert!(matches!(fault(&key, Answer::NotFound { path: "a".into(), source }), Error::Denied(_)));
    }

    #[test]
    fn refused_credentials_need_an_operator() {
        let answer = Answer::Unauthenticated { path: "a".into(), source: "expired".into() };
        assert!(matches!(of_bucket(answer), Error::Denied(_)));
    }
}
