//! Disks of images that are handed out block by block, under secret names, for a while.
//!
//! Whoever may read an image's data may open its disk for others who have no account: the name that it gets is told once, and
//! only its hash is kept. Invariants: an export is worth what its opener may do when somebody connects, never more; a name
//! that is not known, has ended, or leads to what its opener may not read any more looks the same to who tries it; closing one
//! ends its connections. Must not know any protocol.

mod connecting;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio_util::sync::CancellationToken;

pub use connecting::{Attached, Connection};

use crate::base::Time;
use crate::base::limits::{EXPORTS_MAX, PROJECT_EXPORTS_MAX};
use crate::catalog::{disk_exports, images};
use crate::db::{Rows, WriteTxn};
use crate::model::disk_export::export_id;
use crate::model::disk_traffic::Traffic;
use crate::model::{DiskExport, ExportHash, ImageId, Opener, Operation};
use crate::service::audit::Act;
use crate::service::description::check_description;
use crate::service::images::OpenDisk;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// Seconds that an export may be open: half a year is no "while" any more.
pub const EXPORT_LIFE_S: std::ops::RangeInclusive<i64> = 1..=15_552_000;
/// Bytes of randomness in a name.
const NAME_BYTES: usize = 24;

/// An export to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExport {
    /// The image.
    pub image: ImageId,
    /// How long it is open, in seconds.
    pub life_s: i64,
    /// Whether each connection may write to a copy of its own.
    pub is_writable: bool,
    /// The name of the image that is made of what a connection wrote.
    pub capture: Option<String>,
}

/// An export, and what is known of it at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownExport {
    /// The export.
    pub export: DiskExport,
    /// The name of its image, while there is such an image.
    pub image_name: Option<String>,
    /// How many are connected.
    pub connections: usize,
}

/// What is known of exports beside the catalog: who is connected, where, and what passed.
#[derive(Clone, Default)]
pub struct Exports(Arc<Inner>);

#[derive(Default)]
struct Inner {
    traffic: Arc<Traffic>,
    /// Where disks are served, as clients write it without a name: `nbd://HOST:PORT` or `nbd+unix:///?socket=PATH`.
    place: Mutex<Option<String>>,
    live: Mutex<HashMap<ExportHash, Live>>,
}

/// The connections of an export.
#[derive(Default)]
struct Live {
    seats: Vec<Arc<Seat>>,
    closing: CancellationToken,
}

/// One connection to a disk.
struct Seat {
    /// Whether anything was written through it.
    has_written: Box<dyn Fn() -> bool + Send + Sync>,
    /// Whether it has ended, and an image is being made of what was written.
    is_captured: AtomicBool,
}

/// What became of the connections of an export that was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// Connections that were ended.
    pub connections: usize,
    /// Those of them that had written to their copy of the disk, which is gone.
    pub lost_writes: usize,
    /// Connections that had ended in good order before, and of whose copies images are being made.
    pub captures: usize,
}

impl Exports {
    /// What passes.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.0.traffic
    }

    /// Notes where disks are served from now on.
    pub fn are_served_at(&self, place: String) {
        *self.0.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }

    /// Where disks are served, if they are.
    pub fn place(&self) -> Option<String> {
        self.0.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn live(&self) -> MutexGuard<'_, HashMap<ExportHash, Live>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more connection; it is told when the export is closed.
    fn join(&self, hash: ExportHash, seat: Arc<Seat>) -> CancellationToken {
        let mut live = self.live();
        let of_it = live.entry(hash).or_default();
        of_it.seats.push(seat);
        of_it.closing.clone()
    }

    fn leave(&self, hash: &ExportHash, seat: &Arc<Seat>) {
        let mut live = self.live();
        if let Some(of_it) = live.get_mut(hash) {
            of_it.seats.retain(|other| !Arc::ptr_eq(other, seat));
            if of_it.seats.is_empty() {
                live.remove(hash);
            }
        }
    }

    fn connections(&self, hash: &ExportHash) -> usize {
        self.live().get(hash).map_or(0, |live| live.seats.len())
    }

    /// Removes the exports that nobody can connect to any more, as they have ended or their images are gone, and is connected to;
    /// gives the others.
    fn drop_dead(&self, txn: &WriteTxn, now: Time) -> Result<Vec<DiskExport>, Error> {
        let mut kept = Vec::new();
        for export in disk_exports::list(txn)? {
            // One that is retained may come back.
            let is_of_use = now < export.expires_at && images::get_stored(txn, &export.image)?.is_some();
            if is_of_use || self.connections(&export.hash) > 0 {
                kept.push(export);
            } else {
                disk_exports::delete(txn, &export.hash)?;
            }
        }
        Ok(kept)
    }

    fn close(&self, hash: &ExportHash) -> Cut {
        let seats = match self.live().get(hash) {
            None => return Cut::default(),
            Some(live) => {
                live.closing.cancel();
                live.seats.clone()
            }
        };
        let mut cut = Cut::default();
        for seat in seats {
            match seat.is_captured.load(Ordering::Relaxed) {
                true => cut.captures += 1,
                false => {
                    cut.connections += 1;
                    cut.lost_writes += usize::from((seat.has_written)());
                }
            }
        }
        cut
    }
}

