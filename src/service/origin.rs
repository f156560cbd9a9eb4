//! Where a call comes from: what an audit record says of it besides who it is.
//!
//! One for each request, shared by everything that happens on its behalf. Invariant: it holds no secret; what it
//! keeps of a body was masked before. Must not know any path nor any status.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::model::trace::Interface;
use crate::model::{DomainId, ProjectId, UserId};

/// The way that a request took to the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// There is no request: the box does it by itself.
    #[default]
    Box,
    /// The network, from this address.
    Peer(IpAddr),
    /// The control socket.
    Socket,
    /// The command line, on a box that no server runs.
    Process,
}

impl Source {
    /// The address, if it came over the network.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Source::Peer(address) => Some(address),
            Source::Box | Source::Socket | Source::Process => None,
        }
    }

    /// As a record has it.
    pub fn text(self) -> String {
        match self {
            Source::Box => String::new(),
            Source::Peer(address) => address.to_canonical().to_string(),
            Source::Socket => "socket".into(),
            Source::Process => "process".into(),
        }
    }
}

/// Who a request turned out to be from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The user's domain.
    pub domain: DomainId,
    /// The project that the user acts in.
    pub project: Option<ProjectId>,
}

/// Where a call comes from.
#[derive(Default)]
pub struct Origin {
    /// The protocol.
    pub interface: Option<Interface>,
    /// The way it took.
    pub source: Source,
    /// The request's id.
    pub request_id: String,
    /// Its method and path.
    pub call: String,
    body: Mutex<String>,
    caller: OnceLock<Caller>,
    recorded: AtomicBool,
}

impl Origin {
    /// A request that was just taken.
    pub fn new(interface: Interface, source: Source, request_id: String, call: String) -> Origin {
        Origin { interface: Some(interface), source, request_id, call, ..Origin::default() }
    }

    /// Whether there is a request at all.
    pub fn is_request(&self) -> bool {
        self.interface.is_some()
    }

    /// Keeps what the request's body says, masked and shortened.
    pub fn set_body(&self, masked: String) {
        *self.body.lock().unwrap_or_else(PoisonError::into_inner) = masked;
    }

    /// What was kept of the request's body.
    pub fn body(&self) -> String {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes whom the request is from; the first to say so is right.
    pub fn set_caller(&self, caller: Caller) {
        let _ = self.caller.set(caller);
    }

    /// Whom the request is from, once that is known.
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.get()
    }

    /// Notes that something that was done for the request is on record.
    pub(super) fn set_recorded(&self) {
        self.recorded.store(true, Ordering::Release);
    }

    /// Whether something that was done for the request is on record.
    pub fn is_recorded(&self) -> bool {
        self.recorded.load(Ordering::Acquire)
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Origin) -> bool {
        self.request_id == other.request_id
    }
}

impl Eq for Origin {}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}
