//! Words for what exactly was in the way, for programs.
//!
//! Records of jobs keep them, so that none ever changes its meaning.

use super::error::OVER_LIMIT;
use super::{Hindrance, Reason};

/// The word of every reason but those of transfers, which have their own.
const WORDS: [(Reason, &str); 26] = [
    (Reason::Role, "role"),
    (Reason::NotOwner, "not_owner"),
    (Reason::IsPublic, "is_public"),
    (Reason::NotActive, "not_active"),
    (Reason::NotShared, "not_shared"),
    (Reason::Exclusive, "exclusive"),
    (Reason::TooManyTags, "too_many_tags"),
    (Reason::NoSuchTag, "no_such_tag"),
    (Reason::NoKey, "no_key"),
    (Reason::SameKey, "same_key"),
    (Reason::KeyDisabled, "key_disabled"),
    (Reason::KeyDeleted, "key_deleted"),
    (Reason::KeyNotGranted, "key_not_granted"),
    (Reason::ShareWithSelf, "share_with_self"),
    (Reason::NoRecipient, "no_recipient"),
    (Reason::UnknownProject, "unknown_project"),
    (Reason::OtherProject, "other_project"),
    (Reason::PublicShare, "public_share"),
    (Reason::Encrypted, "encrypted"),
    (Reason::MarketImage, "market_image"),
    (Reason::WholeImage, "whole_image"),
    (Reason::TooManyMembers, "too_many_members"),
    (Reason::MemberExists, "member_exists"),
    (Reason::NoMember, "no_member"),
    (Reason::NotOffered, "not_offered"),
    (Reason::SharedAndEncrypted, "shared_and_encrypted"),
];

impl Reason {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Transfer(hindrance) => hindrance.as_str(),
            // Of which, only the message says.
            Reason::OverLimit(_) => OVER_LIMIT,
            Reason::NotAccepted => Hindrance::NotAccepted.as_str(),
            Reason::TooManyRequests => "too_many_requests",
            other => WORDS.iter().find(|(reason, _)| *reason == other).map_or("refused", |(_, word)| word),
        }
    }

    /// The reason of this word.
    pub fn parse(word: &str) -> Option<Reason> {
        let known = WORDS.iter().find(|(_, known)| *known == word).map(|(reason, _)| *reason);
        known.or_else(|| Hindrance::parse(word).map(Reason::Transfer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_and_none_is_used_twice() {
        for (reason, word) in WORDS {
            assert_eq!((reason.as_str(), Reason::parse(word)), (word, Some(reason)));
            assert_eq!(Hindrance::parse(word), None, "{word}");
        }
        for hindrance in Hindrance::ALL {
            let reason = Reason::Transfer(hindrance);
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(Reason::parse("conflict"), None);
    }
}
