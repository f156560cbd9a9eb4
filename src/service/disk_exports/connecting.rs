//! Connecting to a disk: by the secret name of an export, or as a user who may read the image.
//!
//! Two steps: a disk is found for whoever asks about it, which leaves no trace, and a connection is attached once it will be
//! used, which is on record. Invariant: rights are looked at in the first step, and whether the export is still open in the
//! second one again; whoever stays connected is asked for its rights time and again.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::{Exports, Seat, hash_of, open_now};
use crate::catalog::images;
use crate::db::ReadTxn;
use crate::model::{DiskExport, ExportHash, ImageId, Interface, Operation};
use crate::service::audit::Act;
use crate::service::images::{Filters, Listing, OpenDisk, expect_readable};
use crate::service::{Actor, Error, ErrorKind, Origin, Service, Source, custom_keys};

/// A disk that somebody may have.
pub struct Connection {
    /// The image and its disk.
    pub open: OpenDisk,
    /// Who acts.
    pub actor: Actor,
    /// The export that led to it; `None` where a user asked for the image itself.
    pub export: Option<DiskExport>,
    /// Whether it is the local administrator who acts. The actor does not tell any more: its client may come over the network, and
    /// a cloud may call a user of its own like that.
    is_local_admin: bool,
}

/// A connection that is counted and on record, until it is dropped.
pub struct Attached {
    exports: Exports,
    hash: Option<ExportHash>,
    seat: Arc<Seat>,
    closing: CancellationToken,
}

impl Attached {
    /// Ends when the export is closed.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Notes that the client has left in good order, and that an image is being made of what it wrote: to close the export does
    /// not end that.
    pub fn is_being_captured(&self) {
        self.seat.is_captured.store(true, Ordering::Relaxed);
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(hash) = &self.hash {
            self.exports.leave(hash, &self.seat);
        }
    }
}

impl Service {
    /// The disk behind an export's name, for whoever connects from `source`. Blocks on the medium.
    ///
    /// # Errors
    /// `NotFound` for a name that opens nothing, for whatever reason; `Unavailable` where it may open something later.
    pub fn find_export(&self, name: &str, source: Source) -> Result<Connection, Error> {
        let none = || Error::not_found("no such export of a disk is open");
        let read = self.db.read()?;
        let export = open_now(&read, &hash_of(name), self.clock.now())?.ok_or_else(none)?;
        let project = &export.opener.project;
        let actor = match &export.opener.user {
            None => Actor::local_admin(project.clone()),
            // Where a cloud has the users, those of the box's own are nobody.
            Some(user) => self.acting_for(&read, user, project, None)?.ok_or_else(none)?,
        };
        drop(read);
        let actor = coming_from(actor, source);
        let open = self.open_disk(&actor, &export.image);
        let open = open.map_err(|error| if is_refusal(&error) { none() } else { error })?;
        let is_local_admin = export.opener.user.is_none();
        Ok(Connection { open, actor, export: Some(export), is_local_admin })
    }

    /// The disk of an image, by its id or a name that no other image has that the caller may see. Blocks on the medium.
    ///
    /// # Errors
    /// As [`Service::open_disk`]; `Conflict` for a name that several images have.
    pub fn find_disk(&self, actor: &Actor, name: &str, source: Source) -> Result<Connection, Error> {
        let is_local_admin = actor.is_local_admin();
        let actor = coming_from(actor.clone(), source);
        let id = match ImageId::parse(name) {
            Some(id) => id,
            None => self.image_called(&actor, name)?,
        };
        let open = self.open_disk(&actor, &id)?;
        Ok(Connection { open, actor, export: None, is_local_admin })
    }

    fn image_called(&self, actor: &Actor, name: &str) -> Result<ImageId, Error> {
        let filters = Filters { names: Some(vec![name.to_owned()]), ..Filters::default() };
        let found = self.list_images(actor, Listing { filters, limit: 2, ..Listing::default() })?;
        match found.as_slice() {
            [] => Err(Error::not_found(format!("no image is called {name:?}"))),
            [image] => Ok(image.id),
            _ => Err(Error::conflict(format!("several images are called {name:?}; name one by its id"))),
        }
    }

