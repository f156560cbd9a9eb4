//! Images made byte by byte: fixed and dynamic, and every field that can be wrong.

use super::*;
use crate::disk::fixtures::{self, be64s, pattern, put};

const BLOCK: usize = 8192;
const HEADER_AT: usize = 512;
const TABLE_AT: usize = 1536;
const FIRST_AT: usize = 2048;
/// A block with its bitmap.
const EACH: usize = 512 + BLOCK;
const BLOCKS: usize = 4;
const SIZE: usize = BLOCKS * BLOCK;

/// A footer of this kind, for a disk of `size` bytes by a maker that tells its size plainly.
fn footer(kind: u32, size: usize, data_at: u64) -> Vec<u8> {
    let mut footer = vec![0; 512];
    put(&mut footer, 0, b"conectix");
    put(&mut footer, 8, &[0, 0, 0, 2, 0, 1, 0, 0]);
    put(&mut footer, 16, &be64s(&[data_at]));
    put(&mut footer, 28, b"win ");
    put(&mut footer, 40, &be64s(&[size as u64, size as u64]));
    put(&mut footer, 60, &kind.to_be_bytes());
    sealed(&mut footer, 64);
    footer
}

fn sealed(structure: &mut [u8], at: usize) {
    let sum = super::footer::checksum(structure, at);
    put(structure, at, &sum.to_be_bytes());
}

fn fixed(data: &[u8]) -> Vec<u8> {
    [data, &footer(2, data.len(), u64::MAX)].concat()
}

/// A dynamic disk whose first and third blocks are there, the third first; of the third, every other sector was written.
fn dynamic() -> (Vec<u8>, Vec<u8>) {
    let (first, third) = (pattern(BLOCK, 1), pattern(BLOCK, 2));
    let mut image = vec![0; FIRST_AT + 2 * EACH];
    put(&mut image, 0, &footer(3, SIZE, HEADER_AT as u64));
    let mut header = vec![0; 1024];
    put(&mut header, 0, b"cxsparse");
    put(&mut header, 8, &be64s(&[u64::MAX, TABLE_AT as u64]));
    put(&mut header, 24, &0x0001_0000_u32.to_be_bytes());
    put(&mut header, 28, &(BLOCKS as u32).to_be_bytes());
    put(&mut header, 32, &(BLOCK as u32).to_be_bytes());
    sealed(&mut header, 36);
    put(&mut image, HEADER_AT, &header);
    image[TABLE_AT..TABLE_AT + 512].fill(0xff);
    entry(&mut image, 2, FIRST_AT);
    entry(&mut image, 0, FIRST_AT + EACH);
    put(&mut image, FIRST_AT, &[0b1010_1010, 0b1010_1010]);
    put(&mut image, FIRST_AT + 512, &third);
    image[FIRST_AT + EACH..FIRST_AT + EACH + 512].fill(0xff);
    put(&mut image, FIRST_AT + EACH + 512, &first);
    image.extend(footer(3, SIZE, HEADER_AT as u64));
    let mut disk = vec![0; SIZE];
    put(&mut disk, 0, &first);
    for sector in (0..BLOCK / 512).step_by(2) {
        put(&mut disk, 2 * BLOCK + sector * 512, &third[sector * 512..][..512]);
    }
    (image, disk)
}

fn entry(image: &mut [u8], block: usize, at: usize) {
    put(image, TABLE_AT + block * 4, &((at / 512) as u32).to_be_bytes());
}

fn read(image: Vec<u8>) -> Result<Vec<u8>, Error> {
    fixtures::read(Format::Vhd, image)
}

fn fault(image: Vec<u8>) -> Option<(Code, &'static str)> {
    fixtures::fault(Format::Vhd, image)
}

/// Changes the footer and its copy, and makes their checksums right again.
fn with_footer(image: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut image = image.to_vec();
    let end = image.len() - 512;
    let copies = if image.starts_with(b"conectix") { vec![0, end] } else { vec![end] };
    for at in copies {
        let footer = &mut image[at..at + 512];
        change(footer);
        put(footer, 64, &[0; 4]);
        sealed(footer, 64);
    }
    image
}

