//! Objects as files in a directory: `DIR/KEY`, and unfinished ones in `DIR/tmp`.
//!
//! Invariant: a file outside `tmp` is complete and its bytes were synced before it got its name.
//! Folders are 0700 and files 0600: image data is nobody else's business.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, DirBuilder, DirEntry, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};
use rustix::io::Errno;

use super::handles::Handles;
use super::key::UNFINISHED;
use super::{Error, ObjectInfo, ObjectKey, ObjectWriter, Objects};
use crate::base::Time;

/// Bytes gathered before they go to the file. Most frames are longer and go there uncopied.
const WRITE_BUFFER_BYTES: usize = 32 << 10;

/// Numbers unfinished files; one counter for the process, as two mediums may share a directory.
static UNFINISHED_COUNT: AtomicU64 = AtomicU64::new(0);

/// Numbers of those that have a writer, of all mediums of this process.
static IN_USE: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// A directory that keeps objects.
#[derive(Debug)]
pub struct Native {
    folders: Arc<Folders>,
    handles: Arc<Handles>,
}

impl Native {
    /// Opens a directory, and makes it where it is missing.
    ///
    /// # Errors
    /// [`Error::Denied`] or [`Error::Full`] when it cannot be made, or what else the system says.
    pub fn open(directory: impl AsRef<Path>) -> Result<Native, Error> {
        let directory = std::path::absolute(directory.as_ref()).map_err(failed(directory.as_ref()))?;
        let folders = Folders { root: directory.clone(), durable: Mutex::default() };
        folders.make_durable(&directory.join(UNFINISHED))?;
        Ok(Native { folders: Arc::new(folders), handles: Arc::default() })
    }

    fn writer(&self, key: &ObjectKey, replaces: Option<Arc<Handles>>) -> Result<NativeWriter, Error> {
        let (unfinished, file) = Unfinished::create(&self.folders.root.join(UNFINISHED))?;
        Ok(NativeWriter {
            folders: self.folders.clone(),
            key: key.clone(),
            file: BufWriter::with_capacity(WRITE_BUFFER_BYTES, file),
            unfinished,
            replaces,
            broken: None,
        })
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.folders.root.join(key.as_str())
    }

    fn file(&self, key: &ObjectKey) -> Result<Arc<File>, Error> {
        let path = self.path(key);
        self.handles.get(key, || open_file(&path)).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Error::NotFound(key.clone()),
            _ => failed(&path)(error),
        })
    }
}

impl Objects for Native {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        Ok(Box::new(self.writer(key, None)?))
    }

    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        Ok(Box::new(self.writer(key, Some(self.handles.clone()))?))
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let file = self.file(key)?;
        file.read_exact_at(out, offset).map_err(|error| match error.kind() {
            // The system calls an offset beyond what any file can have invalid.
            ErrorKind::UnexpectedEof | ErrorKind::InvalidInput => Error::past_end(key, offset, out.len()),
            _ => failed(&self.path(key))(error),
        })
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        let metadata = self.file(key)?.metadata().map_err(failed(&self.path(key)))?;
        Ok(metadata.len())
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        let path = self.path(key);
        let removed = ignore_missing(fs::remove_file(&path)).map_err(failed(&path));
        self.handles.forget(key);
        removed?;
        // Also when it was missing: an earlier delete may have been cut off before this sync.
        let folder = parent(&path);
        ignore_missing(sync_folder(folder)).map_err(failed(folder))
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        let Some((folder, _)) = prefix.rsplit_once('/') else {
            return list_folder(&self.folders.root, "", prefix, visit);
        };
        match ObjectKey::new(folder) {
            Ok(key) => list_folder(&self.path(&key), &format!("{folder}/"), prefix, visit),
            // Nothing can have been stored below a folder that is no legal name.
            Err(_) => Ok(()),
        }
    }

    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        free_bytes(&self.folders.root).map(Some)
    }

    fn sweep_unfinished(&self) -> Result<u64, Error> {
        let folder = self.folders.root.join(UNFINISHED);
        let mut swept = 0;
        for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
            let path = entry.map_err(failed(&folder))?.path();
            // A file is in use before it is there, and no number comes twice: what is in no use now stays so.
            if Unfinished::number_of(&path).is_some_and(|number| in_use().contains(&number)) {
                continue;
            }
            match fs::remove_file(&path) {
                Ok(()) => swept += 1,
                // Its writer ended meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&path)(error)),
            }
        }
        Ok(swept)
    }
}

