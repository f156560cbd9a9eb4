//! What a machine starts from a disc: the entries of its boot catalog.
//!
//! Sources: the "El Torito" Bootable CD-ROM Format Specification 1.0; UEFI 2.10, section 13.3.2.1, for its own platform.
//! Invariant: of a catalog one sector is looked at, as firmware does: real ones have a handful of entries.

use super::{DESCRIPTORS_MAX, FIRST_DESCRIPTOR, MARK, SECTOR_BYTES, TERMINATOR};
use crate::disk::fields::Fields;
use crate::disk::inside::fault::Fault;
use crate::disk::inside::part::Part;

const BOOT_RECORD: u8 = 0;
const VERSION: u8 = 1;
const SYSTEM: &[u8] = b"EL TORITO SPECIFICATION";
/// Where a boot record says which sector the catalog is in.
const CATALOG_AT: usize = 0x47;
const ENTRY_BYTES: usize = 32;
/// What entries begin with: the catalog's own, one of something to start, what is more of the entry in front, and heads of sections.
const VALIDATION: u8 = 0x01;
const BOOTABLE: u8 = 0x88;
const EXTENSION: u8 = 0x44;
const SECTION: u8 = 0x90;
const LAST_SECTION: u8 = 0x91;
/// How the catalog's own entry ends.
const KEY: [u8; 2] = [0x55, 0xaa];
const KEY_AT: usize = 30;
const X86: u8 = 0x00;
const EFI: u8 = 0xef;

/// Which firmware finds something on a disc to start a machine from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Starts {
    /// A BIOS.
    pub bios: bool,
    /// UEFI.
    pub uefi: bool,
}

/// Which firmware a disc of ISO 9660 starts a machine by. One without a boot catalog, or with one that is not in order or does
/// not lie on it, starts none.
///
/// # Errors
/// When its bytes cannot be had, or too much has been read.
pub fn disc_starts(disc: &Part) -> Result<Starts, Fault> {
    let Some(sector) = catalog_sector(disc)? else { return Ok(Starts::default()) };
    let catalog = disc.bytes_if_inside(u64::from(sector) * SECTOR_BYTES, SECTOR_BYTES as usize)?;
    Ok(catalog.map(|catalog| starts_of(&catalog)).unwrap_or_default())
}

/// The sector that a boot record leads to; `None` where the disc has no such record.
fn catalog_sector(disc: &Part) -> Result<Option<u32>, Fault> {
    for sector in FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + DESCRIPTORS_MAX {
        let Some(bytes) = disc.bytes_if_inside(sector * SECTOR_BYTES, SECTOR_BYTES as usize)? else { break };
        let fields = Fields(&bytes);
        let kind = bytes.first().copied();
        if fields.bytes(1, MARK.len()) != MARK || kind == Some(TERMINATOR) {
            break;
        }
        let leads_there = kind == Some(BOOT_RECORD)
            && fields.bytes(6, 1) == [VERSION]
            && fields.bytes(7, SYSTEM.len()) == SYSTEM;
        if leads_there {
            return Ok(Some(fields.le32(CATALOG_AT)));
        }
    }
    Ok(None)
}

/// What the entries of a catalog are for.
fn starts_of(catalog: &[u8]) -> Starts {
    let mut starts = Starts::default();
    let head = Fields(catalog);
    if head.bytes(0, 1) != [VALIDATION] || head.bytes(KEY_AT, KEY.len()) != KEY {
        return starts;
    }
    // The catalog's own entry is for one: the initial one.
    let (mut platform, mut entries_left, mut is_last) = (second_byte(catalog), 1_u16, false);
    for entry in catalog.chunks_exact(ENTRY_BYTES).skip(1) {
        let kind = entry.first().copied().unwrap_or_default();
        match kind {
            EXTENSION => {}
            SECTION | LAST_SECTION if entries_left == 0 && !is_last => {
                (platform, entries_left) = (second_byte(entry), Fields(entry).le16(2));
                is_last = kind == LAST_SECTION;
            }
            _ if entries_left == 0 => break,
            _ => {
                entries_left -= 1;
                starts.bios |= kind == BOOTABLE && platform == X86;
                starts.uefi |= kind == BOOTABLE && platform == EFI;
            }
        }
    }
    starts
}

