//! Archives of a machine: their members, the description, the manifest, and the disk inside.
//!
//! Promises that are looked at: the disk lies in the archive; what an archive in order holds is read like any disk.

use tintype::disk::ova::Archive;
use tintype::disk::probe::Format;
use tintype::disk::{Source, survey};

use super::containers::{budgets, look_at_runs};
use super::sums;

/// An archive; the first byte says whether the sums of its headers are made right.
pub fn ova(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let mut file = data.to_vec();
    if first & 1 == 1 {
        sums::of_tar(&mut file);
    }
    let budgets = budgets();
    let Ok(archive) = Archive::read(&file, &budgets) else { return };
    assert!(archive.disk_bytes() <= file.size_bytes(), "a disk lies in its archive");
    // Digests that fit are more than a fuzzer finds: the disk is looked at whatever comes of this.
    let _ = archive.verify(&file, &budgets);
    let Ok(guest) = archive.open(file, &budgets) else { return };
    assert!(guest.size_bytes() <= budgets.virtual_bytes_max.max(archive.disk_bytes()));
    let format = archive.disk_format().unwrap_or(Format::Ova);
    let _ = survey(&*guest, archive.disk_bytes(), format, &budgets);
    look_at_runs(&*guest);
}
