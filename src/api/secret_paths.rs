//! Paths that hold a secret, as logs and records may have them.
//!
//! Invariant: what stands behind the id of a link, or in the place of an id of an export of a disk, is shown to nobody, on
//! whatever path somebody tries it.

use std::borrow::Cow;

use crate::model::disk_export::is_export_id;

/// Whether a segment is such an id.
type IsId = fn(&str) -> bool;

/// What comes before an id that a secret may stand behind, or in the place of; and what tells that it is one.
const PLACES: [(&str, IsId); 2] = [("/links/", may_be_link_id), ("/nbd/exports/", is_export_id)];
/// Longest id of a link that is shown.
const ID_CHARS_MAX: usize = 36;
/// Stands for what is not told.
const MASK: &str = "***";

/// The path without the secrets in it.
pub(super) fn shown(path: &str) -> Cow<'_, str> {
    let places = PLACES.into_iter();
    let found = places.filter_map(|(place, is_id)| path.find(place).map(|at| (at + place.len(), is_id)));
    let Some((at, is_id)) = found.min_by_key(|(at, _)| *at) else { return Cow::Borrowed(path) };
    let (before, behind) = path.split_at(at);
    let (id, secret) = behind.split_once('/').map_or((behind, None), |(id, secret)| (id, Some(secret)));
    match secret {
        _ if !is_id(id) => Cow::Owned(format!("{before}{MASK}")),
        Some(_) => Cow::Owned(format!("{before}{id}/{MASK}")),
        None => Cow::Borrowed(path),
    }
}

/// Whether a segment is of the form of ids, and of no signature's.
fn may_be_link_id(segment: &str) -> bool {
    segment.len() <= ID_CHARS_MAX && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
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

    #[test]
    fn no_name_of_an_export_is_shown_and_ids_are() {
        for (path, expected) in [
            ("/tintype/v1/nbd/exports", "/tintype/v1/nbd/exports"),
            ("/tintype/v1/nbd/exports/00ff00ff00ff00ff", "/tintype/v1/nbd/exports/00ff00ff00ff00ff"),
            ("/tintype/v1/nbd/exports/SECRET", "/tintype/v1/nbd/exports/***"),
            ("/tintype/v1/nbd/exports/SECRET/links/x", "/tintype/v1/nbd/exports/***"),
            ("/tintype/v1/nbd/exports//SECRET", "/tintype/v1/nbd/exports/***"),
            (
                "/tintype/v1/nbd/exports/00ff00ff00ff00ff/SECRET",
                "/tintype/v1/nbd/exports/00ff00ff00ff00ff/***",
            ),
            ("/tintype/v1/nbd/exports/nbd%3A%2F%2Fbox%2FSECRET", "/tintype/v1/nbd/exports/***"),
            ("/tintype/v1/links/ab12/SECRET/nbd/exports/00ff00ff00ff00ff", "/tintype/v1/links/ab12/***"),
        ] {
            assert_eq!(shown(path), expected);
        }
    }
}
