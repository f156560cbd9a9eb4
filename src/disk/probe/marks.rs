//! Marks of formats that are told by their name alone, at the start or the end of a stream.
//!
//! Sources: the readers of QEMU for those that are not read here, and for texts of VMDK; PKWARE's APPNOTE for zip. Invariant:
//! each looks at the bytes it is given alone, in time that follows from their number.

use crate::disk::fields::Fields;

/// What a zip ends with: 22 bytes, and a comment.
const ZIP_END: &[u8] = b"PK\x05\x06";
const ZIP_END_BYTES: usize = 22;
/// What a DMG ends with.
const DMG_END_BYTES: usize = 512;
/// The name of a tar's first member.
const TAR_NAME_BYTES: usize = 100;
/// The comment that a text descriptor of VMDK begins with, in small letters.
const VMDK_BANNER: &[u8] = b"# disk descriptorfile";

/// A text descriptor of VMDK, however it is padded: its banner is among the comments that it begins with, or its version
/// is what comes first behind them, where QEMU's `vmdk_probe` looks for it.
pub(super) fn is_text_vmdk(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')).map(without_padding) {
        match line {
            [] => {}
            [b'#', ..] => {
                let start = line.get(..VMDK_BANNER.len());
                if start.is_some_and(|start| start.eq_ignore_ascii_case(VMDK_BANNER)) {
                    return true;
                }
            }
            // As QEMU has it, to the letter: scripts set a VERSION, and lists of packages have a `version = 3`.
            _ => return matches!(line, b"version=1" | b"version=2" | b"version=3"),
        }
    }
    false
}

/// A line without NULs and blanks around it.
fn without_padding(line: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| *byte != 0 && !byte.is_ascii_whitespace();
    let start = line.iter().position(is_text).unwrap_or(line.len());
    let end = line.iter().rposition(is_text).map_or(start, |last| last + 1);
    &line[start..end]
}

/// The format before qcow2 has the same first bytes, and says that it is version 1.
pub(super) fn is_qcow1(head: &[u8]) -> bool {
    head.starts_with(b"QFI\xfb\0\0\0\x01")
}

pub(super) fn is_se_sparse(head: &[u8]) -> bool {
    head.starts_with(&0xcafe_babe_u64.to_le_bytes())
}

pub(super) fn is_parallels(head: &[u8]) -> bool {
    head.starts_with(b"WithoutFreeSpace") || head.starts_with(b"WithouFreSpacExt")
}

/// A script that mounts what follows it.
pub(super) fn is_cloop(head: &[u8]) -> bool {
    head.starts_with(b"#!/bin/sh\n#V2.0 Format\n")
}

pub(super) fn is_dmg(tail: &[u8]) -> bool {
    tail.len().checked_sub(DMG_END_BYTES).is_some_and(|at| Fields(tail).bytes(at, 4) == b"koly")
}

/// The start of a zip, or an end whose comment fills the stream exactly: readers of zips look there first.
pub(super) fn is_zip(head: &[u8], tail: &[u8]) -> bool {
    let ends_there = |at: usize| {
        let rest = Fields(tail.get(at..).unwrap_or_default());
        rest.bytes(0, ZIP_END.len()) == ZIP_END && ZIP_END_BYTES + usize::from(rest.le16(20)) == rest.0.len()
    };
    head.starts_with(b"PK\x03\x04") || (0..tail.len().saturating_sub(ZIP_END_BYTES - 1)).any(ends_there)
}

pub(super) fn is_tar(head: &[u8]) -> bool {
    Fields(head).bytes(257, 5) == b"ustar"
}

/// A tar of a machine, which begins with the machine's description.
pub(super) fn is_ova(head: &[u8]) -> bool {
    let name = Fields(head).bytes(0, TAR_NAME_BYTES);
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    is_tar(head) && name.len() > 4 && name[name.len() - 4..].eq_ignore_ascii_case(b".ovf")
}
