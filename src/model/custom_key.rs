//! Custom keys: what a project seals images with by choice, as a key management service offers it.
//!
//! Holds no key material: that is in the key ring, in a domain of the key's own.

use std::collections::BTreeSet;
use std::fmt;

use uuid::Uuid;

use crate::base::Time;
use crate::model::ProjectId;

/// A custom key's id: a UUID, printed hyphenated and in lower case, as `__system__cmkid` carries it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId(pub Uuid);

impl KeyId {
    /// Reads the hyphenated form; anything else is `None`.
    pub fn parse(text: &str) -> Option<KeyId> {
        if text.len() != 36 {
            return None;
        }
        Uuid::try_parse(text).ok().map(KeyId)
    }

    /// The sixteen bytes, in the order they print.
    pub fn bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Where a custom key stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyState {
    /// Seals and opens.
    Enabled,
    /// Neither, until it is enabled again.
    Disabled,
    /// Neither; it is deleted at this time unless somebody keeps it.
    PendingDeletion(Time),
    /// Deleted at this time. What it sealed cannot be read by anyone any more.
    Deleted(Time),
}

impl KeyState {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyState::Enabled => "enabled",
            KeyState::Disabled => "disabled",
            KeyState::PendingDeletion(_) => "pending deletion",
            KeyState::Deleted(_) => "deleted",
        }
    }
}

/// One custom key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomKey {
    /// Its id.
    pub id: KeyId,
    /// The project that it belongs to.
    pub project: ProjectId,
    /// Its name, unique among the keys of its project that are not deleted.
    pub alias: String,
    /// Free text.
    pub description: Option<String>,
    /// Where it stands.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Time,
    /// Other projects that may read what it seals, once that is shared with them.
    pub grants: BTreeSet<ProjectId>,
}

impl CustomKey {
    /// Whether a project's images may be opened with it: its own, or one that it was granted to.
    pub fn is_open_to(&self, project: &ProjectId) -> bool {
        self.project == *project || self.grants.contains(project)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_in_its_one_form() {
        let text = "33ad552d-1149-471c-8190-ff6776174a00";
        assert_eq!(KeyId::parse(text).unwrap().to_string(), text);
        for other in
            ["", "33ad552d1149471c8190ff6776174a00", "ims/default", "{33ad552d-1149-471c-8190-ff6776174}"]
        {
            assert_eq!(KeyId::parse(other), None, "{other}");
        }
    }
}