    /// Whether whoever is connected may still have the disk, by the rights of this moment. The disk of an image that was deleted
    /// stays with those who have it, as a file does that was removed, as long as they may act and its key opens. Blocks on the
    /// catalog.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn may_keep(&self, connection: &Connection) -> Result<bool, Error> {
        let (read, image) = (self.db.read()?, &connection.open.image);
        let Some(actor) = self.as_of_now(&read, connection)? else { return Ok(false) };
        let readable = match images::get(&read, &image.id)? {
            Some(_) => expect_readable(&read, &actor, &image.id).map(drop),
            None => custom_keys::expect_opens(&read, image, &actor),
        };
        match readable {
            Ok(()) => Ok(true),
            Err(error) if is_refusal(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Who acts for a connection, with the rights of this moment; `None` where none are left. Blocks on the catalog.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn actor_now(&self, connection: &Connection) -> Result<Option<Actor>, Error> {
        self.as_of_now(&self.db.read()?, connection)
    }

    fn as_of_now(&self, read: &ReadTxn, connection: &Connection) -> Result<Option<Actor>, Error> {
        let actor = &connection.actor;
        if connection.is_local_admin {
            return Ok(Some(actor.clone()));
        }
        let Some(project) = actor.project() else { return Ok(None) };
        let credential = actor.rights.lent().map(|lent| &lent.credential);
        let now = self.acting_for(read, &actor.user, project, credential)?;
        Ok(now.map(|now| coming_from(now, actor.origin.source)))
    }

    /// Records that what a connection wrote becomes no image, though its opener wanted one of this name.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn note_lost_capture(&self, connection: &Connection, name: &str, why: &str) -> Result<(), Error> {
        let mut act = Act::new(Operation::ConnectDisk);
        act.image(&connection.open.image);
        let export = connection.export.as_ref().map(DiskExport::id).unwrap_or_default();
        act.say(format!("by export {export}: what was written is not captured as {name:?}, as {why}"));
        self.recorded_failure(&connection.actor, act, |_, _| Ok(()))
    }

    /// Records that a connection begins, and counts it. Whoever closes its export is told whether it `has_written`.
    ///
    /// # Errors
    /// `NotFound` when the export was closed meanwhile, or when the catalog fails.
    pub fn attach(
        &self,
        connection: &Connection,
        has_written: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Attached, Error> {
        let hash = connection.export.as_ref().map(|export| export.hash);
        let seat = Arc::new(Seat { has_written: Box::new(has_written), is_captured: AtomicBool::new(false) });
        // Counted before it is looked whether the export is still open: who closes it ends this too.
        let closing = match hash {
            Some(hash) => self.disk_exports.join(hash, seat.clone()),
            None => CancellationToken::new(),
        };
        let attached = Attached { exports: self.disk_exports.clone(), hash, seat, closing };
        let mut act = Act::new(Operation::ConnectDisk);
        act.image(&connection.open.image);
        if let Some(export) = &connection.export {
            act.say(format!("by export {}", export.id()));
        }
        let now = self.clock.now();
        self.recorded(&connection.actor, act, move |txn, _| match hash {
            Some(hash) if open_now(txn, &hash, now)?.is_none() => {
                Err(Error::not_found("no such export of a disk is open"))
            }
            _ => Ok(()),
        })?;
        Ok(attached)
    }
}

/// Whether an error says that somebody may not have what it asks for, or not any more.
fn is_refusal(error: &Error) -> bool {
    let refusals = [ErrorKind::NotFound, ErrorKind::Forbidden, ErrorKind::Unauthenticated, ErrorKind::Gone];
    refusals.contains(&error.kind)
}

/// The caller, as its records and the conditions of its policies see it.
fn coming_from(actor: Actor, source: Source) -> Actor {
    let address: Option<IpAddr> = source.address();
    let origin = Origin::new(Interface::Nbd, source, String::new(), String::new());
    let rights = actor.rights.asked_from(address);
    Actor { origin: Arc::new(origin), rights, ..actor }
}
