//! What claims let pass, what they refuse, and when.

use super::*;

fn judged(container: &str, disk: &str, must_match: bool, content: &[u8]) -> Result<Judged, ErrorKind> {
    let mut screen = Screen::of(Claim::of(Some(container), Some(disk)), must_match);
    screen.push(content).map_err(|e| e.kind)?;
    screen.finish(content.len() as u64).map_err(|e| e.kind)
}

fn screen(container: &str, disk: &str, must_match: bool, content: &[u8]) -> Result<Judged, ErrorKind> {
    judged(container, disk, must_match, content).map(|judged| Judged { passing: None, seen: None, ..judged })
}

fn qcow2(backing: u8) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x02");
    bytes[15] = backing;
    bytes[30] = 0x10;
    bytes
}

const REFUSED: Result<Judged, ErrorKind> = Err(ErrorKind::UnsupportedContent);
const UNKNOWN: Judged =
    Judged { virtual_size: None, container: None, inner: None, choice: None, passing: None, seen: None };

fn container(format: Format) -> Judged {
    Judged { container: Some(format), ..UNKNOWN }
}

#[test]
fn content_must_be_what_a_bare_image_declares() {
    assert_eq!(screen("bare", "qcow2", true, &qcow2(0)), Ok(container(Format::Qcow2)));
    assert_eq!(screen("bare", "qcow2", true, &[1; 4096]), REFUSED);
    assert_eq!(screen("bare", "vmdk", true, &qcow2(0)), REFUSED);
    assert_eq!(screen("bare", "ami", true, &qcow2(0)), REFUSED);
    assert_eq!(screen("bare", "ami", true, &[1; 10]), Ok(UNKNOWN));
    assert_eq!(screen("ami", "ami", true, &qcow2(0)), REFUSED);
    assert_eq!(screen("aki", "aki", true, &[1; 10]), Ok(UNKNOWN));
    assert_eq!(screen("ovf", "vmdk", true, &[1; 10]), Ok(UNKNOWN));
    assert_eq!(screen("ova", "vmdk", true, &[1; 10]), REFUSED);
    assert_eq!(screen("ova", "vmdk", false, &[1; 10]), Ok(UNKNOWN));
    let archive = crate::disk::ova::fixture(&[1; 10]);
    assert_eq!(screen("bare", "vmdk", true, &archive), REFUSED);
    let machine = Judged { inner: Some(Inner::of("vmdk")), ..container(Format::Ova) };
    assert_eq!(screen("ova", "vmdk", true, &archive), Ok(machine));
}

#[test]
fn raw_takes_any_bytes_and_counts_them() {
    assert_eq!(screen("bare", "raw", true, &qcow2(1)), Ok(Judged { virtual_size: Some(4096), ..UNKNOWN }));
}

#[test]
fn an_empty_upload_is_taken_as_it_is() {
    assert_eq!(screen("bare", "qcow2", true, b""), Ok(UNKNOWN));
}

#[test]
fn switching_matching_off_keeps_the_dangers_out() {
    assert_eq!(screen("bare", "qcow2", false, &[1; 4096]), Ok(UNKNOWN));
    assert_eq!(screen("bare", "qcow2", false, &qcow2(1)), REFUSED);
    assert_eq!(screen("bare", "vmdk", false, &qcow2(1)), REFUSED);
}

#[test]
fn what_the_first_bytes_tell_is_refused_as_what_a_reader_tells() {
    let mut screen = Screen::of(Claim::Is(Format::Qcow2), true);
    screen.push(&qcow2(72)).unwrap();
    let refused = screen.finish(4096).unwrap_err();
    let expected = "the content is refused: qcow2 backing_file_offset: it is 72: the disk is what changed since another \
                    file, which it names (needs-another-file); ";
    assert!(refused.message.starts_with(expected), "{}", refused.message);
}

#[test]
fn a_mismatch_is_refused_before_the_stream_ends() {
    let image_start = vec![1; crate::disk::probe::HEAD_BYTES];
    let claim = Claim::Is(Format::Qcow2);
    let mut screen = Screen::of(claim, true);
    assert!(screen.push(&image_start).is_err());
}

#[test]
fn a_fixed_vhd_begins_with_its_guests_partition_table() {
    let mut vhd = vec![0; 40_960];
    vhd[450] = 0x83;
    vhd[458] = 8;
    vhd[510..512].copy_from_slice(b"\x55\xaa");
    let footer = vhd.len() - 512;
    vhd[footer..footer + 8].copy_from_slice(b"conectix");
    vhd[footer + 48..footer + 56].copy_from_slice(&40_448_u64.to_be_bytes());
    assert_eq!(screen("bare", "vhd", true, &vhd), Ok(container(Format::Vhd)));
    vhd[..4].copy_from_slice(b"QFI\xfb");
    assert_eq!(screen("bare", "vhd", true, &vhd), REFUSED, "what readers would take for another format");
}