struct NativeWriter {
    folders: Arc<Folders>,
    key: ObjectKey,
    file: BufWriter<File>,
    unfinished: Unfinished,
    /// Where the object may take another's place: open files of that one.
    replaces: Option<Arc<Handles>>,
    /// The first failed write: what follows it would leave a hole.
    broken: Option<Error>,
}

impl ObjectWriter for NativeWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.file.write_all(bytes).map_err(failed(&self.unfinished.path)).inspect_err(|error| {
            self.broken = Some(error.clone());
        })
    }

    fn commit(mut self: Box<Self>) -> Result<(), Error> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let unfinished = &self.unfinished.path;
        self.file.flush().map_err(failed(unfinished))?;
        self.file.get_ref().sync_data().map_err(failed(unfinished))?;
        let path = self.folders.root.join(self.key.as_str());
        let folder = parent(&path);
        self.folders.make_durable(folder)?;
        match &self.replaces {
            Some(handles) => {
                let renamed = fs::rename(unfinished, &path).map_err(failed(&path));
                handles.forget(&self.key);
                renamed?;
            }
            None => rename_to_free_name(unfinished, &path).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => Error::Exists(self.key.clone()),
                _ => failed(&path)(error),
            })?,
        }
        sync_folder(folder).map_err(failed(folder))
    }
}

/// A file in `tmp`; removed when dropped, which does nothing once it has its final name. It is in use until then.
struct Unfinished {
    path: PathBuf,
    number: u64,
}

fn in_use() -> MutexGuard<'static, BTreeSet<u64>> {
    // Each change is one step: whatever a panic left is still true.
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Unfinished {
    fn create(folder: &Path) -> Result<(Unfinished, File), Error> {
        loop {
            let number = UNFINISHED_COUNT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{}-{number}", std::process::id()));
            in_use().insert(number);
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok((Unfinished { path, number }, file)),
                Err(error) => {
                    in_use().remove(&number);
                    // Else it is left over from a process that had the same id.
                    if error.kind() != ErrorKind::AlreadyExists {
                        return Err(failed(&path)(error));
                    }
                }
            }
        }
    }

    /// The number in a file's name, where this process may have given it.
    fn number_of(path: &Path) -> Option<u64> {
        let (process, number) = path.file_name()?.to_str()?.split_once('-')?;
        (process.parse() == Ok(std::process::id())).then(|| number.parse().ok())?
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Err(error) = ignore_missing(fs::remove_file(&self.path)) {
            tracing::warn!(%error, path = %self.path.display(), "an abandoned object stays until the next sweep");
        }
        in_use().remove(&self.number);
    }
}

/// The folders below the root, and which of them surely survive a power cut.
#[derive(Debug)]
struct Folders {
    root: PathBuf,
    /// Folders whose entry in their parent this process has synced. One that merely exists may
    /// have been made by a process that was killed before its sync.
    durable: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    /// Makes a folder and those above it, up to and including the root, so that they stay.
    fn make_durable(&self, folder: &Path) -> Result<(), Error> {
        // Held over the syncs: nobody may rely on a folder that another thread is still making.
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<&Path> = folder
            .ancestors()
            .take_while(|path| path.starts_with(&self.root) && !durable.contains(*path))
            .collect();
        for path in missing.into_iter().rev() {
            match DirBuilder::new().mode(0o700).recursive(path == self.root).create(path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(path)(error)),
                _ => sync_folder(parent(path)).map_err(failed(parent(path)))?,
            }
            durable.insert(path.to_owned());
        }
        Ok(())
    }
}

