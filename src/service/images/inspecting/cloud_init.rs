//! Whether the image takes keys, names and settings at a machine's first start.

use super::findings::Code;
use super::look::Look;
use super::report::{CloudInit, Inspection, clipped};
use crate::disk::inside::Fault;

const PROGRAMS: [&str; 3] =
    ["/usr/bin/cloud-init", "/usr/local/bin/cloud-init", "/usr/lib/cloud-init/ds-identify"];
/// What does the same elsewhere.
const OTHERS: [&str; 4] = [
    "/usr/bin/ignition",
    "/usr/lib/dracut/modules.d/30ignition",
    "/usr/bin/tiny-cloud",
    "/usr/sbin/tiny-cloud",
];
const CONFIG: &str = "/etc/cloud/cloud.cfg";
const CONFIGS: &str = "/etc/cloud/cloud.cfg.d";
const CONFIGS_MAX: usize = 64;
const DATASOURCES_MAX: usize = 32;
/// What it leaves once it has set a machine up.
const STATE: [&str; 2] = ["/var/lib/cloud/instance", "/var/lib/cloud/data/instance-id"];

/// Looks for cloud-init and how it is set up.
pub(super) fn look(look: &Look<'_>, report: &mut Inspection) -> Result<(), Fault> {
    if look.first_of(&PROGRAMS)?.is_none() {
        if look.first_of(&OTHERS)?.is_none() && report.system.id.is_some() {
            report.find(
                Code::NoCloudInit,
                None,
                "needs optimisation because cloud-init is not installed: machines take no key, name or user data when \
                 they start",
            );
        }
        return Ok(());
    }
    let mut files = vec![CONFIG.to_owned()];
    let more = look.list(CONFIGS)?.into_iter().filter(|entry| entry.name.ends_with(".cfg"));
    files.extend(more.take(CONFIGS_MAX).map(|entry| format!("{CONFIGS}/{}", entry.name)));
    let mut found = CloudInit::default();
    for path in files {
        // A later file has the last word.
        if let Some(named) = look.text(&path)?.as_deref().and_then(datasources) {
            found.datasources = named;
        }
    }
    report.cloud_init = Some(found);
    if let Some(path) = look.first_of(&STATE)? {
        let sentence = format!(
            "needs optimisation because {path} is left of a machine that cloud-init has set up: clear it (cloud-init clean)"
        );
        report.find(Code::CloudInitStateLeft, Some(path), sentence);
    }
    Ok(())
}

/// The list of datasources, in either form that YAML has for lists.
fn datasources(text: &str) -> Option<Vec<String>> {
    let mut lines = text.lines();
    let rest = lines.by_ref().find_map(|line| line.strip_prefix("datasource_list:"))?.trim();
    let mut flow = rest.to_owned();
    if rest.starts_with('[') {
        // It may go on for some lines.
        for line in lines.by_ref().take(DATASOURCES_MAX) {
            if flow.contains(']') {
                break;
            }
            flow.push_str(line);
        }
        let inner = flow.trim_start_matches('[').split(']').next().unwrap_or_default();
        return Some(inner.split(',').filter_map(named).take(DATASOURCES_MAX).collect());
    }
    let items = lines.map(str::trim).take_while(|line| line.starts_with('-'));
    Some(items.filter_map(|line| named(line.trim_start_matches('-'))).take(DATASOURCES_MAX).collect())
}

fn named(item: &str) -> Option<String> {
    let name = item.trim().trim_matches(['"', '\'']);
    Some(clipped(name)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasources_are_read_in_both_forms() {
        let wanted = Some(vec!["NoCloud".to_owned(), "OpenStack".to_owned()]);
        assert_eq!(datasources("x: 1\ndatasource_list: [ NoCloud, OpenStack ]\n"), wanted);
        assert_eq!(datasources("datasource_list: ['NoCloud',\n  \"OpenStack\" ]\n"), wanted);
        assert_eq!(datasources("datasource_list:\n  - NoCloud\n  - OpenStack\nother: 1\n"), wanted);
        assert_eq!(datasources("# datasource_list: [ None ]\n"), None);
    }
}
