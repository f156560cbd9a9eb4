//! Which cutter fits a stream, judged by its first bytes.
//!
//! Owns the guess and nothing else: a wrong one costs deduplication, never data. Reads only the
//! few header fields that place the guest grid; what a format means is for others.

use super::blocks::{BITMAP_BYTES, DATA_BYTES};
use super::{BLOCK, CutterParams, ends_in_zeros};

/// Streams whose bytes show no guest grid: compressed, or files packed at odd offsets.
const GRIDLESS: [(usize, &[u8]); 8] = [
    (0, b"\x1f\x8b"),
    (0, b"\xfd7zXZ\0"),
    (0, b"\x28\xb5\x2f\xfd"),
    (0, b"BZh"),
    (0, b"PK\x03\x04"),
    (257, b"ustar"),
    (0, b"COWD"),
    (0, b"7z\xbc\xaf\x27\x1c"),
];

/// Streams that are laid out on the grid from their first byte, whatever their blocks look like:
/// VHDX, ISO 9660, GPT, and a boot sector (last, as it is the weakest sign).
const GRIDDED: [(usize, &[u8]); 4] =
    [(0, b"vhdxfile"), (0x8001, b"CD001"), (512, b"EFI PART"), (510, b"\x55\xaa")];

/// Fewer blocks than this say nothing about the rest.
const SAMPLE_BLOCKS_MIN: usize = 16;

/// What VHD and VMDK count in.
const SECTOR: u64 = 512;
/// The flag of a VMDK whose grains are compressed.
const VMDK_COMPRESSED: u32 = 1 << 16;

/// Chooses by up to the first 4 MiB of a stream.
pub fn choose(head: &[u8]) -> CutterParams {
    if GRIDLESS.iter().any(|&sign| shows(head, sign)) {
        return CutterParams::content();
    }
    if shows(head, (0, b"KDMV")) {
        return vmdk(head);
    }
    if shows(head, (0, b"conectix")) {
        return vhd(head).unwrap_or(CutterParams::grid(0));
    }
    if shows(head, (0x40, b"\x7f\x10\xda\xbe")) {
        return CutterParams::grid(le32(head, 0x158).unwrap_or(0));
    }
    // A qcow2 has the grid too, unless its clusters are compressed.
    let is_gridded = !shows(head, (0, b"QFI\xfb")) && GRIDDED.iter().any(|&sign| shows(head, sign));
    if is_gridded || !looks_compressed(head) { CutterParams::grid(0) } else { CutterParams::content() }
}

fn shows(head: &[u8], (at, magic): (usize, &[u8])) -> bool {
    head.get(at..).is_some_and(|rest| rest.starts_with(magic))
}

/// Disks show file ends and zeros in more than one block of fifty, compressed data in none.
fn looks_compressed(head: &[u8]) -> bool {
    let blocks = head.len() / BLOCK;
    let ends = head.chunks_exact(BLOCK).filter(|block| ends_in_zeros(block)).count();
    blocks >= SAMPLE_BLOCKS_MIN && ends * 50 < blocks
}

/// How a dynamic VHD is cut, by its allocation table: block by block where blocks of the usual size follow each other, on
/// the grid of the first one otherwise (writers that align their blocks leave gaps).
fn vhd(head: &[u8]) -> Option<CutterParams> {
    let header = usize::try_from(be64(head, 16)?).ok()?;
    if !shows(head, (header, b"cxsparse")) {
        return None;
    }
    let table = usize::try_from(be64(head, header.checked_add(16)?)?).ok()?;
    let entries = be32(head, header.checked_add(28)?)? as usize;
    let block_bytes = be32(head, header.checked_add(32)?)?;
    let sectors = head.get(table..)?.chunks_exact(4).take(entries).filter_map(|entry| be32(entry, 0));
    let mut starts: Vec<u64> =
        sectors.filter(|sector| *sector != u32::MAX).map(|sector| u64::from(sector) * SECTOR).collect();
    starts.sort_unstable();
    let (first, last) = (*starts.first()?, *starts.last()?);
    let stride = BITMAP_BYTES + DATA_BYTES;
    let follow = last - first == (starts.len() as u64 - 1) * stride
        && starts.windows(2).all(|pair| pair[1] - pair[0] == stride);
    if u64::from(block_bytes) == DATA_BYTES && follow {
        return Some(CutterParams::blocks(u32::try_from(first).ok()?));
    }
    let bitmap = u64::from(block_bytes).div_ceil(8 * SECTOR).next_multiple_of(SECTOR);
    Some(CutterParams::grid(((first + bitmap) % BLOCK as u64) as u32))
}

/// How a VMDK is cut: its grains lie on a grid unless they are compressed.
fn vmdk(head: &[u8]) -> CutterParams {
    match (le32(head, 8), le64(head, 64)) {
        (Some(flags), Some(overhead)) if flags & VMDK_COMPRESSED == 0 => {
            CutterParams::grid((overhead % 8 * SECTOR) as u32)
        }
        _ => CutterParams::content(),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_be_bytes)
}
