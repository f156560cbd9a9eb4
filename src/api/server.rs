//! Serves one router on one listener: TCP for everyone, or a Unix socket for whoever may open
//! the data directory.
//!
//! Owns connections: how many, how long their headers may take, and how they end. Invariant: no
//! body is ever buffered here, and after a drain is asked for no new request is taken while
//! those in flight get until the deadline. Must not know any path or protocol above HTTP.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::context::LocalAdmin;
use super::linger::{self, Unread};
use crate::service::Source;

/// Bytes of all headers of one HTTP/2 request.
const HTTP2_HEADER_BYTES_MAX: u32 = 64 << 10;
/// Requests one HTTP/2 connection may have open.
const HTTP2_STREAMS_MAX: u32 = 64;
/// Pause after the system could not give a connection (out of file descriptors, mostly).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How to serve.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Connections open at once; more wait in the system's queue.
    pub connections_max: usize,
    /// How long a client may take to send a request's headers, idle time between requests included.
    pub header_timeout: Duration,
    /// How long requests in flight may go on once the server is told to stop.
    pub drain_deadline: Duration,
    /// Bytes a connection may buffer each way.
    pub connection_buffer_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            connections_max: 1024,
            header_timeout: Duration::from_secs(60),
            drain_deadline: Duration::from_secs(30),
            connection_buffer_bytes: 256 << 10,
        }
    }
}

/// Where connections come from.
pub enum Listener {
    /// The network: callers prove who they are with each request.
    Tcp(TcpListener),
    /// The control socket: callers of the server's own user, and root, are the local administrator.
    Control(UnixListener),
}

/// Takes connections until `stop` is cancelled, then lets requests in flight finish until the
/// deadline, and ends the rest.
pub async fn serve(listener: Listener, router: Router, options: Options, stop: CancellationToken) {
    let server = Server {
        router,
        http: Arc::new(http_builder(&options)),
        stop: stop.clone(),
        kill: CancellationToken::new(),
        tasks: TaskTracker::new(),
        header_timeout: options.header_timeout,
    };
    let slots = Arc::new(Semaphore::new(options.connections_max));
    loop {
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            // The semaphore is never closed.
            slot = slots.clone().acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = server.accept_one(&listener, slot) => accepted,
        };
        if let Err(error) = accepted {
            tracing::warn!(%error, "cannot take a connection");
            tokio::time::sleep(ACCEPT_RETRY).await;
        }
    }
    drop(listener);
    server.drain(options.drain_deadline).await;
}

fn http_builder(options: &Options) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(options.connection_buffer_bytes)
        .half_close(false);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(options.header_timeout)
        .max_header_list_size(HTTP2_HEADER_BYTES_MAX)
        .max_concurrent_streams(HTTP2_STREAMS_MAX);
    http
}

struct Server {
    router: Router,
    http: Arc<Builder<TokioExecutor>>,
    stop: CancellationToken,
    kill: CancellationToken,
    tasks: TaskTracker,
    header_timeout: Duration,
}

impl Server {
    /// Waits for one connection and serves it in a task of its own, which holds `slot`.
    async fn accept_one<S: Send + 'static>(&self, listener: &Listener, slot: S) -> io::Result<()> {
        match listener {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Small responses must not wait for the client's delayed acknowledgement.
                stream.set_nodelay(true)?;
                self.serve_connection(stream, self.router.clone(), Source::Peer(peer.ip()), slot);
            }
            Listener::Control(listener) => {
                let (stream, _peer) = listener.accept().await?;
                if is_trusted(&stream)? {
                    let router = self.router.clone().layer(axum::Extension(LocalAdmin));
                    self.serve_connection(stream, router, Source::Socket, slot);
                } else {
                    tracing::warn!("refused another user on the control socket");
                }
            }
        }
        Ok(())
    }

    fn serve_connection<I, S>(&self, stream: I, router: Router, source: Source, slot: S)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Send + 'static,
    {
        let header_timeout = self.header_timeout;
        let (http, stop, kill) = (self.http.clone(), self.stop.clone(), self.kill.clone());
        self.tasks.spawn(async move {
            let _slot = slot;
            let unread = Unread::default();
            let begun = CancellationToken::new();
            let service = {
                let (unread, begun) = (unread.clone(), begun.clone());
                service_fn(move |request| {
                    begun.cancel();
                    answer(router.clone(), request, source, unread.clone())
                })
            };
            let (stream, back) = linger::lend(stream);
            let mut connection = Box::pin(http.serve_connection(TokioIo::new(stream), service));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = silence(&begun, header_timeout) => return,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection.as_mut() => ended,
                        () = kill.cancelled() => return,
                    }
                }
            };
            if let Err(error) = ended {
                // Clients hang up all the time; what was lost by it is told where it matters.
                tracing::debug!(%error, "connection ended");
                if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
                    unread.mark();
                }
            }
            drop(connection);
            if unread.is_marked()
                && let Ok(stream) = back.await
            {
                tokio::select! {
                    () = linger::close(stream) => {}
                    () = kill.cancelled() => {}
                }
            }
        });
    }

    async fn drain(self, deadline: Duration) {
        self.tasks.close();
        if timeout(deadline, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "ending requests that outlived the drain");
            self.kill.cancel();
            self.tasks.wait().await;
        }
    }
}

/// Waits out a client that sends no first request. The HTTP implementation counts only from when
/// it knows which version is spoken, which takes some bytes.
async fn silence(begun: &CancellationToken, header_timeout: Duration) {
    if timeout(header_timeout, begun.cancelled()).await.is_ok() {
        std::future::pending().await
    }
}

async fn answer(
    router: Router,
    mut request: Request<Incoming>,
    source: Source,
    unread: Unread,
) -> Result<Response<Body>, Infallible> {
    let version = request.version();
    request.extensions_mut().insert(source);
    let (request, rest) = linger::watch(request.map(Body::new));
    let mut response = router.oneshot(request).await?;
    // HTTP/2 ends the one stream instead, and tells the client so.
    if !rest.finish().await && version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        unread.mark();
    }
    Ok(response)
}

/// The socket's mode keeps others out already; this also holds when someone loosens it.
fn is_trusted(stream: &UnixStream) -> io::Result<bool> {
    let peer = stream.peer_cred()?.uid();
    Ok(peer == 0 || peer == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
