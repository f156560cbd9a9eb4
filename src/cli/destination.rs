//! What a path is to a command that writes to it: a file that takes its place when it is whole, a device, or a stream.
//!
//! Invariant: only a regular file is ever replaced, and a symbolic link leads to the one that is. None is made among the devices.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, SeekFrom, seek};

use super::failure::Failure;

/// Links that are followed one after the other, as the kernel does.
const LINKS_MAX: usize = 40;

/// What a path is to whoever writes to it.
#[derive(Debug, PartialEq, Eq)]
pub enum Destination {
    /// A regular file, or none yet: where it is once links are followed.
    File(PathBuf),
    /// A block device, which is written in place.
    Device,
    /// What takes bytes one after the other and is never replaced: a character device or a pipe.
    Stream,
}

impl Destination {
    /// What this path is.
    ///
    /// # Errors
    /// When it is a directory, cannot be looked at, or would be a new file among the devices.
    pub fn of(path: &Path) -> Result<Destination, Failure> {
        // The kernel goes first: it refuses links that strangers left in a directory for everybody.
        let kind = match std::fs::metadata(path) {
            Ok(facts) => facts.file_type(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return new_file(path).map(Self::File),
            Err(error) => return Err(Failure::file(path, &error)),
        };
        match () {
            () if kind.is_dir() => {
                Err(Failure::usage(format!("{}: is a directory: name a file in it", path.display())))
            }
            () if kind.is_file() => led_to(path).map(Self::File),
            () if kind.is_block_device() => Ok(Self::Device),
            () => Ok(Self::Stream),
        }
    }
}

/// The file that a path leads to, where there is none yet.
fn new_file(path: &Path) -> Result<PathBuf, Failure> {
    let file = led_to(path)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Of a folder that is not there, whoever makes the file says more.
    if std::fs::canonicalize(folder).is_ok_and(|folder| is_of_devices(&folder)) {
        return Err(Failure::usage(format!(
            "{}: there is no such device, and a file there would only take memory: name a device that is there, or a \
             file elsewhere",
            path.display()
        )));
    }
    Ok(file)
}

/// Whether the nodes of devices lie in a folder.
fn is_of_devices(folder: &Path) -> bool {
    folder.starts_with("/dev") && !folder.starts_with("/dev/shm")
}

/// The file that a path leads to, which need not be there.
fn led_to(path: &Path) -> Result<PathBuf, Failure> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match std::fs::read_link(&path) {
            Ok(link) => path = path.parent().unwrap_or(Path::new("")).join(link),
            // No link, or nothing.
            Err(_) => return Ok(path),
        }
    }
    Err(Failure::usage(format!("{}: its symbolic links lead on and on", path.display())))
}

/// Opens a stream to write to.
///
/// # Errors
/// When it cannot be written to.
pub fn open_stream(path: &Path) -> Result<File, Failure> {
    OpenOptions::new().write(true).open(path).map_err(|error| Failure::file(path, &error))
}

/// Opens a block device for this process alone, and tells how many bytes it has.
///
/// # Errors
/// When it is in use, too small for so many bytes, or cannot be written to.
pub fn open_device(path: &Path, needed: u64) -> Result<(File, u64), Failure> {
    // Of a device, it means that nobody else has it: no file system, no swap, no volume, no other such opening.
    let alone = OFlags::EXCL.bits().cast_signed();
    let opened = OpenOptions::new().write(true).custom_flags(alone).open(path);
    let device = opened.map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => Failure::failed(format!(
            "{}: the device is in use (mounted, or a part of something else): nothing was written to it",
            path.display()
        )),
        _ => Failure::file(path, &error),
    })?;
    let size =
        seek(&device, SeekFrom::End(0)).and_then(|size| seek(&device, SeekFrom::Start(0)).map(|_| size));
    let size = size.map_err(|error| Failure::file(path, &error.into()))?;
    if size < needed {
        return Err(Failure::usage(format!(
            "{}: the device has {size} bytes, and there are {needed} to write: nothing was written to it",
            path.display()
        )));
    }
    Ok((device, size))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::failure::Status;
    use super::*;

    #[test]
    fn links_lead_to_the_file_that_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let of = |name: &str| Destination::of(&at(name)).map_err(|failure| failure.message);
        std::fs::write(at("file"), b"x").unwrap();
        std::fs::create_dir(at("inner")).unwrap();
        symlink("file", at("link")).unwrap();
        symlink("../link", at("inner/second")).unwrap();
        symlink("none", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("/dev/null", at("null")).unwrap();
        for (name, file) in [("file", "file"), ("link", "file"), ("dangling", "none"), ("none", "none")] {
            assert_eq!(of(name), Ok(Destination::File(at(file))), "{name}");
        }
        let through = of("inner/second").unwrap();
        assert_eq!(through, Destination::File(dir.path().join("inner/../file")));
        assert_eq!(of("null"), Ok(Destination::Stream));
        assert!(of("inner").unwrap_err().contains("is a directory"));
        assert!(of("loop").is_err());
        assert!(of("file/x").is_err());
    }

    #[test]
    fn no_file_is_made_among_the_devices() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink("/dev/no-such-device", &link).unwrap();
        for path in [Path::new("/dev/no-such-device"), Path::new("/dev/./no-such-device"), &link] {
            let failure = Destination::of(path).unwrap_err();
            assert_eq!(failure.status, Status::Usage);
            assert!(failure.message.contains("there is no such device"), "{failure}");
        }
        for (folder, is) in [
            ("/dev", true),
            ("/dev/mapper", true),
            ("/dev/shm", false),
            ("/dev/shm/x", false),
            ("/development", false),
            ("/", false),
        ] {
            assert_eq!(is_of_devices(Path::new(folder)), is, "{folder}");
        }
    }
}