/// What is left of the disk that a folder lies on.
pub(super) fn free_bytes(folder: &Path) -> Result<u64, Error> {
    let disk = statvfs(folder).map_err(|errno| failed(folder)(errno.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Opens a file to read it; a folder is no file.
fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() { Err(ErrorKind::NotFound.into()) } else { Ok(file) }
}

/// Moves a file to a name that nothing has yet.
fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot rename without replacing; a link never replaces.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::hard_link(from, to),
        renamed => Ok(renamed?),
    }
}

/// Visits the files below a folder that have legal names.
pub(super) fn list_folder(
    folder: &Path,
    name: &str,
    prefix: &str,
    visit: &mut dyn FnMut(ObjectInfo),
) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        entries => entries.map_err(failed(folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(failed(folder))?;
        // What has no legal name is not ours: `lost+found`, an editor's copy, our own `tmp`.
        let Some(key) =
            entry.file_name().to_str().and_then(|last| ObjectKey::new(format!("{name}{last}")).ok())
        else {
            continue;
        };
        let kind = entry.file_type().map_err(failed(folder))?;
        if kind.is_file() && key.as_str().starts_with(prefix) {
            describe(&entry, key).map_err(failed(&entry.path()))?.into_iter().for_each(&mut *visit);
        } else if kind.is_dir() {
            let inner = format!("{key}/");
            if inner.starts_with(prefix) || prefix.starts_with(&inner) {
                list_folder(&entry.path(), &inner, prefix, visit)?;
            }
        }
    }
    Ok(())
}

/// `None` when the object was deleted meanwhile.
fn describe(entry: &DirEntry, key: ObjectKey) -> io::Result<Option<ObjectInfo>> {
    let metadata = match entry.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).ok();
    let modified = modified.and_then(|since| i64::try_from(since.as_micros()).ok()).map(Time);
    Ok(Some(ObjectInfo { key, size_bytes: metadata.len(), modified }))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    // Only the file system's root has no parent, and it is its own.
    path.parent().unwrap_or(path)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        result => result,
    }
}

