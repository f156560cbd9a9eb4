//! Where the master key of a sealed store comes from: a file that the settings name, the systemd
//! credential `tintype-key`, the environment, or a command.
//!
//! Invariants: there is at most one source, so that nobody wonders which key counted; a key never
//! lies beside the data it seals, as whoever takes the medium would have both; a key file that
//! exists is never written to.

mod command;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::Error;
use super::settings::Settings;
use crate::base::OsEntropy;
use crate::store::MasterKey;

/// The environment variable that may hold the key itself. No setting: settings can be printed.
pub const KEY_VARIABLE: &str = "TINTYPE_STORE_KEY";

/// Most bytes that are read of a source; no form of a key is nearly as long.
const BYTES_MAX: usize = 4096;

/// Where the key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the file that `store.key_file` names.
    File(PathBuf),
    /// In the file systemd put the credential `tintype-key` into.
    Credential(PathBuf),
    /// In [`KEY_VARIABLE`].
    Variable,
    /// In what `store.key_command` prints.
    Command(Vec<String>),
}

impl Source {
    /// What an operator calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Source::File(_) => "store.key_file",
            Source::Credential(_) => "the systemd credential \"tintype-key\"",
            Source::Variable => KEY_VARIABLE,
            Source::Command(_) => "store.key_command",
        }
    }

    /// The file it lies in, if it does.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Source::File(path) | Source::Credential(path) => Some(path),
            Source::Variable | Source::Command(_) => None,
        }
    }
}

/// The source that is set, if one is.
///
/// # Errors
/// [`Error::Settings`] when more than one is.
pub fn source(settings: &Settings) -> Result<Option<Source>, Error> {
    the_one(settings, |name| std::env::var_os(name))
}

fn the_one(
    settings: &Settings,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Source>, Error> {
    let (file, command) = (&settings.store.key_file, &settings.store.key_command);
    let credential =
        variable("CREDENTIALS_DIRECTORY").map(|folder| PathBuf::from(folder).join("tintype-key"));
    let sources = [
        (!file.is_empty()).then(|| Source::File(file.into())),
        credential.filter(|path| path.exists()).map(Source::Credential),
        variable(KEY_VARIABLE).filter(|key| !key.is_empty()).map(|_| Source::Variable),
        (!command.is_empty()).then(|| Source::Command(command.clone())),
    ];
    let mut set: Vec<Source> = sources.into_iter().flatten().collect();
    let one = set.pop();
    match (&one, set.pop()) {
        (Some(one), Some(other)) => Err(Error::Settings(format!(
            "the master key is given twice, by {} and by {}: keep one of them",
            other.name(),
            one.name()
        ))),
        _ => Ok(one),
    }
}

/// Reads the key; `None` when no source is set.
///
/// # Errors
/// [`Error::Settings`] when its file lies beside the data or the source holds no key,
/// [`Error::KeyFile`] or [`Error::KeyCommand`] when it cannot be had.
pub fn read(settings: &Settings) -> Result<Option<MasterKey>, Error> {
    let Some(source) = source(settings)? else { return Ok(None) };
    let bytes = bytes_of(&source, settings)?;
    let place = source.file().map(|path| format!("{}: ", path.display())).unwrap_or_default();
    let key = MasterKey::parse(&bytes)
        .map_err(|reason| Error::Settings(format!("{}: {place}{reason}", source.name())))?;
    Ok(Some(key))
}

fn bytes_of(source: &Source, settings: &Settings) -> Result<Zeroizing<Vec<u8>>, Error> {
    match source {
        Source::File(path) | Source::Credential(path) => {
            refuse_beside_data(path, settings)?;
            read_file(path)
        }
        Source::Variable => Ok(Zeroizing::new(std::env::var_os(KEY_VARIABLE).unwrap_or_default().into_vec())),
        Source::Command(command) => command::output(command).map_err(Error::KeyCommand),
    }
}

/// What a key file holds, whether or not it is a key.
///
/// # Errors
/// [`Error::KeyFile`] when it cannot be read, or is longer than any key.
pub fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let wrong = |cause| Error::KeyFile { path: path.to_owned(), cause };
    let bytes = File::open(path).and_then(|mut file| read_short(&mut file)).map_err(wrong)?;
    if bytes.len() > BYTES_MAX {
        let reason = format!("it has more than {BYTES_MAX} bytes, which is no key");
        return Err(wrong(io::Error::new(io::ErrorKind::InvalidData, reason)));
    }
    Ok(bytes)
}

