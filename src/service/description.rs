//! Descriptions: free text that callers give keys and policies, within bounds that fit a line.

use super::Error;
use crate::base::limits::NAME_CHARS_MAX;

/// Refuses a description that is too long, or would break a line.
///
/// # Errors
/// `Invalid`, saying the bound.
pub(super) fn check_description(text: Option<&str>) -> Result<(), Error> {
    let text = text.unwrap_or_default();
    if text.chars().count() > NAME_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "a description has at most {NAME_CHARS_MAX} characters and no control characters"
        )));
    }
    Ok(())
}
