//! What imports of the Image API may do, as the settings say it: ways in, and from where anything may be fetched.
//!
//! Invariant: without a word of the operator only the public internet may be asked, on its usual ports.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::settings::Settings;
use crate::disk::writing::Form;
use crate::service::images::{ImportMethod, ImportRules, may_be_injected};
use crate::web::{Filter, FilterRules, Web};

/// `[imports]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Imports {
    /// Ways in that clients may use: glance-direct, web-download, glance-download, copy-image.
    pub methods: Vec<String>,
    /// Schemes that may be fetched from: http, https.
    pub schemes: Vec<String>,
    /// Ports that may be asked.
    pub ports: Vec<u16>,
    /// Hosts that may be asked; empty for any.
    pub hosts: Vec<String>,
    /// Networks that may be asked although they are not the public internet's.
    pub networks: Vec<String>,
    /// File with certificates to trust beside the public ones; empty for none.
    pub ca_file: String,
    /// How long an ended task is told of, in seconds.
    pub task_ttl_s: u64,
    /// What clients call the store that stands for addresses of the web; empty lets nobody name such a location.
    pub web_store: String,
    /// Whether clients may hang locations on images by a patch, and see them in records.
    pub patch_locations: bool,
    /// Whether data in a wrapper is unwrapped.
    pub decompress: bool,
    /// Format that imported disks are stored in, whatever they come in: raw, qcow2; empty for that one.
    pub convert: String,
    /// Properties that are put on imported images.
    pub inject: BTreeMap<String, String>,
    /// Roles of callers whose images have none put on.
    pub inject_roles_except: Vec<String>,
}

impl Default for Imports {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Imports {
            methods: texts(&["glance-direct", "web-download", "copy-image"]),
            schemes: texts(&["http", "https"]),
            ports: vec![80, 443],
            hosts: Vec::new(),
            networks: Vec::new(),
            ca_file: String::new(),
            task_ttl_s: 172_800,
            web_store: String::new(),
            patch_locations: false,
            decompress: false,
            convert: String::new(),
            inject: BTreeMap::new(),
            inject_roles_except: texts(&["admin"]),
        }
    }
}

impl Imports {
    /// Refuses what says nothing sensible.
    pub(super) fn check(&self) -> Result<(), String> {
        self.methods()?;
        self.networks()?;
        if let Some(scheme) = self.schemes.iter().find(|scheme| !matches!(scheme.as_str(), "http" | "https"))
        {
            return Err(format!("imports.schemes: \"{scheme}\" is neither http nor https"));
        }
        if let Some(host) = self.hosts.iter().find(|host| host.is_empty() || host.contains(['/', '@', ' '])) {
            return Err(format!("imports.hosts: \"{host}\" is no host; write it without scheme and port"));
        }
        if !(60..=31_536_000).contains(&self.task_ttl_s) {
            return Err(format!("imports.task_ttl_s: {} is not between 60 and 31536000", self.task_ttl_s));
        }
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if self.web_store.len() > 63 || !self.web_store.bytes().all(is_good) {
            return Err(format!(
                "imports.web_store: \"{}\" is no name of a store: up to 63 letters, digits, '.', '-' and '_'",
                self.web_store
            ));
        }
        if self.patch_locations && self.web_store.is_empty() {
            return Err(
                "imports.patch_locations: name the store of such locations (imports.web_store)".into()
            );
        }
        if !self.convert.is_empty() && self.form().is_none() {
            return Err(format!("imports.convert: \"{}\" is neither raw nor qcow2, nor empty", self.convert));
        }
        self.inject.iter().try_for_each(|(name, value)| {
            may_be_injected(name, value).map_err(|why| format!("imports.inject: \"{name}\": {why}"))
        })
    }

    /// The rules of the use cases.
    pub(super) fn rules(&self) -> ImportRules {
        ImportRules {
            methods: self.methods().unwrap_or_default(),
            task_ttl_s: self.task_ttl_s as i64,
            web_store: (!self.web_store.is_empty()).then(|| self.web_store.clone()),
            patch_locations: self.patch_locations,
            decompress: self.decompress,
            convert: self.form(),
            inject: self.inject.clone(),
            inject_roles_except: self.inject_roles_except.iter().map(|role| role.to_lowercase()).collect(),
        }
    }

    fn form(&self) -> Option<Form> {
        [Form::Raw, Form::Qcow2].into_iter().find(|form| form.as_str() == self.convert)
    }

    fn methods(&self) -> Result<Vec<ImportMethod>, String> {
        let read = |name: &String| {
            let known = ImportMethod::ALL.into_iter().find(|method| method.as_str() == name);
            known.ok_or_else(|| {
                format!(
                    "imports.methods: \"{name}\" is none of glance-direct, web-download, glance-download and copy-image"
                )
            })
        };
        self.methods.iter().map(read).collect()
    }

    fn networks(&self) -> Result<Vec<IpNet>, String> {
        let read = |text: &String| {
            text.parse().map_err(|_| format!("imports.networks: \"{text}\" is no network such as 10.0.0.0/8"))
        };
        self.networks.iter().map(read).collect()
    }
}

/// The web as the settings let it be seen.
pub(super) fn open(settings: &Settings) -> Result<Web, Error> {
    let Imports { schemes, ports, hosts, ca_file, .. } = settings.imports.clone();
    let networks = settings.imports.networks().map_err(Error::Settings)?;
    let certificates = match ca_file.as_str() {
        "" => Vec::new(),
        path => std::fs::read(path)
            .map_err(|error| Error::Settings(format!("imports.ca_file {path}: {error}")))?,
    };
    let filter = Filter::new(FilterRules { schemes, ports, hosts, networks });
    Web::new(filter, certificates).map_err(|why| Error::Settings(format!("imports.ca_file: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_sensible_is_refused() {
        let good = Imports { networks: vec!["10.0.0.0/8".into(), "fd00::/8".into()], ..Imports::default() };
        assert_eq!(good.check(), Ok(()));
        assert_eq!(good.rules().methods.len(), 3);
        for (bad, what) in [
            (Imports { methods: vec!["file".into()], ..good.clone() }, "imports.methods"),
            (Imports { schemes: vec!["ftp".into()], ..good.clone() }, "imports.schemes"),
            (Imports { hosts: vec!["http://a".into()], ..good.clone() }, "imports.hosts"),
            (Imports { networks: vec!["10.0.0.1/33".into()], ..good.clone() }, "imports.networks"),
            (Imports { task_ttl_s: 1, ..good.clone() }, "imports.task_ttl_s"),
            (Imports { web_store: "a b".into(), ..good.clone() }, "imports.web_store"),
            (Imports { patch_locations: true, ..good.clone() }, "imports.patch_locations"),
            (
                Imports { inject: [("os_glance_x".into(), "1".into())].into(), ..good.clone() },
                "imports.inject",
            ),
            (
                Imports { inject: [("tintype_key".into(), "own".into())].into(), ..good.clone() },
                "imports.inject",
            ),
            (Imports { inject: [("".into(), "1".into())].into(), ..good.clone() }, "imports.inject"),
        ] {
            assert!(bad.check().unwrap_err().starts_with(what), "{what}");
        }
    }
}
