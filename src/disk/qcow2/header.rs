//! The header of a qcow2 file and what hangs on it: extensions and the snapshot table.
//!
//! Source: QEMU's `docs/interop/qcow2.rst`. All numbers are big-endian.

use super::notes::notes;
use crate::disk::budgets::Budgets;
use crate::disk::fields::Fields;
use crate::disk::notes::Note;
use crate::disk::probe::Format;
use crate::disk::refusal::{Code, Error};
use crate::disk::source::{Source, Structures};
use crate::disk::units::Codec;

const MAGIC: &[u8] = b"QFI\xfb";
const V2_BYTES: usize = 72;
/// The shortest header of version 3, and where its optional part begins.
const V3_BYTES: usize = 104;
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// Below this, a cluster of an extended table would have subclusters smaller than a sector.
const EXTENDED_CLUSTER_BITS_MIN: u32 = 14;

const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
const KNOWN: u64 = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2;

const EXTENSION_END: u32 = 0;
const EXTENSION_ENCRYPTION: u32 = 0x0537_be77;
const EXTENSION_DATA_FILE: u32 = 0x4441_5441;
const EXTENSION_BITMAPS: u32 = 0x2385_2875;

/// As many as QEMU reads.
const SNAPSHOTS_MAX: u32 = 65_536;
/// Of a snapshot's record, what always is there.
const SNAPSHOT_BYTES: usize = 40;

/// What the header says, found in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) cluster_bits: u32,
    /// Size of the guest's disk.
    pub(super) size_bytes: u64,
    pub(super) l1_at: u64,
    /// Entries that the file has; the disk may need fewer.
    pub(super) l1_entries: u32,
    /// Whether entries of second-level tables tell of 32 subclusters each.
    pub(super) is_extended: bool,
    /// Whether clusters may be marked as zeros.
    pub(super) has_zero_clusters: bool,
    pub(super) codec: Codec,
    /// What is no fault, but worth knowing.
    pub(super) notes: Vec<Note>,
}

impl Header {
    pub(super) fn read(source: &dyn Source, budgets: &Budgets) -> Result<Header, Error> {
        let file = Structures::new(source, Format::Qcow2);
        let refuse = |code, field, why: String| Err(file.refuse(code, field, why));
        let first = file.bytes("header", 0, V2_BYTES)?;
        let version = Fields(&first).be32(4);
        if !first.starts_with(MAGIC) {
            return refuse(Code::BadField, "magic", "it does not begin as one".into());
        }
        if !matches!(version, 2 | 3) {
            return refuse(Code::Unsupported, "version", format!("it is {version}, neither 2 nor 3"));
        }
        let bits = Fields(&first).be32(20);
        if !CLUSTER_BITS.contains(&bits) {
            return refuse(Code::BadField, "cluster_bits", format!("it is {bits}, not from 9 to 21"));
        }
        let length = if version == 2 { V2_BYTES } else { length(&file)? };
        if length as u64 > 1 << bits {
            return refuse(
                Code::BadField,
                "header_length",
                format!("its {length} bytes are more than a cluster"),
            );
        }
        let whole = file.bytes("header", 0, length)?;
        let header = Fields(&whole);
        let features = if version == 2 { 0 } else { header.be64(72) };
        expect_alone(&file, &header)?;
        expect_features(&file, features, bits)?;
        let bitmaps = extensions(&file, length, 1 << bits)?;
        let size_bytes = header.be64(24);
        if size_bytes > budgets.virtual_bytes_max {
            let why =
                format!("it is {size_bytes}, and disks.virtual_bytes_max is {}", budgets.virtual_bytes_max);
            return refuse(Code::OverBudget, "size", why);
        }
        let snapshots = header.be32(60);
        check_snapshots(&file, header.be64(64), snapshots)?;
        let is_extended = features & EXTENDED_L2 != 0;
        let read = Header {
            cluster_bits: bits,
            size_bytes,
            l1_at: header.be64(40),
            l1_entries: header.be32(36),
            is_extended,
            has_zero_clusters: version == 3 && !is_extended,
            codec: codec(&file, features, &header)?,
            notes: notes(version, &header, bitmaps),
        };
        read.check_l1(&file)?;
        Ok(read)
    }

