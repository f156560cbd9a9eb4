//! What a stream can be recognised as, and what follows from that.
//!
//! Invariant: a format's name never changes: records and answers have it.

/// Something a stream can be recognised as.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Qcow2,
    Vmdk,
    Vhd,
    Vhdx,
    Vdi,
    Iso,
    Luks,
    Gpt,
    Mbr,
    Gzip,
    Xz,
    Zstd,
    Zip,
    Tar,
    /// A tar whose first member describes a machine.
    Ova,
    /// The format before qcow2.
    Qcow1,
    Qed,
    /// VMware's older sparse file.
    Cowd,
    /// VMware's sparse file of snapshots.
    SeSparse,
    Dmg,
    /// Parallels' expanding disk, which ploop writes too.
    Parallels,
    Cloop,
    Bochs,
}

impl Format {
    pub(super) const ALL: [Format; 23] = [
        Format::Qcow2,
        Format::Vmdk,
        Format::Vhd,
        Format::Vhdx,
        Format::Vdi,
        Format::Iso,
        Format::Luks,
        Format::Qcow1,
        Format::Qed,
        Format::Cowd,
        Format::SeSparse,
        Format::Dmg,
        Format::Parallels,
        Format::Cloop,
        Format::Bochs,
        Format::Ova,
        Format::Tar,
        Format::Gzip,
        Format::Xz,
        Format::Zstd,
        Format::Zip,
        Format::Gpt,
        Format::Mbr,
    ];

    /// The format's usual name.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Qcow2 => "qcow2",
            Format::Vmdk => "vmdk",
            Format::Vhd => "vhd",
            Format::Vhdx => "vhdx",
            Format::Vdi => "vdi",
            Format::Iso => "iso",
            Format::Luks => "luks",
            Format::Gpt => "gpt",
            Format::Mbr => "mbr",
            Format::Gzip => "gzip",
            Format::Xz => "xz",
            Format::Zstd => "zstd",
            Format::Zip => "zip",
            Format::Tar => "tar",
            Format::Ova => "ova",
            Format::Qcow1 => "qcow1",
            Format::Qed => "qed",
            Format::Cowd => "cowd",
            Format::SeSparse => "sesparse",
            Format::Dmg => "dmg",
            Format::Parallels => "parallels",
            Format::Cloop => "cloop",
            Format::Bochs => "bochs",
        }
    }

    /// Whether it wraps a guest's disk in a layout of its own.
    pub fn is_disk_container(self) -> bool {
        use Format::{Iso, Ova, Qcow2, Vdi, Vhd, Vhdx, Vmdk};
        matches!(self, Qcow2 | Vmdk | Vhd | Vhdx | Vdi | Iso | Ova) || self.is_foreign()
    }

    /// Whether it is a container that is recognised, and not read: its disk has to be converted first.
    pub fn is_foreign(self) -> bool {
        use Format::{Bochs, Cloop, Cowd, Dmg, Parallels, Qcow1, Qed, SeSparse};
        matches!(self, Qcow1 | Qed | Cowd | SeSparse | Dmg | Parallels | Cloop | Bochs)
    }

    /// Whether it only divides a disk, and so goes with any disk.
    pub fn is_partition_table(self) -> bool {
        matches!(self, Format::Gpt | Format::Mbr)
    }

    /// Whether it is a wrapper of files of any kind.
    pub fn is_wrapper(self) -> bool {
        matches!(self, Format::Gzip | Format::Xz | Format::Zstd | Format::Zip | Format::Tar)
    }
}
