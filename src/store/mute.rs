//! A medium in memory that answers no more for some names, when told: for tests.

use std::sync::{Arc, Mutex};

use crate::objects::{Error, Memory, ObjectInfo, ObjectKey, ObjectWriter, Objects};

type Refused = Arc<Mutex<Option<String>>>;

/// The medium. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Mute {
    inner: Memory,
    unread: Refused,
    unlisted: Refused,
}

impl Mute {
    /// One that answers, with these objects.
    pub fn new(inner: Memory) -> Mute {
        Mute { inner, unread: Arc::default(), unlisted: Arc::default() }
    }

    /// From here on no object whose name begins like this can be read.
    pub fn read_no_more(&self, prefix: &str) {
        *self.unread.lock().unwrap() = Some(prefix.to_owned());
    }

    /// From here on these names cannot be listed.
    pub fn list_no_more(&self, prefix: &str) {
        *self.unlisted.lock().unwrap() = Some(prefix.to_owned());
    }
}

fn answer(refused: &Refused, name: &str) -> Result<(), Error> {
    let is_refused = refused.lock().unwrap().as_ref().is_some_and(|prefix| name.starts_with(prefix));
    if is_refused { Err(Error::Unavailable("unplugged".into())) } else { Ok(()) }
}

impl Objects for Mute {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.inner.create(key)
    }

    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.inner.replace(key)
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        answer(&self.unread, key.as_str())?;
        self.inner.read(key, offset, out)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        self.inner.size(key)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.inner.delete(key)
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        answer(&self.unlisted, prefix)?;
        self.inner.list(prefix, visit)
    }

    fn sweep_unfinished(&self) -> Result<u64, Error> {
        self.inner.sweep_unfinished()
    }
}
