//! The way to a medium that may be away, or be another's, when a box is opened.
//!
//! Owns: what stands between a box and its medium until that was recognised. Invariant: through
//! [`Entrance::guarded`] nothing is read, listed, written or deleted before [`Entrance::open`], and it
//! never closes again. Must not know by what a medium is recognised.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Error, ObjectInfo, ObjectKey, ObjectWriter, Objects, Traffic};

/// Finds out whether a medium can do what is relied on; it may write below `tmp/`.
pub type Trial = Box<dyn Fn() -> Result<(), Error> + Send + Sync>;

/// The way to a medium. Cheap to clone.
#[derive(Clone)]
pub struct Entrance {
    inner: Arc<Inner>,
}

struct Inner {
    medium: Arc<dyn Objects>,
    place: String,
    trial: Trial,
    is_open: AtomicBool,
    /// Why it is not open.
    why: Mutex<String>,
}

impl Entrance {
    /// A closed way to `medium`, which people know as `place`.
    pub fn new(medium: Arc<dyn Objects>, place: String, trial: Trial) -> Entrance {
        let why = Mutex::new("nobody has looked at it yet".to_owned());
        Entrance { inner: Arc::new(Inner { medium, place, trial, is_open: AtomicBool::new(false), why }) }
    }

    /// The medium itself, for whoever recognises it.
    pub fn medium(&self) -> &Arc<dyn Objects> {
        &self.inner.medium
    }

    /// The medium for everybody else: while the way is closed, every request is refused with
    /// [`Error::Away`].
    pub fn guarded(&self) -> Arc<dyn Objects> {
        Arc::new(Guarded(self.clone()))
    }

    /// What people know the medium by.
    pub fn place(&self) -> &str {
        &self.inner.place
    }

    /// Tries what is relied on. The medium must have been recognised, or hold nothing of a box.
    ///
    /// # Errors
    /// What the medium lacks, or whatever it says.
    pub fn try_out(&self) -> Result<(), Error> {
        (self.inner.trial)()
    }

    /// Lets everybody in, for good.
    pub fn open(&self) {
        self.inner.is_open.store(true, Ordering::Release);
    }

    /// Whether everybody is let in.
    pub fn is_open(&self) -> bool {
        self.inner.is_open.load(Ordering::Acquire)
    }

    /// Notes why it could not be opened, for whoever is refused.
    pub fn stays_closed(&self, why: String) {
        *self.inner.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// What is said to whoever is refused.
    ///
    /// # Errors
    /// [`Error::Away`] while the way is closed.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_open() {
            return Ok(());
        }
        let why = self.inner.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(Error::Away { place: self.inner.place.clone(), why })
    }

    fn pass(&self) -> Result<&dyn Objects, Error> {
        self.check().map(|()| &*self.inner.medium)
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_open() { "open" } else { "closed" };
        write!(f, "{:?}, {state}", self.inner.medium)
    }
}

/// A medium whose way is looked at before every request.
#[derive(Debug)]
struct Guarded(Entrance);

impl Objects for Guarded {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.0.pass()?.create(key)
    }

    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.0.pass()?.replace(key)
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.0.pass()?.read(key, offset, out)
    }

    fn read_some(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<usize, Error> {
        self.0.pass()?.read_some(key, offset, out)
    }

    fn read_stored(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.0.pass()?.read_stored(key, offset, out)
    }

    fn distrust(&self, key: &ObjectKey) -> bool {
        self.0.inner.medium.distrust(key)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        self.0.pass()?.size(key)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.0.pass()?.delete(key)
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        self.0.pass()?.list(prefix, visit)
    }

    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        // A figure, for which nothing has to be recognised.
        self.0.inner.medium.free_bytes()
    }

    fn sweep_unfinished(&self) -> Result<u64, Error> {
        self.0.pass()?.sweep_unfinished()
    }

    fn trouble(&self) -> Option<String> {
        match self.0.check() {
            Ok(()) => self.0.inner.medium.trouble(),
            Err(refused) => Some(refused.to_string()),
        }
    }

    fn traffic(&self) -> Option<Traffic> {
        self.0.inner.medium.traffic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Memory;

    #[test]
    fn nothing_passes_before_it_is_open_and_everything_after() {
        let (memory, key) = (Memory::new(), ObjectKey::new("pack/aa/1").unwrap());
        memory.put(&key, b"there").unwrap();
        let trial: Trial = Box::new(|| Err(Error::Denied("lacks something".into())));
        let entrance = Entrance::new(Arc::new(memory.clone()), "s3://one/box".into(), trial);
        let guarded = entrance.guarded();
        entrance.stays_closed("no route".into());
        let other = ObjectKey::new("pack/aa/2").unwrap();
        let outcomes = [
            guarded.put(&other, b"x"),
            guarded.replace(&key).map(drop),
            guarded.get(&key).map(drop),
            guarded.read(&key, 0, &mut [0; 2]),
            guarded.read_some(&key, 0, &mut [0; 2]).map(drop),
            guarded.read_stored(&key, 0, &mut [0; 2]),
            guarded.delete(&key),
            guarded.list("", &mut |_| panic!("it was listed")),
            guarded.sweep_unfinished().map(drop),
        ];
        let away = Error::Away { place: "s3://one/box".into(), why: "no route".into() };
        for outcome in outcomes {
            assert_eq!(outcome, Err(away.clone()));
        }
        assert!(guarded.trouble().unwrap().contains("s3://one/box"));
        assert!(entrance.try_out().is_err());
        assert_eq!(entrance.medium().get(&key).unwrap(), b"there");
        entrance.open();
        assert_eq!((guarded.get(&key).unwrap(), guarded.trouble()), (b"there".to_vec(), None));
        guarded.put(&other, b"x").unwrap();
        assert_eq!(memory.get(&other).unwrap(), b"x");
    }
}
