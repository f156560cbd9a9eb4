//! A medium in memory that fails when told: for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Error, Memory, ObjectInfo, ObjectKey, ObjectWriter, Objects};

/// A medium that fails when told. Clones share objects and plan.
#[derive(Debug, Clone, Default)]
pub struct Flaky {
    inner: Memory,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    /// Changes of the medium that still succeed; `None` for all.
    left: Option<usize>,
    /// Whether the one that fails takes effect all the same.
    takes_effect: bool,
    /// Changes made so far.
    made: usize,
    /// Every object that was ever begun.
    begun: Vec<ObjectKey>,
    /// Whether reads give other bytes, of those objects that are not distrusted yet.
    lying: bool,
    distrusted: Vec<ObjectKey>,
}

impl Flaky {
    /// From here on `left` changes succeed and all that follow fail; the first of these may take
    /// effect all the same.
    pub fn fail_after(&self, left: Option<usize>, takes_effect: bool) {
        let mut plan = self.plan();
        (plan.left, plan.takes_effect, plan.made) = (left, takes_effect, 0);
    }

    /// Changes that were tried since the last [`Flaky::fail_after`].
    pub fn made(&self) -> usize {
        self.plan().made
    }

    /// The name of every attempt to write an object, finished or not.
    pub fn begun(&self) -> Vec<ObjectKey> {
        self.plan().begun.clone()
    }

    /// From here on reads have a flipped bit, until the object is distrusted.
    pub fn lie(&self) {
        self.plan().lying = true;
    }

    /// Every object with its length.
    pub fn names(&self) -> BTreeMap<String, u64> {
        let mut names = BTreeMap::new();
        self.list("", &mut |info| {
            names.insert(info.key.to_string(), info.size_bytes);
        })
        .unwrap();
        names
    }

    /// Changes one byte of an object, the last one where it is shorter.
    pub fn spoil(&self, name: &str, at: usize) {
        let key = ObjectKey::new(name).unwrap();
        let mut bytes = self.inner.get(&key).unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1;
        self.inner.delete(&key).unwrap();
        self.inner.put(&key, &bytes).unwrap();
    }

    fn change(&self, change: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let mut plan = self.plan();
        let failure = Err(Error::Unavailable("told to fail".into()));
        plan.made += 1;
        match plan.left {
            Some(0) if plan.takes_effect => {
                plan.takes_effect = false;
                change().and(failure)
            }
            Some(0) => failure,
            left => {
                plan.left = left.map(|left| left - 1);
                change()
            }
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }
}

impl Objects for Flaky {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.plan().begun.push(key.clone());
        Ok(Box::new(FlakyWriter { medium: self.clone(), inner: self.inner.create(key)? }))
    }

    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.plan().begun.push(key.clone());
        Ok(Box::new(FlakyWriter { medium: self.clone(), inner: self.inner.replace(key)? }))
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.inner.read(key, offset, out)?;
        let plan = self.plan();
        if plan.lying && !plan.distrusted.contains(key) {
            let middle = out.len() / 2;
            out[middle] ^= 1;
        }
        Ok(())
    }

    fn distrust(&self, key: &ObjectKey) -> bool {
        let mut plan = self.plan();
        plan.distrusted.push(key.clone());
        plan.lying
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        self.inner.size(key)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.change(|| self.inner.delete(key))
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        self.inner.list(prefix, visit)
    }

    fn sweep_unfinished(&self) -> Result<u64, Error> {
        self.inner.sweep_unfinished()
    }
}

struct FlakyWriter {
    medium: Flaky,
    inner: Box<dyn ObjectWriter>,
}

impl ObjectWriter for FlakyWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.inner.write(bytes)
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        let FlakyWriter { medium, inner } = *self;
        medium.change(|| inner.commit())
    }
}
