//! Takes connections, leads each through its negotiation to a disk, and serves it until it ends.
//!
//! Invariants: there are never more connections than were allowed, and one more is told so at once; who does not come to a disk
//! in time is left; who is idle is kept, and who is dead is found by the system. After `stop` requests in flight are answered,
//! and nothing is taken any more. Must not know what is asked of a disk.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::capture::capture;
use super::negotiation::{self, Agreed, Outcome, Tls as TlsState};
use super::overlay::{Overlays, Writes};
use super::pages::Pages;
use super::served::{Client, Offered, Shelf};
use super::tls::Tls;
use super::transmission::{self, Ended};
use crate::service::disk_exports::Attached;
use crate::service::{Error, Service, Source};

/// Pause after the system could not give a connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// A connection that is silent for so long is asked whether it is there, this often, so many times.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_TIMES: u32 = 4;
/// What was sent and is not acknowledged for so long is lost, with its connection.
const UNACKNOWLEDGED_MS: u32 = 120_000;

/// How to serve.
#[derive(Clone)]
pub struct Options {
    /// Connections at once.
    pub connections_max: usize,
    /// How long a client may take to choose a disk.
    pub handshake_timeout: Duration,
    /// How often it is looked whether a client may still have its disk.
    pub review_every: Duration,
    /// How long connections may take to end once the server is told to stop.
    pub drain_deadline: Duration,
    /// Memory that replies of all connections share, in bytes; each has [`super::PIECE_BYTES`] beside that.
    pub pages_bytes: usize,
    /// Memory for what clients write.
    pub overlays: Overlays,
    /// TLS, without which nobody is told anything.
    pub tls: Option<Tls>,
    /// Whether clients may have every image, as the local administrator may.
    pub insecure: bool,
}

/// Where connections come from.
pub enum Listener {
    /// The network.
    Tcp(TcpListener),
    /// Processes of this machine.
    Unix(UnixListener),
}

/// Takes connections until `stop` is cancelled, then lets them end until the deadline. What a client had written and is then not
/// stored as an image is on record before this ends.
pub async fn serve(listener: Listener, service: Service, options: Options, stop: CancellationToken) {
    let server = Server {
        service,
        pages: Pages::new(options.pages_bytes),
        options,
        stop: stop.clone(),
        kill: CancellationToken::new(),
    };
    let (slots, tasks) = (Arc::new(Semaphore::new(server.options.connections_max)), TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener) => accepted,
        };
        let (stream, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection to a disk");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            // Connections to disks last: to wait for one to end would look like a server that hangs.
            server.service.disk_exports().traffic().turned_away();
            tracing::warn!(source = source.text(), "turned away: nbd.connections_max are connected");
            continue;
        };
        let connection = server.clone();
        tasks.spawn(async move {
            connection.welcome(stream, source).await;
            drop(slot);
        });
    }
    drop(listener);
    tasks.close();
    if timeout(server.options.drain_deadline, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "ending connections to disks that outlived the drain");
        server.kill.cancel();
        tasks.wait().await;
    }
}

/// A stream of either kind.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

async fn accept(listener: &Listener) -> io::Result<(Box<dyn Duplex>, Source)> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            keep_alive(&stream)?;
            Ok((Box::new(stream), Source::Peer(peer.ip())))
        }
        Listener::Unix(listener) => Ok((Box::new(listener.accept().await?.0), Source::Socket)),
    }
}

/// Has the system find out when the other side is gone.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = stream.as_fd();
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(socket, KEEPALIVE_TIMES)?;
    Ok(sockopt::set_tcp_user_timeout(socket, UNACKNOWLEDGED_MS)?)
}

