//! What every protocol of the one port shares: the state behind the routes, the request's id,
//! who is asking, and the address the client reached the server by.
//!
//! Invariant: whoever asks is decided here and nowhere else. Must not know any one protocol's
//! paths, bodies or status codes; each maps [`service::Error`](crate::service::Error) itself.

use std::sync::Arc;

use axum::http::header::HOST;
use axum::http::{HeaderMap, Uri, request::Parts};

use crate::service::{Actor, Caller, Error, ErrorKind, Origin, Service};

/// Carries the caller's token.
pub const AUTH_TOKEN: &str = "x-auth-token";
/// Carries the request's id, on every response.
pub const REQUEST_ID: &str = "x-openstack-request-id";

/// The same, under the name that clients of the image management service read.
pub const PLAIN_REQUEST_ID: &str = "x-request-id";

/// What the routes stand on. Cheap to share.
#[derive(Clone)]
pub struct ApiState {
    /// The use cases.
    pub service: Service,
    /// `scheme://host:port`, without a slash at its end, when the operator fixed one.
    pub public_url: Option<String>,
}

impl ApiState {
    /// Runs a use case where blocking is allowed.
    ///
    /// # Errors
    /// What the use case refused with; [`ErrorKind::Internal`] when it died.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let service = self.service.clone();
        tokio::task::spawn_blocking(move || work(&service)).await.unwrap_or_else(|died| {
            tracing::error!(%died, "a use case panicked");
            Err(Error::new(ErrorKind::Internal, "the server failed; its log says why"))
        })
    }

    /// The same of one that waited for a turn, which is given back when it has ended: not before, when whoever asked has left.
    ///
    /// # Errors
    /// As [`ApiState::blocking`].
    pub async fn in_turn<T: Send + 'static>(
        &self,
        turn: impl Send + 'static,
        work: impl FnOnce(&Service) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.blocking(move |service| {
            let outcome = work(service);
            drop(turn);
            outcome
        })
        .await
    }

    /// `scheme://host:port` for links: the operator's choice, or what the client asked.
    pub fn base_url(&self, uri: &Uri, headers: &HeaderMap) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let asked = uri.authority().map(|a| a.as_str()).or_else(|| headers.get(HOST)?.to_str().ok());
        let host = asked.filter(|host| is_host(host)).unwrap_or("localhost");
        format!("http://{host}")
    }
}

impl ApiState {
    /// Where clients sign in, for refusals of whoever did not: the cloud's Keystone, or the box's own Identity API
    /// below `base_url`.
    pub fn sign_in_url(&self, base_url: &str) -> String {
        self.service.keystone_url().map_or_else(|| format!("{base_url}/identity"), str::to_owned)
    }
}

/// Only what a host and port consist of: the value ends up in links.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 260
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
}

/// Marks a request that came in through the control socket: the caller can open the data
/// directory, and so acts as the local administrator.
#[derive(Debug, Clone, Copy)]
pub struct LocalAdmin;

/// Who signed the request, whose signature held.
#[derive(Debug, Clone)]
pub(super) struct SignedBy(pub Actor);

/// The request's id, `req-<uuid>`: in the log, and in the response.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Where a request comes from; nothing is known of one that passed no layer.
pub fn origin(parts: &Parts) -> Arc<Origin> {
    parts.extensions.get::<Arc<Origin>>().cloned().unwrap_or_default()
}

/// Who is asking: the control socket's caller, who signed the request, or the owner of the token in `X-Auth-Token`.
/// Blocks: call it inside [`ApiState::blocking`].
///
/// # Errors
/// [`ErrorKind::Unauthenticated`] when there is no token, or it is unknown, expired or revoked; [`ErrorKind::Forbidden`]
/// when the token is of an application credential that is not for such requests.
pub fn authenticate(service: &Service, credentials: &Credentials) -> Result<Actor, Error> {
    let actor = match &credentials.proof {
        Proof::LocalAdmin => service.local_admin(),
        Proof::Signed(actor) => Ok(actor.clone()),
        Proof::Token(token) => service.authenticate_token(token),
        Proof::None => {
            Err(Error::new(ErrorKind::Unauthenticated, "The request you have made requires authentication."))
        }
    }?;
    let origin = credentials.origin.clone();
    origin.set_caller(caller(&actor));
    actor.rights.admit(&origin)?;
    let rights = actor.rights.asked_from(origin.source.address());
    Ok(Actor { origin, rights, ..actor })
}

/// The caller as its records name it.
pub(super) fn caller(actor: &Actor) -> Caller {
    Caller { user: actor.user.clone(), domain: actor.user_domain.clone(), project: actor.project().cloned() }
}

/// What a request brought to prove who sends it, and where it comes from.
#[derive(Clone)]
pub struct Credentials {
    proof: Proof,
    origin: Arc<Origin>,
}

/// What a request brought to prove who sends it.
#[derive(Clone)]
enum Proof {
    /// Nothing.
    None,
    /// A token.
    Token(String),
    /// A signature, which was checked: its owner.
    Signed(Actor),
    /// It came through the control socket.
    LocalAdmin,
}

impl Credentials {
    /// Reads them off a request.
    pub fn of(parts: &Parts) -> Credentials {
        Credentials { proof: Proof::of(parts), origin: origin(parts) }
    }

    /// Whether the request came through the control socket, or from this machine's own command line.
    pub fn is_local(&self) -> bool {
        matches!(self.proof, Proof::LocalAdmin)
    }
}

impl Proof {
    fn of(parts: &Parts) -> Proof {
        if parts.extensions.get::<LocalAdmin>().is_some() {
            return Proof::LocalAdmin;
        }
        if let Some(SignedBy(actor)) = parts.extensions.get() {
            return Proof::Signed(actor.clone());
        }
        match parts.headers.get(AUTH_TOKEN).and_then(|value| value.to_str().ok()) {
            Some(token) => Proof::Token(token.to_owned()),
            None => Proof::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_reach_links() {
        for good in ["box", "10.0.0.1:9292", "[::1]:9292", "images.example.org"] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["", "a/b", "a\"b", "user@host", "a b"] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
