//! Where disks are served, and to whom, as the settings say it.
//!
//! Invariant: without TLS and without names, disks go to this machine alone. Must not know the protocol.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, UnixListener};

use super::error::Error;
use super::memory::Shares;
use super::settings::{IdentityMode, Settings, between};
use crate::nbd::Overlays;
use crate::nbd::server::{Listener, Options};
use crate::nbd::tls::{NamedUser, Tls};

/// How often the rights of those who are connected are looked at anew.
const REVIEW_EVERY: Duration = Duration::from_secs(10);

/// What stands before the path of a socket.
const UNIX: &str = "unix:";

/// What is written otherwise in the path of a socket inside an address.
const SOCKET: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// `[nbd]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Nbd {
    /// `ADDR:PORT` or `unix:/PATH`; empty serves no disks.
    pub listen: String,
    /// What clients reach it by, `HOST:PORT`; empty is the address listened on.
    pub public_address: String,
    /// Whether every image is served without names and without TLS.
    pub insecure: bool,
    /// The server's certificate, a PEM file; empty for no TLS.
    pub tls_cert: String,
    /// Its private key, a PEM file.
    pub tls_key: String,
    /// Authorities of clients' certificates, a PEM file; empty asks for none.
    pub tls_client_ca: String,
    /// Users by clients' certificates.
    pub tls_users: BTreeMap<String, String>,
    /// Connections at once.
    pub connections_max: usize,
    /// How long a client may take to choose a disk, in seconds.
    pub handshake_timeout_s: u64,
    /// Memory for what one connection writes, in bytes.
    pub overlay_bytes_max: u64,
    /// Memory for what all connections write, in bytes.
    pub overlays_bytes_max: u64,
}

impl Default for Nbd {
    fn default() -> Self {
        Nbd {
            listen: String::new(),
            public_address: String::new(),
            insecure: false,
            tls_cert: String::new(),
            tls_key: String::new(),
            tls_client_ca: String::new(),
            tls_users: BTreeMap::new(),
            connections_max: 64,
            handshake_timeout_s: 15,
            overlay_bytes_max: 64 << 20,
            overlays_bytes_max: 256 << 20,
        }
    }
}

/// Where to listen.
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A listener, and how it is found.
pub(super) struct Bound {
    /// The listener.
    pub listener: Listener,
    /// As clients write it, without a name of a disk.
    pub place: String,
    /// The socket's file, which goes with the server.
    pub file: Option<PathBuf>,
}

impl Nbd {
    /// Whether disks are served at all.
    pub(super) fn is_on(&self) -> bool {
        !self.listen.is_empty()
    }

    /// Refuses what says nothing sensible, or serves everything to everybody.
    pub(super) fn check(&self, identity: IdentityMode) -> Result<(), String> {
        between("nbd.connections_max", self.connections_max as u64, 1, 1 << 16)?;
        between("nbd.handshake_timeout_s", self.handshake_timeout_s, 1, 3600)?;
        between("nbd.overlay_bytes_max", self.overlay_bytes_max, 0, 1 << 40)?;
        between("nbd.overlays_bytes_max", self.overlays_bytes_max, 0, 1 << 40)?;
        if self.tls_cert.is_empty() != self.tls_key.is_empty() {
            return Err("nbd.tls_cert and nbd.tls_key: one is nothing without the other".into());
        }
        if self.tls_cert.is_empty() && !self.tls_client_ca.is_empty() {
            return Err("nbd.tls_client_ca: there is no TLS without nbd.tls_cert and nbd.tls_key".into());
        }
        if self.tls_client_ca.is_empty() && !self.tls_users.is_empty() {
            return Err("nbd.tls_users: no client brings a certificate without nbd.tls_client_ca".into());
        }
        if identity == IdentityMode::Keystone && !self.tls_users.is_empty() {
            return Err("nbd.tls_users: the cloud has the users (identity.mode)".into());
        }
        if self.insecure && !self.tls_cert.is_empty() {
            return Err("nbd.insecure: there is TLS; leave one of them out".into());
        }
        if self.insecure && !self.is_on() {
            return Err("nbd.insecure: no disk is served without nbd.listen (--nbd)".into());
        }
        self.users()?;
        if self.is_on() {
            self.place()?;
        }
        Ok(())
    }

    fn users(&self) -> Result<BTreeMap<String, NamedUser>, String> {
        let read = |(certificate, user): (&String, &String)| {
            let named = NamedUser::parse(user).ok_or_else(|| {
                format!(
                    "nbd.tls_users: \"{user}\" of \"{certificate}\" is not of the form USER@DOMAIN/PROJECT"
                )
            })?;
            Ok((certificate.clone(), named))
        };
        self.tls_users.iter().map(read).collect()
    }

    fn place(&self) -> Result<Place, String> {
        let listen = &self.listen;
        if let Some(path) = listen.strip_prefix(UNIX) {
            return match path.starts_with('/') {
                true => Ok(Place::Unix(path.into())),
                false => Err(format!("nbd.listen: \"{listen}\" has no absolute path")),
            };
        }
        let address = listen
            .to_socket_addrs()
            .map_err(|e| format!("nbd.listen: \"{listen}\" is neither ADDR:PORT nor unix:/PATH ({e})"))?
            .next()
            .ok_or_else(|| format!("nbd.listen: \"{listen}\" has no address"))?;
        if self.insecure && !address.ip().is_loopback() {
            return Err(format!(
                "nbd.insecure: {address} is not this machine alone; every image would be everybody's who reaches it. \
                 Listen on 127.0.0.1, ::1 or a Unix socket, or open disks with \"tintype nbd open\""
            ));
        }
        Ok(Place::Tcp(address))
    }

