//! Containers of disks: opened, surveyed, and read at some places.
//!
//! Promises that are looked at: a run has bytes, and no more than the disk; a disk reads the same in one piece and in two; what
//! was surveyed takes no more tables than its budget.

use tintype::disk::probe::Format;
use tintype::disk::{Budgets, Error, Guest, Iso, Passed, Passing, Pieces, Source, View, open, survey};

use super::sums;

/// Bytes that are read at one place.
const READ_BYTES: u64 = 96 << 10;
/// Runs that are looked at.
const RUNS_MAX: usize = 4096;
/// Tables in memory: a part of what the service has, so that it is met sooner.
const TABLE_BYTES_MAX: u64 = 1 << 20;
/// The largest disk: likewise.
const VIRTUAL_BYTES_MAX: u64 = 1 << 30;

/// A qcow2 file.
pub fn qcow2(data: &[u8]) {
    container(Format::Qcow2, data.to_vec());
}

/// A VMDK file, which first goes past in pieces of so many bytes as its first ones say.
pub fn vmdk(data: &[u8]) {
    let piece = data.iter().take(64).map(|byte| usize::from(*byte)).sum::<usize>() + 1;
    let mut seen = Passing::default();
    data.chunks(piece).for_each(|piece| seen.push(piece));
    container(Format::Vmdk, Passed::new(data.to_vec(), seen.clone()));
    let passed = Passed::new(data.to_vec(), seen);
    let mut marker = [0; 12];
    for at in (0..data.len().saturating_sub(marker.len())).step_by(512) {
        let read = passed.read_exact_at(at as u64, &mut marker);
        assert!(read.is_ok() && marker == data[at..at + 12], "what went past is what lies there");
    }
}

/// A VDI file.
pub fn vdi(data: &[u8]) {
    container(Format::Vdi, data.to_vec());
}

/// A VHD file, whose sums are made right where the first byte says so.
pub fn vhd(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let mut image = data.to_vec();
    if first & 1 == 1 {
        sums::of_vhd(&mut image);
    }
    container(Format::Vhd, image);
}

/// A VHDX file, told by what is not zeros in it: the first byte says whether sums are made right.
pub fn vhdx(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let Some(mut image) = sums::spread(data) else { return };
    if first & 1 == 1 {
        sums::of_vhdx(&mut image);
    }
    container(Format::Vhdx, image);
}

/// A disc.
pub fn iso(data: &[u8]) {
    let data = data.to_vec();
    if let Ok(disc) = Iso::open(&data)
        && let Some(bytes) = disc.volume_bytes
    {
        assert!(bytes <= data.size_bytes(), "a disc lies in its file");
    }
}

pub(super) fn budgets() -> Budgets {
    Budgets {
        table_bytes_max: TABLE_BYTES_MAX,
        virtual_bytes_max: VIRTUAL_BYTES_MAX,
        pieces: Pieces::new(1 << 20),
        ..Budgets::default()
    }
}

fn container(format: Format, image: impl Source + 'static) {
    let (budgets, file_bytes) = (budgets(), image.size_bytes());
    let Ok(Some(guest)) = open(format, image, &budgets) else { return };
    assert!(guest.size_bytes() <= budgets.virtual_bytes_max, "a disk is within its budget");
    let surveyed = survey(&*guest, file_bytes, format, &budgets);
    if let Ok(survey) = surveyed {
        let made = survey.plain_bytes + survey.packed_bytes;
        assert!(made <= file_bytes * budgets.ratio_max, "no bomb is let pass");
    }
    look_at_runs(&*guest);
    let is_in_order = surveyed.is_ok();
    let view = View::new(guest, &budgets);
    let size = view.guest().size_bytes();
    for at in [0, size / 3, size.saturating_sub(READ_BYTES)] {
        read(&view, at, is_in_order);
    }
}

pub(super) fn look_at_runs(guest: &dyn Guest) {
    let mut at = 0;
    for _ in 0..RUNS_MAX {
        if at >= guest.size_bytes() {
            return;
        }
        let Ok(run) = guest.run_at(at, u64::MAX) else { return };
        assert!(run.bytes > 0, "a run has bytes");
        assert!(run.bytes <= guest.size_bytes() - at, "a run ends with the disk");
        at += run.bytes;
    }
}

fn read(view: &View<Box<dyn Guest>>, at: u64, is_in_order: bool) {
    let bytes = READ_BYTES.min(view.guest().size_bytes() - at);
    let mut whole = vec![0xaa; bytes as usize];
    match view.read_at(at, &mut whole) {
        Ok(()) => {}
        // What the tables lead to lies in the file; only what is compressed may turn out to be none.
        Err(Error::Source(error)) => {
            assert!(!is_in_order, "what was surveyed lies in the file: {error}");
            return;
        }
        Err(Error::Refused(_)) => return,
    }
    let mut parts = vec![0x55; bytes as usize];
    let (first, second) = parts.split_at_mut(bytes as usize / 3);
    let halves = view.read_at(at, first).and_then(|()| view.read_at(at + first.len() as u64, second));
    assert!(halves.is_ok() && parts == whole, "a disk reads the same in one piece and in two");
}