/// The platform that an entry is for.
fn second_byte(entry: &[u8]) -> u8 {
    entry.get(1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::fixtures::put;
    use crate::disk::inside::fixtures::{Content, bootable_iso, iso};
    use crate::disk::inside::part::tests::disk;

    const FILES: [(&str, Content<'_>); 1] = [("/file", Content::File(b"x"))];
    const BOTH: [u8; 2] = [X86, EFI];

    /// Whether a disc starts by a BIOS, and by UEFI.
    fn starts(image: Vec<u8>) -> (bool, bool) {
        let found = disc_starts(&disk(image)).unwrap();
        (found.bios, found.uefi)
    }

    #[test]
    fn a_disc_starts_by_the_platforms_of_its_catalog() {
        assert_eq!(starts(bootable_iso(&FILES, &[X86])), (true, false));
        assert_eq!(starts(bootable_iso(&FILES, &[EFI])), (false, true));
        assert_eq!(starts(bootable_iso(&FILES, &BOTH)), (true, true));
        assert_eq!(starts(bootable_iso(&FILES, &[EFI, X86])), (true, true));
        // Others are of PowerPC and of Macs.
        assert_eq!(starts(bootable_iso(&FILES, &[1, 2, EFI])), (false, true));
        assert_eq!(starts(bootable_iso(&FILES, &[1, 2])), (false, false));
        assert_eq!(starts(bootable_iso(&FILES, &[])), (false, false));
        assert_eq!(starts(iso(&FILES, true)), (false, false));
    }

    #[test]
    fn what_is_no_catalog_or_not_to_be_started_starts_nothing() {
        let catalog = bootable_iso(&FILES, &BOTH).len() - SECTOR_BYTES as usize;
        let with = |at: usize, bytes: &[u8]| {
            let mut image = bootable_iso(&FILES, &BOTH);
            put(&mut image, at, bytes);
            starts(image)
        };
        assert_eq!(with(catalog, &[0]), (false, false));
        assert_eq!(with(catalog + KEY_AT, &[0]), (false, false));
        assert_eq!(with(catalog + ENTRY_BYTES, &[0]), (false, true));
        assert_eq!(with(catalog + 2 * ENTRY_BYTES, &[0]), (true, false));
        assert_eq!(with(catalog + 2 * ENTRY_BYTES + 2, &[0]), (true, false));
        assert_eq!(with(catalog + 3 * ENTRY_BYTES, &[0]), (true, false));
        // A boot record of another version, or of another system.
        assert_eq!(with(17 * SECTOR_BYTES as usize + 6, &[2]), (false, false));
        assert_eq!(with(17 * SECTOR_BYTES as usize + 7, b"ALPHA"), (false, false));
    }

    #[test]
    fn entries_are_counted_by_their_section_and_without_their_extensions() {
        let mut catalog = vec![0; SECTOR_BYTES as usize];
        put(&mut catalog, 0, &[VALIDATION, X86]);
        put(&mut catalog, KEY_AT, &KEY);
        let mut put_at = |index: usize, bytes: &[u8]| put(&mut catalog, index * ENTRY_BYTES, bytes);
        // Nothing to start for a BIOS, and the second of two entries for UEFI, after what is more of the first.
        put_at(1, &[0]);
        put_at(2, &[LAST_SECTION, EFI, 2, 0]);
        put_at(3, &[0]);
        put_at(4, &[EXTENSION, 0x20]);
        put_at(5, &[EXTENSION, 0]);
        put_at(6, &[BOOTABLE]);
        // Nothing follows the last section.
        put_at(7, &[SECTION, X86, 1, 0]);
        put_at(8, &[BOOTABLE]);
        assert_eq!(starts_of(&catalog), Starts { bios: false, uefi: true });
        // A section that says it has more entries than there are.
        put(&mut catalog, 2 * ENTRY_BYTES, &[LAST_SECTION, EFI, 0xff, 0xff]);
        assert_eq!(starts_of(&catalog), Starts { bios: false, uefi: true });
        assert_eq!(starts_of(&[]), Starts::default());
    }

    #[test]
    fn a_catalog_that_does_not_lie_on_the_disc_is_none() {
        let mut outside = bootable_iso(&FILES, &BOTH);
        put(&mut outside, 17 * SECTOR_BYTES as usize + CATALOG_AT, &u32::MAX.to_le_bytes());
        assert_eq!(starts(outside), (false, false));
        let whole = bootable_iso(&FILES, &BOTH);
        for length in [whole.len() - 1, 18 * SECTOR_BYTES as usize, 17 * SECTOR_BYTES as usize + 100, 0] {
            assert_eq!(starts(whole[..length].to_vec()), (false, false), "{length}");
        }
    }
}
