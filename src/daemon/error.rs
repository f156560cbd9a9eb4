//! Why a server does not start, or stops: each cause in its own words, with what to do next.

use std::path::PathBuf;

use crate::{db, service, store};

/// A failure of the whole process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error("{0}")]
    Settings(String),
    /// The data directory cannot be used.
    #[error("{path}: cannot {doing} ({cause}); {next}", path = .path.display())]
    Directory {
        /// Which file or directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The system's complaint.
        cause: std::io::Error,
        /// What the operator can do.
        next: &'static str,
    },
    /// Another process has the data directory.
    #[error("{}: in use by another tintype process; stop it, or choose another --data", .0.display())]
    InUse(PathBuf),
    /// A box is there already.
    #[error("{}: there is a box here already, and it is left as it is; \"serve\" runs it", .0.display())]
    SetUp(PathBuf),
    /// The store's data is there, and the catalog is not.
    #[error(
        "{path}: there is no catalog.redb, but the store holds data; put the catalog back, or make it anew from \
         the store with \"tintype --data {path} rebuild\"",
        path = .0.display()
    )]
    CatalogLost(PathBuf),
    /// A catalog was to be rebuilt, and there is one.
    #[error("{}: there is a catalog here; move it away first, if it is to be made anew from the store", .0.display())]
    CatalogThere(PathBuf),
    /// A catalog cannot be made from what the store tells.
    #[error("the catalog cannot be rebuilt: {0}")]
    Rebuild(#[from] service::rebuild::Error),
    /// A sealed store was wanted, and there is a plain one.
    #[error("{}: there is a plain store here, and it stays plain; choose another --data", .0.display())]
    Plain(PathBuf),
    /// The master key's file cannot be used.
    #[error("the master key's file {} cannot be used ({cause}); check store.key_file or --key-file", .path.display())]
    KeyFile {
        /// Which.
        path: PathBuf,
        /// The system's complaint.
        cause: std::io::Error,
    },
    /// The command that prints the master key gave none.
    #[error("store.key_command gives no master key: {0}")]
    KeyCommand(String),
    /// The store is sealed, and its key was not given.
    #[error(
        "{0}; name its file with --key-file FILE or store.key_file (TINTYPE_STORE_KEY_FILE), or give systemd the credential \"tintype-key\", or set TINTYPE_STORE_KEY or store.key_command"
    )]
    Locked(store::KeyError),
    /// The keys of the store are not as they must be.
    #[error("{0}")]
    Keys(store::KeyError),
    /// A sealed box needs its bucket to start, and that does not answer.
    #[error(
        "{place} does not answer ({cause}). This box is sealed: the key of its catalog follows from the key ring, which \
         lies there, so that it cannot start without; start it again when the bucket answers"
    )]
    RingAway {
        /// The bucket.
        place: String,
        /// What was met.
        cause: store::Error,
    },
    /// The catalog does not open.
    #[error("{path}: {cause}", path = .path.display())]
    Catalog {
        /// The catalog's file.
        path: PathBuf,
        /// What it said.
        cause: db::Error,
    },
    /// The store does not open.
    #[error("the image store does not open: {0}")]
    Store(store::Error),
    /// The first records cannot be made.
    #[error("the catalog cannot be set up: {}", .0.internal.as_deref().unwrap_or(&.0.message))]
    Setup(#[from] service::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address} ({cause}); {next} with {option}")]
    Listen {
        /// What was asked for.
        address: String,
        /// What names the address on the command line.
        option: &'static str,
        /// The system's complaint.
        cause: std::io::Error,
        /// What the operator can do.
        next: &'static str,
    },
    /// The process cannot get threads or signals.
    #[error("the process cannot start: {0}")]
    Process(std::io::Error),
    /// A commit failed while serving: what is durable is known only after a restart.
    #[error("stopped because a commit failed ({0}); start again to recover")]
    Poisoned(String),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        use store::KeyError::{Absent, Wrong};
        match error {
            store::Error::Key(cause @ (Absent | Wrong { .. })) => Error::Locked(cause),
            store::Error::Key(cause) => Error::Keys(cause),
            error => Error::Store(error),
        }
    }
}

impl Error {
    /// A data directory's failure, with advice that fits the cause.
    pub(super) fn directory(path: impl Into<PathBuf>, doing: &'static str, cause: std::io::Error) -> Error {
        use std::io::ErrorKind;
        let next = match cause.kind() {
            ErrorKind::PermissionDenied => "run as its owner, or choose another --data",
            ErrorKind::ReadOnlyFilesystem => "remount it for writing, or choose another --data",
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space there",
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                "it is no directory; choose another --data"
            }
            _ => "choose another --data if it cannot be repaired",
        };
        Error::Directory { path: path.into(), doing, cause, next }
    }

    /// A listener's failure, with advice that fits the cause.
    /// `option` is what names the address.
    pub(super) fn listen(address: impl ToString, option: &'static str, cause: std::io::Error) -> Error {
        use std::io::ErrorKind;
        let next = match cause.kind() {
            ErrorKind::AddrInUse => "another program has it: stop that, or choose another",
            ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one",
            ErrorKind::AddrNotAvailable => "this machine has no such address: choose another",
            ErrorKind::NotFound => "there is no such folder: make it, or choose another",
            _ => "choose another",
        };
        Error::Listen { address: address.to_string(), option, cause, next }
    }
}