impl Service {
    /// Who is connected to disks, where they are served, and what passed.
    pub fn disk_exports(&self) -> &Exports {
        &self.disk_exports
    }

    /// Opens the disk of an image for whoever has the name that is answered, which is told here only.
    ///
    /// # Errors
    /// As [`Service::open_disk`]; `Invalid` for a life out of range, or a capture of what cannot be written; `TooLarge` when
    /// the project, or the box, has too many, or to capture a disk that is more than an image may have; `Conflict` where no
    /// disks are served, or a cloud has the users; `Forbidden` for whoever acts with an application credential, and to capture for
    /// whoever may not register an image, or not fill one.
    pub fn open_disk_export(&self, actor: &Actor, new: NewExport) -> Result<(KnownExport, String), Error> {
        actor.rights.expect_own("an export of a disk")?;
        let opener = self.opener(actor)?;
        if !EXPORT_LIFE_S.contains(&new.life_s) {
            let (least, most) = (EXPORT_LIFE_S.start(), EXPORT_LIFE_S.end());
            return Err(Error::invalid(format!(
                "an export is open for {least} to {most} seconds, not {}",
                new.life_s
            )));
        }
        check_description(new.capture.as_deref())?;
        if new.capture.is_some() && !new.is_writable {
            return Err(Error::invalid("what cannot be written cannot be captured: open it writable"));
        }
        if new.capture.is_some() {
            // What the capture asks for in the end, when all has been written.
            actor.expect(Action::ImagesCreate, Resource::None)?;
            actor.expect(Action::ImagesUpload, Resource::None)?;
        }
        // What cannot be read as a disk is not opened.
        let OpenDisk { image, disk } = self.open_disk(actor, &new.image)?;
        if new.capture.is_some() {
            self.expect_room_to_capture(disk.size_bytes())?;
        }
        if self.disk_exports.place().is_none() {
            return Err(Error::conflict(
                "this server serves no disks: start it with --nbd, or set nbd.listen",
            ));
        }
        let mut random = [0; NAME_BYTES];
        self.entropy.fill(&mut random);
        let name = URL_SAFE_NO_PAD.encode(random);
        let now = self.clock.now();
        let export = DiskExport {
            hash: hash_of(&name),
            image: image.id,
            opener,
            opened_at: now,
            expires_at: now.plus_seconds(new.life_s),
            is_writable: new.is_writable,
            capture: new.capture,
        };
        let (made, live) = (export.clone(), self.disk_exports.clone());
        self.recorded(actor, Act::new(Operation::OpenDiskExport), move |txn, act| {
            let all = live.drop_dead(txn, now)?;
            let own = all.iter().filter(|other| other.opener.project == made.opener.project).count();
            if own >= PROJECT_EXPORTS_MAX || all.len() >= EXPORTS_MAX {
                return Err(Error::too_large(format!(
                    "project {} has {own} disks open, and no more are kept: close one first",
                    made.opener.project
                )));
            }
            disk_exports::put(txn, &made)?;
            describe(act, &made);
            Ok(())
        })?;
        Ok((KnownExport { export, image_name: image.name, connections: 0 }, name))
    }

