//! Why a command failed, and the exit status that says so to scripts.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::daemon;
use crate::store::KeyError;

/// Exit statuses. Documented in `tintype --help` and the README; never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The server refused, or something broke on the way.
    Failed = 1,
    /// The command line, a setting or a file given is wrong.
    Usage = 2,
    /// What the command names is not there, or not visible.
    NotFound = 3,
    /// The server cannot be reached, or does not take the credentials.
    Unreachable = 4,
    /// The store is sealed, and its master key was not given or cannot be had.
    KeyMissing = 5,
    /// The master key is another store's, or an older one.
    KeyWrong = 6,
    /// What the command names was deleted under it, or its key was revoked.
    Gone = 7,
    /// Ctrl-C ended the command before it was done: what shells say of whoever dies of it.
    Interrupted = 130,
}

/// Whether the same request may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// No: something else must change.
    None,
    /// Yes, after a while: the connection broke, or the server is busy, or starting.
    Patience,
    /// Yes, after signing in again.
    SignIn,
    /// Not as it was: somebody else has changed what it was about.
    Look,
    /// Yes, once what could not be read on this side can be.
    Repair,
}

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// For the shell.
    pub status: Status,
    /// Whether trying again may help.
    pub remedy: Remedy,
    /// For the person: what happened, to what, what to do next. Empty when the reader of standard
    /// output went away, which needs no words.
    pub message: String,
}

impl Failure {
    /// The server refused, or something broke.
    pub fn failed(message: impl Into<String>) -> Failure {
        Failure { status: Status::Failed, remedy: Remedy::None, message: message.into() }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { status: Status::Usage, remedy: Remedy::None, message: message.into() }
    }

    /// Not there.
    pub fn not_found(message: impl Into<String>) -> Failure {
        Failure { status: Status::NotFound, remedy: Remedy::None, message: message.into() }
    }

    /// No way to the server.
    pub fn unreachable(message: impl Into<String>) -> Failure {
        Failure { status: Status::Unreachable, remedy: Remedy::None, message: message.into() }
    }

    /// The same failure, with what may help.
    pub fn with(self, remedy: Remedy) -> Failure {
        Failure { remedy, ..self }
    }

    /// The same failure of whoever leaves nothing behind; one that was interrupted says so.
    pub fn nothing_is_kept(self) -> Failure {
        match self.status {
            Status::Interrupted => {
                Failure { message: format!("{}: nothing of it is kept", self.message), ..self }
            }
            _ => self,
        }
    }

    /// A file's failure, with its name.
    pub fn file(path: &std::path::Path, cause: &io::Error) -> Failure {
        Failure::failed(format!("{}: {cause}", path.display()))
    }

    /// Standard output's failure.
    pub fn output(cause: &io::Error) -> Failure {
        if cause.kind() == io::ErrorKind::BrokenPipe {
            return Failure::failed("");
        }
        Failure::failed(format!("standard output: {cause}"))
    }

    /// Says it on standard error and gives the shell its status.
    pub fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("tintype: {}", self.message);
        }
        ExitCode::from(self.status as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<daemon::Error> for Failure {
    fn from(error: daemon::Error) -> Failure {
        match error {
            daemon::Error::Settings(_) => Failure::usage(error.to_string()),
            _ => Failure { status: status(&error), ..Failure::failed(error.to_string()) },
        }
    }
}

fn status(error: &daemon::Error) -> Status {
    match error {
        daemon::Error::KeyFile { .. } | daemon::Error::KeyCommand(_) => Status::KeyMissing,
        daemon::Error::Locked(KeyError::Absent) => Status::KeyMissing,
        daemon::Error::Locked(KeyError::Wrong { .. }) => Status::KeyWrong,
        _ => Status::Failed,
    }
}
