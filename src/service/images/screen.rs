//! Decides, while an upload streams by, whether its content is what it claims and harms nobody.
//!
//! Invariant: nothing becomes active without having passed here. Only bare containers, and those of the three Amazon formats, which
//! are none, are looked into; `raw` takes any bytes, as the Image API has it.

use super::looking::Judged;
use crate::disk::probe::{Format, Probe};
use crate::model::Image;
use crate::service::{Error, ErrorKind};

/// A screening in progress.
pub(super) struct Screen {
    claim: Claim,
    must_match: bool,
    probe: Probe,
    head_judged: bool,
}

/// What the record says of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// Wrapped in a container that is not looked into.
    Unseen,
    /// Any bytes.
    Raw,
    /// A format with a magic of its own.
    Is(Format),
    /// A format without one: whatever is no known disk container.
    Opaque,
}

impl Screen {
    pub(super) fn new(image: &Image, must_match: bool) -> Screen {
        let claim = Claim::of(image.container_format.as_deref(), image.disk_format.as_deref());
        Screen { claim, must_match, probe: Probe::default(), head_judged: false }
    }

    /// A screening that looks at nothing, of what is no image's yet.
    pub(super) fn blind() -> Screen {
        Screen { claim: Claim::Unseen, must_match: false, probe: Probe::default(), head_judged: true }
    }

    /// Takes the next bytes; refuses as soon as the start gives reason to.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.claim == Claim::Unseen {
            return Ok(());
        }
        self.probe.push(bytes);
        // A fixed VHD is told by its end alone.
        if !self.head_judged && self.probe.head_is_complete() && self.claim != Claim::Is(Format::Vhd) {
            self.head_judged = true;
            self.judge()?;
        }
        Ok(())
    }

    /// Judges the whole stream of `size` bytes.
    pub(super) fn finish(self, size: u64) -> Result<Judged, Error> {
        if size == 0 {
            return Ok(Judged::default());
        }
        self.judge()?;
        Ok(match self.claim {
            Claim::Unseen | Claim::Opaque => Judged::default(),
            Claim::Raw => Judged { virtual_size: Some(size), container: None },
            Claim::Is(format) => {
                let found = self.probe.formats();
                Judged { virtual_size: None, container: found.contains(&format).then_some(format) }
            }
        })
    }

    fn judge(&self) -> Result<(), Error> {
        let found = self.probe.formats();
        match self.claim {
            Claim::Unseen | Claim::Raw => return Ok(()),
            Claim::Is(claimed) if self.must_match => expect_only(claimed, &found)?,
            Claim::Opaque if self.must_match => {
                if let Some(format) = found.iter().find(|format| format.is_disk_container()) {
                    return Err(refusal(format!(
                        "the content is {}, which disk_format denies",
                        format.as_str()
                    )));
                }
            }
            Claim::Is(_) | Claim::Opaque => {}
        }
        match found.iter().find_map(|format| self.probe.hazard(*format)) {
            Some(reason) => Err(refusal(format!("the content is refused: {reason}"))),
            None => Ok(()),
        }
    }
}

impl Claim {
    fn of(container: Option<&str>, disk: Option<&str>) -> Claim {
        match (container, disk) {
            (Some("bare"), Some("raw")) => Claim::Raw,
            (Some("bare"), Some("qcow2")) => Claim::Is(Format::Qcow2),
            (Some("bare"), Some("vmdk")) => Claim::Is(Format::Vmdk),
            (Some("bare"), Some("vhd")) => Claim::Is(Format::Vhd),
            (Some("bare"), Some("vhdx")) => Claim::Is(Format::Vhdx),
            (Some("bare"), Some("vdi")) => Claim::Is(Format::Vdi),
            (Some("bare"), Some("iso")) => Claim::Is(Format::Iso),
            (Some("bare"), _) => Claim::Opaque,
            // Parts of a machine that lie there as they are.
            (Some("ami"), Some("ami")) | (Some("ari"), Some("ari")) | (Some("aki"), Some("aki")) => {
                Claim::Opaque
            }
            _ => Claim::Unseen,
        }
    }
}

fn expect_only(claimed: Format, found: &[Format]) -> Result<(), Error> {
    // An ISO that also boots from a stick carries a partition table, and a fixed VHD begins with its guest's;
    // nothing else may.
    let may_be_partitioned = matches!(claimed, Format::Iso | Format::Vhd);
    let fits = |format: &Format| *format == claimed || (may_be_partitioned && format.is_partition_table());
    if found.contains(&claimed) && found.iter().all(fits) {
        return Ok(());
    }
    let names: Vec<_> = found.iter().map(|format| format.as_str()).collect();
    let names = if names.is_empty() { "nothing known".to_owned() } else { names.join(" and ") };
    Err(refusal(format!(
        "disk_format is {}, but the content looks like {names}; correct disk_format or the file",
        claimed.as_str()
    )))
}

fn refusal(message: String) -> Error {
    Error::new(ErrorKind::UnsupportedContent, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(container: &str, disk: &str, must_match: bool, content: &[u8]) -> Result<Judged, ErrorKind> {
        let claim = Claim::of(Some(container), Some(disk));
        let mut screen = Screen { claim, must_match, probe: Probe::default(), head_judged: false };
        screen.push(content).map_err(|e| e.kind)?;
        screen.finish(content.len() as u64).map_err(|e| e.kind)
    }

    fn qcow2(backing: u8) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x02");
        bytes[15] = backing;
        bytes[30] = 0x10;
        bytes
    }

    const REFUSED: Result<Judged, ErrorKind> = Err(ErrorKind::UnsupportedContent);
    const UNKNOWN: Judged = Judged { virtual_size: None, container: None };

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
    }

    #[test]
    fn raw_takes_any_bytes_and_counts_them() {
        assert_eq!(
            screen("bare", "raw", true, &qcow2(1)),
            Ok(Judged { virtual_size: Some(4096), container: None })
        );
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
    fn a_mismatch_is_refused_before_the_stream_ends() {
        let image_start = vec![1; crate::disk::probe::HEAD_BYTES];
        let claim = Claim::Is(Format::Qcow2);
        let mut screen = Screen { claim, must_match: true, probe: Probe::default(), head_judged: false };
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
}
