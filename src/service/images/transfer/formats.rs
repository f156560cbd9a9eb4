//! What an image's data looks like from outside, in the format that is asked for.
//!
//! The one place that says which formats an image can leave in: as it is stored, or as a file that is made of its disk.
//! Invariant: what it hands out has a known length and can be read at any place.

use tokio::runtime::Handle;

use super::hindered;
use crate::disk::writing::Form;
use crate::model::Image;
use crate::service::images::exporting::Export;
use crate::service::images::guests::ReadAs;
use crate::service::jobs::JobAtWork;
use crate::service::upkeep::Step;
use crate::service::{Error, ErrorKind, Hindrance, Service};
use crate::store::Reader;

/// The formats that files of disks are made in for a bucket.
const FORMS: [Form; 4] = [Form::Qcow2, Form::Vhd, Form::Vmdk, Form::Raw];

/// A stream of known length that is read at any place. Blocks.
pub(super) trait Outgoing: Send {
    /// Its length.
    fn size_bytes(&self) -> u64;

    /// Fills `out` with its bytes from `offset` on, verified.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), Error>;
}

impl Outgoing for Reader {
    fn size_bytes(&self) -> u64 {
        Reader::size_bytes(self)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        Ok(Reader::read_at(self, offset, out)?)
    }
}

/// A file that is made of a disk.
struct Formed {
    export: Export,
    size_bytes: u64,
}

impl Outgoing for Formed {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.export.read_at(offset, out)
    }
}

/// Refuses a format that the image's data cannot have outside; `None` asks for the stored one.
pub(super) fn check(image: &Image, wanted: Option<&str>) -> Result<(), Error> {
    form(image, wanted).map(drop)
}

/// The form that the wanted format is, where it is not that of the stored bytes.
fn form(image: &Image, wanted: Option<&str>) -> Result<Option<Form>, Error> {
    // Of a disk in an archive no file leaves as it is stored but the archive.
    let stored = match image.container_format.as_deref() {
        Some("ova") => "ova",
        _ => image.disk_format.as_deref().unwrap_or("raw"),
    };
    let Some(wanted) = wanted.filter(|wanted| *wanted != stored) else { return Ok(None) };
    let other = |message: String| hindered(ErrorKind::Invalid, Hindrance::OtherFormat, message);
    if let Err(unreadable) = ReadAs::of(image) {
        let message = unreadable.message;
        return Err(other(format!("the image leaves as it is stored alone, not as {wanted}: {message}")));
    }
    let form = FORMS.into_iter().find(|form| form.as_str() == wanted);
    form.map(Some).ok_or_else(|| {
        let forms = FORMS.map(Form::as_str).join(", ");
        other(format!("the image is stored as {stored}, and leaves as that, or as {forms}; not as {wanted}"))
    })
}

/// The data of `image`, which `reader` reads as it is stored, in the wanted format. Blocks while it is packed, where that is what
/// it takes; `None` when the job was stopped meanwhile.
pub(super) fn outgoing(
    service: &Service,
    image: &Image,
    reader: Reader,
    wanted: Option<&str>,
    job: &mut JobAtWork,
) -> Result<Option<Box<dyn Outgoing>>, Error> {
    let Some(form) = form(image, wanted)? else { return Ok(Some(Box::new(reader))) };
    let disk = service.guest_disk(image, reader)?;
    let opened = Handle::current().block_on(async {
        let mut export = service.export_of(image.clone(), disk, form).await?;
        let step = |done, total| job.step(&Step { phase: "packing", done, total: Some(total) });
        export.measure(step).await?;
        Ok::<_, Error>(export)
    });
    match opened {
        Err(_) if job.was_stopped() => Ok(None),
        Err(error) => Err(error),
        Ok(export) => match export.size_bytes() {
            Some(size_bytes) => Ok(Some(Box::new(Formed { export, size_bytes }))),
            None => Err(Error::new(ErrorKind::Internal, "a file that was packed has no length")),
        },
    }
}
