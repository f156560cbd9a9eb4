//! Tells what a byte stream is from its first and last bytes, while it streams by.
//!
//! Owns the magic numbers, the two or three header fields next to them that say how large the
//! guest's disk is, and ([`hazards`]) the ones that would make a reader open another file. Invariant: memory
//! is bounded by [`HEAD_BYTES`], whatever the stream.

mod ends;
mod format;
mod hazards;
mod marks;

use std::io;

pub use self::ends::Ends;
pub use self::format::Format;
use super::fields::array;
use super::source::Source;

/// How much of the start is kept: the volume descriptors of ISO 9660 and UDF, tables of partitions, and marks of file
/// systems end before.
pub const HEAD_BYTES: usize = 68 << 10;
/// How much of the end is kept: a VHD footer, and the second copy of a partition table's header, whatever its sectors.
pub const TAIL_BYTES: usize = 4096;
const SECTOR: usize = 512;
const VHD_FOOTER_BYTES: usize = 512;
const ISO_SECTOR: usize = 2048;
/// Where the volume descriptors of an ISO start, and how many are looked at.
const ISO_DESCRIPTORS: std::ops::Range<usize> = 16..24;

/// The start and the end of a stream.
#[derive(Debug, Default)]
pub struct Probe {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Probe {
    /// Of what lies there whole: its start and its end are read.
    ///
    /// # Errors
    /// When they cannot be.
    pub fn of(source: &dyn Source) -> io::Result<Probe> {
        let (size, mut probe) = (source.size_bytes(), Probe::default());
        let head_bytes = size.min(HEAD_BYTES as u64);
        let tail_bytes = (size - head_bytes).min(TAIL_BYTES as u64);
        for (at, bytes) in [(0, head_bytes), (size - tail_bytes, tail_bytes)] {
            let mut piece = vec![0; bytes as usize];
            source.read_exact_at(at, &mut piece)?;
            probe.push(&piece);
        }
        Ok(probe)
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..room.min(bytes.len())]);
        let last = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let keep = TAIL_BYTES - last.len();
        self.tail.drain(..self.tail.len().saturating_sub(keep));
        self.tail.extend_from_slice(last);
    }

    /// Whether later bytes can change what the start looks like.
    pub fn head_is_complete(&self) -> bool {
        self.head.len() == HEAD_BYTES
    }

    /// The version of LUKS that it says it is.
    pub fn luks_version(&self) -> Option<u16> {
        array::<2>(&self.head, 6).map(u16::from_be_bytes).filter(|_| self.is(Format::Luks, &[]))
    }

    /// The first bytes, up to [`HEAD_BYTES`].
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// What was kept of a stream of `size_bytes`, which has ended, as a source.
    pub fn ends(&self, size_bytes: u64) -> Ends<'_> {
        Ends::new(&self.head, &self.tail, size_bytes)
    }

    /// Everything the bytes so far are recognised as; several at once are a polyglot, or an ISO
    /// that also boots from a stick.
    pub fn formats(&self) -> Vec<Format> {
        Format::ALL.into_iter().filter(|format| self.is(*format, &self.tail)).collect()
    }

    /// The same by the start alone, of a stream that goes on: what came last is not its end.
    pub fn formats_by_start(&self) -> Vec<Format> {
        Format::ALL.into_iter().filter(|format| self.is(*format, &[])).collect()
    }

    fn is(&self, format: Format, tail: &[u8]) -> bool {
        match format {
            Format::Qcow2 => self.starts(b"QFI\xfb") && !marks::is_qcow1(&self.head),
            Format::Vmdk => self.starts(b"KDMV") || marks::is_text_vmdk(&self.head),
            Format::Vhd => self.starts(b"conectix") || vhd_footer(tail).is_some(),
            Format::Vhdx => self.starts(b"vhdxfile"),
            Format::Vdi => self.has(64, b"\x7f\x10\xda\xbe"),
            Format::Iso => self.is_iso(),
            Format::Luks => self.starts(b"LUKS\xba\xbe"),
            Format::Gpt => self.has(SECTOR, b"EFI PART") || self.has(4096, b"EFI PART"),
            Format::Mbr => self.is_mbr(),
            Format::Gzip => self.starts(b"\x1f\x8b\x08"),
            Format::Xz => self.starts(b"\xfd7zXZ\0"),
            Format::Zstd => self.starts(b"\x28\xb5\x2f\xfd"),
            Format::Zip => marks::is_zip(&self.head, tail),
            Format::Tar => marks::is_tar(&self.head) && !marks::is_ova(&self.head),
            Format::Ova => marks::is_ova(&self.head),
            Format::Qcow1 => marks::is_qcow1(&self.head),
            Format::Qed => self.starts(b"QED\0"),
            Format::Cowd => self.starts(b"COWD"),
            Format::SeSparse => marks::is_se_sparse(&self.head),
            Format::Dmg => marks::is_dmg(tail),
            Format::Parallels => marks::is_parallels(&self.head),
            Format::Cloop => marks::is_cloop(&self.head),
            Format::Bochs => self.starts(b"Bochs Virtual HD Image"),
        }
    }

    /// Bytes of the disk a guest would see in this `format`, where its header says so plainly.
    pub fn virtual_size(&self, format: Format) -> Option<u64> {
        match format {
            Format::Qcow2 => self.be64(24),
            Format::Vmdk if self.starts(b"KDMV") => self.le64(12)?.checked_mul(SECTOR as u64),
            Format::Vhd => {
                let footer = vhd_footer(&self.tail).or_else(|| self.head.get(..VHD_FOOTER_BYTES))?;
                array::<8>(footer, 48).map(u64::from_be_bytes)
            }
            Format::Vdi => self.le64(0x170),
            Format::Iso => {
                let descriptor = ISO_DESCRIPTORS.start * ISO_SECTOR;
                if !self.has(descriptor, b"\x01CD001") {
                    return None;
                }
                let blocks = array::<4>(&self.head, descriptor + 80).map(u32::from_le_bytes)?;
                let block_bytes = array::<2>(&self.head, descriptor + 128).map(u16::from_le_bytes)?;
                Some(u64::from(blocks) * u64::from(block_bytes))
            }
            _ => None,
        }
    }

    fn is_iso(&self) -> bool {
        ISO_DESCRIPTORS.clone().any(|sector| {
            [b"CD001", b"NSR02", b"NSR03"].iter().any(|id| self.has(sector * ISO_SECTOR + 1, *id))
        })
    }

    fn is_mbr(&self) -> bool {
        if !self.has(510, b"\x55\xaa") {
            return false;
        }
        let Some(table) = self.head.get(446..510) else { return false };
        // FAT boot sectors and kernels carry the same mark; their code does not look like this.
        let (mut sane, mut used) = (true, false);
        for entry in table.chunks_exact(16) {
            sane &= entry[0] == 0 || entry[0] == 0x80;
            used |= entry[4] != 0 && entry[12..16] != [0; 4];
        }
        sane && used
    }

    fn starts(&self, magic: &[u8]) -> bool {
        self.head.starts_with(magic)
    }

    fn has(&self, at: usize, magic: &[u8]) -> bool {
        self.head.get(at..).is_some_and(|rest| rest.starts_with(magic))
    }

    fn be32(&self, at: usize) -> Option<u32> {
        array(&self.head, at).map(u32::from_be_bytes)
    }

    fn be64(&self, at: usize) -> Option<u64> {
        array(&self.head, at).map(u64::from_be_bytes)
    }

    fn le64(&self, at: usize) -> Option<u64> {
        array(&self.head, at).map(u64::from_le_bytes)
    }
}

/// The footer at the end of a VHD; some old tools write it one byte short.
fn vhd_footer(tail: &[u8]) -> Option<&[u8]> {
    let ends = [VHD_FOOTER_BYTES, VHD_FOOTER_BYTES - 1].into_iter();
    let mut footers = ends.filter_map(|bytes| tail.get(tail.len().checked_sub(bytes)?..));
    footers.find(|footer| footer.starts_with(b"conectix"))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
