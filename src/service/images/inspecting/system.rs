//! Which operating system it is, and for which processor.

use super::look::Look;
use super::report::{Inspection, clipped};
use crate::disk::inside::Fault;

const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];
/// Programs that every system has one of.
const PROGRAMS: [&str; 6] =
    ["/bin/sh", "/usr/bin/env", "/sbin/init", "/usr/lib/systemd/systemd", "/bin/busybox", "/usr/bin/bash"];
const HEADER_BYTES: usize = 64;

/// Reads what the system says of itself, and what its programs are made for.
pub(super) fn look(look: &Look<'_>, report: &mut Inspection) -> Result<(), Fault> {
    for path in OS_RELEASE {
        if let Some(text) = look.text(path)? {
            report.system.id = value(&text, "ID");
            report.system.version = value(&text, "VERSION_ID");
            report.system.name = value(&text, "PRETTY_NAME");
            break;
        }
    }
    for path in PROGRAMS {
        if let Some(machine) = look.bytes(path, HEADER_BYTES)?.as_deref().and_then(machine) {
            report.system.architecture = Some(machine);
            break;
        }
    }
    Ok(())
}

/// A value of a file of assignments as a shell reads them (os-release(5)).
pub(super) fn value(text: &str, name: &str) -> Option<String> {
    let mut assigned = text.lines().filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
    let value = assigned.next_back()?.trim();
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
    Some(clipped(&value.replace('\\', ""))).filter(|value| !value.is_empty())
}

/// What a program is made for, by its ELF header.
fn machine(header: &[u8]) -> Option<&'static str> {
    let [0x7f, b'E', b'L', b'F', class, order, ..] = header else { return None };
    let field: [u8; 2] = header.get(18..20)?.try_into().ok()?;
    let is_big = *order == 2;
    let machine = if is_big { u16::from_be_bytes(field) } else { u16::from_le_bytes(field) };
    Some(match (machine, class) {
        (62, 2) => "x86_64",
        (3 | 62, _) => "i686",
        (183, _) => "aarch64",
        (40, _) => "armv7l",
        (243, 2) => "riscv64",
        (22, _) => "s390x",
        (21, _) if is_big => "ppc64",
        (21, _) => "ppc64le",
        (258, _) => "loongarch64",
        (8, _) => "mips",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_a_shell_reads_them() {
        let text =
            "# VERSION_ID=9\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\nID=debian\nID_LIKE=x\nEMPTY=\"\"\n";
        assert_eq!(value(text, "ID").as_deref(), Some("debian"));
        assert_eq!(value(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(value(text, "NAME").as_deref(), Some("Debian GNU/Linux"));
        assert_eq!(value(text, "EMPTY"), None);
        assert_eq!(value(&format!("ID={}", "x".repeat(5000)), "ID").map(|id| id.len()), Some(256));
    }

    #[test]
    fn programs_tell_their_processor() {
        let program = |class: u8, order: u8, field: [u8; 2]| {
            let mut header = vec![0; 64];
            header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, order]);
            header[18..20].copy_from_slice(&field);
            machine(&header)
        };
        assert_eq!(program(2, 1, [62, 0]), Some("x86_64"));
        assert_eq!(program(2, 1, [183, 0]), Some("aarch64"));
        assert_eq!(program(2, 2, [0, 22]), Some("s390x"));
        assert_eq!(machine(b"#!/bin/sh"), None);
        assert_eq!(machine(b"\x7fELF\x02\x01"), None);
    }
}
