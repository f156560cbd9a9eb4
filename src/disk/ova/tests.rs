//! Archives made byte by byte: whole ones, and one for each thing that is refused.

use super::fixtures::{archive, descriptor, descriptors, header, manifest, member, seal, tar};
use super::*;
use crate::disk::fixtures::{pattern, put};
use crate::disk::probe::Format;
use crate::disk::refusal::{Code, Error};
use crate::disk::{Budgets, Guest, NoteCode, View};

type Refused = Option<(Code, &'static str)>;

fn refusal(error: Error) -> (Code, &'static str) {
    match error {
        Error::Refused(refusal) => (refusal.code, refusal.field),
        Error::Source(error) => panic!("{error}"),
    }
}

/// Why an archive is refused, at whichever step.
fn refused(archive: Vec<u8>) -> Refused {
    let budgets = Budgets::default();
    let looked = Archive::read(&archive, &budgets).and_then(|read| {
        read.verify(&archive, &budgets)?;
        read.disks()[0].open(archive, &budgets)
    });
    looked.err().map(refusal)
}

/// An archive of a description and one more file.
fn described(text: &str) -> Vec<u8> {
    tar(&[("m.ovf", text.as_bytes()), ("disk.img", &[1; 1000])])
}

/// A good archive whose second header was changed.
fn with_header(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let text = descriptor("disk.img");
    let mut second = header("disk.img", 1000);
    change(&mut second);
    let mut archive = member(header("m.ovf", text.len()), text.as_bytes());
    archive.extend(member(second, &[1; 1000]));
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// A whole disk of an archive.
fn read(archive: Vec<u8>) -> Vec<u8> {
    let budgets = Budgets::default();
    let found = Archive::read(&archive, &budgets).unwrap();
    let opened = found.disks()[0].open(archive, &budgets).unwrap();
    let mut disk = vec![0xaa; opened.size_bytes() as usize];
    View::new(opened, &budgets).read_at(0, &mut disk).unwrap();
    disk
}

#[test]
fn the_disk_of_an_archive_is_read_whatever_container_it_is_in() {
    let raw = pattern(5000, 1);
    let found = Archive::read(&archive(&raw), &Budgets::default()).unwrap();
    let disk = &found.disks()[0];
    assert_eq!((disk.format(), disk.file_bytes(), disk.name()), (None, 5000, "disk.img"));
    assert_eq!(read(archive(&raw)), raw);
    let qcow2 = crate::disk::fixtures::empty_qcow2(1 << 20);
    let whole = archive(&qcow2);
    let found = Archive::read(&whole, &Budgets::default()).unwrap();
    assert_eq!(found.disks()[0].format(), Some(Format::Qcow2));
    assert_eq!(found.verify(&whole, &Budgets::default()).unwrap().code, NoteCode::ManifestVerified);
    assert_eq!(read(whole), vec![0; 1 << 20]);
    let bare = described(&descriptor("disk.img"));
    let note = Archive::read(&bare, &Budgets::default()).unwrap().verify(&bare, &Budgets::default());
    assert_eq!(note.unwrap().code, NoteCode::NoManifest);
}

#[test]
fn f_3_8_a_place_of_the_disk_is_told_as_it_lies_in_the_archive() {
    struct Known(Vec<u8>);
    impl crate::disk::Source for Known {
        fn size_bytes(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_exact_at(&self, at: u64, out: &mut [u8]) -> std::io::Result<()> {
            self.0.read_exact_at(at, out)
        }
        fn origin_at(&self, at: u64) -> Option<u64> {
            Some(at)
        }
    }
    let whole = archive(&pattern(5000, 1));
    let at = whole.windows(16).position(|found| found == &pattern(5000, 1)[..16]).unwrap();
    let read = Archive::read(&whole, &Budgets::default()).unwrap();
    let opened = read.disks()[0].open(Known(whole), &Budgets::default()).unwrap();
    assert_eq!(opened.source().origin_at(7), Some(at as u64 + 7));
    assert!(opened.source().read_exact_at(4999, &mut [0; 2]).is_err(), "past the disk is not the disk");
}

#[test]
fn f_3_8_names_are_flat_and_differ() {
    for name in ["../x", "/x", "a/b", "a\\b", "..", "c:x"] {
        let text = descriptor("disk.img");
        let archive = tar(&[("m.ovf", text.as_bytes()), (name, &[1; 10])]);
        assert_eq!(refused(archive), Some((Code::BadField, "tar name")), "{name}");
    }
    let text = descriptor("disk.img");
    let twice = tar(&[("m.ovf", text.as_bytes()), ("disk.img", &[1]), ("disk.img", &[2])]);
    assert_eq!(refused(twice), Some((Code::BadField, "tar name")));
    let in_a_folder = with_header(|header| {
        put(header, 345, b"folder");
        seal(header);
    });
    assert_eq!(refused(in_a_folder), Some((Code::BadField, "tar name")));
}

#[test]
fn f_3_8_members_are_plain_files_of_a_plain_size() {
    // Links, devices, folders, GNU's long names and holes.
    for kind in *b"123456LKSDM7" {
        let other = with_header(|header| {
            header[156] = kind;
            seal(header);
        });
        assert_eq!(refused(other), Some((Code::Unsupported, "tar typeflag")), "{}", char::from(kind));
    }
    let no_number = with_header(|header| {
        put(header, 124, b"99999999999\0");
        seal(header);
    });
    assert_eq!(refused(no_number), Some((Code::BadField, "tar size")));
    let negative = with_header(|header| {
        put(header, 124, &[0xff; 12]);
        seal(header);
    });
    assert_eq!(refused(negative), Some((Code::BadField, "tar size")));
    let large = with_header(|header| {
        put(header, 124, &[0x80, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        seal(header);
    });
    assert_eq!(refused(large), Some((Code::BadField, "tar size")));
    let longer = with_header(|header| {
        put(header, 124, b"00000010000\0");
        seal(header);
    });
    assert!(refused(longer).is_some());
    let in_base_256 = with_header(|header| {
        put(header, 124, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0xe8]);
        seal(header);
    });
    assert_eq!(refused(in_base_256), None);
}

#[test]
fn f_3_8_extended_records_change_no_name_and_no_size() {
    let with = |record: &str| {
        let text = descriptor("disk.img");
        let mut extended = header("PaxHeader", record.len());
        extended[156] = b'x';
        seal(&mut extended);
        let mut archive = member(header("m.ovf", text.len()), text.as_bytes());
        archive.extend(member(extended, record.as_bytes()));
        archive.extend(member(header("disk.img", 1000), &[1; 1000]));
        archive.resize(archive.len() + 1024, 0);
        refused(archive)
    };
    assert_eq!(with("20 mtime=1700000.25\n"), None);
    for record in ["13 size=1000\n", "14 path=../xy\n", "22 GNU.sparse.major=1\n", "16 linkpath=abc\n"] {
        assert_eq!(with(record), Some((Code::Unsupported, "tar extended records")), "{record}");
    }
    for record in ["99 mtime=1\n", "x mtime=1\n", "0 mtime=1\n", "12 mtime=1.25", "9 mtime 1\n"] {
        assert_eq!(with(record), Some((Code::BadField, "tar extended records")), "{record}");
    }
}

#[test]
fn f_3_8_an_archive_ends_where_it_says() {
    let good = || described(&descriptor("disk.img"));
    let mut padded = good();
    padded.resize(padded.len() + 10_240, 0);
    assert_eq!(refused(padded.clone()), None);
    *padded.last_mut().unwrap() = 1;
    assert_eq!(refused(padded), Some((Code::BadField, "tar end")));
    let mut longer = good();
    longer.resize(longer.len() + (1 << 20), 0);
    assert_eq!(refused(longer), Some((Code::BadField, "tar end")));
    for cut in [1024, 1100, 1536, 2500] {
        let mut short = good();
        short.truncate(short.len() - cut);
        assert!(matches!(refused(short), Some((Code::CutShort | Code::BadField, _))), "{cut}");
    }
    let mut broken = good();
    broken[5] ^= 1;
    assert_eq!(refused(broken), Some((Code::BadChecksum, "tar checksum")));
    assert_eq!(refused(vec![1; 4096]), Some((Code::BadField, "tar magic")));
}

#[test]
fn f_3_8_the_description_comes_first_and_alone() {
    let text = descriptor("disk.img");
    let later = tar(&[("disk.img", &[1; 10]), ("m.ovf", text.as_bytes())]);
    assert_eq!(refused(later), Some((Code::BadField, "descriptor")));
    let two = tar(&[("m.ovf", text.as_bytes()), ("n.ovf", text.as_bytes()), ("disk.img", &[1; 10])]);
    assert_eq!(refused(two), Some((Code::BadField, "descriptor")));
    assert_eq!(refused(tar(&[])), Some((Code::BadField, "descriptor")));
}

#[test]
fn s3_a_file_of_the_machine_is_a_member_and_no_address() {
    for href in ["http://198.51.100.1/d.vmdk", "file:///etc/passwd", "../disk.img", "/etc/passwd"] {
        assert_eq!(refused(described(&descriptor(href))), Some((Code::NeedsAnotherFile, "File href")));
    }
    assert_eq!(refused(described(&descriptor("other.img"))), Some((Code::NeedsAnotherFile, "File href")));
}

#[test]
fn f_3_8_each_disk_of_a_machine_is_read_and_lies_in_a_file_of_its_own() {
    let (first, second) = (pattern(1000, 1), pattern(2000, 2));
    let text = descriptors(&["first.img", "second.img"]);
    let files = [("m.ovf", text.as_bytes()), ("second.img", &second[..]), ("first.img", &first[..])];
    let manifest = manifest(&files);
    let archive = tar(&[files[0], ("m.mf", manifest.as_bytes()), files[1], files[2]]);
    let found = Archive::read(&archive, &Budgets::default()).unwrap();
    let names: Vec<&str> = found.disks().iter().map(Disk::name).collect();
    assert_eq!(
        (names, found.listed()),
        (vec!["first.img", "second.img"], "1 first.img, 2 second.img".into())
    );
    for (disk, data) in found.disks().iter().zip([&first, &second]) {
        let opened = disk.open(archive.clone(), &Budgets::default()).unwrap();
        let mut read = vec![0xaa; data.len()];
        View::new(opened, &Budgets::default()).read_at(0, &mut read).unwrap();
        assert!(read == *data);
    }
    // Each must be what the manifest says.
    assert_eq!(found.verify(&archive, &Budgets::default()).unwrap().code, NoteCode::ManifestVerified);
    let without: String =
        manifest.lines().filter(|line| !line.contains("second")).collect::<Vec<_>>().join("\n");
    let lacking = tar(&[files[0], ("m.mf", without.as_bytes()), files[1], files[2]]);
    let found = Archive::read(&lacking, &Budgets::default()).unwrap();
    assert_eq!(refusal(found.verify(&lacking, &Budgets::default()).unwrap_err()).1, "manifest");
}

#[test]
fn f_3_8_a_machine_has_a_disk_that_is_whole() {
    let good = descriptor("disk.img");
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from));
        refused(described(&good.replace(from, to)))
    };
    let disk = "<ovf:Disk ovf:diskId=\"d\" ovf:fileRef=\"file1\"/>";
    assert_eq!(
        changed("</ovf:DiskSection>", &format!("{disk}</ovf:DiskSection>")),
        Some((Code::BadField, "Disk fileRef"))
    );
    // One that begins empty lies in no file.
    let empty = "<ovf:Disk ovf:diskId=\"d\"/></ovf:DiskSection>";
    assert_eq!(changed("</ovf:DiskSection>", empty), None);
    assert_eq!(changed("<ovf:Disk ", "<ovf:Cup "), Some((Code::Unsupported, "DiskSection")));
    assert_eq!(changed("ovf:fileRef=\"file1\"", ""), Some((Code::Unsupported, "Disk fileRef")));
    assert_eq!(
        changed("ovf:fileRef=\"file1\"", "ovf:fileRef=\"file2\""),
        Some((Code::BadField, "Disk fileRef"))
    );
    assert_eq!(
        changed("ovf:diskId=\"disk1\"", "ovf:parentRef=\"disk0\""),
        Some((Code::NeedsAnotherFile, "Disk parentRef"))
    );
    assert_eq!(
        changed("ovf:id=\"file1\"", "ovf:chunkSize=\"7\""),
        Some((Code::Unsupported, "File chunkSize"))
    );
    let packed = "ovf:compression=\"gzip\" ovf:id=\"file1\"";
    assert_eq!(changed("ovf:id=\"file1\"", packed), Some((Code::Unsupported, "File compression")));
}

#[test]
fn s6_the_disk_inside_passes_the_rules_of_its_format_again() {
    let inner = |disk: &[u8]| refused(archive(disk));
    let mut qcow2 = crate::disk::fixtures::empty_qcow2(1 << 20);
    put(&mut qcow2, 8, &1_u64.to_be_bytes());
    assert_eq!(inner(&qcow2), Some((Code::NeedsAnotherFile, "backing_file_offset")));
    for other in [&b"QED\0 and more"[..], b"\x1f\x8b\x08 and more", b"# Disk DescriptorFile\n", b"COWD"] {
        assert!(inner(&[other, &[0; 600]].concat()).is_some());
    }
    let mut polyglot = crate::disk::fixtures::empty_qcow2(1 << 20);
    let end = polyglot.len() - 512;
    put(&mut polyglot, end, b"conectix");
    assert_eq!(inner(&polyglot), Some((Code::Unsupported, "Disk fileRef")));
    assert!(inner(&archive(&[1; 100])).is_some(), "an archive within an archive");
}

#[test]
fn f_3_8_members_are_what_the_manifest_says() {
    let (text, disk) = (descriptor("disk.img"), pattern(3 << 20, 3));
    let files = [("m.ovf", text.as_bytes()), ("disk.img", &disk[..])];
    let with = |manifest: &str| refused(tar(&[files[0], files[1], ("m.mf", manifest.as_bytes())]));
    let good = manifest(&files);
    assert_eq!(with(&good), None);
    let mut sha1 = good.clone();
    for (name, data) in files {
        use sha1::Digest;
        let line = format!("SHA1({name}) = {}\r\n", hex::encode(sha1::Sha1::digest(data)));
        sha1 = if name == "m.ovf" { line } else { sha1 + &line };
    }
    assert_eq!(with(&sha1), None);
    let digit = if good.ends_with("0\n") { "1\n" } else { "0\n" };
    let wrong = format!("{}{digit}", &good[..good.len() - 2]);
    assert_eq!(with(&wrong), Some((Code::BadChecksum, "manifest")));
    let bad = Some((Code::BadField, "manifest"));
    assert_eq!(with(good.lines().next().unwrap()), bad, "the disk is not in it");
    assert_eq!(with(&format!("{good}SHA256(other)= 00\n")), bad);
    assert_eq!(with(&format!("{good}{good}")), bad);
    assert_eq!(with("no line of one"), bad);
    assert_eq!(with(&good.replace("SHA256", "CRC32")), Some((Code::Unsupported, "manifest")));
    let two = tar(&[files[0], ("a.mf", good.as_bytes()), ("b.mf", good.as_bytes()), files[1]]);
    assert_eq!(refused(two), bad);
}

#[test]
fn b8_texts_are_bounded() {
    let lines = described(&format!("{}{}", descriptor("disk.img"), "\n".repeat(10_001)));
    assert_eq!(refused(lines), Some((Code::OverBudget, "descriptor")));
    let large = described(&format!("{}{}", descriptor("disk.img"), " ".repeat(1 << 20)));
    assert_eq!(refused(large), Some((Code::OverBudget, "descriptor")));
    let text = descriptor("disk.img");
    let many: Vec<String> = (0..300).map(|number| format!("f{number}")).collect();
    let files = many.iter().map(|name| (name.as_str(), &b""[..]));
    let all: Vec<_> = [("m.ovf", text.as_bytes())].into_iter().chain(files).collect();
    assert_eq!(refused(tar(&all)), Some((Code::OverBudget, "tar members")));
}

#[test]
fn b8_headers_are_bounded_whatever_they_are_of() {
    let text = descriptor("disk.img");
    for kind in *b"xg" {
        // With the two members' own.
        for (count, expected) in [(1022, None), (1023, Some((Code::OverBudget, "tar headers")))] {
            let mut extended = header("PaxHeader", 0);
            extended[156] = kind;
            seal(&mut extended);
            let mut archive = member(header("m.ovf", text.len()), text.as_bytes());
            archive.extend(extended.repeat(count));
            archive.extend(member(header("disk.img", 1000), &[1; 1000]));
            archive.resize(archive.len() + 1024, 0);
            assert_eq!(refused(archive), expected, "{count} of {}", char::from(kind));
        }
    }
}

proptest::proptest! {
    #[test]
    fn s11_no_change_of_an_archive_breaks_its_reader(at in 0..6000_usize, byte: u8, cut in 0..7000_usize) {
        let mut archive = archive(&pattern(2000, 5));
        let at = at % archive.len();
        archive[at] = byte;
        archive.truncate(archive.len().max(cut) - cut.min(archive.len()));
        let _ = refused(archive);
    }
}
