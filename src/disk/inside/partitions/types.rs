//! What partitions are for, by the types that tables give them.
//!
//! Sources: the UAPI group's discoverable partitions, UEFI 2.10, and the list that util-linux keeps.

use uuid::{Uuid, uuid};

use super::Purpose;

const OTHER: &str = "other";

/// Of a table of a master boot record.
pub(super) fn mbr_type(code: u8) -> (Purpose, &'static str) {
    match code {
        0x01 | 0x04 | 0x06 | 0x0b | 0x0c | 0x0e => (Purpose::Data, "FAT"),
        0x07 => (Purpose::Data, "NTFS or exFAT"),
        0x27 => (Purpose::Data, "Windows recovery"),
        0x42 => (Purpose::Data, "Windows dynamic disk"),
        0x82 => (Purpose::Swap, "Linux swap"),
        0x83 => (Purpose::Data, "Linux"),
        0x8e => (Purpose::Data, "Linux LVM"),
        0xa5 => (Purpose::Data, "FreeBSD"),
        0xa6 => (Purpose::Data, "OpenBSD"),
        0xa9 => (Purpose::Data, "NetBSD"),
        0xaf => (Purpose::Data, "Apple HFS or APFS"),
        0xbf => (Purpose::Data, "Solaris"),
        0xee => (Purpose::Data, "protective"),
        0xef => (Purpose::EfiSystem, "EFI system"),
        0xfd => (Purpose::Data, "Linux RAID"),
        _ => (Purpose::Data, OTHER),
    }
}

/// Types of GUID partition tables.
const GPT_TYPES: [(Uuid, Purpose, &str); 24] = [
    (uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), Purpose::EfiSystem, "EFI system"),
    (uuid!("21686148-6449-6e6f-744e-656564454649"), Purpose::BiosBoot, "BIOS boot"),
    (uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"), Purpose::Swap, "Linux swap"),
    (uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4"), Purpose::Data, "Linux"),
    (uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"), Purpose::Data, "Linux root (x86-64)"),
    (uuid!("44479540-f297-41b2-9af7-d131d5f0458a"), Purpose::Data, "Linux root (x86)"),
    (uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"), Purpose::Data, "Linux root (ARM64)"),
    (uuid!("69dad710-2ce4-4e3c-b16c-21a1d49abed3"), Purpose::Data, "Linux root (ARM)"),
    (uuid!("72ec70a6-cf74-40e6-bd49-4bda08e8f224"), Purpose::Data, "Linux root (RISC-V 64)"),
    (uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172"), Purpose::Data, "Linux extended boot"),
    (uuid!("8484680c-9521-48c6-9c11-b0720656f69e"), Purpose::Data, "Linux /usr (x86-64)"),
    (uuid!("4d21b016-b534-45c2-a9fb-5c16e091fd2d"), Purpose::Data, "Linux /var"),
    (uuid!("933ac7e1-2eb4-4f13-b844-0e14e2aef915"), Purpose::Data, "Linux home"),
    (uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928"), Purpose::Data, "Linux LVM"),
    (uuid!("a19d880f-05fc-4d3b-a006-743f0f84911e"), Purpose::Data, "Linux RAID"),
    (uuid!("ca7d7ccb-63ed-4c53-861c-1742536059cc"), Purpose::Data, "Linux LUKS"),
    (uuid!("9e1a2d38-c612-4316-aa26-8b49521e5a8b"), Purpose::Data, "PowerPC PReP boot"),
    (uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"), Purpose::Data, "Microsoft basic data"),
    (uuid!("e3c9e316-0b5c-4db8-817d-f92df00215ae"), Purpose::Data, "Microsoft reserved"),
    (uuid!("de94bba4-06d1-4d40-a16a-bfd50179d6ac"), Purpose::Data, "Windows recovery"),
    (uuid!("516e7cb6-6ecf-11d6-8ff8-00022d09712b"), Purpose::Data, "FreeBSD UFS"),
    (uuid!("516e7cba-6ecf-11d6-8ff8-00022d09712b"), Purpose::Data, "FreeBSD ZFS"),
    (uuid!("6a898cc3-1dd2-11b2-99a6-080020736631"), Purpose::Data, "ZFS"),
    (uuid!("7c3457ef-0000-11aa-aa11-00306543ecac"), Purpose::Data, "Apple APFS"),
];

/// Of a GUID partition table.
pub(super) fn gpt_type(kind: &Uuid) -> (Purpose, &'static str) {
    let known = GPT_TYPES.iter().find(|(id, ..)| id == kind);
    known.map_or((Purpose::Data, OTHER), |(_, purpose, name)| (*purpose, name))
}
