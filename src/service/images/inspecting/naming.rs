//! How disks are named where they are mounted: names that a hypervisor decides, or such that stay.

use super::findings::Code;
use super::look::Look;
use super::report::{Inspection, Mount, clipped};
use crate::disk::inside::Fault;

const FSTAB: &str = "/etc/fstab";
const MOUNTS_MAX: usize = 64;
/// Where boot loaders keep what they start, and directories of such files.
const LOADER_FILES: [&str; 4] = [
    "/boot/grub/grub.cfg",
    "/boot/grub2/grub.cfg",
    "/boot/extlinux/extlinux.conf",
    "/boot/syslinux/syslinux.cfg",
];
const LOADER_ENTRIES: &str = "/boot/loader/entries";
/// Settings that loaders' files are made from.
const LOADER_DEFAULTS: &str = "/etc/default/grub";

/// Reads fstab and what boot loaders start.
pub(super) fn look(look: &Look<'_>, report: &mut Inspection) -> Result<(), Fault> {
    if let Some(text) = look.text(FSTAB)? {
        for mount in text.lines().filter_map(mount).take(MOUNTS_MAX) {
            if is_assigned(&mount.device) {
                let Mount { device, at, .. } = &mount;
                let sentence = format!(
                    "needs optimisation because {FSTAB} mounts {at} from {device}, a name that differs from hypervisor \
                     to hypervisor: name it by UUID= or LABEL="
                );
                report.find(Code::DeviceNamesInFstab, Some(FSTAB), sentence);
            }
            if mount.kind == "swap" {
                report.find(
                    Code::SwapInside,
                    Some(FSTAB),
                    format!("{FSTAB} takes {} for swap", mount.device),
                );
            }
            report.mounts.push(mount);
        }
    }
    let mut files: Vec<String> = LOADER_FILES.iter().map(ToString::to_string).collect();
    let entries = look.list(LOADER_ENTRIES)?.into_iter().take(64);
    files.extend(entries.map(|entry| format!("{LOADER_ENTRIES}/{}", entry.name)));
    for path in files {
        if let Some(device) = look.text(&path)?.as_deref().and_then(root_device) {
            let sentence = format!(
                "needs optimisation because {path} tells the kernel root={device}, a name that differs from hypervisor \
                 to hypervisor: use root=UUID= (update-grub, with GRUB_DISABLE_LINUX_UUID unset)"
            );
            report.find(Code::DeviceNamesInLoader, Some(&path), sentence);
        }
    }
    if let Some(text) = look.text(LOADER_DEFAULTS)?
        && text.lines().any(|line| line.trim().trim_matches('"') == "GRUB_DISABLE_LINUX_UUID=true")
    {
        let sentence = format!(
            "needs optimisation because {LOADER_DEFAULTS} has GRUB_DISABLE_LINUX_UUID=true: the next update-grub names \
             the root as one hypervisor does"
        );
        report.find(Code::DeviceNamesInLoader, Some(LOADER_DEFAULTS), sentence);
    }
    Ok(())
}

fn mount(line: &str) -> Option<Mount> {
    let mut fields = line.split_whitespace();
    let device = fields.next().filter(|device| !device.starts_with('#'))?;
    let (at, kind) = (fields.next()?, fields.next().unwrap_or_default());
    Some(Mount { device: clipped(device), at: clipped(at), kind: clipped(kind) })
}

/// Whether a name of a disk follows from the hypervisor's hardware, and the order in which it is found.
fn is_assigned(device: &str) -> bool {
    let Some(name) = device.strip_prefix("/dev/") else { return false };
    let letters = ["xvd", "sd", "hd", "vd"].iter().find_map(|prefix| name.strip_prefix(prefix));
    letters.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase()))
        || ["nvme", "mmcblk"].iter().any(|prefix| {
            let rest = name.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        })
}

/// The first root that a kernel is told by such a name.
fn root_device(text: &str) -> Option<String> {
    let starts = text.lines().map(str::trim).filter(|line| {
        let word = line.split_whitespace().next().unwrap_or_default();
        word.starts_with("linux") || matches!(word.to_ascii_lowercase().as_str(), "options" | "append")
    });
    let words = starts.flat_map(str::split_whitespace);
    let roots = words.filter_map(|word| word.strip_prefix("root="));
    roots.filter(|device| is_assigned(device)).map(clipped).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_hypervisor_decides_are_told_from_those_that_stay() {
        for name in ["/dev/sda1", "/dev/vdb", "/dev/xvda2", "/dev/hda", "/dev/nvme0n1p2", "/dev/mmcblk0p1"] {
            assert!(is_assigned(name), "{name}");
        }
        let stay = [
            "UUID=1",
            "LABEL=root",
            "/dev/disk/by-uuid/1",
            "/dev/mapper/vg-root",
            "/dev/sd",
            "tmpfs",
            "/dev/md0",
        ];
        for name in stay {
            assert!(!is_assigned(name), "{name}");
        }
    }

    #[test]
    fn roots_are_read_where_kernels_are_started() {
        let told = "menuentry 'x' {\n  linux /vmlinuz root=/dev/sda2 ro quiet\n}\n";
        assert_eq!(root_device(told).as_deref(), Some("/dev/sda2"));
        assert_eq!(root_device("linux /vmlinuz root=UUID=1 ro\n# linux /v root=/dev/sda1\n"), None);
        assert_eq!(root_device("options root=/dev/vda1").as_deref(), Some("/dev/vda1"));
    }

    #[test]
    fn lines_of_fstab_are_mounts() {
        let mount = mount("UUID=1 / ext4 errors=remount-ro 0 1").unwrap();
        assert_eq!((mount.device.as_str(), mount.at.as_str(), mount.kind.as_str()), ("UUID=1", "/", "ext4"));
        assert!(super::mount("# x / ext4").is_none());
        assert!(super::mount("").is_none());
    }
}
