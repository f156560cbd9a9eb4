//! What a file is, from its first and last bytes and its name.
//!
//! What the bytes say counts; the name decides only where they say nothing, and must not contradict them.

use super::hindered;
use super::reading::read_exactly;
use crate::disk::probe::{Format, HEAD_BYTES, Probe, TAIL_BYTES};
use crate::objects::exchange::Source;
use crate::service::{Error, ErrorKind, Hindrance};

/// Formats that nobody describes: whoever names a file so is believed.
const OPAQUE: [&str; 2] = ["zvhd", "zvhd2"];
/// Name endings of formats that have a magic of their own, or that are not stored.
const NAMED: [&str; 9] = ["qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "qcow", "qed", "ova"];

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its `disk_format`.
    pub format: String,
    /// Bytes of the disk that a guest sees, where that is known.
    pub virtual_bytes: Option<u64>,
}

/// Looks at a file.
pub(super) fn sniff(source: &mut dyn Source, key: &str) -> Result<Found, Error> {
    let size = source.size_bytes();
    let mut probe = Probe::default();
    probe.push(&read_exactly(source, 0, size.min(HEAD_BYTES as u64))?);
    if size > HEAD_BYTES as u64 {
        let tail_bytes = (size - HEAD_BYTES as u64).min(TAIL_BYTES as u64);
        probe.push(&read_exactly(source, size - tail_bytes, tail_bytes)?);
    }
    judge(&probe, key, size)
}

fn judge(probe: &Probe, key: &str, size: u64) -> Result<Found, Error> {
    let name = key.rsplit('/').next().unwrap_or(key);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    let found = probe.formats();
    if let Some(foreign) = found.iter().find(|format| format.is_foreign() || **format == Format::Ova) {
        let message = format!("the file is {}, which is not read here; convert it first", foreign.as_str());
        return Err(bad(message));
    }
    let containers: Vec<Format> = found.iter().copied().filter(|format| format.is_disk_container()).collect();
    match containers.as_slice() {
        [] if OPAQUE.contains(&ending.as_str()) => Ok(Found { format: ending, virtual_bytes: None }),
        [] if NAMED.contains(&ending.as_str()) => Err(bad(format!(
            "the file is named .{ending}, but its content is not; convert it, or rename it to .raw"
        ))),
        [] => match found.iter().find(|format| format.is_wrapper()) {
            Some(packed) if ending != "raw" => {
                Err(bad(format!("the file is {}; unpack it first", packed.as_str())))
            }
            _ => Ok(Found { format: "raw".to_owned(), virtual_bytes: Some(size) }),
        },
        [format] => {
            let says = format.as_str();
            let known =
                NAMED.contains(&ending.as_str()) || OPAQUE.contains(&ending.as_str()) || ending == "raw";
            if known && ending != says {
                return Err(bad(format!(
                    "the file is named .{ending}, but its content is {says}; rename it"
                )));
            }
            Ok(Found { format: says.to_owned(), virtual_bytes: probe.virtual_size(*format) })
        }
        several => {
            let names: Vec<&str> = several.iter().map(|format| format.as_str()).collect();
            Err(bad(format!("the content looks like {} at once", names.join(" and "))))
        }
    }
}

pub(super) fn bad(message: String) -> Error {
    hindered(ErrorKind::UnsupportedContent, Hindrance::BadContent, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qcow2() -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x02");
        bytes[30] = 0x10;
        bytes
    }

    fn judged(key: &str, content: &[u8]) -> Result<(String, Option<u64>), String> {
        let mut probe = Probe::default();
        probe.push(content);
        let judged = judge(&probe, key, content.len() as u64);
        judged.map(|found| (found.format, found.virtual_bytes)).map_err(|error| error.message)
    }

    #[test]
    fn the_content_decides_and_the_name_must_not_contradict_it() {
        let is = |format: &str, bytes| Ok((format.to_owned(), bytes));
        assert_eq!(judged("a/disk.qcow2", &qcow2()), is("qcow2", Some(4096)));
        assert_eq!(judged("disk.IMG", &qcow2()), is("qcow2", Some(4096)));
        assert_eq!(judged("disk", &qcow2()), is("qcow2", Some(4096)));
        assert_eq!(judged("disk.img", &[1; 100]), is("raw", Some(100)));
        assert_eq!(judged("disk.raw", &[1; 100]), is("raw", Some(100)));
        assert_eq!(judged("a.b/disk", &[1; 100]), is("raw", Some(100)));
        assert_eq!(judged("disk.zvhd2", &[1; 100]), is("zvhd2", None));
        for (key, content) in [
            ("disk.raw", qcow2()),
            ("disk.vmdk", qcow2()),
            ("disk.zvhd2", qcow2()),
            ("disk.qcow2", vec![1; 100]),
            ("disk.qed", vec![1; 100]),
            ("disk.img", b"QED\0 and more".to_vec()),
            ("disk.img.gz", b"\x1f\x8b\x08 and more".to_vec()),
        ] {
            assert!(judged(key, &content).is_err(), "{key}");
        }
        assert_eq!(judged("packed.raw", b"\x1f\x8b\x08 and more"), is("raw", Some(12)));
    }
}
