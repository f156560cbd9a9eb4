//! Archives of a machine: their members, the description, the manifest, and the disk inside.
//!
//! Promises that are looked at: a disk lies in the archive; what an archive in order holds is read like any disk.

use tintype::disk::ova::Archive;
use tintype::disk::probe::Format;
use tintype::disk::{Source, survey};

use super::containers::{budgets, look_at_runs};
use super::sums;

/// Disks that are looked at.
const DISKS_MAX: usize = 3;

/// An archive; the first byte says whether the sums of its headers are made right.
pub fn ova(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let mut file = data.to_vec();
    if first & 1 == 1 {
        sums::of_tar(&mut file);
    }
    let budgets = budgets();
    let Ok(archive) = Archive::read(&file, &budgets) else { return };
    // Digests that fit are more than a fuzzer finds: the disk is looked at whatever comes of this.
    let _ = archive.verify(&file, &budgets);
    for disk in archive.disks().iter().take(DISKS_MAX) {
        assert!(disk.file_bytes() <= file.size_bytes(), "a disk lies in its archive");
        let Ok(guest) = disk.open(file.clone(), &budgets) else { continue };
        assert!(guest.size_bytes() <= budgets.virtual_bytes_max.max(disk.file_bytes()));
        let _ = survey(&*guest, disk.file_bytes(), disk.format().unwrap_or(Format::Ova), &budgets);
        look_at_runs(&*guest);
    }
}
