//! What the box has for clients: disks of images, for those whom the use cases let have them.
//!
//! Invariant: who a client is decides which names are tried, and the use cases decide what they open. Must not know the
//! protocol's numbers.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::exports::{Disk, Exports, Extent, Listed, Refusal};
use super::overlay::{Overlay, Overlays, Writes};
use super::pages::Pages;
use super::wire::Errno;
use crate::model::Status;
use crate::service::disk_exports::Connection;
use crate::service::images::{GuestDisk, Listing};
use crate::service::{Actor, Error, ErrorKind, Service, Source};

/// Images that a list names, at most.
const LISTED_MAX: usize = 1000;

/// Who a client is.
#[derive(Debug, Clone)]
pub enum Client {
    /// Nobody in particular: it has names of exports, or it has not.
    Stranger,
    /// Somebody with rights of its own, who may have names of exports too.
    Known(Box<Actor>),
}

/// A client's view of the box.
pub struct Shelf {
    /// The use cases.
    pub service: Service,
    /// Who asks.
    pub client: Client,
    /// From where.
    pub source: Source,
    /// Room for what it writes.
    pub overlays: Overlays,
    /// Turns to block.
    pub pages: Pages,
}

/// A disk of an image as a guest sees it.
pub struct GuestView {
    disk: Arc<GuestDisk>,
    description: String,
}

/// A disk that is served.
pub enum Served {
    /// As it is.
    Plain(GuestView),
    /// With writes that go nowhere else.
    Overlaid(Overlay<GuestView>),
}

/// A disk, and what it is that the client has.
pub struct Offered {
    /// The disk.
    pub disk: Served,
    /// How the client came to it.
    pub connection: Connection,
}

impl Offered {
    fn new(connection: Connection, overlays: &Overlays) -> Offered {
        let image = &connection.open.image;
        let named = image.name.as_deref().unwrap_or("without a name");
        let view = GuestView {
            disk: connection.open.disk.clone(),
            description: format!("image {} ({named}), as a guest sees it", image.id),
        };
        let is_writable = connection.export.as_ref().is_some_and(|export| export.is_writable);
        let disk = match is_writable {
            true => Served::Overlaid(Overlay::new(view, overlays.clone())),
            false => Served::Plain(view),
        };
        Offered { disk, connection }
    }
}

impl Exports for Shelf {
    type Disk = Offered;

    async fn open(&self, name: &str) -> Result<Arc<Offered>, Refusal> {
        let (name, source, overlays) = (name.to_owned(), self.source, self.overlays.clone());
        let client = self.client.clone();
        self.blocking(move |service| {
            let found = match (service.find_export(&name, source), client) {
                (Err(error), Client::Known(actor)) if error.kind == ErrorKind::NotFound => {
                    service.find_disk(&actor, &name, source)
                }
                (found, _) => found,
            };
            Ok(Arc::new(Offered::new(found?, &overlays)))
        })
        .await
    }

    async fn list(&self) -> Result<Vec<Listed>, Refusal> {
        let Client::Known(actor) = self.client.clone() else {
            // Names of exports are secrets.
            return Ok(Vec::new());
        };
        self.blocking(move |service| {
            let listing = Listing { limit: LISTED_MAX, ..Listing::default() };
            let images = service.list_images(&actor, listing)?;
            let is_readable = |status| status == Status::Active;
            let listed = |image: crate::model::Image| Listed {
                name: image.id.to_string(),
                description: image.name.unwrap_or_default(),
            };
            Ok(images.into_iter().filter(|image| is_readable(image.status)).map(listed).collect())
        })
        .await
    }
}

impl Shelf {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        let Some(turn) = self.pages.turn().await else { return Err(Refusal::Shutdown) };
        let service = self.service.clone();
        let done = spawn_blocking(move || {
            let done = work(&service);
            drop(turn);
            done
        });
        match done.await {
            Ok(done) => done.map_err(|error| refusal(&error)),
            Err(died) => {
                tracing::error!(%died, "a use case panicked");
                Err(Refusal::Policy("the server failed; its log says why".into()))
            }
        }
    }
}

/// What a client hears of a use case's refusal.
fn refusal(error: &Error) -> Refusal {
    match error.kind {
        ErrorKind::NotFound | ErrorKind::Unauthenticated => Refusal::Unknown,
        _ => {
            if let Some(internal) = &error.internal {
                tracing::warn!(%error, internal, "a disk cannot be opened");
            }
            Refusal::Policy(error.message.clone())
        }
    }
}

fn failed(error: &Error) -> Errno {
    tracing::warn!(%error, internal = error.internal, "a disk cannot be read");
    Errno::Io
}

impl Disk for GuestView {
    fn size_bytes(&self) -> u64 {
        self.disk.size_bytes()
    }

    fn is_writable(&self) -> bool {
        false
    }

    fn description(&self) -> String {
        self.description.clone()
    }

    fn extent_at(&self, at: u64) -> Result<Extent, Errno> {
        let extent = self.disk.extent_at(at).map_err(|error| failed(&error))?;
        Ok(Extent { bytes: extent.bytes, is_zero: extent.is_zero })
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), Errno> {
        self.disk.read_at(at, out).map_err(|error| failed(&error))
    }

    fn extent_near(&self, at: u64) -> Option<Extent> {
        let extent = self.disk.extent_near(at)?;
        Some(Extent { bytes: extent.bytes, is_zero: extent.is_zero })
    }

    fn read_near(&self, at: u64, out: &mut [u8]) -> bool {
        self.disk.read_near(at, out)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::Permission)
    }

    fn zero(&self, _: u64, _: u64) -> Result<(), Errno> {
        Err(Errno::Permission)
    }
}

impl Offered {
    /// What became of what was written.
    pub fn writes(&self) -> Writes {
        match &self.disk {
            Served::Plain(_) => Writes::None,
            Served::Overlaid(overlay) => overlay.writes(),
        }
    }

    fn disk(&self) -> &dyn Disk {
        match &self.disk {
            Served::Plain(view) => view,
            Served::Overlaid(overlay) => overlay,
        }
    }
}

impl Disk for Offered {
    fn size_bytes(&self) -> u64 {
        self.disk().size_bytes()
    }

    fn is_writable(&self) -> bool {
        self.disk().is_writable()
    }

    fn description(&self) -> String {
        self.disk().description()
    }

    fn extent_at(&self, at: u64) -> Result<Extent, Errno> {
        self.disk().extent_at(at)
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), Errno> {
        self.disk().read_at(at, out)
    }

    fn extent_near(&self, at: u64) -> Option<Extent> {
        self.disk().extent_near(at)
    }

    fn read_near(&self, at: u64, out: &mut [u8]) -> bool {
        self.disk().read_near(at, out)
    }

    fn write_at(&self, at: u64, data: &[u8]) -> Result<(), Errno> {
        self.disk().write_at(at, data)
    }

    fn zero(&self, at: u64, bytes: u64) -> Result<(), Errno> {
        self.disk().zero(at, bytes)
    }

    fn write_was_lost(&self) {
        self.disk().write_was_lost();
    }
}
