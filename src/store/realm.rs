//! Who shares chunks: a chunk is only ever looked for in the realm its stream belongs to.
//!
//! Invariant: neither an answer nor a look-up in one realm depends on what another holds.

use crate::model::StorePlace;

/// Streams that share their chunks with each other and with nobody else, inside one key domain and on one medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    id: [u8; 16],
    /// The key domain; 0 is the store's own.
    domain: u32,
    /// Where what they store lies.
    place: StorePlace,
}

impl Scope {
    /// The scope of streams that share with the whole store.
    pub const STORE: Scope = Scope { id: [0; 16], domain: 0, place: StorePlace::HOME };

    /// The scope of what belongs to `owner`, where `kind` tells owners of different kinds apart.
    pub fn of(kind: &str, owner: &str) -> Scope {
        let mut hasher = blake3::Hasher::new_derive_key("tintype 2026 deduplication scope");
        hasher.update(&(kind.len() as u64).to_le_bytes()).update(kind.as_bytes()).update(owner.as_bytes());
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        Scope { id, domain: 0, place: StorePlace::HOME }
    }

    /// The same scope inside a key domain.
    pub(super) fn in_domain(self, domain: u32) -> Scope {
        Scope { domain, ..self }
    }

    /// The same scope on another medium: what its streams share lies there, and nowhere else.
    #[must_use]
    pub fn at(self, place: StorePlace) -> Scope {
        Scope { place, ..self }
    }

    /// Where what its streams store lies.
    pub fn place(&self) -> StorePlace {
        self.place
    }

    /// Whoever the scope is of, as the key ring knows it.
    pub fn owner(&self) -> [u8; 16] {
        self.id
    }
}

/// A key domain, a scope inside it, and the medium that what it shares lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Realm {
    /// The key domain; 0 is plain.
    pub domain: u32,
    /// The scope, as rows and footers keep it.
    pub scope: [u8; 16],
    /// The medium, as the ids of objects say it.
    pub place: StorePlace,
}

impl Realm {
    /// The realm of new packs of a scope, where `domain` is the store's own.
    pub fn new(domain: u32, scope: Scope) -> Realm {
        Realm {
            domain: if scope.domain == 0 { domain } else { scope.domain },
            scope: scope.id,
            place: scope.place,
        }
    }

    /// A name as this scope's hooks have it: the name itself where the whole store shares, at home.
    pub fn scoped(&self, name: &[u8; 32]) -> [u8; 32] {
        if self.scope == Scope::STORE.id && self.place.is_home() {
            return *name;
        }
        let mut key = [0; 32];
        key[..16].copy_from_slice(&self.scope);
        key[16] = self.place.0;
        *blake3::keyed_hash(&key, name).as_bytes()
    }

    /// Eight bytes that differ between realms for all that is practical.
    pub fn tag(&self) -> u64 {
        let half = |bytes: &[u8]| bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let place = u64::from(self.place.0).rotate_right(8);
        half(&self.scope[..8]) ^ u64::from(self.domain).rotate_left(32) ^ place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_told_apart_by_kind_and_owner() {
        let scopes =
            [Scope::STORE, Scope::of("project", "a"), Scope::of("domain", "a"), Scope::of("project", "b")];
        for (at, scope) in scopes.iter().enumerate() {
            assert!(!scopes[at + 1..].contains(scope));
        }
        // Packs keep it: it must never change.
        assert_eq!(hex::encode(Scope::of("project", "a").id), "f4a4a30aad5c458461b8aa61d1e1ab58");
    }

    #[test]
    fn a_name_is_another_in_another_scope() {
        let name = [7; 32];
        assert_eq!(Realm::new(0, Scope::STORE).scoped(&name), name);
        let (a, b) = (Realm::new(0, Scope::of("project", "a")), Realm::new(0, Scope::of("project", "b")));
        assert_ne!(a.scoped(&name), b.scoped(&name));
        assert_ne!(a.scoped(&name), name);
        assert_ne!(a.tag(), b.tag());
        // Hooks are kept: these must never change.
        assert_eq!(hex::encode(&a.scoped(&name)[..4]), "8c9e84a5");
    }

    #[test]
    fn a_scope_at_a_place_shares_nothing_with_itself_at_another() {
        let name = [7; 32];
        for scope in [Scope::STORE, Scope::of("project", "a")] {
            let realms = [0, 1, 2].map(|place| Realm::new(0, scope.at(StorePlace(place))));
            for (at, realm) in realms.iter().enumerate() {
                for other in &realms[at + 1..] {
                    assert_ne!(realm, other);
                    assert_ne!(realm.scoped(&name), other.scoped(&name));
                    assert_ne!(realm.tag(), other.tag());
                }
            }
            assert_eq!(realms[0], Realm::new(0, scope));
        }
    }
}
