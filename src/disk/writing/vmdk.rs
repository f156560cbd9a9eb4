//! VMware's streamOptimized VMDK, in grains of 64 KiB, when the length of each packed grain is known.
//!
//! Source: VMware's Virtual Disk Format 5.0. After the front come, for each group of 512 grains in which there is one, the grains
//! and their table; then the directory of tables, the header that knows where it is, and the end.

use super::packing::Packed;
use super::sizes::{Before, MARKER_BYTES, Sizes};
use super::structure::Structure;
use super::vmdk_text::{FRONT_SECTORS, SECTOR, TABLE_ENTRIES, front, header};
use super::{Blocks, Form, Layout, Names, Piece, Unfit};

/// A table, in sectors.
const TABLE_SECTORS: u64 = TABLE_ENTRIES * 4 / SECTOR;
/// The same, and the marker before it.
pub(super) const GROUP_END_SECTORS: u64 = 1 + TABLE_SECTORS;
/// The marker of the header at the end, that header, and the marker of the end.
const END_SECTORS: u64 = 3;
const OF_TABLE: u32 = 1;
const OF_DIRECTORY: u32 = 2;
const OF_FOOTER: u32 = 3;
/// Places are sectors in 32 bits.
pub(super) const FILE_SECTORS_MAX: u64 = u32::MAX as u64;
pub(super) const TOO_MUCH: &str = "what it packs to has 2 TiB at most";
const SIZE_MAX: u64 = 64 << 40;

/// Refuses what readers do not take.
pub(super) fn check(disk: &Blocks) -> Result<(), Unfit> {
    match disk.disk_bytes() {
        0 => Err(Unfit::new(Form::Vmdk, disk, "it has one sector at least")),
        bytes if bytes > SIZE_MAX => Err(Unfit::new(Form::Vmdk, disk, "it has 64 TiB at most")),
        _ => Ok(()),
    }
}

/// Sectors that a packed grain takes with its marker.
pub(super) fn grain_sectors(packed_bytes: u64) -> u64 {
    (packed_bytes + MARKER_BYTES).div_ceil(SECTOR)
}

/// What stands before a packed grain: the disk's sector that it begins with, and its length.
pub(super) fn grain_marker(unit: u64, packed_bytes: u64) -> Vec<u8> {
    let sector = unit * (super::UNIT_BYTES / SECTOR);
    [&sector.to_le_bytes()[..], &u32::try_from(packed_bytes).unwrap_or(u32::MAX).to_le_bytes()].concat()
}

fn marker(sectors: u64, kind: u32) -> Structure {
    let mut marker = Structure::new(SECTOR);
    marker.put(0, &sectors.to_le_bytes());
    marker.put(12, &kind.to_le_bytes());
    marker
}

/// A table of grains with its marker, by where they are, in sectors.
pub(super) fn table(entries: impl Iterator<Item = (u64, u64)>) -> Structure {
    let mut made = Structure::new(GROUP_END_SECTORS * SECTOR);
    made.put(0, marker(TABLE_SECTORS, OF_TABLE).bytes());
    for (index, sector) in entries {
        made.put(SECTOR + index * 4, &u32::try_from(sector).unwrap_or(u32::MAX).to_le_bytes());
    }
    made
}

/// Sectors of the directory without its marker.
fn directory_sectors(disk: &Blocks) -> u64 {
    (disk.total().div_ceil(TABLE_ENTRIES) * 4).div_ceil(SECTOR)
}

/// Everything from the marker of the directory on, which is at this sector; with the tables, by group, in order.
pub(super) fn end(disk: &Blocks, at: u64, tables: impl Iterator<Item = (u64, u64)>) -> Structure {
    let sectors = directory_sectors(disk);
    let mut made = Structure::new((1 + sectors + END_SECTORS) * SECTOR);
    made.put(0, marker(sectors, OF_DIRECTORY).bytes());
    for (group, sector) in tables {
        made.put(SECTOR + group * 4, &u32::try_from(sector).unwrap_or(u32::MAX).to_le_bytes());
    }
    let footer = (1 + sectors) * SECTOR;
    made.put(footer, marker(1, OF_FOOTER).bytes());
    made.put(footer + SECTOR, header(disk, Some(at + 1)).bytes());
    made
}

/// Grains that have one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    number: u64,
    /// The ordinal of the first block with data in it.
    ordinal: u64,
    /// Where its first grain is, in sectors.
    at: u64,
    /// Sectors of grains before it, of all groups.
    grains_before: u64,
}

