//! How a machine starts: what its firmware finds, and the kernels that are installed.

use super::findings::Code;
use super::look::Look;
use super::report::{Inspection, Kernel, clipped};
use super::volumes::Opened;
use crate::disk::inside::partitions::{Purpose, TableKind};
use crate::disk::inside::{Entry, Fault, NodeKind, Part, disc_starts};

/// Loaders at the place where UEFI looks without being told, and what they are made for.
const LOADERS: [(&str, &str); 5] = [
    ("bootx64.efi", "x86_64"),
    ("bootaa64.efi", "aarch64"),
    ("bootia32.efi", "i686"),
    ("bootarm.efi", "armv7l"),
    ("bootriscv64.efi", "riscv64"),
];
const LOADERS_AT: &str = "/EFI/BOOT";
const ENTRIES_MAX: usize = 256;
const KERNELS_MAX: usize = 16;
const KERNEL_NAMES: [&str; 3] = ["vmlinuz-", "vmlinux-", "kernel-"];
/// What stands around a version in the name of its initramfs.
const INITRAMFS_NAMES: [(&str, &str); 4] =
    [("initrd.img-", ""), ("initramfs-", ".img"), ("initrd-", ""), ("initramfs-", "")];

/// Looks for what firmware starts, in all volumes.
pub(super) fn look_at_loaders(volumes: &[Opened], report: &mut Inspection) -> Result<(), Fault> {
    for volume in volumes {
        let purpose =
            report.volumes.iter().find(|known| known.number == volume.number).and_then(|v| v.purpose);
        // Any FAT partition of a stick, and the tree of a disc, may be started from; others only where the table says so.
        let may_be_started =
            volume.number == 0 || purpose == Some(Purpose::EfiSystem) || report.table == Some(TableKind::Mbr);
        if !may_be_started {
            continue;
        }
        let listing = match volume.tree.list(LOADERS_AT, ENTRIES_MAX) {
            Err(fault @ (Fault::Source(_) | Fault::TooMuch(_))) => return Err(fault),
            listing => listing.ok().flatten().unwrap_or_default(),
        };
        for (name, architecture) in LOADERS {
            if listing.entries.iter().any(|entry| entry.name.eq_ignore_ascii_case(name)) {
                report.boot.uefi = true;
                report.system.architecture.get_or_insert(architecture);
            }
        }
    }
    // Code in the first sector goes on in a partition of its own where the table is a GUID one: without that it is the
    // empty code that tools write for old systems.
    let has_bios_partition = report.volumes.iter().any(|volume| volume.purpose == Some(Purpose::BiosBoot));
    report.boot.bios &= report.table == Some(TableKind::Mbr) || has_bios_partition;
    Ok(())
}

/// Adds what the boot catalog of a disc says, where the disk is one: firmware starts discs by that alone.
pub(super) fn look_at_disc(disk: &Part, report: &mut Inspection) -> Result<(), Fault> {
    if report.volumes.iter().any(|volume| volume.number == 0 && volume.file_system == Some("iso9660")) {
        let starts = disc_starts(disk)?;
        report.boot.bios |= starts.bios;
        report.boot.uefi |= starts.uefi;
    }
    Ok(())
}

/// Lists the kernels: those that have modules, and those that lie in `/boot`.
pub(super) fn look_at_kernels(look: &Look<'_>, report: &mut Inspection) -> Result<(), Fault> {
    let mut files = look.list("/boot")?;
    // `/boot` may be a volume of its own: its topmost directory has the kernels then.
    for volume in look.volumes {
        if Some(volume.number) != report.root {
            match volume.tree.list("/", ENTRIES_MAX) {
                Err(fault @ (Fault::Source(_) | Fault::TooMuch(_))) => return Err(fault),
                listing => files.extend(listing.ok().flatten().unwrap_or_default().entries),
            }
        }
    }
    let has_modules = |entry: &Entry| entry.node.kind == NodeKind::Directory;
    let modules = look.list("/lib/modules")?.into_iter().filter(has_modules).map(|entry| entry.name);
    let mut versions: Vec<String> = modules.collect();
    for name in files.iter().filter_map(|file| kernel_version(&file.name)) {
        if !versions.iter().any(|version| version == name) {
            versions.push(name.to_owned());
        }
    }
    versions.sort();
    versions.truncate(KERNELS_MAX);
    for version in versions {
        let find = |wanted: &dyn Fn(&str) -> bool| {
            let file = files.iter().find(|file| wanted(&file.name));
            file.map(|file| format!("/boot/{}", clipped(&file.name)))
        };
        report.kernels.push(Kernel {
            path: find(&|name| kernel_version(name) == Some(version.as_str())),
            initramfs: find(&|name| is_initramfs(name, &version)),
            version: clipped(&version),
            drivers: Vec::new(),
        });
    }
    let has_kernel = report.kernels.iter().any(|kernel| kernel.path.is_some());
    if has_kernel && !report.boot.uefi && !report.boot.bios && report.table.is_some() {
        report.find(
            Code::NoLoader,
            None,
            "no boot loader was found: there is no code in the first sector, and no EFI system partition with \
             EFI/BOOT; install one (grub-install), or start machines with the kernel beside the image",
        );
    }
    Ok(())
}

fn kernel_version(name: &str) -> Option<&str> {
    KERNEL_NAMES.iter().find_map(|prefix| name.strip_prefix(prefix)).filter(|version| !version.is_empty())
}

fn is_initramfs(name: &str, version: &str) -> bool {
    INITRAMFS_NAMES.iter().any(|(before, after)| {
        name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) == Some(version)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_and_their_initramfs_are_told_by_their_names() {
        assert_eq!(kernel_version("vmlinuz-6.1.0-40-cloud-amd64"), Some("6.1.0-40-cloud-amd64"));
        assert_eq!(kernel_version("vmlinuz"), None);
        assert!(is_initramfs("initrd.img-6.1", "6.1"));
        assert!(is_initramfs("initramfs-6.1.img", "6.1"));
        assert!(is_initramfs("initramfs-6.1", "6.1"));
        assert!(!is_initramfs("initrd.img-6.1", "6.10"));
        assert!(!is_initramfs("initramfs-6.1kdump.img", "6.1"));
    }
}