    fn tls(&self) -> Result<Option<Tls>, String> {
        if self.tls_cert.is_empty() {
            return Ok(None);
        }
        let read = |key: &str, path: &str| std::fs::read(path).map_err(|e| format!("{key}: {path}: {e}"));
        let client_ca = match self.tls_client_ca.as_str() {
            "" => None,
            path => Some(read("nbd.tls_client_ca", path)?),
        };
        let (certificate, key) = (read("nbd.tls_cert", &self.tls_cert)?, read("nbd.tls_key", &self.tls_key)?);
        Tls::new(&certificate, &key, client_ca.as_deref(), self.users()?).map(Some)
    }
}

/// How to serve disks, with a box's share of memory for it.
pub(super) fn options(settings: &Settings, shares: &Shares) -> Result<Options, Error> {
    let nbd = &settings.nbd;
    Ok(Options {
        connections_max: shares.disk_connections_max,
        handshake_timeout: Duration::from_secs(nbd.handshake_timeout_s),
        review_every: REVIEW_EVERY,
        drain_deadline: Duration::from_secs(settings.server.drain_s),
        pages_bytes: shares.disk_replies,
        overlays: Overlays::new(nbd.overlay_bytes_max, nbd.overlays_bytes_max),
        tls: nbd.tls().map_err(Error::Settings)?,
        insecure: nbd.insecure,
    })
}

/// Listens, where the settings say so.
pub(super) async fn bind(nbd: &Nbd) -> Result<Option<Bound>, Error> {
    if !nbd.is_on() {
        return Ok(None);
    }
    let secured = if nbd.tls_cert.is_empty() { "" } else { "s" };
    match nbd.place().map_err(Error::Settings)? {
        Place::Tcp(wanted) => {
            let listener = TcpListener::bind(wanted).await.map_err(|e| Error::listen(wanted, "--nbd", e))?;
            let address = listener.local_addr().map_err(Error::Process)?;
            let reached = match nbd.public_address.as_str() {
                "" => address.to_string(),
                public => public.to_owned(),
            };
            let place = format!("nbd{secured}://{reached}");
            Ok(Some(Bound { listener: Listener::Tcp(listener), place, file: None }))
        }
        Place::Unix(path) => {
            let listener =
                bind_socket(&path, nbd.insecure).map_err(|e| Error::listen(path.display(), "--nbd", e))?;
            let socket = utf8_percent_encode(&path.to_string_lossy(), &SOCKET).to_string();
            let place = format!("nbd{secured}+unix:///?socket={socket}");
            Ok(Some(Bound { listener: Listener::Unix(listener), place, file: Some(path) }))
        }
    }
}

/// Binds a socket in the place of one that nobody listens on. Names and certificates say who may have what, so that everybody
/// may come; without those it is the owner's, from its first moment on.
fn bind_socket(path: &Path, insecure: bool) -> std::io::Result<UnixListener> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => return Err(std::io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            // What is there and is no socket stays.
            if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                return Err(std::io::ErrorKind::AlreadyExists.into());
            }
        }
        Err(error) => return Err(error),
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let listener = UnixListener::bind(&fresh)?;
    let mode = if insecure { 0o600 } else { 0o666 };
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(mode))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut Nbd)) -> Result<(), String> {
        let mut nbd = Nbd::default();
        change(&mut nbd);
        nbd.check(IdentityMode::Embedded)
    }

    #[test]
    fn everything_is_served_to_this_machine_alone() {
        for (listen, insecure, is_fine) in [
            ("127.0.0.1:10809", true, true),
            ("[::1]:10809", true, true),
            ("unix:/run/tintype.sock", true, true),
            ("0.0.0.0:10809", true, false),
            ("192.0.2.1:10809", true, false),
            ("0.0.0.0:10809", false, true),
            ("", true, false),
            ("", false, true),
            ("unix:tintype.sock", false, false),
            ("10809", false, false),
        ] {
            let outcome = checked(|nbd| (nbd.listen, nbd.insecure) = (listen.into(), insecure));
            assert_eq!(outcome.is_ok(), is_fine, "{listen} {outcome:?}");
        }
    }

    #[test]
    fn halves_of_tls_are_refused_by_name() {
        let refused = |change: fn(&mut Nbd)| checked(change).unwrap_err();
        assert!(refused(|nbd| nbd.tls_cert = "c".into()).starts_with("nbd.tls_cert"));
        assert!(refused(|nbd| nbd.tls_client_ca = "c".into()).starts_with("nbd.tls_client_ca"));
        let user = || BTreeMap::from([("host".to_owned(), "ann@Default/fleet".to_owned())]);
        assert!(checked(|nbd| nbd.tls_users = user()).unwrap_err().starts_with("nbd.tls_users"));
        let all = |nbd: &mut Nbd| {
            (nbd.tls_cert, nbd.tls_key, nbd.tls_client_ca) = ("c".into(), "k".into(), "a".into());
            nbd.tls_users = user();
        };
        checked(all).unwrap();
        let insecure = checked(|nbd| {
            all(nbd);
            nbd.insecure = true;
        });
        assert!(insecure.unwrap_err().starts_with("nbd.insecure"));
        let bad = checked(|nbd| {
            all(nbd);
            nbd.tls_users = BTreeMap::from([("host".to_owned(), "ann".to_owned())]);
        });
        assert!(bad.unwrap_err().contains("USER@DOMAIN/PROJECT"));
    }

    #[tokio::test]
    async fn a_socket_takes_the_place_of_a_dead_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nbd.sock");
        let first = bind_socket(&path, false).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        assert_eq!(bind_socket(&path, false).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        drop(first);
        bind_socket(&path, true).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "mine").unwrap();
        assert!(bind_socket(&path, false).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
