//! A server's life: open, listen, say so, serve until told to stop, drain, close.
//!
//! Invariants: nothing slow happens between the start and the first connection taken; the
//! control socket of a running server is never replaced, because only the holder of the
//! catalog's lock gets that far.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::allocator;
use super::audit;
use super::compose::{self, Parts};
use super::data_dir::{DataDir, local_url};
use super::entering;
use super::error::Error;
use super::expiry;
use super::jobs;
use super::key_deletion;
use super::keystone;
use super::memory;
use super::nbd;
use super::reclaim::{self, Pace};
use super::resealing;
use super::rewriting::{self, Hours};
use super::scrub;
use super::settings::Settings;
use super::shipping;
use super::sweeping;
use crate::api::server::{self, Listener};
use crate::service::Service;

/// Worker threads of the runtime. Handlers only move bytes and wait; hashing, compression and
/// the database have threads of their own.
const WORKERS: usize = 2;
/// How often a failed commit is looked for.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// What a server says once it can be reached. No `Debug`: it may hold the password.
pub struct Ready<'a> {
    /// The address really listened on.
    pub address: SocketAddr,
    /// The URL under which this machine reaches it.
    pub url: String,
    /// The data directory.
    pub dir: &'a DataDir,
    /// The administrator's password, where this start made it.
    pub new_password: Option<&'a str>,
    /// The cloud's Keystone that says who asks, if the box does not do so itself.
    pub keystone: Option<&'a str>,
    /// Whether there is a web console.
    pub console: bool,
    /// Where disks are served, if they are, as clients write it without a name of a disk.
    pub nbd: Option<&'a str>,
}