/// A disk as a VMDK.
pub(super) struct Vmdk {
    disk: Blocks,
    sizes: Sizes,
    names: Names,
    groups: Vec<Group>,
    /// Where the marker of the directory is, in sectors.
    end_at: u64,
}

impl Vmdk {
    pub(super) fn new(disk: Blocks, sizes: Sizes, names: &Names) -> Result<Vmdk, Unfit> {
        check(&disk)?;
        let before = |ordinal| sizes.from(ordinal).next().map_or(sizes.all(), |(_, unit)| unit.before);
        let mut groups: Vec<Group> = Vec::new();
        for number in disk.groups(TABLE_ENTRIES) {
            let ordinal = disk.before(number * TABLE_ENTRIES);
            let (first, last) = (before(ordinal), before(disk.before((number + 1) * TABLE_ENTRIES)));
            if first.there == last.there {
                continue;
            }
            let at = FRONT_SECTORS + first.marked_sectors + groups.len() as u64 * GROUP_END_SECTORS;
            groups.push(Group { number, ordinal, at, grains_before: first.marked_sectors });
        }
        let end_at = FRONT_SECTORS + sizes.all().marked_sectors + groups.len() as u64 * GROUP_END_SECTORS;
        if end_at + directory_sectors(&disk) > FILE_SECTORS_MAX {
            return Err(Unfit::new(Form::Vmdk, &disk, TOO_MUCH));
        }
        Ok(Vmdk { disk, sizes, names: *names, groups, end_at })
    }

    /// Where the marker of a group's table is, in sectors.
    fn table_at(&self, place: usize) -> u64 {
        self.groups.get(place + 1).map_or(self.end_at, |next| next.at) - GROUP_END_SECTORS
    }

    fn table(&self, group: &Group) -> Structure {
        let blocks = group.number * TABLE_ENTRIES..(group.number + 1) * TABLE_ENTRIES;
        let units = self.disk.within(blocks).zip(self.sizes.from(group.ordinal));
        table(units.filter(|(_, (_, unit))| unit.packed_bytes > 0).map(|((block, _), (_, unit))| {
            (block % TABLE_ENTRIES, group.at + unit.before.marked_sectors - group.grains_before)
        }))
    }

    fn grain(&self, group: &Group, at: u64) -> Piece {
        let sector = at / SECTOR - group.at + group.grains_before;
        let found = self.sizes.find(sector, |before: &Before| before.marked_sectors);
        let Some((ordinal, unit)) = found else { return Piece::Zeros(SECTOR - at % SECTOR) };
        let (number, bytes) = (self.disk.block(ordinal), unit.packed_bytes);
        let skip = (sector - unit.before.marked_sectors) * SECTOR + at % SECTOR;
        match skip.checked_sub(MARKER_BYTES) {
            None => Piece::Made(grain_marker(number, bytes).split_off(skip as usize)),
            Some(skip) if skip < bytes => {
                Piece::Packed { unit: number, as_: Packed::Grain, packed_bytes: bytes, skip }
            }
            Some(_) => Piece::Zeros(grain_sectors(bytes) * SECTOR - skip),
        }
    }
}

impl Layout for Vmdk {
    fn size_bytes(&self) -> u64 {
        (self.end_at + 1 + directory_sectors(&self.disk) + END_SECTORS) * SECTOR
    }

    fn piece_at(&self, at: u64) -> Piece {
        let sector = at / SECTOR;
        if sector < FRONT_SECTORS {
            return front(&self.disk, &self.names).from(at);
        }
        if sector >= self.end_at {
            let tables = self.groups.iter().enumerate();
            let tables = tables.map(|(place, group)| (group.number, self.table_at(place) + 1));
            return end(&self.disk, self.end_at, tables).from(at - self.end_at * SECTOR);
        }
        let place = self.groups.partition_point(|group| group.at <= sector).saturating_sub(1);
        match self.groups.get(place) {
            Some(group) if sector < self.table_at(place) => self.grain(group, at),
            Some(group) => self.table(group).from(at - self.table_at(place) * SECTOR),
            None => Piece::Zeros(self.end_at * SECTOR - at),
        }
    }

    fn kept_bytes(&self) -> u64 {
        let groups = (self.groups.len() * size_of::<Group>()) as u64;
        self.disk.kept_bytes() + self.sizes.kept_bytes() + groups
    }
}
