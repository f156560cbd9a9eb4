//! What a machine that the image was made from left behind.
//!
//! Invariant: what is told is that something is there, never what it says.

use super::findings::Code;
use super::look::Look;
use super::report::Inspection;
use crate::disk::inside::{Fault, NodeKind};

const MACHINE_ID: &str = "/etc/machine-id";
const SSH: &str = "/etc/ssh";
const SHADOW: &str = "/etc/shadow";
const HOMES_MAX: usize = 64;
const KEYS: [&str; 2] = [".ssh/authorized_keys", ".ssh/authorized_keys2"];
const HISTORIES: [&str; 3] = [".bash_history", ".zsh_history", ".ash_history"];
/// Tools that other hypervisors want in their machines.
const FOREIGN: [(&str, &str); 4] = [
    ("/usr/bin/vmtoolsd", "VMware"),
    ("/usr/sbin/xe-daemon", "Xen"),
    ("/usr/sbin/VBoxService", "VirtualBox"),
    ("/opt/VBoxGuestAdditions", "VirtualBox"),
];

/// Looks for ids, keys, passwords and histories.
pub(super) fn look(look: &Look<'_>, report: &mut Inspection) -> Result<(), Fault> {
    machine_id(look, report)?;
    host_keys(look, report)?;
    root_password(look, report)?;
    let users = look.list("/home")?.into_iter().filter(|entry| entry.node.kind == NodeKind::Directory);
    let homes = std::iter::once("/root".to_owned())
        .chain(users.map(|entry| format!("/home/{}", entry.name)).take(HOMES_MAX));
    for home in homes {
        left_in(look, &home, report)?;
    }
    for (path, whose) in FOREIGN {
        if look.has(path)? {
            let sentence =
                format!("needs optimisation because tools of {whose} are installed ({path}): remove them");
            report.find(Code::ForeignTools, Some(path), sentence);
        }
    }
    Ok(())
}

fn machine_id(look: &Look<'_>, report: &mut Inspection) -> Result<(), Fault> {
    let id = look.text(MACHINE_ID)?.unwrap_or_default();
    // Empty, and this word, both have a machine make its own.
    if !matches!(id.trim(), "" | "uninitialized") {
        let sentence = format!(
            "needs optimisation because {MACHINE_ID} is filled: all machines would have one id, and ask for one address; \
             empty it"
        );
        report.find(Code::MachineIdLeft, Some(MACHINE_ID), sentence);
    }
    Ok(())
}

fn host_keys(look: &Look<'_>, report: &mut Inspection) -> Result<(), Fault> {
    let keys: Vec<String> =
        look.list(SSH)?.into_iter().map(|entry| entry.name).filter(|name| is_host_key(name)).collect();
    if !keys.is_empty() {
        let sentence = format!(
            "needs optimisation because {SSH} has {}: all machines would prove to be the same; remove them, so that each \
             makes its own",
            keys.join(", ")
        );
        report.find(Code::HostKeysLeft, Some(SSH), sentence);
    }
    Ok(())
}

fn is_host_key(name: &str) -> bool {
    name.starts_with("ssh_host_") && name.ends_with("_key")
}

fn root_password(look: &Look<'_>, report: &mut Inspection) -> Result<(), Fault> {
    let text = look.text(SHADOW)?.unwrap_or_default();
    let root = text.lines().find_map(|line| line.strip_prefix("root:"));
    let Some(password) = root.and_then(|rest| rest.split(':').next()) else { return Ok(()) };
    if password.is_empty() {
        let sentence = "root signs in without a password: lock it (passwd -l root)";
        report.find(Code::RootPasswordEmpty, Some(SHADOW), sentence);
    } else if !password.starts_with(['*', '!']) {
        let sentence = "needs optimisation because root has a password, which whoever made the image knows: lock it \
                        (passwd -l root), and have machines take keys";
        report.find(Code::RootPasswordSet, Some(SHADOW), sentence);
    }
    Ok(())
}

fn left_in(look: &Look<'_>, home: &str, report: &mut Inspection) -> Result<(), Fault> {
    let has_any = |names: &[&str]| -> Result<Option<String>, Fault> {
        for name in names {
            let path = format!("{home}/{name}");
            if look.size(&path)?.is_some_and(|bytes| bytes > 0) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    };
    if let Some(path) = has_any(&KEYS)? {
        let sentence =
            format!("needs optimisation because {path} opens all machines to somebody's key: remove it");
        report.find(Code::AuthorizedKeysLeft, Some(&path), sentence);
    }
    if let Some(path) = has_any(&HISTORIES)? {
        let sentence = format!("needs optimisation because {path} tells what was typed: remove it");
        report.find(Code::HistoryLeft, Some(&path), sentence);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_host_keys_are_told_from_public_ones() {
        assert!(is_host_key("ssh_host_ed25519_key"));
        assert!(!is_host_key("ssh_host_ed25519_key.pub"));
        assert!(!is_host_key("sshd_config"));
    }
}
