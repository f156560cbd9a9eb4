//! An error with what caused it, as one line for people. Must not know any error.

use std::error::Error;

/// What the error says, and each of its causes after it.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
