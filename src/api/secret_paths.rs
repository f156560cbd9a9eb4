//! Paths that hold a secret, as logs and records may have them.
//!
//! Invariant: what stands behind a link's id is shown to nobody, on whatever path somebody tries it.

use std::borrow::Cow;

/// What comes before a link's id.
const LINKS: &str = "/links/";
/// Longest id that is shown.
const ID_CHARS_MAX: usize = 36;
/// Stands for what is not told.
const MASK: &str = "***";

/// The path without the secrets in it.
pub(super) fn shown(path: &str) -> Cow<'_, str> {
    let Some(at) = path.find(LINKS).map(|at| at + LINKS.len()) else { return Cow::Borrowed(path) };
    let (before, behind) = path.split_at(at);
    let (id, secret) = behind.split_once('/').map_or((behind, None), |(id, secret)| (id, Some(secret)));
    let is_id = id.len() <= ID_CHARS_MAX && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match secret {
        _ if !is_id => Cow::Owned(format!("{before}{MASK}")),
        Some(_) => Cow::Owned(format!("{before}{id}/{MASK}")),
        None => Cow::Borrowed(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_signature_is_shown_and_ids_are() {
        for (path, expected) in [
            ("/tintype/v1/links/ab12/SECRET/disk.img", "/tintype/v1/links/ab12/***"),
            ("/tintype/v1/links/ab12/SECRET", "/tintype/v1/links/ab12/***"),
            ("/proxied/tintype/v1/links/ab12/SECRET/x/links/y/z", "/proxied/tintype/v1/links/ab12/***"),
            ("/tintype/v1/links//SECRET/disk.img", "/tintype/v1/links//***"),
            ("/tintype/v1/links/ab12%2FSECRET", "/tintype/v1/links/***"),
            ("/tintype/v1/images/i/links/ab12", "/tintype/v1/images/i/links/ab12"),
            ("/tintype/v1/images/i/links", "/tintype/v1/images/i/links"),
            ("/v2/images/i/file", "/v2/images/i/file"),
        ] {
            assert_eq!(shown(path), expected);
        }
    }
}