    pub(super) fn cluster_bytes(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Bytes of one entry of a second-level table.
    pub(super) fn entry_bytes(&self) -> u64 {
        if self.is_extended { 16 } else { 8 }
    }

    /// Entries of a second-level table, which fills a cluster.
    pub(super) fn l2_entries(&self) -> u64 {
        self.cluster_bytes() / self.entry_bytes()
    }

    /// Entries of the first-level table that the disk needs.
    pub(super) fn l1_needed(&self) -> u64 {
        self.size_bytes.div_ceil(self.cluster_bytes() * self.l2_entries())
    }

    fn check_l1(&self, file: &Structures) -> Result<(), Error> {
        let (has, needs) = (u64::from(self.l1_entries), self.l1_needed());
        if has < needs {
            let why = format!("it has {has} entries, and the disk's size asks for {needs}");
            return Err(file.refuse(Code::BadField, "l1_size", why));
        }
        if !self.l1_at.is_multiple_of(self.cluster_bytes()) || (needs > 0 && self.l1_at == 0) {
            let why = format!("byte {} is no start of a cluster behind the header", self.l1_at);
            return Err(file.refuse(Code::BadTable, "l1_table_offset", why));
        }
        file.expect_inside("l1_table_offset", self.l1_at, has * 8)
    }
}

fn length(file: &Structures) -> Result<usize, Error> {
    let length = Fields(&file.bytes("header", 0, V3_BYTES)?).be32(100);
    match usize::try_from(length) {
        Ok(length) if length >= V3_BYTES && length.is_multiple_of(8) => Ok(length),
        _ => {
            let why = format!("it is {length}, not a multiple of 8 from {V3_BYTES} on");
            Err(file.refuse(Code::BadField, "header_length", why))
        }
    }
}

/// Everything that the disk is must be in the file, and in clear.
fn expect_alone(file: &Structures, header: &Fields) -> Result<(), Error> {
    let backing = header.be64(8);
    if backing != 0 {
        let why = format!("it is {backing}: the disk is what changed since another file, which it names");
        return Err(file.refuse(Code::NeedsAnotherFile, "backing_file_offset", why));
    }
    match header.be32(32) {
        0 => Ok(()),
        method => Err(file.refuse(Code::Encrypted, "crypt_method", format!("it is {method}"))),
    }
}

fn expect_features(file: &Structures, features: u64, cluster_bits: u32) -> Result<(), Error> {
    let refuse = |code, why: String| Err(file.refuse(code, "incompatible_features", why));
    if features & EXTERNAL_DATA != 0 {
        return refuse(Code::NeedsAnotherFile, "its data is in another file".into());
    }
    if features & CORRUPT != 0 {
        return refuse(Code::MarkedCorrupt, "the bit for a corrupt image is set".into());
    }
    if features & !KNOWN != 0 {
        return refuse(Code::Unsupported, format!("the bits {:#x} are not known here", features & !KNOWN));
    }
    if features & EXTENDED_L2 != 0 && cluster_bits < EXTENDED_CLUSTER_BITS_MIN {
        return refuse(Code::BadField, "clusters with subclusters have 16 KiB at least".into());
    }
    Ok(())
}

fn codec(file: &Structures, features: u64, header: &Fields) -> Result<Codec, Error> {
    let kind = header.bytes(V3_BYTES, 1).first().copied().unwrap_or(0);
    match (features & COMPRESSION_TYPE != 0, kind) {
        (false, 0) => Ok(Codec::Deflate),
        (true, 1) => Ok(Codec::Zstd),
        (true, 0) | (false, 1) => {
            let why = format!("it is {kind}, which the feature bit for it denies");
            Err(file.refuse(Code::BadField, "compression_type", why))
        }
        _ => Err(file.refuse(Code::Unsupported, "compression_type", format!("it is {kind}"))),
    }
}

/// Goes through the header extensions; says how many bitmaps there are, where one is about them.
fn extensions(file: &Structures, length: usize, cluster_bytes: u64) -> Result<Option<u32>, Error> {
    let refuse = |code, why: &str| Err(file.refuse(code, "header extensions", why));
    let mut bitmaps = None;
    let mut at = length as u64;
    while at < cluster_bytes {
        if cluster_bytes - at < 8 {
            return refuse(Code::BadField, "they go on past the first cluster");
        }
        let head = file.bytes("header extensions", at, 8)?;
        let (kind, bytes) = (Fields(&head).be32(0), u64::from(Fields(&head).be32(4)));
        match kind {
            EXTENSION_END => return Ok(bitmaps),
            EXTENSION_DATA_FILE => return refuse(Code::NeedsAnotherFile, "one names a file for the data"),
            EXTENSION_ENCRYPTION => return refuse(Code::Encrypted, "one is about encryption"),
            EXTENSION_BITMAPS if bitmaps.is_some() => {
                return refuse(Code::BadField, "two are about bitmaps");
            }
            EXTENSION_BITMAPS => {
                bitmaps = Some(Fields(&file.bytes("bitmaps extension", at + 8, 4)?).be32(0));
            }
            // A name of another file's format, names of features, and what later writers have to say.
            _ => {}
        }
        at += 8 + bytes.next_multiple_of(8);
    }
    if at > cluster_bytes {
        return refuse(Code::BadField, "they go on past the first cluster");
    }
    // Of version 2, a full first cluster needs no end mark.
    Ok(bitmaps)
}

/// Each snapshot's record and table must be in the file. They are no part of the guest's disk.
fn check_snapshots(file: &Structures, at: u64, count: u32) -> Result<(), Error> {
    if count > SNAPSHOTS_MAX {
        let why = format!("it is {count}, and {SNAPSHOTS_MAX} are the most");
        return Err(file.refuse(Code::BadField, "nb_snapshots", why));
    }
    let mut at = at;
    for _ in 0..count {
        let record = file.bytes("snapshots_offset", at, SNAPSHOT_BYTES)?;
        let record = Fields(&record);
        file.expect_inside("snapshot l1_table_offset", record.be64(0), u64::from(record.be32(8)) * 8)?;
        let names = u64::from(record.be16(12)) + u64::from(record.be16(14));
        let more = u64::from(record.be32(36)) + names;
        let bytes = (SNAPSHOT_BYTES as u64 + more).next_multiple_of(8);
        // The last record need not be filled up.
        file.expect_inside("snapshots_offset", at, SNAPSHOT_BYTES as u64 + more)?;
        at = at.saturating_add(bytes);
    }
    Ok(())
}
