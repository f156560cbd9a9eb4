//! The data directory: its fixed names, who may read them, and how its small files are written.
//!
//! Invariants: everything here is for the owner only; a small file is either its old or its new
//! version, whole, after any crash; the first administrator's password is made once and never
//! changed here. Must not know what the catalog or the store keep in their files.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::error::Error;
use crate::base::Entropy;
use crate::service::identity::{AccessRoot, Password};

/// Longest path the kernel takes for a Unix socket, without its closing zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// An existing data directory.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held open so that a socket below a long path can be named through it.
    handle: File,
}

impl DataDir {
    /// Opens the directory, making it (mode 0700) when it is not there.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn create(path: &Path) -> Result<DataDir, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| Error::directory(path, "create it", e))?;
        let dir = DataDir::open(path)?;
        let mode =
            dir.handle.metadata().map_err(|e| Error::directory(path, "look at it", e))?.permissions().mode();
        if mode & 0o077 != 0 {
            // Whoever can list it can reach the control socket's name; its own mode still protects it.
            tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "the data directory is open to others; chmod 700 is safer");
        }
        Ok(dir)
    }

    /// Opens the directory, which must be there.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn open(path: &Path) -> Result<DataDir, Error> {
        let path = std::path::absolute(path).map_err(|e| Error::directory(path, "find it", e))?;
        let handle = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::DIRECTORY.bits() as i32)
            .open(&path)
            .map_err(|e| Error::directory(&path, "open it", e))?;
        Ok(DataDir { path, handle })
    }

    /// Whether a box at `path` was set up to the end: its small files come last.
    pub fn is_set_up(path: &Path) -> bool {
        path.join("catalog.redb").exists() && path.join("clouds.yaml").exists()
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The catalog's file.
    pub fn catalog(&self) -> PathBuf {
        self.path.join("catalog.redb")
    }

    /// Image data of a box at `path`, unless settings put it elsewhere.
    pub fn store(path: &Path) -> PathBuf {
        path.join("store")
    }

    /// What a bucket keeps at hand, unless settings (`elsewhere`, if not empty) put it elsewhere.
    pub fn bucket(&self, elsewhere: &str) -> PathBuf {
        if elsewhere.is_empty() { self.path.join("bucket") } else { elsewhere.into() }
    }

    /// The first administrator's password.
    pub fn admin_password_file(&self) -> PathBuf {
        self.path.join("admin-password")
    }

    /// How clients sign in.
    pub fn clouds_file(&self) -> PathBuf {
        self.path.join("clouds.yaml")
    }

    /// Where a running server answers whoever can open this directory. Good for binding and
    /// connecting while `self` lives.
    pub fn control_socket(&self) -> PathBuf {
        let path = self.path.join("control.sock");
        if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            return path;
        }
        format!("/proc/self/fd/{}/control.sock", self.handle.as_raw_fd()).into()
    }

    /// The first administrator's password: read, or made when the directory is new (then the
    /// second value is true). `None` when the operator has taken the file away.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn admin_password(&self, entropy: &dyn Entropy) -> Result<(Option<String>, bool), Error> {
        let path = self.admin_password_file();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok((Some(text.trim_end_matches(['\r', '\n']).to_owned()), false)),
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.catalog().exists() => Ok((None, false)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let password = Password::generate(entropy).expose().to_owned();
                self.set_admin_password(&password)?;
                Ok((Some(password), true))
            }
            Err(e) => Err(Error::directory(path, "read it", e)),
        }
    }

    /// The file with the root that secrets of access keys follow from in a plain box.
    pub fn access_root_file(&self) -> PathBuf {
        self.path.join("access-root")
    }

    /// The root that secrets of access keys follow from: read, or made. Durable before it is used.
    ///
    /// # Errors
    /// [`Error::Directory`], also when the file holds something else.
    pub fn access_root(&self, entropy: &dyn Entropy) -> Result<AccessRoot, Error> {
        let path = self.access_root_file();
        match std::fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => AccessRoot::parse(&text).ok_or_else(|| {
                let told = "it is not 64 hex digits; put it back from a backup, or remove it and make new access keys";
                Error::directory(path, "read it", io::Error::new(io::ErrorKind::InvalidData, told))
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let root = AccessRoot::generate(entropy);
                self.replace("access-root", root.to_hex().as_bytes())?;
                Ok(root)
            }
            Err(e) => Err(Error::directory(path, "read it", e)),
        }
    }

    /// Keeps the administrator's password for whoever can open this directory.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn set_admin_password(&self, password: &str) -> Result<(), Error> {
        self.replace("admin-password", format!("{password}\n").as_bytes())
    }

    /// Writes `clouds.yaml` for the address really listened on.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn write_clouds(&self, url: &str, password: Option<&str>) -> Result<(), Error> {
        self.replace("clouds.yaml", clouds(url, password).as_bytes())
    }

    /// Writes `clouds.yaml` for a cloud whose Keystone has the users; who they are is not told.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn write_cloud_of(&self, keystone_url: &str, region: &str) -> Result<(), Error> {
        self.replace("clouds.yaml", cloud_of(keystone_url, region).as_bytes())
    }

    /// Takes every right of other users on a file away.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn close_to_others(&self, path: &Path) -> Result<(), Error> {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .map_err(|e| Error::directory(path, "change its mode", e))
    }

    /// Keeps other processes from rebuilding the catalog as long as `self` lives.
    ///
    /// # Errors
    /// [`Error::InUse`] when one does, or a server runs here.
    pub fn claim_rebuild(&self) -> Result<(), Error> {
        // A server may run on a catalog whose file was deleted under it.
        let served = std::os::unix::net::UnixStream::connect(self.control_socket()).is_ok();
        match self.handle.try_lock() {
            Ok(()) if !served => Ok(()),
            Err(TryLockError::Error(e)) => Err(Error::directory(&self.path, "lock it", e)),
            _ => Err(Error::InUse(self.path.clone())),
        }
    }

    /// A catalog that is being rebuilt.
    pub fn unfinished_catalog(&self) -> PathBuf {
        self.path.join(".catalog.redb.rebuild")
    }

    /// Removes a catalog that was being rebuilt, if there is one.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn discard_unfinished_catalog(&self) -> Result<(), Error> {
        let path = self.unfinished_catalog();
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::directory(path, "remove it", e)),
            _ => Ok(()),
        }
    }

    /// Gives a catalog that was rebuilt, and is durable, its name, in one durable step. A catalog
    /// that came meanwhile is left alone.
    ///
    /// # Errors
    /// [`Error::CatalogThere`] or [`Error::Directory`].
    pub fn adopt_catalog(&self) -> Result<(), Error> {
        let (from, to) = (self.unfinished_catalog(), self.catalog());
        let renamed = match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            // Some file systems cannot rename without replacing; a link never replaces.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => std::fs::hard_link(&from, &to),
            renamed => renamed.map_err(io::Error::from),
        };
        renamed.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::CatalogThere(to.clone()),
            _ => Error::directory(&to, "make it", e),
        })?;
        self.handle.sync_all().map_err(|e| Error::directory(&self.path, "sync it", e))?;
        self.discard_unfinished_catalog()
    }

    /// Puts a small file in place, for the owner only, in one durable step.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path.join(name);
        let fresh = self.path.join(format!(".{name}.new"));
        let write = || -> io::Result<()> {
            match std::fs::remove_file(&fresh) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)?;
            self.handle.sync_all()
        };
        write().map_err(|e| Error::directory(path, "write it", e))
    }
}

