//! Entity tags in conditions of requests (RFC 9110, section 8.8.3). Must not know what they are tags of.

/// Whether a list of entity tags names this one; a weak tag only where that is enough.
pub(super) fn names(tags: &str, tag: Option<&str>, weak: bool) -> bool {
    tags.split(',').map(str::trim).any(|one| {
        one == "*" || tag.is_some_and(|tag| one == tag || (weak && one.strip_prefix("W/") == Some(tag)))
    })
}
