//! Where else the objects of a medium lie: copies that something else made of them, such as a backup
//! or a second disk.
//!
//! Invariant: a copy is read and never changed, nothing of it is kept open between two reads, and it may
//! be away at any time. What it holds proves nothing; whoever uses it has to know what was written.

use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::native::{failed, list_folder};
use super::{Error, Near, ObjectInfo, ObjectKey, ObjectWriter, Objects, Traffic};

/// A place that may hold copies of a medium's objects, under the same names. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CopySource {
    name: String,
    objects: Arc<dyn Objects>,
}

impl CopySource {
    /// A directory, which need not be there yet.
    pub fn folder(path: PathBuf) -> CopySource {
        CopySource { name: path.display().to_string(), objects: Arc::new(Folder(path)) }
    }

    /// Any other medium, under a name for people.
    pub fn medium(name: String, objects: Arc<dyn Objects>) -> CopySource {
        CopySource { name, objects: Arc::new(ReadOnly(objects)) }
    }

    /// What people know it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its objects; every attempt to change one is refused.
    pub fn objects(&self) -> &Arc<dyn Objects> {
        &self.objects
    }
}

/// A medium whose objects also lie elsewhere.
pub struct WithCopies {
    inner: Arc<dyn Objects>,
    copies: Vec<CopySource>,
}

impl WithCopies {
    /// Joins a medium and what holds copies of it, the one to be asked first in front.
    pub fn new(inner: Arc<dyn Objects>, copies: Vec<CopySource>) -> WithCopies {
        WithCopies { inner, copies }
    }
}

impl fmt::Debug for WithCopies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {} copies", self.inner, self.copies.len())
    }
}

impl Objects for WithCopies {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.inner.create(key)
    }

    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.inner.replace(key)
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.inner.read(key, offset, out)
    }

    fn read_some(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<usize, Error> {
        self.inner.read_some(key, offset, out)
    }

    fn read_stored(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.inner.read_stored(key, offset, out)
    }

    fn distrust(&self, key: &ObjectKey) -> bool {
        self.inner.distrust(key)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        self.inner.size(key)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.inner.delete(key)
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        self.inner.list(prefix, visit)
    }

    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        self.inner.free_bytes()
    }

    fn sweep_unfinished(&self) -> Result<u64, Error> {
        self.inner.sweep_unfinished()
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }

    fn near(&self) -> Option<Near> {
        self.inner.near()
    }

    fn traffic(&self) -> Option<Traffic> {
        self.inner.traffic()
    }

    fn copies(&self) -> &[CopySource] {
        &self.copies
    }

    fn put(&self, key: &ObjectKey, bytes: &[u8]) -> Result<(), Error> {
        self.inner.put(key, bytes)
    }

    fn get(&self, key: &ObjectKey) -> Result<Vec<u8>, Error> {
        self.inner.get(key)
    }
}

fn refused<T>() -> Result<T, Error> {
    Err(Error::Denied("a copy is read and never written".into()))
}

/// A medium that nothing is changed on.
#[derive(Debug)]
struct ReadOnly(Arc<dyn Objects>);

impl Objects for ReadOnly {
    fn create(&self, _: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        refused()
    }

    fn replace(&self, _: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        refused()
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.0.read(key, offset, out)
    }

    fn distrust(&self, key: &ObjectKey) -> bool {
        self.0.distrust(key)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        self.0.size(key)
    }

    fn delete(&self, _: &ObjectKey) -> Result<(), Error> {
        refused()
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        self.0.list(prefix, visit)
    }

    fn sweep_unfinished(&self) -> Result<u64, Error> {
        refused()
    }

    fn trouble(&self) -> Option<String> {
        self.0.trouble()
    }
}

