//! Disk formats made from a guest's disk: what a container of it is, byte by byte, without writing one.
//!
//! A [`Layout`] is a file that is nowhere: it says of any byte what it is, by the [`Blocks`] that the guest's disk has. Tables
//! are made as they are asked for. Invariants: the same disk, blocks and names make the same bytes, always (a change of that
//! changes [`VERSION`]); a layout reads nothing, and is bounded by what is known of the disk. Must not know where the disk lies.

mod blocks;
mod form;
mod names;
mod packing;
mod qcow2;
mod qcow2_packed;
mod raw;
mod sizes;
mod structure;
#[cfg(test)]
mod tests;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;
mod vmdk_stream;
mod vmdk_text;

pub use blocks::Blocks;
pub use form::Form;
pub use names::Names;
pub use packing::{Packed, pack};
pub use sizes::Sizes;
pub use vmdk_stream::VmdkStream;

/// Which bytes are made of a disk: counted up whenever any format's change, with those of a compressor too.
pub const VERSION: u32 = 1;

/// A unit of the guest's disk that compressed formats pack, in bytes.
pub const UNIT_BYTES: u64 = 64 << 10;

/// A file that is made of a guest's disk.
pub trait Layout: Send + Sync {
    /// Its length.
    fn size_bytes(&self) -> u64;

    /// What begins at byte `at`, which lies before the end.
    fn piece_at(&self, at: u64) -> Piece;

    /// Memory that it takes, in bytes, about.
    fn kept_bytes(&self) -> u64;
}

/// Bytes of a made file that follow each other, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These: of a header or a table, not many.
    Made(Vec<u8>),
    /// So many zeros.
    Zeros(u64),
    /// The guest's, from `at` on. All of them lie on its disk.
    Guest {
        /// Where on the disk.
        at: u64,
        /// How many.
        bytes: u64,
    },
    /// Those of a unit of the guest's disk, packed as [`pack`] does.
    Packed {
        /// Its number: it begins at so many times [`UNIT_BYTES`].
        unit: u64,
        /// How it is packed.
        as_: Packed,
        /// How many bytes it has when it is packed.
        packed_bytes: u64,
        /// The first of them.
        skip: u64,
    },
}

/// Why a disk cannot be had in a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a disk of {disk_bytes} bytes cannot be a {form}: {why}")]
pub struct Unfit {
    form: &'static str,
    disk_bytes: u64,
    why: &'static str,
}

impl Unfit {
    fn new(form: Form, disk: &Blocks, why: &'static str) -> Unfit {
        Unfit { form: form.as_str(), disk_bytes: disk.disk_bytes(), why }
    }
}

/// The file that a disk is in a form. The disk's blocks are of the form's size ([`Form::block_bytes`]); `sizes` are those of its
/// packed units, which forms have that are [compressed](Form::is_compressed).
///
/// # Errors
/// When the form has no such disks.
pub fn layout(
    form: Form,
    disk: Blocks,
    sizes: Option<Sizes>,
    names: &Names,
) -> Result<Box<dyn Layout>, Unfit> {
    Ok(match (form, sizes) {
        (Form::Qcow2Compressed, Some(sizes)) => Box::new(qcow2_packed::Qcow2Packed::new(disk, sizes)),
        (Form::Vmdk, Some(sizes)) => Box::new(vmdk::Vmdk::new(disk, sizes, names)?),
        (Form::Qcow2Compressed | Form::Vmdk, None) => {
            return Err(Unfit::new(form, &disk, "its units were not packed"));
        }
        (Form::Raw, _) => Box::new(raw::Raw::new(&disk)),
        (Form::Qcow2, _) => Box::new(qcow2::Qcow2::new(disk)),
        (Form::Vhd, _) => Box::new(vhd::Dynamic::new(disk, names)?),
        (Form::VhdFixed, _) => Box::new(vhd::Fixed::new(&disk, names)?),
        (Form::Vhdx, _) => Box::new(vhdx::Vhdx::new(disk, names)?),
        (Form::Vdi, _) => Box::new(vdi::Vdi::new(disk, names)?),
    })
}

/// Refuses a disk that a form cannot have, whatever is on it.
///
/// # Errors
/// When the form has no disks of that size.
pub fn check(form: Form, disk: &Blocks) -> Result<(), Unfit> {
    match form {
        Form::Vmdk => vmdk::check(disk),
        Form::Vhd | Form::VhdFixed => vhd::check(form, disk),
        Form::Vhdx => vhdx::check(disk),
        Form::Vdi => vdi::check(disk),
        Form::Raw | Form::Qcow2 | Form::Qcow2Compressed => Ok(()),
    }
}
