//! Links to images: what a fetcher without a token downloads one image by. The signature is never part of a record.

use std::fmt;

use ipnet::IpNet;

use crate::base::Time;
use crate::model::{ApplicationCredentialId, ImageId, ProjectId, UserId};

/// A link's id: 128 random bits, printed as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub [u8; 16]);

impl LinkId {
    /// Reads 32 hex digits; anything else is `None`.
    pub fn parse(text: &str) -> Option<LinkId> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(LinkId(id))
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whose rights a link rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkMaker {
    /// Whoever may open the data directory.
    LocalAdmin,
    /// A user, or what the user lent to the application credential that it was made with.
    User(UserId, Option<ApplicationCredentialId>),
}

/// The word of a link that gives the files of a disc, one by one, in the place of a format.
pub const TREE: &str = "tree";

impl ImageLink {
    /// Whether it gives the files of a disc, and no image.
    pub fn is_of_tree(&self) -> bool {
        self.format.as_deref() == Some(TREE)
    }
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLink {
    /// Its id.
    pub id: LinkId,
    /// The image that it leads to.
    pub image: ImageId,
    /// Who made it.
    pub maker: LinkMaker,
    /// The project that the maker acted in.
    pub project: ProjectId,
    /// The format that it gives the image in, or [`TREE`]; as it is stored without.
    pub format: Option<String>,
    /// Where it may be used from; from anywhere without.
    pub net: Option<IpNet>,
    /// When it was made.
    pub created_at: Time,
    /// From when on it leads nowhere.
    pub expires_at: Time,
    /// When it was used for the first time.
    pub first_used_at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_printed() {
        let id = LinkId([0xa5; 16]);
        assert_eq!(LinkId::parse(&id.to_string()), Some(id));
        for wrong in ["", "a5", &"a5".repeat(17), &"zz".repeat(16)] {
            assert_eq!(LinkId::parse(wrong), None, "{wrong}");
        }
    }
}
