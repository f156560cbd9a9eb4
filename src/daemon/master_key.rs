//! Where the master key of a sealed store comes from: a file that the settings name, else the
//! systemd credential `tintype-key`.
//!
//! Invariants: a key never lies beside the data it seals, as whoever takes the medium would have
//! both; a key file that exists is never written to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::settings::Settings;
use crate::base::OsEntropy;
use crate::store::MasterKey;

/// The file that holds the key, if there is to be one.
pub fn file(settings: &Settings) -> Option<PathBuf> {
    if !settings.store.key_file.is_empty() {
        return Some(settings.store.key_file.clone().into());
    }
    let credential = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join("tintype-key");
    credential.exists().then_some(credential)
}

/// Reads the key; `None` when no file is named.
///
/// # Errors
/// [`Error::Settings`] when the file lies beside the data or holds no key, or when it cannot be
/// read.
pub fn read(settings: &Settings) -> Result<Option<MasterKey>, Error> {
    let Some(path) = file(settings) else { return Ok(None) };
    refuse_beside_data(&path, settings)?;
    let bytes = std::fs::read(&path).map_err(|cause| Error::KeyFile { path: path.clone(), cause })?;
    let key = MasterKey::parse(&bytes)
        .map_err(|reason| Error::Settings(format!("store.key_file: {}: {reason}", path.display())))?;
    Ok(Some(key))
}

/// Makes the key file with a fresh key, unless it is there; says whether it did.
///
/// # Errors
/// [`Error::Settings`] when no file is named or it would lie beside the data, or when it cannot be
/// written.
pub fn make(settings: &Settings) -> Result<bool, Error> {
    let path = file(settings).ok_or_else(|| {
        Error::Settings(
            "a sealed store needs a master key: name its file with --key-file FILE \
             (a file that is not there is made)"
                .into(),
        )
    })?;
    refuse_beside_data(&path, settings)?;
    if path.exists() {
        return Ok(false);
    }
    write_new(&path).map_err(|cause| Error::KeyFile { path, cause })?;
    Ok(true)
}

fn write_new(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(MasterKey::generate(&OsEntropy).to_hex().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn refuse_beside_data(key: &Path, settings: &Settings) -> Result<(), Error> {
    let wrong = |cause: io::Error| Error::KeyFile { path: key.to_owned(), cause };
    let real = resolved(key).map_err(wrong)?;
    let location = Some(&settings.store.location).filter(|location| location.starts_with('/'));
    for folder in [Some(settings.server.data.as_path()), location.map(Path::new)].into_iter().flatten() {
        if real.starts_with(resolved(folder).map_err(wrong)?) {
            return Err(Error::Settings(format!(
                "store.key_file: {} lies in {}, beside the data it seals: whoever takes the disk \
                 would have both; keep it elsewhere",
                key.display(),
                folder.display()
            )));
        }
    }
    Ok(())
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for known in path.ancestors() {
        match known.canonicalize() {
            Ok(real) => return Ok(real.join(path.strip_prefix(known).unwrap_or(Path::new("")))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn settings(outer: &Path, key: &str) -> Settings {
        let mut settings = Settings::default();
        settings.server.data = outer.join("data");
        settings.store.key_file = outer.join(key).to_str().unwrap().to_owned();
        settings
    }

    #[test]
    fn a_key_is_made_once_for_the_owner_only() {
        let outer = tempfile::tempdir().unwrap();
        let settings = settings(outer.path(), "key");
        assert!(make(&settings).unwrap());
        let path = outer.path().join("key");
        let first = std::fs::read(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!make(&settings).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), first);
        assert_eq!(read(&settings).unwrap().unwrap().to_hex().as_bytes(), first.trim_ascii_end());
    }

    #[test]
    fn a_key_beside_the_data_is_refused_whatever_its_path_looks_like() {
        let outer = tempfile::tempdir().unwrap();
        symlink(outer.path().join("data"), outer.path().join("elsewhere")).unwrap();
        let refused = |key| make(&settings(outer.path(), key)).unwrap_err().to_string();
        assert!(refused("data/key").contains("beside the data"));
        assert!(!outer.path().join("data").exists());
        std::fs::create_dir(outer.path().join("data")).unwrap();
        assert!(refused("elsewhere/key").contains("beside the data"));
        let mut other = settings(outer.path(), "store/key");
        other.store.location = outer.path().join("store").to_str().unwrap().to_owned();
        assert!(make(&other).unwrap_err().to_string().contains("beside the data"));
    }

    #[test]
    fn a_file_without_a_key_is_named_and_not_repeated() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::write(outer.path().join("key"), "hush").unwrap();
        let error = read(&settings(outer.path(), "key")).unwrap_err().to_string();
        assert!(error.contains("64 hexadecimal digits") && !error.contains("hush"), "{error}");
        let error = read(&settings(outer.path(), "none")).unwrap_err().to_string();
        assert!(error.contains("none") && error.contains("cannot be used"), "{error}");
    }
}
