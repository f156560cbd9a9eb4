//! Images made byte by byte: blocks in any order, and every field that can be wrong.

use super::*;
use crate::disk::fixtures::{self, pattern, put};

const BLOCK: usize = 4096;
const MAP_AT: usize = 512;
const DATA_AT: usize = 1024;
const BLOCKS: usize = 5;
/// The last block is of half a block only.
const SIZE: usize = BLOCKS * BLOCK - BLOCK / 2;

fn image(map: [u32; BLOCKS], data: &[u8]) -> Vec<u8> {
    let mut image = vec![0; DATA_AT];
    put(&mut image, 0, b"<<< some disk image >>>\n");
    for (at, number) in [
        (64, MAGIC),
        (68, VERSION),
        (72, 0x190),
        (76, 1),
        (340, MAP_AT as u32),
        (344, DATA_AT as u32),
        (360, 512),
        (376, BLOCK as u32),
        (384, BLOCKS as u32),
    ] {
        put(&mut image, at, &number.to_le_bytes());
    }
    put(&mut image, 368, &(SIZE as u64).to_le_bytes());
    for (block, entry) in map.into_iter().enumerate() {
        put(&mut image, MAP_AT + block * 4, &entry.to_le_bytes());
    }
    [&image, data].concat()
}

fn good() -> (Vec<u8>, Vec<u8>) {
    let data = pattern(3 * BLOCK, 1);
    let block = |number: usize| &data[number * BLOCK..][..BLOCK];
    let disk = [block(1), block(2), &[0; 2 * BLOCK], &block(0)[..BLOCK / 2]].concat();
    (image([1, 2, HOLE, ZEROS, 0], &data), disk)
}

fn read(image: Vec<u8>) -> Result<Vec<u8>, Error> {
    fixtures::read(Format::Vdi, image)
}

fn fault(change: impl FnOnce(&mut Vec<u8>)) -> Option<(Code, &'static str)> {
    let (mut image, _) = good();
    change(&mut image);
    fixtures::fault(Format::Vdi, image)
}

fn field(at: usize, number: u32) -> Option<(Code, &'static str)> {
    fault(|image| put(image, at, &number.to_le_bytes()))
}

#[test]
fn blocks_read_in_the_disks_order_and_the_others_as_zeros() {
    let (image, disk) = good();
    assert_eq!(read(image.clone()).unwrap(), disk);
    let guest = Vdi::open(image, &Budgets::default()).unwrap();
    let run = |at: usize| guest.run_at(at as u64, u64::MAX).unwrap();
    let second = (DATA_AT + BLOCK) as u64;
    assert_eq!(run(10), Run { bytes: 2 * BLOCK as u64 - 10, place: Place::Plain(second + 10) });
    assert_eq!(run(2 * BLOCK), Run { bytes: 2 * BLOCK as u64, place: Place::Zeros });
    assert_eq!(run(4 * BLOCK), Run { bytes: BLOCK as u64 / 2, place: Place::Plain(DATA_AT as u64) });
}

#[test]
fn a_disk_that_is_what_changed_since_another_is_refused() {
    for kind in [3, 4] {
        assert_eq!(field(76, kind), Some((Code::NeedsAnotherFile, "image type")));
    }
    assert_eq!(field(76, 9), Some((Code::Unsupported, "image type")));
    for at in [424, 440 + 12] {
        assert_eq!(field(at, 1), Some((Code::NeedsAnotherFile, "parent uuid")));
    }
    assert_eq!(field(76, 2), None, "a static one is read");
}

#[test]
fn header_fields_out_of_range_are_refused() {
    assert_eq!(field(64, 1), Some((Code::BadField, "signature")));
    assert_eq!(field(68, 0x0001_0000), Some((Code::Unsupported, "version")));
    for length in [0, 100, 513] {
        assert_eq!(field(72, length), Some((Code::BadField, "header size")));
    }
    assert_eq!(field(360, 4096), Some((Code::Unsupported, "sector size")));
    assert_eq!(field(380, 8), Some((Code::Unsupported, "block extra data")));
    for block in [0, 256, 4095] {
        assert_eq!(field(376, block), Some((Code::BadField, "block size")));
    }
    assert_eq!(field(372, u32::MAX), Some((Code::OverBudget, "disk size")));
    assert_eq!(field(384, 4), Some((Code::BadTable, "blocks in image")));
    assert_eq!(field(340, 1 << 30), Some((Code::CutShort, "block map")));
    assert_eq!(field(340, 256), Some((Code::BadTable, "offset of data")));
    assert_eq!(field(344, MAP_AT as u32 + 4), Some((Code::BadTable, "offset of data")));
}

#[test]
fn blocks_that_are_twice_there_or_not_at_all_are_refused() {
    let map = |block: usize, entry: u32| field(MAP_AT + block * 4, entry);
    assert_eq!(map(3, 1), Some((Code::BadTable, "block map")), "the same as the first");
    assert_eq!(map(2, 3), Some((Code::BadTable, "block map")), "past the end");
    assert_eq!(map(2, ZEROS - 1), Some((Code::BadTable, "block map")), "far past the end");
    assert_eq!(map(1, HOLE), None);
}

#[test]
fn of_a_last_block_only_what_the_disk_has_must_be_there() {
    let data = pattern(BLOCK, 4);
    let mut short = image([HOLE, HOLE, HOLE, HOLE, 0], &data[..BLOCK / 2]);
    assert_eq!(read(short.clone()).unwrap()[4 * BLOCK..], data[..BLOCK / 2]);
    short.pop();
    assert!(read(short).is_err());
}
