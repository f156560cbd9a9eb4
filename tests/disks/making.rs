//! Files in every form that a disk leaves in, written from any disk that we read.
//!
//! Files are sparse, so that terabytes of zeros cost nothing.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tintype::disk::writing::{self, Blocks, Form, Names, Packed, Piece, Sizes, UNIT_BYTES, Unfit, pack};
use tintype::disk::{Guest, View};

/// Writes the disk of a guest to a file in a form.
pub fn write(guest: &View<Box<dyn Guest>>, form: Form, path: &Path) -> Result<(), Unfit> {
    let size = guest.guest().size_bytes();
    let mut blocks = Blocks::new(size, form.block_bytes(size).unwrap_or(512));
    let mut at = 0;
    while at < size {
        let extent = guest.extent_at(at).unwrap();
        if !extent.is_zero {
            blocks.add(at..at + extent.bytes);
        }
        at += extent.bytes;
    }
    let sizes = match form {
        Form::Qcow2Compressed => Some(sizes(guest, &blocks, Packed::Cluster)),
        Form::Vmdk => Some(sizes(guest, &blocks, Packed::Grain)),
        _ => None,
    };
    let layout = writing::layout(form, blocks, sizes, &Names::new([1; 32]))?;
    let file = File::create(path).unwrap();
    file.set_len(layout.size_bytes()).unwrap();
    let mut at = 0;
    while at < layout.size_bytes() {
        at += match layout.piece_at(at) {
            Piece::Zeros(bytes) => bytes,
            Piece::Guest { at: from, bytes } => copy(guest, from, bytes, &file, at),
            Piece::Made(bytes) => put(&file, &bytes, at),
            Piece::Packed { unit: number, as_, skip, .. } => {
                put(&file, &pack(&unit(guest, number), as_).unwrap()[skip as usize..], at)
            }
        };
    }
    assert_eq!(at, layout.size_bytes(), "the last piece ends with the file");
    Ok(())
}

fn put(file: &File, bytes: &[u8], at: u64) -> u64 {
    file.write_all_at(bytes, at).unwrap();
    bytes.len() as u64
}

/// Copies what is no zeros.
fn copy(guest: &View<Box<dyn Guest>>, from: u64, bytes: u64, file: &File, at: u64) -> u64 {
    let mut done = 0;
    while done < bytes {
        let extent = guest.extent_at(from + done).unwrap();
        let length = extent.bytes.min(bytes - done);
        if extent.is_zero {
            done += length;
            continue;
        }
        let mut data = vec![0; length.min(4 << 20) as usize];
        guest.read_at(from + done, &mut data).unwrap();
        done += put(file, &data, at + done);
    }
    bytes
}

fn unit(guest: &View<Box<dyn Guest>>, number: u64) -> Vec<u8> {
    let at = number * UNIT_BYTES;
    let there = UNIT_BYTES.min(guest.guest().size_bytes() - at);
    let mut unit = vec![0; UNIT_BYTES as usize];
    guest.read_at(at, &mut unit[..there as usize]).unwrap();
    unit
}

fn sizes(guest: &View<Box<dyn Guest>>, blocks: &Blocks, as_: Packed) -> Sizes {
    let mut sizes = Sizes::default();
    for ordinal in 0..blocks.count() {
        sizes.push(pack(&unit(guest, blocks.block(ordinal)), as_).unwrap().len());
    }
    sizes
}