/// Says what the system's answer means to the caller, and where it happened.
pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| {
        let text = format!("{}: {error}", path.display());
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Full(text),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::Denied(text),
            ErrorKind::NotADirectory | ErrorKind::IsADirectory => Error::Invalid(text),
            _ => Error::Unavailable(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::new(text).unwrap()
    }

    #[test]
    fn what_a_crash_cut_off_is_swept_and_objects_stay() {
        let directory = tempfile::tempdir().unwrap();
        let native = Native::open(directory.path()).unwrap();
        native.put(&key("a/b"), b"kept").unwrap();
        // A killed process runs no destructor; the one after it may have its id, and numbers of its own.
        let tmp = directory.path().join(UNFINISHED);
        fs::write(tmp.join("1-0"), b"half").unwrap();
        fs::write(tmp.join(format!("{}-{}", std::process::id(), u64::MAX)), b"half").unwrap();
        let native = Native::open(directory.path()).unwrap();
        assert_eq!(native.sweep_unfinished(), Ok(2));
        assert_eq!(native.sweep_unfinished(), Ok(0));
        assert_eq!(native.get(&key("a/b")).unwrap(), b"kept");
    }

    #[test]
    fn what_a_writer_is_at_work_on_is_not_swept() {
        let directory = tempfile::tempdir().unwrap();
        let native = Native::open(directory.path()).unwrap();
        let tmp = directory.path().join(UNFINISHED);
        for replaces in [false, true] {
            let writer = if replaces { native.replace(&key("a")) } else { native.create(&key("a")) };
            let mut writer = writer.unwrap();
            writer.write(&[7; 100_000]).unwrap();
            fs::write(tmp.join("1-0"), b"left over").unwrap();
            assert_eq!(native.sweep_unfinished(), Ok(1));
            writer.write(b"and its end").unwrap();
            writer.commit().unwrap();
            assert_eq!(native.size(&key("a")), Ok(100_011));
        }
        // One that was dropped, but whose file could not be removed, is in use no more.
        let path = Unfinished::create(&tmp).unwrap().0.path.clone();
        fs::write(&path, b"left over").unwrap();
        assert_eq!(native.sweep_unfinished(), Ok(1));
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
    }

    #[test]
    fn a_left_over_of_the_same_name_is_stepped_around() {
        let directory = tempfile::tempdir().unwrap();
        let native = Native::open(directory.path()).unwrap();
        let next = UNFINISHED_COUNT.load(Ordering::Relaxed);
        for number in next..next + 50 {
            let name = format!("{}-{number}", std::process::id());
            fs::write(directory.path().join(UNFINISHED).join(name), b"left over").unwrap();
        }
        native.put(&key("a"), b"mine").unwrap();
        assert_eq!(native.get(&key("a")).unwrap(), b"mine");
    }

    #[test]
    fn nobody_else_may_read() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("store");
        Native::open(&root).unwrap().put(&key("a/b"), b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&root), 0o700);
        assert_eq!(mode(&root.join("a")), 0o700);
        assert_eq!(mode(&root.join("a/b")), 0o600);
        assert_eq!(mode(&root.join(UNFINISHED)), 0o700);
    }

    #[test]
    fn strange_files_are_not_listed() {
        let directory = tempfile::tempdir().unwrap();
        let native = Native::open(directory.path()).unwrap();
        native.put(&key("a"), b"x").unwrap();
        fs::create_dir(directory.path().join("lost+found")).unwrap();
        fs::write(directory.path().join("a~"), b"an editor's").unwrap();
        std::os::unix::fs::symlink("a", directory.path().join("link")).unwrap();
        let _unfinished = native.create(&key("b")).unwrap();
        let mut found = Vec::new();
        native.list("", &mut |info| found.push(info.key)).unwrap();
        assert_eq!(found, [key("a")]);
    }

    #[test]
    fn an_object_cannot_be_a_folder() {
        let directory = tempfile::tempdir().unwrap();
        let native = Native::open(directory.path()).unwrap();
        native.put(&key("a"), b"x").unwrap();
        assert!(matches!(native.put(&key("a/b"), b"y"), Err(Error::Invalid(_))));
        assert_eq!(native.get(&key("a")).unwrap(), b"x");
        assert_eq!(native.size(&key("a/b")), Err(Error::NotFound(key("a/b"))));
    }

    #[test]
    fn the_systems_answers_are_told_apart() {
        let told = |errno: Errno| failed(Path::new("/x"))(errno.into());
        assert!(matches!(told(Errno::NOSPC), Error::Full(_)));
        assert!(matches!(told(Errno::DQUOT), Error::Full(_)));
        assert!(matches!(told(Errno::ACCESS), Error::Denied(_)));
        assert!(matches!(told(Errno::ROFS), Error::Denied(_)));
        assert!(matches!(told(Errno::IO), Error::Unavailable(_)));
        assert_eq!(
            told(Errno::NOSPC).to_string(),
            "no space left: /x: No space left on device (os error 28)"
        );
    }

    #[test]
    fn a_medium_that_fills_up_says_so_and_the_object_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let native = Native::open(directory.path()).unwrap();
        let (unfinished, _) = Unfinished::create(&directory.path().join(UNFINISHED)).unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut writer = Box::new(NativeWriter {
            folders: native.folders.clone(),
            key: key("a"),
            file: BufWriter::with_capacity(16, full),
            unfinished,
            replaces: None,
            broken: None,
        });
        assert!(matches!(writer.write(&[0; 32]), Err(Error::Full(_))));
        assert!(matches!(writer.write(b"more"), Err(Error::Full(_))));
        assert!(matches!(writer.commit(), Err(Error::Full(_))));
        assert_eq!(native.size(&key("a")), Err(Error::NotFound(key("a"))));
        assert_eq!(native.sweep_unfinished(), Ok(0));
    }
}
