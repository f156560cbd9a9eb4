//! Checksums made right, without which a fuzzer gets nowhere, and files told by what is not zeros in them.

use crc_fast::{CrcAlgorithm, Digest};

/// Largest file that is told so.
const FILE_BYTES_MAX: usize = 16 << 20;
const MIB: usize = 1 << 20;
const VHDX_SECTOR: usize = 4096;

/// A file in few bytes: its length in steps of 64 KiB (two bytes), then stretches: where each begins in steps of 8 bytes (four), how
/// long it is (two), and its bytes. All numbers have their lowest byte first.
pub fn spread(data: &[u8]) -> Option<Vec<u8>> {
    let (length, mut rest) = data.split_at_checked(2)?;
    let length = usize::from(u16::from_le_bytes(length.try_into().ok()?)) << 16;
    let mut file = vec![0; length.min(FILE_BYTES_MAX)];
    while let Some((head, more)) = rest.split_at_checked(6) {
        let at = u32::from_le_bytes(head[..4].try_into().ok()?) as usize * 8;
        let bytes = usize::from(u16::from_le_bytes(head[4..].try_into().ok()?)).min(more.len());
        let (stretch, after) = more.split_at(bytes);
        if let Some(place) = file.get_mut(at..at + bytes) {
            place.copy_from_slice(stretch);
        }
        rest = after;
    }
    Some(file)
}

/// Of the two headers, the two tables of regions, and every entry of a log that is anywhere.
pub fn of_vhdx(file: &mut [u8]) {
    for (at, bytes) in [(MIB / 16, 4096), (MIB / 8, 4096), (MIB / 16 * 3, MIB / 16), (MIB / 4, MIB / 16)] {
        if let Some(structure) = file.get_mut(at..at + bytes) {
            seal(structure);
        }
    }
    for at in (MIB..file.len()).step_by(VHDX_SECTOR).rev() {
        if !file[at..].starts_with(b"loge") {
            continue;
        }
        let length = file.get(at + 8..at + 12).and_then(|bytes| bytes.try_into().ok());
        let length = length.map_or(0, u32::from_le_bytes) as usize;
        if let Some(entry) = file.get_mut(at..at + length.clamp(64, MIB)) {
            seal(entry);
        }
    }
}

fn seal(structure: &mut [u8]) {
    structure[4..8].fill(0);
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(structure);
    structure[4..8].copy_from_slice(&(digest.finalize() as u32).to_le_bytes());
}

/// Of the footer, and of the header of a dynamic disk; the copy at the start is made like the footer.
pub fn of_vhd(file: &mut [u8]) {
    let Some(at) = file.len().checked_sub(512) else { return };
    if !file[at..].starts_with(b"conectix") {
        return;
    }
    complement(&mut file[at..], 64);
    if file[at + 63] != 3 || at < 512 {
        return;
    }
    file.copy_within(at.., 0);
    let header = file[16..24].try_into().map_or(0, u64::from_be_bytes);
    let header = usize::try_from(header).unwrap_or(usize::MAX);
    if let Some(header) = header.checked_add(1024).and_then(|end| file.get_mut(header..end)) {
        complement(header, 36);
    }
}

fn complement(structure: &mut [u8], at: usize) {
    structure[at..at + 4].fill(0);
    let sum = structure.iter().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
    structure[at..at + 4].copy_from_slice(&(!sum).to_be_bytes());
}

/// Of every sector that says it is the header of a member of a tar archive (POSIX.1-1988, ustar).
pub fn of_tar(file: &mut [u8]) {
    for header in file.chunks_exact_mut(512).filter(|sector| sector[257..].starts_with(b"ustar")) {
        header[148..156].fill(b' ');
        let sum = header.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}
