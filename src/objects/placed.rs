//! One medium made of several: objects lie at home, or where their names say.
//!
//! Owns: the way from a name to a medium. Invariant: where an object lies follows from its name alone, so
//! that nothing has to be looked up, and nothing can be in two places. Must not know what names mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CopySource, Error, Near, ObjectInfo, ObjectKey, ObjectWriter, Objects, Traffic};

/// Which medium an object is on, by its name.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// The number of the medium an object lies on; 0 is the home.
    pub medium_of: fn(&ObjectKey) -> u8,
    /// Whether objects whose names begin so may lie elsewhere than at home.
    pub is_spread: fn(&str) -> bool,
}

/// A home, and media beside it by their numbers.
#[derive(Debug)]
pub struct Placed {
    home: Arc<dyn Objects>,
    others: BTreeMap<u8, Arc<dyn Objects>>,
    spread: Spread,
}

impl Placed {
    /// The media as one. What names a medium that is not there is refused with [`Error::Unavailable`].
    pub fn new(home: Arc<dyn Objects>, others: BTreeMap<u8, Arc<dyn Objects>>, spread: Spread) -> Placed {
        Placed { home, others, spread }
    }

    fn of(&self, key: &ObjectKey) -> Result<&dyn Objects, Error> {
        self.known(key).ok_or_else(|| {
            let number = (self.spread.medium_of)(key);
            Error::Unavailable(format!("{key} lies at place {number} of the store, which is not there"))
        })
    }

    fn known(&self, key: &ObjectKey) -> Option<&dyn Objects> {
        match (self.spread.medium_of)(key) {
            0 => Some(&*self.home),
            number => self.others.get(&number).map(|medium| &**medium),
        }
    }
}

impl Objects for Placed {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.of(key)?.create(key)
    }

    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.of(key)?.replace(key)
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.of(key)?.read(key, offset, out)
    }

    fn read_some(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<usize, Error> {
        self.of(key)?.read_some(key, offset, out)
    }

    fn read_stored(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.of(key)?.read_stored(key, offset, out)
    }

    fn distrust(&self, key: &ObjectKey) -> bool {
        self.known(key).is_some_and(|medium| medium.distrust(key))
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        self.of(key)?.size(key)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        // What is deleted is named by nobody: should its medium come back, it is swept as any left-over.
        self.known(key).map_or(Ok(()), |medium| medium.delete(key))
    }

    /// Where a medium does not answer, those of all others are visited before that is said.
    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        let mut outcome = self.home.list(prefix, visit);
        if (self.spread.is_spread)(prefix) {
            for medium in self.others.values() {
                let listed = medium.list(prefix, visit);
                outcome = outcome.and(listed);
            }
        }
        outcome
    }

    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        self.home.free_bytes()
    }

    fn free_bytes_for(&self, key: &ObjectKey) -> Result<Option<u64>, Error> {
        self.of(key)?.free_bytes()
    }

    /// Where a medium does not answer, all others are swept before that is said.
    fn sweep_unfinished(&self) -> Result<u64, Error> {
        let mut swept = self.home.sweep_unfinished();
        for medium in self.others.values() {
            let more = medium.sweep_unfinished();
            swept = swept.and_then(|count| Ok(count + more?));
        }
        swept
    }

    /// Of the home: without it nothing goes, and without a place most does.
    fn trouble(&self) -> Option<String> {
        self.home.trouble()
    }

    fn copies(&self) -> &[CopySource] {
        self.home.copies()
    }

    /// Of the home, which alone has one.
    fn near(&self) -> Option<Near> {
        self.home.near()
    }

    fn traffic(&self) -> Option<Traffic> {
        self.home.traffic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Flaky;

    /// Objects below `b/` lie on medium 1, below `c/` on 2, which is not there.
    const SPREAD: Spread = Spread {
        medium_of: |key| match key.as_str().split('/').next() {
            Some("b") => 1,
            Some("c") => 2,
            _ => 0,
        },
        is_spread: |prefix| prefix.is_empty() || prefix.starts_with(['b', 'c']),
    };

    fn key(text: &str) -> ObjectKey {
        ObjectKey::new(text).unwrap()
    }

    fn placed(home: &Flaky, other: &Flaky) -> Placed {
        let others: BTreeMap<u8, Arc<dyn Objects>> = [(1, Arc::new(other.clone()) as _)].into();
        Placed::new(Arc::new(home.clone()), others, SPREAD)
    }

    #[test]
    fn an_object_lies_where_its_name_says_and_nowhere_else() {
        let (home, other) = (Flaky::default(), Flaky::default());
        let placed = placed(&home, &other);
        placed.put(&key("a/1"), b"home").unwrap();
        placed.put(&key("b/1"), b"other").unwrap();
        assert_eq!(home.names().into_keys().collect::<Vec<_>>(), ["a/1"]);
        assert_eq!(other.names().into_keys().collect::<Vec<_>>(), ["b/1"]);
        assert_eq!(placed.get(&key("b/1")).unwrap(), b"other");
        let mut listed = Vec::new();
        placed.list("", &mut |info| listed.push(info.key.to_string())).unwrap();
        listed.sort();
        assert_eq!(listed, ["a/1", "b/1"]);
        let mut listed = Vec::new();
        placed.list("a/", &mut |info| listed.push(info.key.to_string())).unwrap();
        assert_eq!(listed, ["a/1"]);
        placed.delete(&key("b/1")).unwrap();
        assert!(other.names().is_empty());
    }

    #[test]
    fn a_medium_that_is_not_there_refuses_all_but_deletes() {
        let placed = placed(&Flaky::default(), &Flaky::default());
        let gone = key("c/1");
        let outcomes = [
            placed.put(&gone, b"x"),
            placed.replace(&gone).map(drop),
            placed.get(&gone).map(drop),
            placed.free_bytes_for(&gone).map(drop),
        ];
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(Error::Unavailable(_)))), "{outcomes:?}");
        placed.delete(&gone).unwrap();
    }
}
