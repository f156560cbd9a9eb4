//! Every form that a disk leaves in, as QEMU reads it: from every format that disks come in, over disks of every shape.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tintype::disk::probe::Format;
use tintype::disk::writing::Form;
use tintype::disk::{Budgets, Guest, Raw, Source, Stretch, View};

use crate::guests::{disks, woven};
use crate::making::write;
use crate::open;
use crate::tools::{Bench, run};

/// What qemu-img calls a form.
fn qemu_name(form: Form) -> &'static str {
    match form.disk_format() {
        "vhd" => "vpc",
        other => other,
    }
}

/// A file with holes, which are told as such.
struct Holed(File);

impl Source for Holed {
    fn size_bytes(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, at)
    }

    fn stretch_at(&self, at: u64) -> Stretch {
        use rustix::fs::{SeekFrom, seek};
        let size = self.size_bytes();
        let data = seek(&self.0, SeekFrom::Data(at)).unwrap_or(size);
        if data > at {
            return Stretch { bytes: data - at, is_zero: true };
        }
        let hole = seek(&self.0, SeekFrom::Hole(at)).unwrap_or(size);
        Stretch { bytes: hole - at, is_zero: false }
    }
}

fn raw(path: &Path) -> View<Box<dyn Guest>> {
    let guest: Box<dyn Guest> = Box::new(Raw::new(Arc::new(Holed(File::open(path).unwrap()))));
    View::new(guest, &Budgets::default())
}

/// QEMU finds the file in order.
fn expect_in_order(file: &Path, form: Form, what: &str) {
    let name = qemu_name(form);
    if matches!(name, "qcow2" | "vhdx" | "vdi" | "vmdk") {
        let output = Command::new("qemu-img").args(["check", "-f", name]).arg(file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{what} as {}: {said}", form.as_str());
        assert!(!said.to_lowercase().contains("leaked"), "{what} as {}: {said}", form.as_str());
    }
}

/// QEMU finds the file in order, and the same disk in it.
fn expect_same(raw: &Path, file: &Path, form: Form, what: &str) {
    expect_in_order(file, form, what);
    let mut compare = Command::new("qemu-img");
    run(compare.args(["compare", "-f", "raw", "-F", qemu_name(form)]).arg(raw).arg(file));
}

/// The same of a large disk, of which only what is near these places is compared: of most formats QEMU reads each zero.
fn expect_same_near(raw: &Path, file: &Path, form: Form, bytes: u64, places: &[u64]) {
    const NEAR: u64 = 8 << 20;
    expect_in_order(file, form, "a large disk");
    let info = Command::new("qemu-img")
        .args(["info", "--output=json", "-f", qemu_name(form)])
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(said.contains(&format!("\"virtual-size\": {bytes}")), "{}: {said}", form.as_str());
    for place in places {
        let start = place.saturating_sub(NEAR / 2) / 512 * 512;
        let length = NEAR.min(bytes - start);
        let near = |format: &str, path: &Path| {
            format!(
                "driver=raw,offset={start},size={length},file.driver={format},file.file.driver=file,file.file.filename={}",
                path.display()
            )
        };
        let mut compare = Command::new("qemu-img");
        run(compare.args(["compare", "--image-opts"]).arg(near("raw", raw)).arg(near(qemu_name(form), file)));
    }
}

#[test]
#[ignore = "needs qemu-img: tests/run disks"]
fn qemu_finds_the_same_disk_in_every_form() {
    for disk in disks() {
        let bench = Bench::new();
        let path = bench.file("disk.raw", &disk.bytes);
        for form in Form::ALL {
            let file = bench.path(form.as_str());
            write(&raw(&path), form, &file).unwrap();
            expect_same(&path, &file, form, disk.name);
        }
    }
}

#[test]
#[ignore = "needs qemu-img: tests/run disks"]
fn a_disk_leaves_in_every_form_whatever_it_came_in() {
    let bench = Bench::new();
    let path = bench.file("disk.raw", &woven((3 << 20) + 512 * 9, 5));
    for (name, format, options) in [
        ("qcow2", Format::Qcow2, &[][..]),
        ("qcow2", Format::Qcow2, &["-c"]),
        ("qcow2", Format::Qcow2, &["-o", "extended_l2=on"]),
        ("vmdk", Format::Vmdk, &["-o", "subformat=streamOptimized"]),
        ("vmdk", Format::Vmdk, &["-o", "subformat=monolithicSparse"]),
        ("vpc", Format::Vhd, &["-o", "force_size=on"]),
        ("vpc", Format::Vhd, &["-o", "force_size=on,subformat=fixed"]),
        ("vhdx", Format::Vhdx, &[]),
        ("vdi", Format::Vdi, &[]),
    ] {
        let image = bench.convert(&path, name, options);
        let guest = open(format, std::fs::read(&image).unwrap()).unwrap();
        for form in Form::ALL {
            let file = bench.path(form.as_str());
            write(&guest, form, &file).unwrap();
            expect_same(&path, &file, form, &format!("{name} {options:?}"));
        }
    }
}

/// A raw disk of this size with a little data at these places.
fn sparse(bench: &Bench, bytes: u64, places: &[u64]) -> std::path::PathBuf {
    let path = bench.path("sparse.raw");
    let file = File::create(&path).unwrap();
    file.set_len(bytes).unwrap();
    for (number, at) in places.iter().enumerate() {
        file.write_all_at(&woven(8192, number as u64), *at).unwrap();
    }
    path
}

#[test]
#[ignore = "needs qemu-img: tests/run disks"]
fn large_sparse_disks_leave_in_every_form_that_has_them() {
    const G: u64 = 1 << 30;
    for (bytes, places) in [
        (4 * G, vec![0, 4 * G - 8192]),
        (127 * G + 512, vec![60 * G + 4096]),
        (2000 * G, vec![0, 1999 * G]),
        (3000 * G, vec![512, 1025 * G, 3000 * G - 8192]),
    ] {
        let bench = Bench::new();
        let path = sparse(&bench, bytes, &places);
        for form in Form::ALL {
            let file = bench.path(form.as_str());
            match write(&raw(&path), form, &file) {
                Ok(()) => expect_same_near(&path, &file, form, bytes, &places),
                Err(why) => {
                    assert!(form.disk_format() == "vhd" && bytes > 2040 * G, "{bytes} bytes: {why}");
                }
            }
        }
    }
}

#[test]
#[ignore = "needs qemu-img: tests/run disks"]
fn a_disk_that_is_no_whole_sectors_is_filled_up_with_zeros() {
    let bench = Bench::new();
    let path = bench.file("disk.raw", &woven((1 << 20) + 77, 6));
    for form in Form::ALL {
        let file = bench.path(form.as_str());
        write(&raw(&path), form, &file).unwrap();
        expect_same(&path, &file, form, "an odd size");
    }
}

#[test]
#[ignore = "needs qemu-img: tests/run disks"]
fn the_same_disk_makes_the_same_file() {
    let bench = Bench::new();
    let path = bench.file("disk.raw", &woven(3 << 20, 8));
    for form in Form::ALL {
        let files = ["one", "other"].map(|name| {
            let file = bench.path(name);
            write(&raw(&path), form, &file).unwrap();
            std::fs::read(file).unwrap()
        });
        assert!(files[0] == files[1], "{}", form.as_str());
    }
}
