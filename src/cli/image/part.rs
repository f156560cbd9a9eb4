//! The file that data waits in until it is whole: beside the one it becomes, under a name that tells which data it is of.
//!
//! Invariant: whoever writes to it holds its lock, and it has the name that was asked for while it is locked.

use std::fs::TryLockError;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::fs::File;

use super::super::failure::Failure;

/// Times that a file is opened anew because whoever had it gave it its last name meanwhile.
const OPENED_MAX: usize = 10;

/// Where the data waits until it is whole: another name for other data.
pub(super) fn path_of(path: &Path, mark: Option<&str>) -> Result<PathBuf, Failure> {
    let file =
        path.file_name().ok_or_else(|| Failure::usage(format!("{}: names no file", path.display())))?;
    let mut name = std::ffi::OsString::from(".");
    name.push(file);
    if let Some(mark) = mark {
        name.push(format!(".{}", mark.chars().filter(char::is_ascii_hexdigit).take(16).collect::<String>()));
    }
    name.push(".part");
    Ok(path.with_file_name(name))
}

/// Opens it for this process alone; empty, unless what it has is gone on with.
///
/// # Errors
/// When another process writes to it, or it cannot be opened.
pub(super) fn open(part: &Path, goes_on: bool) -> Result<File, Failure> {
    let cannot = |e: &std::io::Error| Failure::file(part, e);
    // A link that somebody left there leads nowhere.
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    for _ in 0..OPENED_MAX {
        let mut options = std::fs::File::options();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, no_link);
        let file = options.read(true).write(true).create(true).truncate(false).open(part);
        let file = file.map_err(|e| cannot(&e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::failed(format!(
                    "another process saves the same to this file ({} is locked): wait until it has ended, or name \
                     another file",
                    part.display()
                )));
            }
            // A file system without locks: nobody is kept out, as nobody can be.
            Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(cannot(&e)),
        }
        if !is_at(&file, part) {
            continue;
        }
        if !goes_on {
            file.set_len(0).map_err(|e| cannot(&e))?;
        }
        return Ok(File::from_std(file));
    }
    Err(Failure::failed(format!("{}: other processes save to this file again and again", part.display())))
}

/// Whether a file still has this name.
fn is_at(file: &std::fs::File, path: &Path) -> bool {
    let (Ok(here), Ok(there)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
    (here.dev(), here.ino()) == (there.dev(), there.ino())
}

/// Whether a file was written to since this machine started last.
pub(super) fn is_of_this_boot(part: &Path) -> bool {
    let Ok(written) = std::fs::metadata(part).and_then(|facts| facts.modified()) else { return false };
    let up = Duration::from_secs(rustix::system::sysinfo().uptime.unsigned_abs());
    written.elapsed().is_ok_and(|age| age < up)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn other_data_waits_under_another_name() {
        let part = |digest: &str| path_of(Path::new("/x/disk"), Some(digest)).ok();
        assert_eq!(part("0123456789abcdef0123"), Some("/x/.disk.0123456789abcdef.part".into()));
        assert_ne!(part("00"), part("01"));
        assert_eq!(part("../../y"), Some("/x/.disk..part".into()));
    }

    #[tokio::test]
    async fn one_process_has_it_at_a_time_and_another_loses_it_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("part");
        let mut first = open(&part, true).ok().unwrap();
        first.write_all(b"abc").await.unwrap();
        first.flush().await.unwrap();
        for goes_on in [true, false] {
            assert!(open(&part, goes_on).err().unwrap().message.contains("another process"));
        }
        assert_eq!(std::fs::read(&part).unwrap(), b"abc");
        drop(first.into_std().await);
        let mut text = String::new();
        open(&part, true).ok().unwrap().read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "abc");
        drop(open(&part, false).ok().unwrap());
        assert_eq!(std::fs::read(&part).unwrap(), b"");
        std::os::unix::fs::symlink("part", dir.path().join("link")).unwrap();
        assert!(open(&dir.path().join("link"), true).is_err());
    }

    #[test]
    fn a_file_that_got_its_last_name_meanwhile_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let (part, whole) = (dir.path().join("part"), dir.path().join("whole"));
        let file = std::fs::File::create(&part).unwrap();
        assert!(is_at(&file, &part));
        std::fs::rename(&part, &whole).unwrap();
        assert!(!is_at(&file, &part));
        std::fs::write(&part, b"").unwrap();
        assert!(!is_at(&file, &part));
    }
}