#[test]
fn an_iso_may_also_be_a_bootable_stick() {
    let mut iso = vec![0; 40_000];
    iso[32768..32774].copy_from_slice(b"\x01CD001");
    iso[512..520].copy_from_slice(b"EFI PART");
    assert!(screen("bare", "iso", true, &iso).is_ok());
    iso[..4].copy_from_slice(b"QFI\xfb");
    assert_eq!(screen("bare", "iso", true, &iso), REFUSED);
}

/// Content that ends as a zip, a VHD or a DMG does.
fn ending(content: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with = |bytes: usize, mark: &[u8]| {
        let mut content = content.to_vec();
        let at = content.len() - bytes;
        content[at..at + mark.len()].copy_from_slice(mark);
        content
    };
    vec![
        ("vhd", with(512, b"conectix")),
        ("dmg", with(512, b"koly")),
        ("zip", with(22, b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")),
    ]
}

#[test]
fn s6_what_ends_as_something_else_is_refused_where_a_format_is_claimed_and_noted_of_raw() {
    for (name, content) in ending(&qcow2(0)) {
        assert_eq!(screen("bare", "qcow2", true, &content), REFUSED, "{name}");
    }
    for (name, content) in ending(&[1; 80_000]) {
        let seen = judged("bare", "raw", true, &content).unwrap().seen.unwrap();
        let found = seen.findings();
        let expected = if name == "zip" { "also-looks-like" } else { "looks-like-container" };
        let values: Vec<_> =
            found.iter().filter(|f| f.code == expected).map(|f| f.value.as_deref()).collect();
        assert_eq!((seen.format, values), ("raw", vec![Some(name)]));
    }
}

#[test]
fn s7_a_format_that_is_not_read_is_refused_by_its_name_whatever_is_claimed() {
    let foreign: [(&str, &[u8]); 8] = [
        ("qcow1", b"QFI\xfb\0\0\0\x01"),
        ("qed", b"QED\0"),
        ("cowd", b"COWD"),
        ("sesparse", b"\xbe\xba\xfe\xca\0\0\0\0"),
        ("parallels", b"WithoutFreeSpace"),
        ("parallels", b"WithouFreSpacExt"),
        ("cloop", b"#!/bin/sh\n#V2.0 Format\n"),
        ("bochs", b"Bochs Virtual HD Image"),
    ];
    for (name, magic) in foreign {
        let mut content = vec![0; 4096];
        content[..magic.len()].copy_from_slice(magic);
        for claimed in ["qcow2", "vmdk", "ploop", "ami", "iso"] {
            let mut screen = Screen::of(Claim::of(Some("bare"), Some(claimed)), true);
            screen.push(&content).unwrap();
            let refused = screen.finish(4096).unwrap_err();
            assert_eq!(refused.kind, ErrorKind::UnsupportedContent);
            assert!(refused.message.contains(name), "{name} as {claimed}: {}", refused.message);
            assert!(refused.message.contains("convert it"), "{}", refused.message);
        }
        let seen = judged("bare", "raw", true, &content).unwrap().seen.unwrap();
        assert_eq!(seen.format, name);
    }
}

#[test]
fn luks_is_what_an_image_of_luks_must_be_and_no_other() {
    let mut content = vec![0; 4096];
    content[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
    let judged = judged("bare", "luks", true, &content).unwrap();
    let seen = judged.seen.unwrap();
    assert_eq!((judged.container, seen.format), (Some(Format::Luks), "luks"));
    assert_eq!(seen.findings()[0].in_short(), "encrypted=2");
    assert_eq!(screen("bare", "luks", true, &[1; 4096]), REFUSED);
    assert_eq!(screen("bare", "qcow2", true, &content), REFUSED);
    assert_eq!(screen("ami", "ami", true, &qcow2(0)), REFUSED, "a part of a machine is no container");
}

#[test]
fn what_passes_in_the_middle_is_not_taken_for_the_end() {
    let mut screen = Screen::of(Claim::Is(Format::Qcow2), true);
    let mut content = qcow2(0);
    content.resize(crate::disk::probe::HEAD_BYTES, 0);
    let (_, content) = ending(&content).swap_remove(0);
    screen.push(&content).unwrap();
    screen.push(&[0; 4096]).unwrap();
    assert!(screen.finish(content.len() as u64 + 4096).is_ok());
}
