//! What qemu-img makes and we refuse: disks that are only whole with another file, and encrypted ones.

use std::path::PathBuf;
use std::process::Command;

use tintype::disk::probe::{Format, Probe};
use tintype::disk::{Code, Error};

use crate::guests::woven;
use crate::open;
use crate::tools::{Bench, run};

fn code(format: Format, image: &PathBuf) -> Option<Code> {
    match open(format, std::fs::read(image).unwrap()) {
        Err(Error::Refused(refusal)) => Some(refusal.code),
        Err(Error::Source(error)) => panic!("{error}"),
        Ok(_) => None,
    }
}

#[test]
#[ignore = "needs qemu-img: tests/run disks"]
fn disks_that_need_another_file_or_a_key_are_refused() {
    let bench = Bench::new();
    let base = bench.file("base.raw", &woven(1 << 20, 9));
    let create = |name: &str, format: &str, options: &[&str]| {
        let image = bench.path(name);
        run(Command::new("qemu-img")
            .args(["create", "-q", "-f", format])
            .args(options)
            .arg(&image)
            .arg("1M"));
        image
    };
    let backing = format!("backing_file={},backing_fmt=raw", base.display());
    let over = create("over.qcow2", "qcow2", &["-o", &backing]);
    assert_eq!(code(Format::Qcow2, &over), Some(Code::NeedsAnotherFile));
    let data_file = format!("data_file={}", bench.path("data.raw").display());
    for raw in ["off", "on"] {
        let options = format!("{data_file},data_file_raw={raw}");
        let image = create("data.qcow2", "qcow2", &["-o", &options]);
        assert_eq!(code(Format::Qcow2, &image), Some(Code::NeedsAnotherFile), "data_file_raw={raw}");
    }
    for kind in ["luks", "aes"] {
        let options = format!("encrypt.format={kind},encrypt.key-secret=s");
        let image = bench.path("secret.qcow2");
        let mut command = Command::new("qemu-img");
        command.args(["create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=pw", "-o", &options]);
        // Newer ones do not make the old kind any more.
        if command.arg(&image).arg("1M").output().unwrap().status.success() {
            assert_eq!(code(Format::Qcow2, &image), Some(Code::Encrypted), "{kind}");
        } else {
            assert_eq!(kind, "aes");
        }
    }
    for kind in ["monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"] {
        let image = create(&format!("{kind}.vmdk"), "vmdk", &["-o", &format!("subformat={kind}")]);
        assert!(code(Format::Vmdk, &image).is_some(), "{kind}");
        let mut probe = Probe::default();
        probe.push(&std::fs::read(&image).unwrap());
        assert!(probe.formats().contains(&Format::Vmdk), "{kind}");
    }
    let parent = create("parent.vmdk", "vmdk", &["-o", "subformat=monolithicSparse"]);
    let options = format!("backing_file={},backing_fmt=vmdk", parent.display());
    let child = create("child.vmdk", "vmdk", &["-o", &options]);
    assert_eq!(code(Format::Vmdk, &child), Some(Code::NeedsAnotherFile));
}
