//! What our readers make of disk images, beside qemu-img: every format it writes, in many ways, over several disks.
//!
//! Each test needs qemu-img and qemu-io (Debian: qemu-utils) and is left out by a plain `cargo test`;
//! `tests/run disks` installs them and runs all.

mod guests;
mod making;
mod matrix;
mod refused;
mod tools;
mod written;

use tintype::disk::probe::Format;
use tintype::disk::{self, Budgets, Error, Guest, View};

/// Opens an image as a format.
fn open(format: Format, image: Vec<u8>) -> Result<View<Box<dyn Guest>>, Error> {
    let budgets = Budgets::default();
    let guest = disk::open(format, image, &budgets)?.expect("it is a disk container");
    Ok(View::new(guest, &budgets))
}

/// The whole disk of a guest.
fn read(view: &View<Box<dyn Guest>>) -> Result<Vec<u8>, Error> {
    let mut disk = vec![0xaa; view.guest().size_bytes() as usize];
    view.read_at(0, &mut disk)?;
    Ok(disk)
}