#[derive(Clone)]
struct Server {
    service: Service,
    options: Options,
    pages: Pages,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Server {
    /// Serves one connection to its end.
    async fn welcome(self, stream: Box<dyn Duplex>, source: Source) {
        let traffic = self.service.disk_exports().traffic().clone();
        traffic.opened();
        let chosen = tokio::select! {
            () = self.stop.cancelled() => None,
            chosen = timeout(self.options.handshake_timeout, self.shake_hands(stream, source)) => {
                chosen.ok().and_then(Result::ok).flatten()
            }
        };
        match chosen {
            Some((stream, agreed)) => self.attend(stream, agreed, source).await,
            None => traffic.turned_away(),
        }
        traffic.ended();
    }

    /// Leads a client to a disk, with TLS where that is needed.
    async fn shake_hands(
        &self,
        mut stream: Box<dyn Duplex>,
        source: Source,
    ) -> io::Result<Option<(Box<dyn Duplex>, Agreed<Offered>)>> {
        let Some(greeted) = negotiation::greet(&mut stream).await? else { return Ok(None) };
        let (client, state) = match (&self.options.tls, self.options.insecure) {
            (Some(_), _) => (Client::Stranger, TlsState::Required),
            (None, true) => (self.local_admin().await?, TlsState::None),
            (None, false) => (Client::Stranger, TlsState::None),
        };
        let shelf = self.shelf(client, source);
        let outcome = negotiation::negotiate(&mut stream, greeted, &shelf, state).await?;
        let (mut stream, outcome) = match (outcome, &self.options.tls) {
            (Outcome::StartTls, Some(tls)) => {
                let stream = tls.acceptor().accept(stream).await?;
                let shelf =
                    self.shelf(self.client_of(tls, stream.get_ref().1.peer_certificates()).await, source);
                let mut stream: Box<dyn Duplex> = Box::new(stream);
                let outcome = negotiation::negotiate(&mut stream, greeted, &shelf, TlsState::Begun).await?;
                (stream, outcome)
            }
            (outcome, _) => (stream, outcome),
        };
        match outcome {
            Outcome::Agreed(agreed) => Ok(Some((stream, agreed))),
            Outcome::StartTls | Outcome::Left => {
                tokio::io::AsyncWriteExt::shutdown(&mut stream).await?;
                Ok(None)
            }
        }
    }

    fn shelf(&self, client: Client, source: Source) -> Shelf {
        let (service, pages) = (self.service.clone(), self.pages.clone());
        Shelf { service, client, source, overlays: self.options.overlays.clone(), pages }
    }

    async fn local_admin(&self) -> io::Result<Client> {
        let actor = self.blocking(Service::local_admin).await.map_err(io::Error::other)?;
        Ok(Client::Known(Box::new(actor)))
    }

    /// Who brought these certificates.
    async fn client_of(&self, tls: &Tls, brought: Option<&[rustls_pki_types::CertificateDer<'_>]>) -> Client {
        let Some(named) = tls.user_of(brought).cloned() else { return Client::Stranger };
        let found = self
            .blocking(move |service| service.actor_called(&named.user, &named.domain, &named.project))
            .await;
        match found {
            Ok(actor) => Client::Known(Box::new(actor)),
            Err(error) => {
                tracing::warn!(%error, "the user of a certificate cannot act (nbd.tls_users)");
                Client::Stranger
            }
        }
    }

    /// Serves a disk, and makes an image of what was written to it where that was asked for.
    async fn attend(&self, stream: Box<dyn Duplex>, agreed: Agreed<Offered>, source: Source) {
        let (offered, traffic) = (agreed.disk.clone(), self.service.disk_exports().traffic().clone());
        let attached = match self.attach(offered.clone()).await {
            Ok(attached) => attached,
            Err(error) => {
                tracing::warn!(%error, "a connection to a disk is not served");
                return traffic.turned_away();
            }
        };
        traffic.connected();
        let image = offered.connection.open.image.id;
        tracing::info!(%image, source = source.text(), "connected to a disk");
        let (reader, writer) = tokio::io::split(stream);
        let stopped = async {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = attached.closing().cancelled() => {}
                () = self.refused(offered.clone()) => {}
            }
        };
        let ended = tokio::select! {
            ended = transmission::run(reader, writer, agreed, &self.pages, traffic, stopped) => ended,
            () = self.kill.cancelled() => Ended::Stopped,
        };
        tracing::info!(%image, source = source.text(), ?ended, "disconnected from a disk");
        let export = offered.connection.export.as_ref();
        if let Some(name) = export.and_then(|export| export.capture.clone()) {
            match (offered.writes(), ended) {
                (Writes::None, _) => tracing::debug!(%image, name, "not captured: nothing was written"),
                (Writes::All, Ended::Left) => {
                    attached.is_being_captured();
                    self.keep(offered, name).await;
                }
                (Writes::Some, _) => self.lose(offered, name, "not all writes could be taken".into()).await,
                (Writes::All, Ended::Broken | Ended::Stopped) => {
                    self.lose(offered, name, "the client did not say that it was done".into()).await;
                }
            }
        }
    }

    async fn attach(&self, offered: Arc<Offered>) -> Result<Attached, Error> {
        let seen = offered.clone();
        let has_written = move || seen.writes() != Writes::None;
        self.blocking(move |service| service.attach(&offered.connection, has_written)).await
    }

    /// Ends when the client may not have its disk any more.
    async fn refused(&self, offered: Arc<Offered>) {
        loop {
            tokio::time::sleep(self.options.review_every).await;
            let had = offered.clone();
            match self.blocking(move |service| service.may_keep(&had.connection)).await {
                Ok(true) => {}
                Ok(false) => {
                    let image = offered.connection.open.image.id;
                    tracing::info!(%image, "a connection to a disk ends, as its client may not read the image any more");
                    return;
                }
                // Nobody loses a disk because the catalog cannot be read just now.
                Err(error) => tracing::warn!(%error, "it is not known whether a client may keep its disk"),
            }
        }
    }

    async fn keep(&self, offered: Arc<Offered>, name: String) {
        let from = offered.connection.open.image.id;
        // It is not dropped when the time is over, as what it commits at that moment counts.
        match capture(&self.service, offered.clone(), name.clone(), self.kill.clone()).await {
            Ok(image) => tracing::info!(%from, image = %image.id, "captured what was written to a disk"),
            Err(error) => {
                tracing::error!(%from, %error, internal = error.internal, "what was written to a disk is lost");
                self.lose(offered, name, error.message).await;
            }
        }
    }

    /// Puts on record that what was written to a disk is gone.
    async fn lose(&self, offered: Arc<Offered>, name: String, why: String) {
        let image = offered.connection.open.image.id;
        tracing::warn!(%image, name, why, "what was written to a disk is not captured");
        let recorded =
            self.blocking(move |service| service.note_lost_capture(&offered.connection, &name, &why)).await;
        if let Err(error) = recorded {
            tracing::warn!(%image, %error, "that is not on record either");
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let service = self.service.clone();
        tokio::task::spawn_blocking(move || work(&service)).await.unwrap_or_else(|died| {
            tracing::error!(%died, "a use case panicked");
            Err(Error::new(crate::service::ErrorKind::Internal, "the server failed; its log says why"))
        })
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
