//! What takes room: logs, swap, and how full the root is.

use super::findings::Code;
use super::look::Look;
use super::report::Inspection;
use super::volumes::named;
use crate::disk::inside::{Fault, NodeKind};

const LOGS: &str = "/var/log";
const DEPTH_MAX: usize = 6;
const DIRECTORIES_MAX: usize = 512;
/// Logs that are larger are worth removing, in bytes.
const LOGS_LARGE_BYTES: u64 = 32 << 20;
/// One byte in so many free is little.
const LITTLE_SHARE: u64 = 20;

/// Adds up logs, and looks how full the root is.
pub(super) fn look(look: &Look<'_>, report: &mut Inspection) -> Result<(), Fault> {
    let mut waiting = vec![(LOGS.to_owned(), 0)];
    let (mut bytes, mut seen) = (0_u64, 0);
    while let Some((path, depth)) = waiting.pop() {
        seen += 1;
        if seen > DIRECTORIES_MAX {
            break;
        }
        for entry in look.list(&path)? {
            match entry.node.kind {
                NodeKind::File => bytes = bytes.saturating_add(entry.node.size_bytes),
                NodeKind::Directory if depth < DEPTH_MAX => {
                    waiting.push((format!("{path}/{}", entry.name), depth + 1));
                }
                _ => {}
            }
        }
    }
    report.log_bytes = Some(bytes);
    if bytes > LOGS_LARGE_BYTES {
        let sentence =
            format!("needs optimisation because {LOGS} has {} MiB of logs: remove them", bytes >> 20);
        report.find(Code::LargeLogs, Some(LOGS), sentence);
    }
    let root = report.volumes.iter().find(|volume| Some(volume.number) == report.root);
    let room = root.and_then(|root| root.managed_bytes.zip(root.free_bytes));
    if let Some((all, free)) = room.filter(|(all, free)| *free < *all / LITTLE_SHARE) {
        let sentence = format!(
            "the root file system has {} of {} MiB free: machines have room only where it grows with their disk",
            free >> 20,
            all >> 20
        );
        report.find(Code::LittleRoom, None, sentence);
    }
    Ok(())
}

/// Tells of volumes that are swap.
pub(super) fn look_at_volumes(report: &mut Inspection) {
    let swaps: Vec<u32> = report
        .volumes
        .iter()
        .filter(|volume| volume.file_system == Some("swap"))
        .map(|volume| volume.number)
        .collect();
    for number in swaps {
        report.find(Code::SwapInside, None, format!("{} is swap", named(number)));
    }
}
