//! The volumes of a disk, which of them are read, and which has the operating system.

use super::findings::Code;
use super::report::{Inspection, Volume, clipped};
use crate::disk::inside::partitions::{self, Partition};
use crate::disk::inside::{Fault, Kind, Part, Recognised, Remark, Tree, mount, recognise};

/// A volume whose files are read.
pub(super) struct Opened {
    pub(super) number: u32,
    pub(super) tree: Tree,
}

/// The root of an operating system.
pub(super) struct Root<'t> {
    pub(super) number: u32,
    pub(super) tree: &'t Tree,
}

/// Finds the volumes of a disk, writes them into the report, and opens those that are read.
pub(super) fn of(disk: &Part, report: &mut Inspection) -> Result<Vec<Opened>, Fault> {
    let mut opened = Vec::new();
    let table = partitions::table(disk)?;
    let whole = recognise(disk)?;
    // A disc has a table beside its tree, for machines that start it from a stick; else a table is all that counts.
    if let Some(whole) = whole.filter(|whole| table.is_none() || whole.kind == Kind::Iso) {
        add(
            disk,
            Volume { size_bytes: disk.size_bytes(), ..Volume::default() },
            Some(whole),
            report,
            &mut opened,
        )?;
    }
    let Some(table) = table else { return Ok(opened) };
    report.table = Some(table.kind);
    report.boot.bios |= table.has_boot_code;
    for remark in &table.remarks {
        report.find(
            Code::TableNotInOrder,
            None,
            format!("the table of partitions is not in order: {remark}"),
        );
    }
    for partition in &table.partitions {
        let Some(part) = disk.stretch(partition.start_bytes, partition.size_bytes) else { continue };
        let found = recognise(&part)?;
        add(&part, volume(partition), found, report, &mut opened)?;
    }
    Ok(opened)
}

fn volume(partition: &Partition) -> Volume {
    Volume {
        number: partition.number,
        start_bytes: partition.start_bytes,
        size_bytes: partition.size_bytes,
        purpose: Some(partition.purpose),
        type_name: Some(partition.type_name),
        type_code: Some(partition.type_code.clone()),
        name: partition.name.as_deref().map(clipped),
        ..Volume::default()
    }
}

fn add(
    part: &Part,
    mut volume: Volume,
    found: Option<Recognised>,
    report: &mut Inspection,
    opened: &mut Vec<Opened>,
) -> Result<(), Fault> {
    let Some(found) = found else {
        report.volumes.push(volume);
        return Ok(());
    };
    volume.file_system = Some(found.name);
    volume.label = found.label.as_deref().map(clipped);
    volume.id = found.id.as_deref().map(clipped);
    volume.managed_bytes = found.size_bytes;
    volume.free_bytes = found.free_bytes;
    let what = named(volume.number);
    match found.kind {
        Kind::Luks | Kind::BitLocker => {
            report.find(
                Code::Encrypted,
                None,
                format!("{what} is encrypted ({}), and was not looked into", found.name),
            );
        }
        Kind::Swap | Kind::Ext | Kind::Fat | Kind::Iso => {}
        _ => {
            let sentence = format!("{what} is {}, which is recognised and not looked into", found.name);
            report.find(Code::NotLookedInto, None, sentence);
        }
    }
    let tree = mount(part, found.kind).and_then(|tree| {
        let usage = tree.as_ref().map(Tree::usage).transpose()?;
        Ok(tree.zip(usage))
    });
    match tree {
        Ok(None) => {}
        Ok(Some((tree, usage))) => {
            volume.is_read = true;
            volume.managed_bytes = usage.size_bytes.or(volume.managed_bytes);
            volume.free_bytes = usage.free_bytes;
            for remark in usage.remarks {
                tell(remark, &what, report);
            }
            opened.push(Opened { number: volume.number, tree });
        }
        Err(fault @ (Fault::Source(_) | Fault::TooMuch(_))) => return Err(fault),
        Err(fault) => {
            let sentence = format!("the file system of {what} ({}) is not looked into: {fault}", found.name);
            report.find(Code::NotReadable, None, sentence);
        }
    }
    report.volumes.push(volume);
    Ok(())
}

fn tell(remark: Remark, what: &str, report: &mut Inspection) {
    match remark {
        Remark::JournalWaits => report.find(
            Code::JournalWaits,
            None,
            format!(
                "the file system of {what} was not unmounted: changes wait in its journal, and what is told here is \
                 from before them"
            ),
        ),
        Remark::HasErrors => report.find(
            Code::FileSystemErrors,
            None,
            format!("the file system of {what} is marked as having errors: check it (fsck) and make the image anew"),
        ),
    }
}

/// A volume as sentences name it.
pub(super) fn named(number: u32) -> String {
    if number == 0 { "the disk".into() } else { format!("partition {number}") }
}

/// The volume that an operating system is on: one with an os-release, or else one that looks like a root.
pub(super) fn root(volumes: &[Opened]) -> Result<Option<Root<'_>>, Fault> {
    let marks: [&[&str]; 3] =
        [&["/etc/os-release"], &["/usr/lib/os-release"], &["/etc/passwd", "/bin", "/usr"]];
    for mark in marks {
        for volume in volumes {
            let mut has_all = true;
            for path in mark {
                has_all &= match volume.tree.find(path) {
                    Ok(found) => found.is_some(),
                    Err(fault @ (Fault::Source(_) | Fault::TooMuch(_))) => return Err(fault),
                    Err(_) => false,
                };
            }
            if has_all {
                return Ok(Some(Root { number: volume.number, tree: &volume.tree }));
            }
        }
    }
    Ok(None)
}
