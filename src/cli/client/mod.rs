//! The one HTTP client of every command: the same requests, over whichever way leads to the box.
//!
//! Three ways: the control socket of a running server, the routes themselves on a closed store
//! (both as the local administrator), or the network with credentials like any other client.
//! Invariant: commands cannot tell which way they went, save for whether jobs get done there. Must not know what any command means.

mod clouds;
mod connect;
mod credentials;
mod reply;

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use tower::ServiceExt;

use super::failure::{Failure, Remedy};
use crate::api::context::{AUTH_TOKEN, LocalAdmin};
use crate::daemon::compose::Parts;

pub use connect::Target;
pub use reply::Reply;

/// Which of the box's services a path belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Images; paths start with `/v2`.
    Image,
    /// Images that the box makes, exports and copies by jobs; paths start with `/v1`.
    Management,
    /// Users, projects, roles; paths start after `/v3`.
    Identity,
    /// What only Tintype has; paths start after `/tintype/v1`.
    Native,
}

/// What a request carries.
pub struct Payload {
    /// What the bytes are.
    pub content_type: &'static str,
    /// How many there are, where that is known: the server can then refuse before they travel.
    pub length: Option<u64>,
    /// The bytes.
    pub body: Body,
}

/// A way to a box.
pub struct Client {
    way: Way,
}

enum Way {
    /// A running server on this machine, named by its data directory.
    Socket { path: PathBuf, _dir: crate::daemon::data_dir::DataDir },
    /// No server runs: the routes, in this process.
    Here { router: Router, parts: Box<Parts> },
    /// The network.
    Net { http: reqwest::Client, credentials: credentials::Credentials, session: Session },
}

/// The latest sign-in: a transfer may outlive its token.
type Session = std::sync::RwLock<Arc<credentials::Session>>;

impl Client {
    /// Asks without a body.
    ///
    /// # Errors
    /// When the box cannot be reached or refuses.
    pub async fn call(&self, method: Method, api: Api, path: &str) -> Result<Reply, Failure> {
        self.send(method, api, path, None).await
    }

    /// Asks with a JSON body.
    ///
    /// # Errors
    /// When the box cannot be reached or refuses.
    pub async fn call_json(
        &self,
        method: Method,
        api: Api,
        path: &str,
        body: &Value,
    ) -> Result<Reply, Failure> {
        self.call_text(method, api, path, body.to_string()).await
    }

    /// Asks with a body that is JSON already.
    ///
    /// # Errors
    /// When the box cannot be reached or refuses.
    pub async fn call_text(
        &self,
        method: Method,
        api: Api,
        path: &str,
        text: String,
    ) -> Result<Reply, Failure> {
        let length = Some(text.len() as u64);
        let payload = Payload { content_type: "application/json", length, body: text.into() };
        self.send(method, api, path, Some(payload)).await
    }

    /// Asks for a JSON object.
    ///
    /// # Errors
    /// When the box cannot be reached or refuses.
    pub async fn get(&self, api: Api, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, api, path).await?.json().await
    }

    /// Asks with any body, or none.
    ///
    /// # Errors
    /// When the box cannot be reached or refuses; the text is the server's own.
    pub async fn send(
        &self,
        method: Method,
        api: Api,
        path: &str,
        payload: Option<Payload>,
    ) -> Result<Reply, Failure> {
        self.send_with(method, api, path, &[], payload).await
    }

    /// Asks with headers of its own.
    ///
    /// # Errors
    /// When the box cannot be reached or refuses; the text is the server's own.
    pub async fn send_with(
        &self,
        method: Method,
        api: Api,
        path: &str,
        headers: &[(HeaderName, &str)],
        payload: Option<Payload>,
    ) -> Result<Reply, Failure> {
        let uri = self.address(api, path);
        let uri: Uri = uri.parse().map_err(|_| Failure::usage(format!("\"{uri}\" is no address")))?;
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        for (name, value) in headers {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Failure::failed(format!("the server's word {value:?} fits no header")))?;
            request.headers_mut().insert(name, value);
        }
        if let Some(payload) = payload {
            let headers = request.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(payload.content_type));
            if let Some(length) = payload.length {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            *request.body_mut() = payload.body;
        }
        Reply::accept(self.transmit(request).await?).await
    }

    /// Signs in again, where that is how this box knows its callers.
    ///
    /// # Errors
    /// When the box cannot be reached or does not take the credentials.
    pub async fn sign_in_again(&self) -> Result<(), Failure> {
        if let Way::Net { http, credentials, session } = &self.way {
            let fresh = connect::sign_in(http, credentials).await?;
            *session.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        }
        Ok(())
    }

    /// Closes the store, where this process had opened it.
    ///
    /// # Errors
    /// When the last flush fails.
    pub fn close(self) -> Result<(), Failure> {
        match self.way {
            Way::Here { router, parts } => {
                drop(router);
                parts.settle();
                Ok(parts.close().1?)
            }
            Way::Socket { .. } | Way::Net { .. } => Ok(()),
        }
    }

    /// Whether jobs are worked off where this leads: not on a closed store, where they wait for a server.
    pub fn works_off_jobs(&self) -> bool {
        !matches!(self.way, Way::Here { .. })
    }

    fn address(&self, api: Api, path: &str) -> String {
        match &self.way {
            Way::Net { session, .. } => latest(session).address(api, path),
            Way::Socket { .. } | Way::Here { .. } => match api {
                Api::Image | Api::Management => path.to_owned(),
                Api::Identity => format!("/identity/v3{path}"),
                Api::Native => format!("/tintype/v1{path}"),
            },
        }
    }

    async fn transmit(&self, mut request: Request<Body>) -> Result<Response<Body>, Failure> {
        match &self.way {
            Way::Here { router, .. } => {
                request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
                request.extensions_mut().insert(LocalAdmin);
                Ok(router.clone().oneshot(request).await.unwrap_or_else(|never| match never {}))
            }
            Way::Socket { path, .. } => {
                request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
                through_socket(path, request).await
            }
            Way::Net { http, session, .. } => {
                request.headers_mut().insert(AUTH_TOKEN, latest(session).token());
                connect::through_net(http, request).await
            }
        }
    }
}

fn latest(session: &Session) -> Arc<credentials::Session> {
    session.read().unwrap_or_else(PoisonError::into_inner).clone()
}

async fn through_socket(path: &std::path::Path, request: Request<Body>) -> Result<Response<Body>, Failure> {
    let lost = |e: &dyn std::fmt::Display| {
        Failure::unreachable(format!("the server's control socket: {e}")).with(Remedy::Patience)
    };
    let stream = tokio::net::UnixStream::connect(path).await.map_err(|e| lost(&e))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| lost(&e))?;
    // Ends by itself with the exchange; what goes wrong in it shows in the exchange.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|e| lost(&e))?;
    Ok(response.map(Body::new))
}
