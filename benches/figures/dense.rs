//! New data as a disk has it: files of this machine laid out on 4 KiB blocks, each block made
//! unique, so that it compresses as real data does and nothing of it is known to the store.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

const BLOCK: usize = 4096;
/// Files larger than this would make the data more uniform than a disk.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Where programs and their data are.
const SOURCE: &str = "/usr";

/// Reads `bytes` of files; starts again where the machine has fewer.
pub fn base(bytes: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut data = Vec::with_capacity(bytes + FILE_BYTES_MAX as usize);
    gather(Path::new(SOURCE), bytes, &mut data)?;
    if data.is_empty() {
        return Err(format!("{SOURCE} has no files").into());
    }
    while data.len() < bytes {
        data.extend_from_within(..data.len().min(bytes - data.len()));
    }
    data.truncate(bytes);
    Ok(data)
}

fn gather(folder: &Path, bytes: usize, data: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if data.len() >= bytes {
            break;
        }
        let kind = fs::symlink_metadata(&path)?;
        if kind.is_dir() {
            gather(&path, bytes, data)?;
        } else if kind.is_file() && kind.len() <= FILE_BYTES_MAX {
            data.extend_from_slice(&fs::read(&path)?);
            data.resize(data.len().next_multiple_of(BLOCK), 0);
        }
    }
    Ok(())
}

/// Makes every block unlike every other: `data` is the stream named by `stream`, from `offset` on.
pub fn stamp(data: &mut [u8], stream: u64, offset: u64) {
    for (number, block) in data.chunks_mut(BLOCK).enumerate() {
        let place = offset + (number * BLOCK) as u64;
        for (byte, stamp) in block.iter_mut().zip(stream.to_le_bytes().into_iter().chain(place.to_le_bytes()))
        {
            *byte = stamp;
        }
    }
}
