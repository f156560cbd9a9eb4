//! VirtualBox's VDI 1.1, dynamic, in blocks of 1 MiB.
//!
//! Source: the header as VirtualBox 1.1 files have it. All numbers are little-endian. The header, the map of blocks and the data
//! begin on whole MiB, as VirtualBox has them.

use super::structure::Structure;
use super::{Blocks, Form, Layout, Names, Piece, Unfit};

const MIB: u64 = 1 << 20;
const MAP_AT: u64 = MIB;
const HEADER_BYTES: u64 = 512;
const MAGIC: u32 = 0xbeda_107f;
const VERSION: u32 = 0x0001_0001;
/// Bytes of the header from the field on that says so.
const LENGTH: u32 = 0x190;
const DYNAMIC: u32 = 1;
const SECTOR: u32 = 512;
const HOLE: [u8; 4] = u32::MAX.to_le_bytes();
/// Blocks that readers take a map to have at most.
const BLOCKS_MAX: u64 = 0x1fff_fffe;

/// Refuses what is too large.
pub(super) fn check(disk: &Blocks) -> Result<(), Unfit> {
    if disk.total() > BLOCKS_MAX {
        return Err(Unfit::new(Form::Vdi, disk, "it has 512 TiB at most"));
    }
    Ok(())
}

/// A disk as a VDI.
pub(super) struct Vdi {
    disk: Blocks,
    names: Names,
}

impl Vdi {
    pub(super) fn new(disk: Blocks, names: &Names) -> Result<Vdi, Unfit> {
        check(&disk)?;
        Ok(Vdi { disk, names: *names })
    }

    fn data_at(&self) -> u64 {
        (MAP_AT + self.disk.total() * 4).next_multiple_of(MIB)
    }

    fn header(&self) -> Structure {
        let mut header = Structure::new(HEADER_BYTES);
        header.put(0, b"<<< Oracle VM VirtualBox Disk Image >>>\n");
        let number = |of: u64| u32::try_from(of).unwrap_or(u32::MAX);
        for (at, number) in [
            (64, MAGIC),
            (68, VERSION),
            (72, LENGTH),
            (76, DYNAMIC),
            (340, number(MAP_AT)),
            (344, number(self.data_at())),
            (360, SECTOR),
            (376, number(self.disk.block_bytes())),
            (384, number(self.disk.total())),
            (388, number(self.disk.count())),
        ] {
            header.put(at, &number.to_le_bytes());
        }
        header.put(368, &self.disk.disk_bytes().to_le_bytes());
        header.put(392, &self.names.uuid("vdi").to_bytes_le());
        header.put(408, &self.names.uuid("vdi change").to_bytes_le());
        header
    }

    /// Entries of the map from this one on, some of them.
    fn map(&self, first: u64) -> Structure {
        const ENTRIES: u64 = 16_384;
        let end = self.disk.total().min(first + ENTRIES);
        let mut map = Structure::new((end - first) * 4);
        (first..end).for_each(|block| map.put((block - first) * 4, &HOLE));
        for (block, ordinal) in self.disk.within(first..end) {
            map.put((block - first) * 4, &u32::try_from(ordinal).unwrap_or(u32::MAX).to_le_bytes());
        }
        map
    }
}

impl Layout for Vdi {
    fn size_bytes(&self) -> u64 {
        self.data_at() + self.disk.count() * self.disk.block_bytes()
    }

    fn piece_at(&self, at: u64) -> Piece {
        let map_end = MAP_AT + self.disk.total() * 4;
        if at < HEADER_BYTES {
            return self.header().from(at);
        }
        if at < MAP_AT {
            return Piece::Zeros(MAP_AT - at);
        }
        if at < map_end {
            return self.map((at - MAP_AT) / 4).from(at % 4);
        }
        if at < self.data_at() {
            return Piece::Zeros(self.data_at() - at);
        }
        let (at, each) = (at - self.data_at(), self.disk.block_bytes());
        self.disk.data(at / each, at % each, u64::MAX)
    }

    fn kept_bytes(&self) -> u64 {
        self.disk.kept_bytes()
    }
}
