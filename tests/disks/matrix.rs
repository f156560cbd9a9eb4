//! Every way in which qemu-img writes a disk: read back whole, at random places, and run by run.

use std::process::Command;

use tintype::disk::probe::Format;
use tintype::disk::{Guest, Note, NoteCode, Place};

use crate::guests::{Numbers, disks};
use crate::tools::{Bench, run};
use crate::{open, read};

/// A format, as qemu-img calls it and as we do, and the options of one way to write it.
type Way = (&'static str, Format, &'static [&'static str]);

const WAYS: [Way; 33] = [
    ("qcow2", Format::Qcow2, &[]),
    ("qcow2", Format::Qcow2, &["-o", "compat=0.10"]),
    ("qcow2", Format::Qcow2, &["-o", "compat=0.10", "-c"]),
    ("qcow2", Format::Qcow2, &["-o", "cluster_size=512"]),
    ("qcow2", Format::Qcow2, &["-o", "cluster_size=512", "-c"]),
    ("qcow2", Format::Qcow2, &["-o", "cluster_size=4k", "-c"]),
    ("qcow2", Format::Qcow2, &["-o", "cluster_size=2M"]),
    ("qcow2", Format::Qcow2, &["-o", "cluster_size=2M", "-c"]),
    ("qcow2", Format::Qcow2, &["-c"]),
    ("qcow2", Format::Qcow2, &["-o", "compression_type=zstd", "-c"]),
    ("qcow2", Format::Qcow2, &["-o", "compression_type=zstd,cluster_size=2M", "-c"]),
    ("qcow2", Format::Qcow2, &["-o", "extended_l2=on"]),
    ("qcow2", Format::Qcow2, &["-o", "extended_l2=on,cluster_size=16k"]),
    ("qcow2", Format::Qcow2, &["-o", "extended_l2=on,compression_type=zstd", "-c"]),
    ("qcow2", Format::Qcow2, &["-o", "lazy_refcounts=on,refcount_bits=1"]),
    ("qcow2", Format::Qcow2, &["-o", "refcount_bits=64"]),
    ("qcow2", Format::Qcow2, &["-o", "preallocation=metadata"]),
    ("qcow2", Format::Qcow2, &["-o", "preallocation=falloc"]),
    ("qcow2", Format::Qcow2, &["-S", "0"]),
    ("vmdk", Format::Vmdk, &[]),
    ("vmdk", Format::Vmdk, &["-o", "subformat=monolithicSparse"]),
    ("vmdk", Format::Vmdk, &["-o", "subformat=monolithicSparse,zeroed_grain=on"]),
    ("vmdk", Format::Vmdk, &["-o", "subformat=streamOptimized"]),
    ("vpc", Format::Vhd, &["-o", "force_size=on"]),
    ("vpc", Format::Vhd, &[]),
    ("vpc", Format::Vhd, &["-o", "subformat=fixed,force_size=on"]),
    ("vpc", Format::Vhd, &["-o", "subformat=fixed"]),
    ("vhdx", Format::Vhdx, &[]),
    ("vhdx", Format::Vhdx, &["-o", "block_size=1M,log_size=4M"]),
    ("vhdx", Format::Vhdx, &["-o", "subformat=fixed"]),
    ("vhdx", Format::Vhdx, &["-o", "block_state_zero=off"]),
    ("vdi", Format::Vdi, &[]),
    ("vdi", Format::Vdi, &["-o", "static=on"]),
];

#[test]
#[ignore = "needs qemu-img: tests/run disks"]
fn every_way_of_writing_a_disk_reads_as_the_disk() {
    for disk in disks() {
        for (name, format, options) in WAYS {
            let bench = Bench::new();
            let raw = bench.file("disk.raw", &disk.bytes);
            let image = std::fs::read(bench.convert(&raw, name, options)).unwrap();
            let what = format!("{} as {name} {options:?}", disk.name);
            let view = open(format, image).unwrap_or_else(|error| panic!("{what}: {error}"));
            let found = read(&view).unwrap_or_else(|error| panic!("{what}: {error}"));
            // Some formats make a disk larger, to whole cylinders.
            let (data, more) = found.split_at(disk.bytes.len().min(found.len()));
            assert!(data == disk.bytes, "{what}");
            assert!(more.iter().all(|byte| *byte == 0), "{what}: what is behind the disk");
            at_random(&view, &found, &what);
            run_by_run(&**view.guest(), &found, &what);
        }
    }
}

/// Reads of all lengths at any place.
fn at_random(view: &tintype::disk::View<Box<dyn Guest>>, disk: &[u8], what: &str) {
    let mut numbers = Numbers::new(disk.len() as u64);
    for _ in 0..200 {
        let at = numbers.below(disk.len() as u64) as usize;
        let bytes = 1 + numbers.below((disk.len() - at).min(200_000) as u64) as usize;
        let mut part = vec![0xaa; bytes];
        view.read_at(at as u64, &mut part).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(part == disk[at..at + bytes], "{what}: {bytes} bytes from {at}");
    }
}

/// Runs follow each other to the disk's end, and what they call zeros is.
fn run_by_run(guest: &dyn Guest, disk: &[u8], what: &str) {
    let mut at = 0;
    while at < guest.size_bytes() {
        let run = guest.run_at(at, u64::MAX).unwrap_or_else(|error| panic!("{what}: {error}"));
        let end = at + run.bytes;
        assert!(run.bytes > 0 && end <= guest.size_bytes(), "{what}: {run:?} at {at}");
        if run.place == Place::Zeros {
            assert!(disk[at as usize..end as usize].iter().all(|byte| *byte == 0), "{what}: {run:?} at {at}");
        }
        at = end;
    }
}

#[test]
#[ignore = "needs qemu-img: tests/run disks"]
fn a_disk_that_was_written_to_in_pieces_reads_as_qemu_reads_it() {
    let writes = [
        "write -P 1 0 4k",
        "write -P 2 70k 200k",
        "write -z 100k 64k",
        "discard 128k 128k",
        "write -z -u 1M 1M",
        "write -P 3 1536k 1k",
        "write -P 4 3145216 512",
        "write -z 0 2k",
    ];
    for (name, format, options) in [
        ("qcow2", Format::Qcow2, "extended_l2=on"),
        ("qcow2", Format::Qcow2, "cluster_size=64k"),
        ("qcow2", Format::Qcow2, "cluster_size=4k"),
        ("qcow2", Format::Qcow2, "compat=0.10"),
        ("vmdk", Format::Vmdk, "subformat=monolithicSparse,zeroed_grain=on"),
        ("vhdx", Format::Vhdx, "block_size=1M"),
        ("vpc", Format::Vhd, "force_size=on"),
        ("vdi", Format::Vdi, "static=off"),
    ] {
        let bench = Bench::new();
        let image = bench.path("image");
        run(Command::new("qemu-img").args(["create", "-q", "-f", name, "-o", options]).arg(&image).arg("3M"));
        let mut command = Command::new("qemu-io");
        command.args(["-d", "unmap", "-f", name]);
        for write in writes.iter().filter(|write| takes(name, write)) {
            command.args(["-c", write]);
        }
        run(command.arg(&image));
        let view = open(format, std::fs::read(&image).unwrap()).unwrap();
        let (found, wanted) = (read(&view).unwrap(), bench.raw_of(&image, name));
        assert!(found == wanted, "{name} {options}");
        run_by_run(&**view.guest(), &wanted, name);
    }
}

/// Whether QEMU writes so to such an image.
fn takes(format: &str, write: &str) -> bool {
    let is_plain = write.starts_with("write -P");
    is_plain || format == "qcow2" || (format == "vmdk" && !write.starts_with("discard"))
}

#[test]
#[ignore = "needs qemu-img: tests/run disks"]
fn of_an_image_with_snapshots_the_active_disk_is_read() {
    let bench = Bench::new();
    let image = bench.path("image");
    run(Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).arg(&image).arg("1M"));
    let write = |what: &str| run(Command::new("qemu-io").args(["-f", "qcow2", "-c", what]).arg(&image));
    write("write -P 7 0 256k");
    run(Command::new("qemu-img").args(["snapshot", "-c", "before"]).arg(&image));
    write("write -P 8 64k 64k");
    let bytes = std::fs::read(&image).unwrap();
    let qcow2 = tintype::disk::Qcow2::open(bytes.clone(), &Default::default()).unwrap();
    assert_eq!(qcow2.notes(), [Note::with(NoteCode::InternalSnapshots, "nb_snapshots", 1)]);
    let view = open(Format::Qcow2, bytes).unwrap();
    assert!(read(&view).unwrap() == bench.raw_of(&image, "qcow2"));
}