fn with_header(change: impl Fn(&mut [u8])) -> Vec<u8> {
    let (mut image, _) = dynamic();
    let header = &mut image[HEADER_AT..HEADER_AT + 1024];
    change(header);
    sealed(header, 36);
    image
}

#[test]
fn a_fixed_disk_is_the_bytes_before_the_footer() {
    let data = pattern(10_240, 3);
    assert_eq!(read(fixed(&data)).unwrap(), data);
    // One of old Virtual PC lacks the footer's last byte, and its checksum counts what is there.
    let mut old = fixed(&data);
    old.pop();
    assert_eq!(read(old).unwrap(), data);
}

#[test]
fn a_dynamic_disk_is_its_written_sectors_and_zeros() {
    let (image, disk) = dynamic();
    assert_eq!(read(image.clone()).unwrap(), disk);
    let guest = Vhd::open(image, &Budgets::default()).unwrap();
    let run = |at: usize| guest.run_at(at as u64, u64::MAX).unwrap();
    let first = (FIRST_AT + EACH + 512) as u64;
    assert_eq!(run(100), Run { bytes: BLOCK as u64 - 100, place: Place::Plain(first + 100) });
    assert_eq!(run(BLOCK + 1), Run { bytes: BLOCK as u64 - 1, place: Place::Zeros });
    assert_eq!(run(2 * BLOCK), Run { bytes: 512, place: Place::Plain(FIRST_AT as u64 + 512) });
    assert_eq!(run(2 * BLOCK + 512), Run { bytes: 512, place: Place::Zeros });
}

#[test]
fn b7_nobody_looks_further_than_is_wanted() {
    let (image, _) = dynamic();
    let guest = Vhd::open(image, &Budgets::default()).unwrap();
    let bytes = |at: u64, wanted: u64| guest.run_at(at, wanted).unwrap().bytes;
    // Of a block that was written whole: to the end of the last sector that is wanted, and one at least.
    assert_eq!((bytes(0, 0), bytes(0, 1), bytes(0, 512), bytes(0, 513)), (512, 512, 512, 1024));
    assert_eq!((bytes(100, 1), bytes(100, 412), bytes(100, 413)), (412, 412, 924));
    assert_eq!((bytes(BLOCK as u64 - 1, 1), bytes(BLOCK as u64 - 1, u64::MAX)), (1, 1));
    assert_eq!((bytes(0, BLOCK as u64 - 512), bytes(0, u64::MAX)), (BLOCK as u64 - 512, BLOCK as u64));
    assert!(guest.run_near(0, 1).is_none_or(|run| run.bytes == 512));
    // Where another place begins before, the run ends there.
    assert_eq!(bytes(2 * BLOCK as u64, 2048), 512);
}

#[test]
fn a_footer_that_is_not_whole_or_not_of_one_file_is_refused() {
    let good = fixed(&[5; 4096]);
    let mut broken = good.clone();
    broken[4096 + 64] ^= 1;
    assert_eq!(fault(broken), Some((Code::BadChecksum, "footer checksum")));
    assert_eq!(fault([&good[..], &[0; 512]].concat()), Some((Code::CutShort, "footer")), "junk behind it");
    assert_eq!(fault(vec![0; 100]), Some((Code::CutShort, "footer")));
    let kind = |kind: u32| fault(with_footer(&good, |footer| put(footer, 60, &kind.to_be_bytes())));
    assert_eq!(kind(4), Some((Code::NeedsAnotherFile, "disk type")));
    for other in [0, 1, 5, u32::MAX] {
        assert_eq!(kind(other), Some((Code::Unsupported, "disk type")));
    }
    let version = with_footer(&good, |footer| put(footer, 12, &[0, 2, 0, 0]));
    assert_eq!(fault(version), Some((Code::Unsupported, "file format version")));
    let size = |size: u64| fault(with_footer(&good, |footer| put(footer, 48, &be64s(&[size]))));
    assert_eq!(size(4097), Some((Code::CutShort, "current size")));
    assert_eq!(size(u64::MAX), Some((Code::OverBudget, "current size")));
}

