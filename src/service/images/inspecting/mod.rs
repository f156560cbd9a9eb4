//! What lies inside an image: a report on its disk, and properties that follow from it.
//!
//! Whoever may read an image's data may have it looked into. Invariants: a look ends within an
//! [`Allowance`](crate::disk::inside::Allowance) whatever the disk holds, and says when it was cut short; no report repeats
//! what a file says that may be secret; what is kept of reports is bounded, and found again by the data alone. Must not
//! change an image but through the use case that anybody changes one by.

mod boot;
mod cloud_init;
mod drivers;
mod findings;
mod kept;
mod leftovers;
mod look;
mod naming;
mod network;
mod proposing;
mod report;
mod room;
mod system;
#[cfg(test)]
mod tests;
mod trees;
mod volumes;

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

pub use findings::{Code, Finding, Severity};
pub(in crate::service) use kept::Inspections;
pub use proposing::Described;
pub use report::{Boot, CloudInit, Driver, DriverState, Inspection, Kernel, Mount, System, Volume};
pub use trees::{OpenFile, OpenTree};

use super::OpenDisk;
use super::stored::refusal;
use crate::disk;
use crate::disk::inside::{Allowance, Effort, Fault, Part};
use crate::model::{Image, ImageId};
use crate::service::{Actor, Error, ErrorKind, Service};
use look::Look;

/// Looks at one side of an operating system, and adds to the report.
type Aspect = fn(&Look<'_>, &mut Inspection) -> Result<(), Fault>;

impl Service {
    /// Waits for a turn to look into a disk, which is held until that is done.
    ///
    /// # Errors
    /// `Unavailable` while the server stops.
    pub async fn look_turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.inspections.turn().await
    }

    /// What lies inside an image. Blocks on the medium.
    ///
    /// # Errors
    /// As [`Service::open_disk`]; what the store refuses with. A disk that is not in order is no error: the report says so.
    pub fn inspect_image(&self, actor: &Actor, id: &ImageId) -> Result<(Image, Arc<Inspection>), Error> {
        let open = self.open_disk(actor, id)?;
        let inspection = self.inspection_of(&open)?;
        Ok((open.image, inspection))
    }

    /// The report on an open disk: the one that is kept, or a new one.
    fn inspection_of(&self, open: &OpenDisk) -> Result<Arc<Inspection>, Error> {
        let container = open.disk.container().map(|format| format.as_str());
        self.inspections.get_or_make(open.disk.content(), open.disk.read_as(), || {
            let effort = Arc::new(Effort::new(Allowance::LOOK));
            inspect(&Part::whole(open.disk.clone(), effort), container)
                .map_err(|fault| explain(fault, "the disk"))
        })
    }
}

/// Looks into a disk.
///
/// # Errors
/// When its bytes cannot be had.
fn inspect(disk: &Part, container: Option<&'static str>) -> Result<Inspection, Fault> {
    let mut report = Inspection { size_bytes: disk.size_bytes(), container, ..Inspection::default() };
    let outcome = look_over(disk, &mut report);
    match outcome {
        Ok(()) => {}
        Err(Fault::Source(error)) => return Err(Fault::Source(error)),
        Err(fault) => {
            report.find(Code::CutShort, None, format!("the look at the disk was cut short: {fault}"))
        }
    }
    report.propose();
    report.findings.sort_by_key(|finding| finding.code.severity());
    Ok(report)
}

fn look_over(disk: &Part, report: &mut Inspection) -> Result<(), Fault> {
    let volumes = volumes::of(disk, report)?;
    boot::look_at_loaders(&volumes, report)?;
    boot::look_at_disc(disk, report)?;
    room::look_at_volumes(report);
    let Some(root) = volumes::root(&volumes)? else { return Ok(()) };
    report.root = Some(root.number);
    let look = Look::new(root.tree, &volumes);
    let aspects: [Aspect; 8] = [
        system::look,
        boot::look_at_kernels,
        drivers::look,
        naming::look,
        network::look,
        cloud_init::look,
        leftovers::look,
        room::look,
    ];
    for aspect in aspects {
        aspect(&look, report)?;
    }
    look.tell_unread(report);
    Ok(())
}

/// A fault of a disk as a use case says it. `what` is what was looked at.
fn explain(fault: Fault, what: &str) -> Error {
    let told = |kind| Error::new(kind, format!("{what} cannot be read from the image: {fault}"));
    match fault {
        Fault::Broken(_) | Fault::Unsupported(_) | Fault::TooLarge(_) => told(ErrorKind::UnsupportedContent),
        Fault::TooMuch(_) => told(ErrorKind::TooLarge),
        Fault::Source(error) => match error.downcast::<disk::Error>() {
            Ok(error) => refusal(error),
            Err(error) => refusal(disk::Error::Source(error)),
        },
    }
}
