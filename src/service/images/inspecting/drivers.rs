//! Whether kernels have drivers for virtual hardware, as their lists of modules tell.

use super::findings::Code;
use super::look::Look;
use super::report::{Driver, DriverState, Inspection};
use crate::disk::inside::Fault;

/// What machines of KVM have: a disk of either kind, and a network card.
const DRIVERS: [&str; 4] = ["virtio_blk", "virtio_scsi", "virtio_net", "virtio_pci"];
/// Longest list of modules that is read, in bytes.
const LIST_BYTES_MAX: usize = 8 << 20;
/// Settings that make an initramfs for one machine alone: the file, or the directory of files, the name, the value.
const OWN_ONLY: [(&str, &str, &str); 4] = [
    ("/etc/initramfs-tools/initramfs.conf", "MODULES", "dep"),
    ("/etc/initramfs-tools/conf.d", "MODULES", "dep"),
    ("/etc/dracut.conf", "hostonly", "yes"),
    ("/etc/dracut.conf.d", "hostonly", "yes"),
];

/// Finds the drivers of each kernel whose modules are installed.
pub(super) fn look(look: &Look<'_>, report: &mut Inspection) -> Result<(), Fault> {
    for index in 0..report.kernels.len() {
        let Some(version) = report.kernels.get(index).map(|kernel| kernel.version.clone()) else { break };
        let list = |name: &str| -> Result<Option<String>, Fault> {
            let bytes = look.bytes(&format!("/lib/modules/{version}/{name}"), LIST_BYTES_MAX)?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        let (built_in, modules) = (list("modules.builtin")?, list("modules.dep")?);
        if built_in.is_none() && modules.is_none() {
            continue;
        }
        let (built_in, modules) = (built_in.unwrap_or_default(), modules.unwrap_or_default());
        let state = |name: &str| match () {
            () if names(&built_in, name) => DriverState::BuiltIn,
            () if names(&modules, name) => DriverState::Module,
            () => DriverState::Absent,
        };
        let drivers: Vec<Driver> =
            DRIVERS.into_iter().map(|name| Driver { name, state: state(name) }).collect();
        tell_missing(&version, &drivers, report);
        if let Some(kernel) = report.kernels.get_mut(index) {
            kernel.drivers = drivers;
        }
    }
    for (path, name, value) in OWN_ONLY {
        if is_set(look, path, name, value)? {
            let sentence = format!(
                "needs optimisation because {path} has {name}={value}: the initramfs has the drivers of the machine it \
                 was made on alone, and may not find a virtual disk; make it with all drivers ({})",
                if name == "MODULES" {
                    "MODULES=most, update-initramfs -u"
                } else {
                    "dracut --no-hostonly -f"
                }
            );
            report.find(Code::OwnDriversOnly, Some(path), sentence);
        }
    }
    Ok(())
}

fn tell_missing(version: &str, drivers: &[Driver], report: &mut Inspection) {
    let has =
        |name: &str| drivers.iter().any(|driver| driver.name == name && driver.state != DriverState::Absent);
    let mut lacks = Vec::new();
    if !has("virtio_blk") && !has("virtio_scsi") {
        lacks.push("disks (virtio_blk or virtio_scsi)");
    }
    if !has("virtio_net") {
        lacks.push("networks (virtio_net)");
    }
    if !lacks.is_empty() {
        let sentence = format!(
            "needs optimisation because the kernel {version} has no driver for virtual {}: install one that has",
            lacks.join(" and ")
        );
        report.find(Code::NoVirtioDriver, Some(&format!("/lib/modules/{version}")), sentence);
    }
}

/// Whether a list of modules has one: lines begin with a module's file.
fn names(list: &str, module: &str) -> bool {
    list.lines().any(|line| {
        let path = line.split(':').next().unwrap_or_default();
        let file = path.rsplit('/').next().unwrap_or_default();
        file.split_once(".ko").is_some_and(|(name, _)| name.replace('-', "_") == module)
    })
}

/// Whether settings assign a value; in a directory, whether any file does.
fn is_set(look: &Look<'_>, path: &str, name: &str, value: &str) -> Result<bool, Fault> {
    let assigns = |text: String| {
        text.lines().any(|line| {
            let assigned = line.trim().split_once('=').filter(|(assigned, _)| assigned.trim() == name);
            assigned.is_some_and(|(_, to)| to.trim().trim_matches(['"', '\'']) == value)
        })
    };
    if !path.ends_with(".d") {
        return Ok(look.text(path)?.is_some_and(assigns));
    }
    for entry in look.list(path)?.into_iter().take(64) {
        if look.text(&format!("{path}/{}", entry.name))?.is_some_and(assigns) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_in_lists_of_them() {
        let list = "kernel/drivers/block/virtio_blk.ko.xz: kernel/x.ko\nkernel/drivers/net/virtio_net.ko:\n";
        assert!(names(list, "virtio_blk"));
        assert!(names(list, "virtio_net"));
        assert!(!names(list, "x"));
        assert!(!names(list, "virtio"));
        assert!(names("kernel/drivers/virtio/virtio-pci.ko\n", "virtio_pci"));
    }
}
