//! A directory as a bucket. Every step of a key is opened by itself, from the folder before it, and never
//! through a link, so that whoever puts links into the directory leads nobody out of it.
//!
//! A file is written beside its place under a name of its own, and gets its name in one step that replaces
//! nothing.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use bytes::Bytes;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, SeekFrom};
use rustix::io::Errno;

use super::key::UNFINISHED;
use super::{Error, Exchange, Key, PIECE_BYTES, Piece, Sink, Source};

/// Bytes gathered before they go to the file.
const WRITE_BUFFER_BYTES: usize = 128 << 10;

/// A directory that images are exchanged through.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Takes a directory. Whether it is there shows when it is used: it may be mounted later.
    pub fn new(root: impl Into<PathBuf>) -> Folder {
        Folder { root: root.into() }
    }

    /// The directory itself. The operator named it, so that links on the way to it are the operator's.
    fn root(&self) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, &self.root, flags, Mode::empty()).map_err(|errno| {
            // Where it lies is the operator's business: callers hear that it is not there.
            tracing::warn!(error = %std::io::Error::from(errno), root = %self.root.display(), "a bucket is away");
            unreachable("the bucket's directory", errno)
        })
    }

    /// The folder that a key's last segment is in; made where it is missing and `makes` says so.
    fn parent(&self, key: &Key, makes: bool) -> Result<OwnedFd, Error> {
        let mut folder = self.root()?;
        for segment in key.segments().0 {
            if makes {
                match rustix::fs::mkdirat(&folder, segment, Mode::from_raw_mode(0o750)) {
                    Ok(()) => rustix::fs::fsync(&folder).map_err(|errno| failed(key, errno))?,
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed(key, errno)),
                }
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            folder = rustix::fs::openat(&folder, segment, flags, Mode::empty())
                .map_err(|errno| failed(key, errno))?;
        }
        Ok(folder)
    }
}

impl Exchange for Folder {
    fn open(&self, key: &Key) -> Result<Box<dyn Source>, Error> {
        let parent = self.parent(key, false)?;
        // Without waiting: a pipe would have us wait for somebody who writes to it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, key.segments().1, flags, Mode::empty());
        let file = File::from(file.map_err(|errno| failed(key, errno))?);
        let (size_bytes, stamp) = look(key, &file)?;
        Ok(Box::new(Reading { key: key.clone(), file, size_bytes, stamp }))
    }

    fn create(&self, key: &Key, _: u64, mark: &str) -> Result<Box<dyn Sink>, Error> {
        let parent = self.parent(key, true)?;
        let name = key.segments().1.to_owned();
        match rustix::fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Ok(_) => return Err(Error::Taken(key.to_string())),
            Err(errno) => return Err(failed(key, errno)),
        }
        let unfinished = format!("{UNFINISHED}{mark}");
        match rustix::fs::unlinkat(&parent, &unfinished, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(key, errno)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, &unfinished, flags, Mode::from_raw_mode(0o640));
        let file = File::from(file.map_err(|errno| failed(key, errno))?);
        let file = BufWriter::with_capacity(WRITE_BUFFER_BYTES, file);
        Ok(Box::new(Writing { key: key.clone(), parent, unfinished, name, file, named: false }))
    }
}

struct Reading {
    key: Key,
    file: File,
    size_bytes: u64,
    stamp: String,
}

/// A plain file's length and stamp.
fn look(key: &Key, file: &File) -> Result<(u64, String), Error> {
    let found = file.metadata().map_err(|error| broken(key, error))?;
    if !found.is_file() {
        let kind = FileType::from_raw_mode(found.mode());
        let what = if kind == FileType::Directory { "a folder" } else { "no file" };
        return Err(Error::NotPlain(key.to_string(), what));
    }
    let stamp = format!(
        "file {}:{} {} bytes {}.{:09}",
        found.dev(),
        found.ino(),
        found.len(),
        found.mtime(),
        found.mtime_nsec()
    );
    Ok((found.len(), stamp))
}

impl Source for Reading {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn stamp(&self) -> &str {
        &self.stamp
    }

    fn read(&mut self, offset: u64) -> Result<Piece, Error> {
        let left = self.size_bytes.saturating_sub(offset);
        if left == 0 {
            return Ok(Piece::Bytes(Bytes::new()));
        }
        // Where the file system knows no holes, all is data.
        let data = match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(data) => data,
            Err(Errno::NXIO) => self.size_bytes,
            Err(_) => offset,
        };
        let data = data.min(self.size_bytes);
        if data > offset {
            return Ok(Piece::Hole(data - offset));
        }
        let mut bytes = vec![0; PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES))];
        self.file.read_exact_at(&mut bytes, offset).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Error::Changed(self.key.to_string()),
            _ => broken(&self.key, error),
        })?;
        Ok(Piece::Bytes(bytes.into()))
    }

    fn expect_unchanged(&mut self) -> Result<(), Error> {
        match look(&self.key, &self.file)? {
            (_, stamp) if stamp == self.stamp => Ok(()),
            _ => Err(Error::Changed(self.key.to_string())),
        }
    }
}

struct Writing {
    key: Key,
    parent: OwnedFd,
    unfinished: String,
    name: String,
    file: BufWriter<File>,
    named: bool,
}

impl Sink for Writing {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|error| broken(&self.key, error))
    }

    fn commit(mut self: Box<Self>) -> Result<(), Error> {
        self.file.flush().map_err(|error| broken(&self.key, error))?;
        self.file.get_ref().sync_all().map_err(|error| broken(&self.key, error))?;
        let (parent, from, to) = (&self.parent, &self.unfinished, &self.name);
        let renamed = match rustix::fs::renameat_with(parent, from, parent, to, RenameFlags::NOREPLACE) {
            // Some file systems cannot rename without replacing; a link never replaces.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(parent, from, parent, to, AtFlags::empty())
            }
            renamed => {
                self.named = renamed.is_ok();
                renamed
            }
        };
        renamed.map_err(|errno| failed(&self.key, errno))?;
        rustix::fs::fsync(&self.parent).map_err(|errno| failed(&self.key, errno))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if self.named {
            return;
        }
        match rustix::fs::unlinkat(&self.parent, &self.unfinished, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => {
                tracing::warn!(%error, key = %self.key, "an unfinished export stays beside its place");
            }
        }
    }
}

fn broken(key: &Key, error: std::io::Error) -> Error {
    match Errno::from_io_error(&error) {
        Some(errno) => failed(key, errno),
        None => Error::Unavailable(format!("{key}: {error}")),
    }
}

fn failed(key: &Key, errno: Errno) -> Error {
    let key = key.to_string();
    match errno {
        Errno::NOENT => Error::Missing(key),
        Errno::LOOP => Error::NotPlain(key, "a link"),
        // What stands in a folder's place is a file, or a link.
        Errno::NOTDIR => Error::NotPlain(key, "below something that is no folder"),
        Errno::NXIO => Error::NotPlain(key, "no file"),
        Errno::EXIST => Error::Taken(key),
        errno => unreachable(&key, errno),
    }
}

fn unreachable(what: &str, errno: Errno) -> Error {
    let text = format!("{what}: {}", std::io::Error::from(errno));
    match errno {
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Error::Denied(text),
        Errno::NOSPC | Errno::DQUOT => Error::Full(text),
        _ => Error::Unavailable(text),
    }
}
