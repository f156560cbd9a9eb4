//! What is recognised, what is dangerous, and that no input breaks the probe.

use proptest::prelude::*;

use super::*;
use crate::disk::refusal::Code;

fn probe(bytes: &[u8]) -> Probe {
    let mut probe = Probe::default();
    probe.push(bytes);
    probe
}

fn at(offset: usize, magic: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[offset..offset + magic.len()].copy_from_slice(magic);
    bytes
}

fn qcow2() -> Vec<u8> {
    let mut bytes = at(0, b"QFI\xfb\0\0\0\x03", 4096);
    bytes[24..32].copy_from_slice(&(20u64 << 30).to_be_bytes());
    bytes[100..104].copy_from_slice(&104u32.to_be_bytes());
    bytes
}

#[test]
fn every_format_is_recognised_by_its_magic() {
    let mut mbr = at(510, b"\x55\xaa", 512);
    mbr[446] = 0x80;
    mbr[450] = 0x83;
    mbr[458] = 1;
    let samples = [
        (Format::Qcow2, qcow2()),
        (Format::Vmdk, at(0, b"KDMV", 512)),
        (Format::Vhd, at(0, b"conectix", 4096)),
        (Format::Vhd, at(4096 - 512, b"conectix", 4096)),
        (Format::Vhd, at(4096 - 511, b"conectix", 4096)),
        (Format::Vhdx, at(0, b"vhdxfile", 512)),
        (Format::Vdi, at(64, b"\x7f\x10\xda\xbe", 512)),
        (Format::Iso, at(32769, b"CD001", 40_000)),
        (Format::Iso, at(34817, b"NSR02", 40_000)),
        (Format::Luks, at(0, b"LUKS\xba\xbe", 512)),
        (Format::Gpt, at(512, b"EFI PART", 1024)),
        (Format::Mbr, mbr),
        (Format::Gzip, at(0, b"\x1f\x8b\x08", 512)),
        (Format::Xz, at(0, b"\xfd7zXZ\0", 512)),
        (Format::Zstd, at(0, b"\x28\xb5\x2f\xfd", 512)),
        (Format::Tar, at(257, b"ustar", 512)),
        (Format::Zip, at(0, b"PK\x03\x04", 512)),
        (Format::Zip, at(8192 - 25, b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03\0end", 8192)),
        (Format::Ova, [&b"machine.OVF"[..], &at(257 - 11, b"ustar", 600)[..]].concat()),
        (Format::Qcow1, at(0, b"QFI\xfb\0\0\0\x01", 512)),
        (Format::Qed, at(0, b"QED\0", 512)),
        (Format::Cowd, at(0, b"COWD", 512)),
        (Format::SeSparse, at(0, &0xcafe_babe_u64.to_le_bytes(), 512)),
        (Format::Dmg, at(8192 - 512, b"koly", 8192)),
        (Format::Parallels, at(0, b"WithouFreSpacExt", 512)),
        (Format::Cloop, at(0, b"#!/bin/sh\n#V2.0 Format\n", 512)),
        (Format::Bochs, at(0, b"Bochs Virtual HD Image", 512)),
    ];
    for (format, bytes) in samples {
        assert_eq!(probe(&bytes).formats(), [format]);
    }
    // A comment that is longer than what follows it is no end of a zip.
    assert_eq!(probe(&at(8192 - 22, b"PK\x05\x06", 8191)).formats(), []);
    assert_eq!(probe(b"").formats(), []);
    assert_eq!(probe(&[7; 4096]).formats(), []);
}

#[test]
fn a_footer_is_found_however_the_stream_is_cut() {
    let bytes = at(200_000 - 512, b"conectix", 200_000);
    for piece in [1000, 511, 65_536, 7] {
        let mut probe = Probe::default();
        bytes.chunks(piece).for_each(|chunk| probe.push(chunk));
        assert_eq!(probe.formats(), [Format::Vhd], "pieces of {piece}");
    }
}

#[test]
fn s8_a_text_vmdk_is_one_however_it_is_padded() {
    for text in ["# Disk DescriptorFile", "\u{feff}# disk descriptorfile", "\r\n\0\0 # DISK DescriptorFile\n"]
    {
        let probe = probe(text.as_bytes());
        assert_eq!(probe.formats(), [Format::Vmdk], "{text:?}");
        assert_eq!(fault(&probe, Format::Vmdk), Some((Code::NeedsAnotherFile, "descriptor")));
    }
    let flat =
        probe(b"# Disk DescriptorFile\ncreateType = \"MONOLITHICFLAT\"\nRW 1 FLAT \"/etc/shadow\" 0\n");
    let told = flat.hazard(Format::Vmdk).unwrap().to_string();
    assert!(told.starts_with("vmdk descriptor: it is a text alone, of the kind monolithicFlat:"), "{told}");
    assert!(told.contains("only where you trust it") && !told.contains("shadow"), "{told}");
}

#[test]
fn s8_a_text_vmdk_is_one_behind_comments_and_without_its_banner() {
    let rest = "CID=00000001\ncreateType=\"monolithicFlat\"\nRW 1 FLAT \"/etc/shadow\" 0\n";
    let comments = "# filling\n".repeat(6000);
    for start in [
        "# a remark\n# Disk DescriptorFile\n",
        "#\n \r\n\0\0\t#!/bin/sh\n # DISK descriptorfile\r\nanything\n",
        "version=1\n",
        "version=2\r\n",
        "\u{feff}\n# a remark\r\n\r\n   \nversion=3 \0\n",
        &format!("{comments}version=1\n"),
        &format!("{comments}# Disk DescriptorFile\n"),
    ] {
        let probe = probe(format!("{start}{rest}").as_bytes());
        assert_eq!(probe.formats(), [Format::Vmdk], "{}", &start[start.len().saturating_sub(40)..]);
        assert_eq!(fault(&probe, Format::Vmdk), Some((Code::NeedsAnotherFile, "descriptor")));
    }
    assert_eq!(probe(b"# a remark\nversion=1").formats(), [Format::Vmdk], "a text may end there");
}

#[test]
fn s8_texts_with_comments_are_no_vmdks_without_banner_and_version() {
    for text in [
        "#!/bin/sh\n# Makes a disk.\necho version=1\nversion=1\n",
        "#!/bin/sh\nVERSION=1\n",
        "#cloud-config\n# Disk\nversion: 1\n# Disk DescriptorFile\n",
        "# Made by a tool.\nversion = 3\n",
        "# Disk Descriptor\n",
        "version=0\n",
        "version=4\n",
        "version=10\n",
        "version=\n",
        "version=1 # a remark\n",
        "# a remark version=1\n",
        "#",
        "\n\n\0\0",
    ] {
        assert_eq!(probe(text.as_bytes()).formats(), [], "{text:?}");
    }
    // What stands past the bytes that are kept is not looked for.
    assert_eq!(probe(format!("{}version=1\n", "#\n".repeat(HEAD_BYTES)).as_bytes()).formats(), []);
}

fn fault(probe: &Probe, format: Format) -> Option<(Code, &'static str)> {
    probe.hazard(format).map(|refusal| (refusal.code, refusal.field))
}

#[test]
fn s20_a_qcow2_that_leads_elsewhere_is_dangerous() {
    assert_eq!(probe(&qcow2()).hazard(Format::Qcow2), None);
    let mut backing = qcow2();
    backing[15] = 1;
    let mut data_bit = qcow2();
    data_bit[79] = 4;
    let mut data_name = qcow2();
    data_name[104..112].copy_from_slice(b"\x11\x22\x33\x44\0\0\0\x05");
    data_name[120..128].copy_from_slice(b"DATA\0\0\0\x01");
    let mut version = qcow2();
    version[7] = 1;
    let other = Code::NeedsAnotherFile;
    let cut = |bytes: usize| qcow2()[..bytes].to_vec();
    for (bad, code, field) in [
        (backing, other, "backing_file_offset"),
        (data_bit, other, "incompatible_features"),
        (data_name, other, "header extensions"),
        (version, Code::Unsupported, "version"),
        (cut(10), Code::CutShort, "header"),
        (cut(75), Code::CutShort, "header"),
    ] {
        assert_eq!(fault(&probe(&bad), Format::Qcow2), Some((code, field)));
    }
}

#[test]
fn s21_only_vmdks_that_hold_their_own_data_are_safe() {
    let vmdk = |kind: &str| {
        let mut bytes = at(0, b"KDMV", 4096);
        bytes[28] = 1;
        bytes[36] = 2;
        let text = format!("# Disk DescriptorFile\ncreateType = \"{kind}\"\n");
        bytes[512..512 + text.len()].copy_from_slice(text.as_bytes());
        fault(&probe(&bytes), Format::Vmdk)
    };
    assert_eq!(vmdk("streamOptimized"), None);
    assert_eq!(vmdk("monolithicSparse"), None);
    for kind in ["monolithicFlat", "vmfsSparse", "anything"] {
        assert_eq!(vmdk(kind), Some((Code::Unsupported, "createType")), "{kind}");
    }
    let mut header = at(0, b"KDMV", 4096);
    for sector in [0, 200] {
        header[28] = sector;
        assert_eq!(fault(&probe(&header), Format::Vmdk), Some((Code::BadField, "descriptorOffset")));
    }
}

#[test]
fn headers_tell_the_guest_size() {
    assert_eq!(probe(&qcow2()).virtual_size(Format::Qcow2), Some(20 << 30));
    let mut footer = at(0, b"conectix", 512);
    footer[48..56].copy_from_slice(&(1u64 << 30).to_be_bytes());
    assert_eq!(probe(&footer).virtual_size(Format::Vhd), Some(1 << 30));
    let mut vmdk = at(0, b"KDMV", 512);
    vmdk[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(probe(&vmdk).virtual_size(Format::Vmdk), None);
}

proptest! {
    #[test]
    fn no_input_breaks_the_probe(
        magic in prop::sample::select(vec![&b""[..], b"QFI\xfb\0\0\0\x03", b"KDMV", b"conectix"]),
        body in prop::collection::vec(any::<u8>(), 0..2000),
        piece in 1usize..700,
    ) {
        let bytes = [magic, &body].concat();
        let mut probe = Probe::default();
        bytes.chunks(piece).for_each(|chunk| probe.push(chunk));
        for format in Format::ALL {
            let _ = (probe.hazard(format), probe.virtual_size(format));
        }
        prop_assert_eq!(&probe.tail[..], &bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
    }
}