/// Serves until SIGTERM or SIGINT, then drains and closes. A second signal ends the drain.
///
/// # Errors
/// Why it did not start, or did not end well.
pub fn serve(settings: &Settings, ready: impl FnOnce(&Ready<'_>)) -> Result<(), Error> {
    let told = allocator::tell(settings.store.memory_bytes);
    super::telemetry::start(&settings.log).map_err(Error::Settings)?;
    if let Err(error) = told {
        tracing::warn!(%error, "the allocator keeps its defaults, so more memory than store.memory_bytes may be kept");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(Error::Process)?;
    let parts = compose::open_in_turn(settings, runtime.handle())?;
    audit::begin(&parts.service, settings)?;
    let interrupted = parts.service.recover_uploads()?;
    if interrupted > 0 {
        tracing::info!(images = interrupted, "put images back to queued whose upload was interrupted");
    }
    let outcome = runtime.block_on(run(settings, &parts, ready));
    audit::end(&parts.service, outcome.as_ref().err());
    parts.settle();
    runtime.shutdown_timeout(Duration::from_secs(5));
    let (_dir, closed) = parts.close();
    outcome.and(closed)?;
    tracing::info!("stopped");
    Ok(())
}

async fn run(settings: &Settings, parts: &Parts, ready: impl FnOnce(&Ready<'_>)) -> Result<(), Error> {
    let mut signals = Signals::catch()?;
    let wanted = settings.listen().map_err(Error::Settings)?;
    let public = TcpListener::bind(wanted).await.map_err(|e| Error::listen(wanted, "--listen", e))?;
    let address = public.local_addr().map_err(Error::Process)?;
    let control_path = parts.dir.control_socket();
    let control =
        bind_control(&control_path).map_err(|e| Error::listen(control_path.display(), "--data", e))?;
    let shares = memory::divide(settings);
    let disk_options = nbd::options(settings, &shares)?;
    let disks = nbd::bind(&settings.nbd).await?;
    let url = local_url(address);
    parts.write_clouds(&url, settings)?;

    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let options = server::Options {
        connections_max: shares.connections_max,
        header_timeout: Duration::from_secs(settings.server.header_timeout_s),
        drain_deadline: Duration::from_secs(settings.server.drain_s),
        connection_buffer_bytes: shares.connection_buffer,
    };
    let router = parts.router(settings);
    // Whoever comes through the socket came to no address: links that it makes are for others.
    let control_router = parts.router_at(Some(settings.public_url().unwrap_or(&url)), settings);
    tasks.spawn(server::serve(Listener::Tcp(public), router, options, stop.clone()));
    tasks.spawn(server::serve(Listener::Control(control), control_router, options, stop.clone()));
    let mut disk_socket = None;
    if let Some(nbd::Bound { listener, place, file }) = disks {
        parts.service.disk_exports().are_served_at(place);
        disk_socket = file;
        let service = parts.service.clone();
        tasks.spawn(crate::nbd::server::serve(listener, service, disk_options, stop.clone()));
    }
    let expiry = Duration::from_secs(settings.images.upload_expiry_s);
    tasks.spawn(expiry::run(parts.service.clone(), expiry, stop.clone()));
    tasks.spawn(audit::run(parts.service.clone(), settings.audit.clone(), stop.clone()));
    tasks.spawn(keystone::greet(parts.service.clone(), settings.identity.keystone.clone(), stop.clone()));
    tasks.spawn(look_after(settings.clone(), parts.service.clone(), tasks.clone(), stop.clone()));
    tasks.close();

    tracing::info!(%address, data = %parts.dir.path().display(), "ready");
    let keystone = parts.service.keystone_url();
    // It opens nothing as long as a cloud has the users.
    let new_password = parts.admin_password.as_deref().filter(|_| parts.fresh && keystone.is_none());
    let console = settings.console.enabled;
    let place = parts.service.disk_exports().place();
    let nbd = place.as_deref();
    ready(&Ready { address, url, dir: &parts.dir, new_password, keystone, console, nbd });
    notify(&[NotifyState::Ready]);

    let outcome = tokio::select! {
        () = signals.next() => Ok(()),
        reason = poisoned(parts) => Err(Error::Poisoned(reason)),
    };
    tracing::info!(drain_s = settings.server.drain_s, "stopping");
    notify(&[NotifyState::Stopping]);
    stop.cancel();
    parts.service.store().stop_scrub();
    tokio::select! {
        () = tasks.wait() => {}
        () = signals.next() => tracing::warn!("second signal: not waiting for running requests"),
    }
    remove_socket(&control_path);
    disk_socket.iter().for_each(|path| remove_socket(path));
    outcome
}

/// Begins all work that needs the medium, once that was recognised.
async fn look_after(settings: Settings, service: Service, tasks: TaskTracker, stop: CancellationToken) {
    tasks.spawn(entering::run_places(service.clone(), stop.clone()));
    entering::run(&service, &stop).await;
    if stop.is_cancelled() {
        return;
    }
    let interval = Duration::from_secs(settings.store.log_interval_s);
    tasks.spawn(shipping::run(service.clone(), interval, stop.clone()));
    if settings.reclaim.automatic {
        tasks.spawn(reclaim::run(service.clone(), Pace::from(&settings.reclaim), stop.clone()));
        tasks.spawn(rewriting::run(service.clone(), Hours::from(&settings.reclaim), stop.clone()));
    }
    if settings.scrub.enabled {
        tasks.spawn(scrub::run(service.clone(), (&settings.scrub).into(), stop.clone()));
    }
    let drain = Duration::from_secs(settings.server.drain_s);
    tasks.spawn(jobs::run(service.clone(), drain, stop.clone()));
    tasks.spawn(sweeping::run(service.clone(), sweeping::INTERVAL, stop.clone()));
    tasks.spawn(resealing::run(service.clone(), stop.clone()));
    if service.store().is_sealed() {
        tasks.spawn(key_deletion::run(service.clone(), key_deletion::INTERVAL, stop.clone()));
    }
    tasks.spawn(scrub::mend(service, stop));
}

/// Waits for a failed commit and says what failed.
async fn poisoned(parts: &Parts) -> String {
    loop {
        if let Some(reason) = parts.service.db().poisoned() {
            return reason;
        }
        tokio::time::sleep(HEALTH_INTERVAL).await;
    }
}

/// Binds the control socket for the owner only, in the place of one a crash left behind.
fn bind_control(path: &Path) -> io::Result<UnixListener> {
    remove_socket(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn remove_socket(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "cannot remove a socket");
    }
}

/// Tells systemd, where it started this process.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> Result<Signals, Error> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate()).map_err(Error::Process)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Error::Process)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
