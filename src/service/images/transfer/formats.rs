//! What an image's data looks like from outside, in the format that is asked for.
//!
//! The one place that says which formats an image can leave in. For now that is the stored one: the bytes
//! as they came. Invariant: what it hands out has a known length and can be read at any place.

use super::hindered;
use crate::model::Image;
use crate::service::{Error, ErrorKind, Hindrance};
use crate::store::Reader;

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

/// Refuses a format that the image's data cannot have outside; `None` asks for the stored one.
pub(super) fn check(image: &Image, wanted: Option<&str>) -> Result<(), Error> {
    let stored = image.disk_format.as_deref().unwrap_or("raw");
    match wanted {
        Some(wanted) if wanted != stored => Err(hindered(
            ErrorKind::Invalid,
            Hindrance::OtherFormat,
            format!(
                "the image is stored as {stored} and leaves as that alone; ask for {stored}, not {wanted}"
            ),
        )),
        _ => Ok(()),
    }
}

/// The data of `image`, which `reader` reads as it is stored, in the wanted format.
pub(super) fn outgoing(
    image: &Image,
    reader: Reader,
    wanted: Option<&str>,
) -> Result<Box<dyn Outgoing>, Error> {
    check(image, wanted)?;
    Ok(Box::new(reader))
}