#[test]
fn the_copy_of_a_dynamic_disks_footer_must_be_the_same() {
    let (image, _) = dynamic();
    let mut missing = image.clone();
    missing[..512].fill(0);
    assert_eq!(fault(missing), Some((Code::Disagreement, "footer copy")));
    let mut other = image;
    other[30] ^= 1;
    assert_eq!(fault(other), Some((Code::Disagreement, "footer copy")));
}

#[test]
fn the_size_is_told_as_the_maker_tells_it() {
    let data = vec![5; 8 * 512];
    let made_by = |maker: &'static [u8], geometry: [u8; 4], size: u64| {
        let image = with_footer(&fixed(&data), |footer| {
            put(footer, 28, maker);
            put(footer, 48, &be64s(&[size]));
            put(footer, 56, &geometry);
        });
        Vhd::open(image, &Budgets::default()).map(|vhd| vhd.size_bytes())
    };
    // Two cylinders of two heads with two sectors each.
    let geometry = [0, 2, 2, 2];
    assert_eq!(made_by(b"win ", geometry, 3584).unwrap(), 3584);
    assert_eq!(made_by(b"vpc ", geometry, 3584).unwrap(), 4096);
    assert_eq!(made_by(b"who?", geometry, 3584).unwrap(), 3584, "within a cylinder");
    assert!(made_by(b"who?", geometry, 1024).is_err(), "further off");
    assert_eq!(made_by(b"vpc ", [0xff, 0xff, 16, 255], 3584).unwrap(), 3584, "no geometry is larger");
}

#[test]
fn a_dynamic_header_that_is_not_in_order_is_refused() {
    let mut broken = dynamic().0;
    broken[HEADER_AT + 36] ^= 1;
    assert_eq!(fault(broken), Some((Code::BadChecksum, "dynamic header checksum")));
    let cookie = with_header(|header| put(header, 0, b"cxsparsf"));
    assert_eq!(fault(cookie), Some((Code::BadField, "dynamic header cookie")));
    let version = with_header(|header| put(header, 24, &[0, 2, 0, 0]));
    assert_eq!(fault(version), Some((Code::Unsupported, "dynamic header version")));
    let locator = with_header(|header| put(header, 576 + 24, b"W2ku"));
    assert_eq!(fault(locator), Some((Code::NeedsAnotherFile, "parent locator")));
    let parent = with_header(|header| header[47] = 1);
    assert_eq!(fault(parent), Some((Code::NeedsAnotherFile, "parent locator")));
    for block in [0_u32, 256, 8191, 0x8000_0001] {
        let image = with_header(|header| put(header, 32, &block.to_be_bytes()));
        assert_eq!(fault(image), Some((Code::BadField, "block size")), "{block}");
    }
    let few = with_header(|header| put(header, 28, &3_u32.to_be_bytes()));
    assert_eq!(fault(few), Some((Code::BadTable, "max table entries")));
    let outside = with_header(|header| put(header, 16, &be64s(&[1 << 40])));
    assert_eq!(fault(outside), Some((Code::CutShort, "block allocation table")));
    let nowhere = with_footer(&dynamic().0, |footer| put(footer, 16, &be64s(&[u64::MAX])));
    assert_eq!(fault(nowhere), Some((Code::CutShort, "dynamic header")));
}

#[test]
fn blocks_that_overlap_or_leave_the_file_are_refused() {
    let moved = |block: usize, at: usize| {
        let (mut image, _) = dynamic();
        entry(&mut image, block, at);
        fault(image)
    };
    let wrong = Some((Code::BadTable, "block allocation table"));
    assert_eq!(moved(1, FIRST_AT), wrong, "twice the same");
    assert_eq!(moved(1, FIRST_AT + 512), wrong, "within another");
    assert_eq!(moved(0, 1 << 30), wrong, "past the end");
    assert_eq!(moved(0, FIRST_AT + EACH + 512), wrong, "over the footer");
    for at in [0, HEADER_AT, TABLE_AT] {
        assert_eq!(moved(0, at), wrong, "over what is at {at}");
    }
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let (image, _) = dynamic();
    for length in (0..image.len()).step_by(61) {
        assert!(fault(image[..length].to_vec()).is_some(), "{length}");
    }
}
