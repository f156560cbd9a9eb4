//! A report on an image's disk. Invariant: lists and texts in it are bounded, whatever the disk says.

use super::findings::{Code, Finding};
use crate::disk::inside::partitions::{Purpose, TableKind};

/// Longest text that is taken from a disk, in characters.
const TEXT_CHARS_MAX: usize = 256;
/// Findings of one report.
const FINDINGS_MAX: usize = 200;

/// What lies inside an image.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// Size of the guest's disk.
    pub size_bytes: u64,
    /// The container that the image's data is; `None` where it is the disk itself.
    pub container: Option<&'static str>,
    /// The kind of the table of partitions.
    pub table: Option<TableKind>,
    /// What the disk is divided into.
    pub volumes: Vec<Volume>,
    /// The number of the volume with the operating system's root.
    pub root: Option<u32>,
    /// What operating system it is.
    pub system: System,
    /// How a machine starts from it.
    pub boot: Boot,
    /// Kernels that are installed.
    pub kernels: Vec<Kernel>,
    /// What fstab mounts.
    pub mounts: Vec<Mount>,
    /// cloud-init, where it is installed.
    pub cloud_init: Option<CloudInit>,
    /// Bytes of logs.
    pub log_bytes: Option<u64>,
    /// What it finds fault with, the gravest in front.
    pub findings: Vec<Finding>,
    /// Properties that follow from it, by name.
    pub proposed: Vec<(&'static str, String)>,
}

/// A partition, or the whole disk where that is not divided.
#[derive(Debug, Clone, Default)]
pub struct Volume {
    /// The partition's number; 0 is the whole disk.
    pub number: u32,
    /// Where it begins on the disk.
    pub start_bytes: u64,
    /// How long it is.
    pub size_bytes: u64,
    /// What the table says it is for.
    pub purpose: Option<Purpose>,
    /// The name of its type.
    pub type_name: Option<&'static str>,
    /// Its type as the table writes it.
    pub type_code: Option<String>,
    /// Its name in the table.
    pub name: Option<String>,
    /// What lies in it.
    pub file_system: Option<&'static str>,
    /// The label of that.
    pub label: Option<String>,
    /// The id of that.
    pub id: Option<String>,
    /// Bytes that the file system manages.
    pub managed_bytes: Option<u64>,
    /// Bytes of them that nothing lies in.
    pub free_bytes: Option<u64>,
    /// Whether files are read from it.
    pub is_read: bool,
}

/// An operating system.
#[derive(Debug, Clone, Default)]
pub struct System {
    /// What it is called by programs: os-release's ID.
    pub id: Option<String>,
    /// Its version: os-release's VERSION_ID.
    pub version: Option<String>,
    /// What it is called by people.
    pub name: Option<String>,
    /// The processor it is made for, as `uname -m` says it.
    pub architecture: Option<&'static str>,
}

/// How a machine starts.
#[derive(Debug, Clone, Default)]
pub struct Boot {
    /// Whether UEFI finds a loader.
    pub uefi: bool,
    /// Whether a BIOS finds one.
    pub bios: bool,
}

/// An installed kernel.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Its version, as its modules' directory is called.
    pub version: String,
    /// Where it lies.
    pub path: Option<String>,
    /// Where its initramfs lies, whose drivers are not known: it is not looked into.
    pub initramfs: Option<String>,
    /// Drivers for virtual hardware; none where its modules are not installed.
    pub drivers: Vec<Driver>,
}

/// A driver for virtual hardware.
#[derive(Debug, Clone)]
pub struct Driver {
    /// Its name.
    pub name: &'static str,
    /// Whether it is there.
    pub state: DriverState,
}

/// Whether a driver is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverState {
    /// In the kernel itself.
    BuiltIn,
    /// As a module.
    Module,
    /// Not at all.
    Absent,
}

/// A line of fstab.
#[derive(Debug, Clone)]
pub struct Mount {
    /// What is mounted.
    pub device: String,
    /// Where.
    pub at: String,
    /// As what.
    pub kind: String,
}

/// cloud-init, as it is set up.
#[derive(Debug, Clone, Default)]
pub struct CloudInit {
    /// Where it looks for what to do; none where it tries all that it knows.
    pub datasources: Vec<String>,
}

impl Inspection {
    /// Adds a finding.
    pub(super) fn find(&mut self, code: Code, path: Option<&str>, sentence: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            let path = path.map(clipped);
            self.findings.push(Finding { code, path, sentence: clipped(&sentence.into()) });
        }
    }
}

/// A text from a disk, as far as reports take it.
pub(super) fn clipped(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}