/// Reads to the end, or just past the longest form, into one allocation.
fn read_short(from: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; BYTES_MAX + 1]);
    let mut filled = 0;
    while filled < bytes.len() {
        match from.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Makes the key's file with a fresh key, unless it is there or the key comes from elsewhere; says
/// whether it did.
///
/// # Errors
/// [`Error::Settings`] when no source is set or the file would lie beside the data, or when it
/// cannot be written.
pub fn make(settings: &Settings) -> Result<bool, Error> {
    let source = source(settings)?.ok_or_else(|| {
        Error::Settings(
            "a sealed store needs a master key: name its file with --key-file FILE \
             (a file that is not there is made)"
                .into(),
        )
    })?;
    match source.file() {
        Some(path) => make_file(path, settings),
        None => Ok(false),
    }
}

/// Makes a key file with a fresh key, unless it is there; says whether it did.
///
/// # Errors
/// [`Error::Settings`] when it would lie beside the data, or when it cannot be written.
pub fn make_file(path: &Path, settings: &Settings) -> Result<bool, Error> {
    refuse_beside_data(path, settings)?;
    if path.exists() {
        return Ok(false);
    }
    write_new(path).map_err(|cause| Error::KeyFile { path: path.to_owned(), cause })?;
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
    let on_disk = |place: &&String| place.starts_with('/');
    let location = Some(&settings.store.location).filter(on_disk).map(|place| resolved(Path::new(place)));
    let data = &settings.server.data;
    let own = [Some(resolved(data)), location].into_iter().flatten().collect::<Result<Vec<_>, _>>();
    // A copy that is away stops nothing.
    let copies = settings.repair.copies.iter().filter(on_disk);
    let copies = copies.map(|place| resolved(Path::new(place)).unwrap_or_else(|_| place.into()));
    for folder in own.map_err(wrong)?.into_iter().chain(copies) {
        if real.starts_with(&folder) {
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
    fn one_source_counts_and_two_are_refused_by_name() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::write(outer.path().join("tintype-key"), "").unwrap();
        let folder = outer.path().to_str().unwrap();
        let mut settings = Settings::default();
        let with = |settings: &Settings, set: &[(&str, &str)]| {
            the_one(settings, |name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            })
        };
        let credential = ("CREDENTIALS_DIRECTORY", folder);
        let variable = (KEY_VARIABLE, "00");
        assert_eq!(with(&settings, &[]).unwrap(), None);
        assert_eq!(with(&settings, &[(KEY_VARIABLE, "")]).unwrap(), None);
        assert_eq!(with(&settings, &[("CREDENTIALS_DIRECTORY", "/nowhere")]).unwrap(), None);
        assert_eq!(with(&settings, &[variable]).unwrap(), Some(Source::Variable));
        let found = with(&settings, &[credential]).unwrap();
        assert_eq!(found, Some(Source::Credential(outer.path().join("tintype-key"))));
        settings.store.key_command = vec!["get-key".into()];
        assert_eq!(with(&settings, &[]).unwrap(), Some(Source::Command(vec!["get-key".into()])));
        let twice = with(&settings, &[variable]).unwrap_err().to_string();
        assert!(twice.contains(KEY_VARIABLE) && twice.contains("store.key_command"), "{twice}");
        settings.store.key_command.clear();
        settings.store.key_file = "key".into();
        let twice = with(&settings, &[credential]).unwrap_err().to_string();
        assert!(twice.contains("store.key_file") && twice.contains("systemd credential"), "{twice}");
    }

    #[test]
    fn a_command_prints_the_key() {
        let mut settings = Settings::default();
        settings.store.key_command = vec!["printf".into(), "%s\\n".into(), "ab".repeat(32)];
        assert_eq!(*read(&settings).unwrap().unwrap().to_hex(), "ab".repeat(32));
        assert!(!make(&settings).unwrap());
        settings.store.key_command = vec!["echo".into(), "hush".into()];
        let refused = read(&settings).unwrap_err().to_string();
        assert!(refused.contains("store.key_command") && !refused.contains("hush"), "{refused}");
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
        let mut copied = settings(outer.path(), "copy/key");
        copied.repair.copies = vec![outer.path().join("copy").to_str().unwrap().to_owned()];
        assert!(make(&copied).unwrap_err().to_string().contains("beside the data"));
    }

    #[test]
    fn a_file_without_a_key_is_named_and_not_repeated() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::write(outer.path().join("key"), "hush").unwrap();
        let error = read(&settings(outer.path(), "key")).unwrap_err().to_string();
        assert!(error.contains("64 hexadecimal digits") && !error.contains("hush"), "{error}");
        // Nothing says that a file ends.
        let endless = read_file(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(endless.contains("/dev/zero") && endless.contains("more than 4096 bytes"), "{endless}");
        let error = read(&settings(outer.path(), "none")).unwrap_err().to_string();
        assert!(error.contains("none") && error.contains("cannot be used"), "{error}");
    }
}