/// The URL under which this machine reaches a server that listens on `address`.
pub fn local_url(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr =
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    format!("http://{address}")
}

fn clouds(url: &str, password: Option<&str>) -> String {
    // A JSON text is also a YAML text, whatever characters it holds.
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let password = password.map(|p| format!("      password: {}\n", quote(p))).unwrap_or_default();
    format!(
        "# Written by tintype at each start. Use it with OS_CLIENT_CONFIG_FILE and OS_CLOUD=tintype.\n\
         clouds:\n  tintype:\n    auth:\n      auth_url: {auth_url}\n      username: admin\n{password}\
         \x20     project_name: admin\n      user_domain_name: Default\n      project_domain_name: Default\n\
         \x20   identity_api_version: 3\n    interface: public\n",
        auth_url = quote(&format!("{url}/identity/v3")),
    )
}

fn cloud_of(keystone_url: &str, region: &str) -> String {
    // A JSON text is also a YAML text, whatever characters it holds.
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let region = match region {
        "" => String::new(),
        region => format!("    region_name: {}\n", quote(region)),
    };
    format!(
        "# Written by tintype at each start. Use it with OS_CLIENT_CONFIG_FILE and OS_CLOUD=tintype, and say who you\n\
         # are: OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME, OS_USER_DOMAIN_NAME and OS_PROJECT_DOMAIN_NAME.\n\
         clouds:\n  tintype:\n    auth:\n      auth_url: {auth_url}\n{region}\
         \x20   identity_api_version: 3\n    interface: public\n",
        auth_url = quote(keystone_url),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::OsEntropy;

    #[test]
    fn the_password_is_made_once_and_for_the_owner_only() {
        let outer = tempfile::tempdir().unwrap();
        let dir = DataDir::create(&outer.path().join("data")).unwrap();
        let (first, made) = dir.admin_password(&OsEntropy).unwrap();
        assert!(made);
        assert_eq!(dir.admin_password(&OsEntropy).unwrap(), (first, false));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o700);
        assert_eq!(mode(&dir.admin_password_file()), 0o600);
    }

    #[test]
    fn the_root_of_access_keys_is_made_once_and_never_guessed() {
        let outer = tempfile::tempdir().unwrap();
        let dir = DataDir::create(outer.path()).unwrap();
        let first = dir.access_root(&OsEntropy).unwrap();
        assert_eq!(dir.access_root(&OsEntropy).unwrap().to_hex(), first.to_hex());
        let mode = std::fs::metadata(dir.access_root_file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(dir.access_root_file(), "x").unwrap();
        assert!(dir.access_root(&OsEntropy).is_err());
    }

    #[test]
    fn a_removed_password_is_not_made_up_again() {
        let outer = tempfile::tempdir().unwrap();
        let dir = DataDir::create(outer.path()).unwrap();
        std::fs::write(dir.catalog(), b"").unwrap();
        assert_eq!(dir.admin_password(&OsEntropy).unwrap(), (None, false));
    }

    #[test]
    fn clouds_yaml_keeps_any_password_whole() {
        let outer = tempfile::tempdir().unwrap();
        let dir = DataDir::create(outer.path()).unwrap();
        let password = "a\"b: #'\\ ü";
        dir.write_clouds("http://127.0.0.1:1", Some(password)).unwrap();
        let text = std::fs::read_to_string(dir.clouds_file()).unwrap();
        let tree: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let auth = &tree["clouds"]["tintype"]["auth"];
        assert_eq!(auth["password"], password);
        assert_eq!(auth["auth_url"], "http://127.0.0.1:1/identity/v3");
        assert_eq!(auth["project_domain_name"], "Default");
    }

    #[test]
    fn clouds_yaml_of_a_cloud_names_its_keystone_and_nobody() {
        let outer = tempfile::tempdir().unwrap();
        let dir = DataDir::create(outer.path()).unwrap();
        dir.write_cloud_of("https://cloud:5000/v3", "north \"1\"").unwrap();
        let text = std::fs::read_to_string(dir.clouds_file()).unwrap();
        let tree: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let cloud = &tree["clouds"]["tintype"];
        assert_eq!(cloud["auth"], serde_json::json!({"auth_url": "https://cloud:5000/v3"}));
        assert_eq!(cloud["region_name"], "north \"1\"");
    }

    #[test]
    fn the_url_is_one_this_machine_can_reach() {
        assert_eq!(local_url("0.0.0.0:9292".parse().unwrap()), "http://127.0.0.1:9292");
        assert_eq!(local_url("[::]:9292".parse().unwrap()), "http://[::1]:9292");
        assert_eq!(local_url("10.1.2.3:80".parse().unwrap()), "http://10.1.2.3:80");
    }

    #[test]
    fn a_socket_below_a_long_path_can_be_bound() {
        let outer = tempfile::tempdir().unwrap();
        let dir = DataDir::create(&outer.path().join("x".repeat(120))).unwrap();
        std::os::unix::net::UnixListener::bind(dir.control_socket()).unwrap();
        assert!(dir.path().join("control.sock").exists());
    }
}
