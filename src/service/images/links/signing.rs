//! What a link is signed with, and over what.
//!
//! Invariants: every word of a record that a use of the link looks at is under its signature, so that a changed record makes no
//! other link; a wrong signature takes as long as a right one. Neither key nor signature has a printed form.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::model::image_link::{ImageLink, LinkMaker};
use crate::service::identity::AccessRoot;

/// Stands before the words, so that the key signs nothing else by them.
const CONTEXT: &[u8] = b"tintype image link 1";

/// A link's signature. No `Debug`: it is all that a download takes.
#[derive(Clone)]
pub struct LinkSignature([u8; 32]);

impl LinkSignature {
    /// Reads the form of [`LinkSignature::expose`].
    pub fn parse(text: &str) -> Option<LinkSignature> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(LinkSignature(bytes.try_into().ok()?))
    }

    /// The text, for the one address that has it: 43 characters that need no quoting in a path.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// The key of all links of a box.
pub(super) struct LinkKey(Zeroizing<[u8; 32]>);

impl LinkKey {
    /// The one that follows from a root, which lies beside the catalog, or in it where that is sealed.
    pub(super) fn of(root: &AccessRoot) -> LinkKey {
        LinkKey(root.key_of_links())
    }

    /// Signs a link.
    pub(super) fn sign(&self, link: &ImageLink) -> Option<LinkSignature> {
        Some(LinkSignature(self.code(link)?.finalize().into_bytes().into()))
    }

    /// Whether the signature is the link's.
    pub(super) fn has_signed(&self, link: &ImageLink, signature: &LinkSignature) -> bool {
        self.code(link).is_some_and(|code| code.verify_slice(&signature.0).is_ok())
    }

    fn code(&self, link: &ImageLink) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of any length, so that there always is one.
        let mut code = Hmac::<Sha256>::new_from_slice(&*self.0).ok()?;
        code.update(CONTEXT);
        code.update(&link.id.0);
        code.update(link.image.bytes());
        code.update(&link.expires_at.0.to_le_bytes());
        word(&mut code, link.format.as_deref());
        word(&mut code, link.net.map(|net| net.to_string()).as_deref());
        word(&mut code, Some(link.project.as_str()));
        match &link.maker {
            LinkMaker::LocalAdmin => word(&mut code, None),
            LinkMaker::User(user, credential) => {
                word(&mut code, Some(user.as_str()));
                word(&mut code, credential.as_ref().map(|credential| credential.as_str()));
            }
        }
        Some(code)
    }
}

/// A word with its length in front, or its absence: no two rows of words read the same.
fn word(code: &mut Hmac<Sha256>, word: Option<&str>) {
    let length = word.map_or(u64::MAX, |word| word.len() as u64);
    code.update(&length.to_le_bytes());
    code.update(word.unwrap_or_default().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{OsEntropy, Time};
    use crate::model::image_link::LinkId;
    use crate::model::{ApplicationCredentialId, ImageId};

    fn link() -> ImageLink {
        ImageLink {
            id: LinkId([1; 16]),
            image: ImageId(uuid::Uuid::from_bytes([2; 16])),
            maker: LinkMaker::User("u".into(), None),
            project: "p".into(),
            format: Some("qcow2".into()),
            net: Some("10.0.0.0/8".parse().unwrap()),
            created_at: Time(1),
            expires_at: Time(2),
            first_used_at: None,
        }
    }

    #[test]
    fn a_signature_is_of_every_word_that_counts_and_of_one_root() {
        let key = LinkKey::of(&AccessRoot::generate(&OsEntropy));
        let signature = key.sign(&link()).unwrap();
        assert!(key.has_signed(&link(), &signature));
        let others = [
            ImageLink { id: LinkId([9; 16]), ..link() },
            ImageLink { image: ImageId(uuid::Uuid::from_bytes([9; 16])), ..link() },
            ImageLink { expires_at: Time(3), ..link() },
            ImageLink { format: None, ..link() },
            ImageLink { format: Some("raw".into()), ..link() },
            ImageLink { net: None, ..link() },
            ImageLink { net: Some("10.0.0.0/7".parse().unwrap()), ..link() },
            ImageLink { project: "q".into(), ..link() },
            ImageLink { maker: LinkMaker::LocalAdmin, ..link() },
            ImageLink { maker: LinkMaker::User("v".into(), None), ..link() },
            ImageLink {
                maker: LinkMaker::User("u".into(), Some(ApplicationCredentialId("c".into()))),
                ..link()
            },
        ];
        for other in others {
            assert!(!key.has_signed(&other, &signature), "{other:?}");
        }
        // When it was used is no part of what it is.
        assert!(key.has_signed(&ImageLink { first_used_at: Some(Time(5)), ..link() }, &signature));
        let another = LinkKey::of(&AccessRoot::generate(&OsEntropy));
        assert!(!another.has_signed(&link(), &signature));
    }

    #[test]
    fn one_text_is_one_signature() {
        let signature = LinkKey::of(&AccessRoot::generate(&OsEntropy)).sign(&link()).unwrap();
        let text = signature.expose();
        assert_eq!((text.len(), LinkSignature::parse(&text).unwrap().0), (43, signature.0));
        for wrong in ["", "A", &text[1..], &format!("{}=", *text), &format!("{}A", *text)] {
            assert!(LinkSignature::parse(wrong).is_none(), "{wrong}");
        }
    }
}