/// A directory that objects are read from. Each read opens its file, so that the disk below can be
/// unmounted, and the copy be renewed, at any time.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn file(&self, key: &ObjectKey) -> Result<(File, u64), Error> {
        let path = self.0.join(key.as_str());
        let opened = File::open(&path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        match opened {
            Ok((file, metadata)) if metadata.is_file() => Ok((file, metadata.len())),
            Ok(_) => Err(Error::NotFound(key.clone())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                match fs::metadata(&self.0) {
                    Ok(_) => Err(Error::NotFound(key.clone())),
                    Err(error) => Err(failed(&self.0)(error)),
                }
            }
            Err(error) => Err(failed(&path)(error)),
        }
    }
}

impl Objects for Folder {
    fn create(&self, _: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        refused()
    }

    fn replace(&self, _: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        refused()
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let (file, _) = self.file(key)?;
        file.read_exact_at(out, offset).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidInput => Error::past_end(key, offset, out.len()),
            _ => failed(&self.0.join(key.as_str()))(error),
        })
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        self.file(key).map(|(_, bytes)| bytes)
    }

    fn delete(&self, _: &ObjectKey) -> Result<(), Error> {
        refused()
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        list_folder(&self.0, "", prefix, visit)
    }

    fn sweep_unfinished(&self) -> Result<u64, Error> {
        refused()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{Memory, Native};

    fn key(text: &str) -> ObjectKey {
        ObjectKey::new(text).unwrap()
    }

    #[test]
    fn a_copy_is_read_and_never_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (a, memory) = (key("pack/aa/1"), Memory::new());
        Native::open(folder.path()).unwrap().put(&a, b"bytes").unwrap();
        memory.put(&a, b"bytes").unwrap();
        let sources = [
            CopySource::folder(folder.path().to_owned()),
            CopySource::medium("memory".into(), Arc::new(memory.clone())),
        ];
        for source in sources {
            let copy = source.objects();
            assert_eq!((copy.get(&a).unwrap(), copy.size(&a).unwrap()), (b"bytes".to_vec(), 5));
            assert!(matches!(copy.read(&a, 3, &mut [0; 3]), Err(Error::Invalid(_))));
            assert!(matches!(copy.size(&key("pack/aa/2")), Err(Error::NotFound(_))));
            assert!(matches!(copy.size(&key("pack/aa")), Err(Error::NotFound(_))));
            let mut names = Vec::new();
            copy.list("pack/", &mut |info| names.push(info.key)).unwrap();
            assert_eq!(names, std::slice::from_ref(&a));
            assert!(matches!(copy.put(&key("b"), b""), Err(Error::Denied(_))));
            assert!(matches!(copy.replace(&a).err(), Some(Error::Denied(_))));
            assert!(matches!(copy.delete(&a), Err(Error::Denied(_))));
            assert!(matches!(copy.sweep_unfinished(), Err(Error::Denied(_))));
            assert_eq!(copy.get(&a).unwrap(), b"bytes");
        }
    }

    #[test]
    fn a_directory_that_is_away_is_told_from_an_object_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let away = folder.path().join("away");
        let copy = CopySource::folder(away.clone());
        assert!(matches!(copy.objects().size(&key("a")), Err(Error::Unavailable(_))));
        assert!(!away.exists());
        fs::create_dir(&away).unwrap();
        assert!(matches!(copy.objects().size(&key("a")), Err(Error::NotFound(_))));
    }

    #[test]
    fn a_medium_with_copies_is_that_medium() {
        let (memory, copy) = (Memory::new(), Memory::new());
        copy.put(&key("only-there"), b"x").unwrap();
        let source = CopySource::medium("copy".into(), Arc::new(copy));
        let both = WithCopies::new(Arc::new(memory.clone()), vec![source]);
        both.put(&key("a"), b"bytes").unwrap();
        assert_eq!(memory.get(&key("a")).unwrap(), b"bytes");
        assert!(matches!(both.size(&key("only-there")), Err(Error::NotFound(_))));
        assert_eq!(both.copies()[0].objects().get(&key("only-there")).unwrap(), b"x");
        assert!(memory.copies().is_empty());
    }
}