    /// The exports that are open, or that somebody is still connected to: those of the caller's own in the project it acts in, or
    /// all for whoever looks after the box.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn open_disk_exports(&self, actor: &Actor) -> Result<Vec<KnownExport>, Error> {
        let (read, now) = (self.db.read()?, self.clock.now());
        let mut all = disk_exports::list(&read)?;
        all.retain(|export| is_own(actor, export));
        all.sort_by_key(|export| export.opened_at);
        let mut known = Vec::with_capacity(all.len());
        for export in all {
            let image = images::get(&read, &export.image)?;
            let connections = self.disk_exports.connections(&export.hash);
            // Ended, or without its image, it is of use to nobody but those who are connected.
            if (now < export.expires_at && image.is_some()) || connections > 0 {
                let image_name = image.and_then(|image| image.name);
                known.push(KnownExport { export, image_name, connections });
            }
        }
        Ok(known)
    }

    /// Closes an export, by what people call it or by its name, and ends its connections; says what became of them.
    ///
    /// # Errors
    /// `NotFound`, also for exports of others; it does not tell again what may be a name.
    pub fn close_export(&self, actor: &Actor, named: &str) -> Result<Cut, Error> {
        let (caller, id, hash) = (actor.clone(), named.to_owned(), hash_of(named));
        let hash = self.recorded(actor, Act::new(Operation::CloseDiskExport), move |txn, act| {
            let mut own = disk_exports::list(txn)?.into_iter().filter(|export| is_own(&caller, export));
            let export = own
                .find(|export| export.id() == id || export.hash == hash)
                .ok_or_else(|| Error::not_found("no export of a disk is called that"))?;
            disk_exports::delete(txn, &export.hash)?;
            describe(act, &export);
            Ok(export.hash)
        })?;
        Ok(self.disk_exports.close(&hash))
    }

    /// Whether a disk can become an image as it is; nobody is to write to it first to find out.
    fn expect_room_to_capture(&self, disk_bytes: u64) -> Result<(), Error> {
        let most = self.rules.image_bytes_max;
        if disk_bytes > most {
            return Err(Error::too_large(format!(
                "a disk of {disk_bytes} bytes cannot be captured: an image may have at most {most} bytes (images.bytes_max)"
            )));
        }
        Ok(())
    }

    /// As whom an export's connections act.
    fn opener(&self, actor: &Actor) -> Result<Opener, Error> {
        let project = actor
            .project()
            .ok_or_else(|| Error::forbidden("an export of a disk is of one project; sign in to one"))?
            .clone();
        if actor.is_local_admin() {
            return Ok(Opener { user: None, project });
        }
        self.expect_own_identities("exports of disks")?;
        Ok(Opener { user: Some(actor.user.clone()), project })
    }
}

/// What people call the export with this name by. The name itself is nobody's business who closes it.
pub fn export_id_of(name: &str) -> String {
    export_id(&hash_of(name))
}

/// What an export is called in the catalog.
fn hash_of(name: &str) -> ExportHash {
    *blake3::hash(name.as_bytes()).as_bytes()
}

fn is_own(actor: &Actor, export: &DiskExport) -> bool {
    let local = export.opener.user.is_none();
    let is_openers = !local && export.opener.user.as_ref() == Some(&actor.user);
    (is_openers && actor.project() == Some(&export.opener.project))
        || actor.allows(Action::UpkeepManage, Resource::None)
}

/// The export, if its name is good at the moment.
fn open_now(rows: &impl Rows, hash: &ExportHash, now: Time) -> Result<Option<DiskExport>, Error> {
    Ok(disk_exports::get(rows, hash)?.filter(|export| now < export.expires_at))
}

/// Says which export a record is about; its name follows from nothing of that.
fn describe(act: &mut Act, export: &DiskExport) {
    act.name(export.id(), "");
    let access = match (&export.capture, export.is_writable) {
        (Some(name), _) => format!("writable, captured as {name:?}"),
        (None, true) => "writable".to_owned(),
        (None, false) => "read-only".to_owned(),
    };
    act.say(format!("of image {}, {access}, until {}", export.image, export.expires_at.rfc3339_seconds()));
}

#[cfg(test)]
mod tests;
