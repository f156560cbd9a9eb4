//! The forms that a disk leaves in, and what they are called.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// The guest's bytes.
    Raw,
    /// QEMU's, version 3.
    Qcow2,
    /// The same, its clusters compressed.
    Qcow2Compressed,
    /// VMware's, streamOptimized.
    Vmdk,
    /// Microsoft's, dynamic.
    Vhd,
    /// The same, fixed.
    VhdFixed,
    /// Microsoft's newer one, dynamic.
    Vhdx,
    /// VirtualBox's, dynamic.
    Vdi,
}

const MIB: u64 = 1 << 20;
/// Blocks of a VHDX, at most, as far as its largest block goes: a table of 8 MiB.
const VHDX_BLOCKS: u64 = 1 << 20;

impl Form {
    /// All of them.
    pub const ALL: [Form; 8] = [
        Form::Raw,
        Form::Qcow2,
        Form::Qcow2Compressed,
        Form::Vmdk,
        Form::Vhd,
        Form::VhdFixed,
        Form::Vhdx,
        Form::Vdi,
    ];

    /// What it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Form::Raw => "raw",
            Form::Qcow2 => "qcow2",
            Form::Qcow2Compressed => "qcow2-compressed",
            Form::Vmdk => "vmdk",
            Form::Vhd => "vhd",
            Form::VhdFixed => "vhd-fixed",
            Form::Vhdx => "vhdx",
            Form::Vdi => "vdi",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Form> {
        Form::ALL.into_iter().find(|form| form.as_str() == name)
    }

    /// How names of such files end, and what the Image API calls the format.
    pub fn disk_format(self) -> &'static str {
        match self {
            Form::Qcow2Compressed => "qcow2",
            Form::VhdFixed => "vhd",
            other => other.as_str(),
        }
    }

    /// Whether its bytes, and their number, are known only when all units were packed.
    pub fn is_compressed(self) -> bool {
        matches!(self, Form::Qcow2Compressed | Form::Vmdk)
    }

    /// The blocks that it has a disk of this size in, in bytes; `None` where it has none, and what lies in them is of no account.
    pub fn block_bytes(self, disk_bytes: u64) -> Option<u64> {
        match self {
            Form::Raw | Form::VhdFixed => None,
            Form::Qcow2 | Form::Qcow2Compressed | Form::Vmdk => Some(super::UNIT_BYTES),
            Form::Vhd => Some(2 * MIB),
            Form::Vhdx => Some(disk_bytes.div_ceil(VHDX_BLOCKS).next_power_of_two().clamp(MIB, 256 * MIB)),
            Form::Vdi => Some(MIB),
        }
    }
}
