//! How the network is set up: what binds an image to one machine's cards and addresses.

use super::findings::Code;
use super::look::Look;
use super::report::Inspection;
use crate::disk::inside::Fault;

/// Rules that bind names of cards to the addresses of those that were there.
const RULES: [&str; 3] = [
    "/etc/udev/rules.d/70-persistent-net.rules",
    "/etc/udev/rules.d/75-persistent-net-generator.rules",
    "/etc/udev/rules.d/70-persistent-cd.rules",
];
const INTERFACES: &str = "/etc/network/interfaces";
/// Directories of settings, one card a file, and how a line says that its address is fixed.
const PER_CARD: [(&str, &[&str]); 4] = [
    ("/etc/sysconfig/network-scripts", &["BOOTPROTO=static", "BOOTPROTO=none", "IPADDR="]),
    ("/etc/netplan", &["addresses:"]),
    ("/etc/systemd/network", &["Address="]),
    ("/etc/NetworkManager/system-connections", &["method=manual"]),
];

/// Looks for fixed names and addresses.
pub(super) fn look(look: &Look<'_>, report: &mut Inspection) -> Result<(), Fault> {
    for path in RULES {
        if look.size(path)?.is_some_and(|bytes| bytes > 0) {
            let sentence = format!(
                "needs optimisation because {path} binds names of devices to another machine's hardware: remove it"
            );
            report.find(Code::NetRulesLeft, Some(path), sentence);
        }
    }
    if look.text(INTERFACES)?.is_some_and(|text| text.lines().any(is_static)) {
        report.fixed(INTERFACES);
    }
    for (directory, marks) in PER_CARD {
        for entry in look.list(directory)?.into_iter().take(32) {
            // The one of the machine itself has no address but its own.
            if entry.name == "ifcfg-lo" {
                continue;
            }
            let path = format!("{directory}/{}", entry.name);
            let says_so =
                |line: &str| marks.iter().any(|mark| line.trim().replace(['"', '\''], "").starts_with(mark));
            if look.text(&path)?.is_some_and(|text| text.lines().any(says_so)) {
                report.fixed(&path);
            }
        }
    }
    Ok(())
}

fn is_static(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    matches!(words.as_slice(), ["iface", name, _, "static"] if *name != "lo")
}

impl Inspection {
    fn fixed(&mut self, path: &str) {
        let sentence = format!(
            "needs optimisation because {path} fixes an address, which all machines would take: have it come by DHCP"
        );
        self.find(Code::StaticAddress, Some(path), sentence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_address_is_told_from_one_that_comes_by_dhcp() {
        assert!(is_static("iface eth0 inet static"));
        assert!(is_static("  iface  ens3 inet6 static"));
        assert!(!is_static("iface eth0 inet dhcp"));
        assert!(!is_static("# iface eth0 inet static"));
        assert!(!is_static("iface lo inet static"));
    }
}
