//! What images are accepted, as the settings say it, and the files of the operator that this rests on.
//!
//! Invariant: a file that is named and cannot be used keeps the server from starting; nothing is left out in silence.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::settings::between;
use crate::service::images::{Certificates, Protections, SignatureRules};

/// `[images]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Images {
    /// Largest image, in bytes.
    pub bytes_max: u64,
    /// Whether an upload must be what its `disk_format` says.
    pub require_format_match: bool,
    /// How long a deleted image is retained, in seconds; 0 does not retain any.
    pub retain_deleted_s: u64,
    /// From the last byte of an unfinished upload in parts to its end, in seconds.
    pub upload_expiry_s: u64,
    /// Unfinished uploads in parts that one project may have.
    pub unfinished_uploads_max: usize,
    /// Folder of certificates that images may be signed with; empty for none.
    pub certificates: String,
    /// File with certificates that must have issued them; empty to trust all in the folder.
    pub certificate_roots: String,
    /// Whether an image without a signature is refused its data.
    pub require_signature: bool,
    /// File with rules about who may touch which property; empty for none.
    pub property_protections: String,
}

impl Default for Images {
    fn default() -> Self {
        Images {
            bytes_max: 1 << 40,
            require_format_match: true,
            retain_deleted_s: 0,
            upload_expiry_s: 86_400,
            unfinished_uploads_max: 64,
            certificates: String::new(),
            certificate_roots: String::new(),
            require_signature: false,
            property_protections: String::new(),
        }
    }
}

impl Images {
    /// Refuses what says nothing sensible.
    pub(super) fn check(&self) -> Result<(), String> {
        between("images.bytes_max", self.bytes_max, 1, i64::MAX as u64)?;
        between("images.retain_deleted_s", self.retain_deleted_s, 0, 315_360_000)?;
        between("images.upload_expiry_s", self.upload_expiry_s, 1, 31_536_000)?;
        between("images.unfinished_uploads_max", self.unfinished_uploads_max as u64, 1, 1 << 20)?;
        let needs_certificates = [
            ("images.require_signature", self.require_signature),
            ("images.certificate_roots", !self.certificate_roots.is_empty()),
        ];
        match needs_certificates.iter().find(|(_, is_set)| *is_set && self.certificates.is_empty()) {
            Some((name, _)) => Err(format!("{name} needs images.certificates, a folder of certificates")),
            None => Ok(()),
        }
    }
}

/// What the settings say of signatures, with the roots read.
pub(super) fn signatures(settings: &Images) -> Result<SignatureRules, Error> {
    let required = settings.require_signature;
    if settings.certificates.is_empty() {
        return Ok(SignatureRules { required, certificates: None });
    }
    let folder = PathBuf::from(&settings.certificates);
    std::fs::read_dir(&folder)
        .map_err(|error| Error::Settings(format!("images.certificates {}: {error}", folder.display())))?;
    let roots = match settings.certificate_roots.as_str() {
        "" => Vec::new(),
        path => read("images.certificate_roots", path)?,
    };
    let certificates = Certificates::new(folder, &roots).map_err(|why| {
        Error::Settings(format!("images.certificate_roots {}: {why}", settings.certificate_roots))
    })?;
    Ok(SignatureRules { required, certificates: Some(certificates) })
}

/// The rules about properties that the settings name, read.
pub(super) fn protections(settings: &Images) -> Result<Option<Protections>, Error> {
    let path = settings.property_protections.as_str();
    if path.is_empty() {
        return Ok(None);
    }
    let refused = |why: String| Error::Settings(format!("images.property_protections {path}: {why}"));
    let text = String::from_utf8(read("images.property_protections", path)?)
        .map_err(|_| refused("it is no UTF-8".to_owned()))?;
    Protections::parse(&text).map(Some).map_err(refused)
}

/// A file that a setting names.
fn read(setting: &str, path: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::Settings(format!("{setting} {path}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_named_must_be_there_and_say_something_sensible() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = folder.path().to_str().unwrap().to_owned();
        let good = Images { certificates, require_signature: true, ..Images::default() };
        assert_eq!(good.check(), Ok(()));
        let rules = signatures(&good).unwrap();
        assert!(rules.required && rules.certificates.is_some());
        let without = Images { certificates: String::new(), ..good.clone() };
        assert!(without.check().unwrap_err().starts_with("images.require_signature"));
        let elsewhere = Images { certificates: "/nowhere/at/all".into(), ..good.clone() };
        assert!(signatures(&elsewhere).unwrap_err().to_string().starts_with("images.certificates"));
        let file = folder.path().join("rules.conf");
        let named = Images { property_protections: file.to_str().unwrap().into(), ..good.clone() };
        assert!(protections(&named).unwrap_err().to_string().starts_with("images.property_protections"));
        std::fs::write(&file, "[.*]\ncreate = @\n").unwrap();
        assert!(protections(&named).unwrap_err().to_string().contains("line 1"));
        std::fs::write(&file, "[.*]\ncreate = @\nread = @\nupdate = @\ndelete = !\n").unwrap();
        assert!(protections(&named).unwrap().is_some() && protections(&good).unwrap().is_none());
        let file = folder.path().join("roots.pem");
        std::fs::write(&file, "no certificate").unwrap();
        let rootless = Images { certificate_roots: file.to_str().unwrap().into(), ..good };
        let refused = signatures(&rootless).unwrap_err().to_string();
        assert!(
            refused.starts_with("images.certificate_roots") && refused.contains("no certificate"),
            "{refused}"
        );
    }
}
