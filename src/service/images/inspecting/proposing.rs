//! Properties that follow from what lies inside an image, and setting them.

use super::report::Inspection;
use crate::model::{Image, ImageId};
use crate::service::images::{Change, Existing};
use crate::service::{Actor, Error, Service};

const DISTRO: &str = "os_distro";
const VERSION: &str = "os_version";
const ARCHITECTURE: &str = "architecture";
const FIRMWARE: &str = "hw_firmware_type";
/// Names of distributions that OpenStack writes differently from os-release.
const DISTROS: [(&str, &str); 4] = [
    ("opensuse-leap", "opensuse"),
    ("opensuse-tumbleweed", "opensuse"),
    ("ol", "oracle"),
    ("amzn", "amazon"),
];

/// What came of setting properties.
#[derive(Debug, Clone)]
pub struct Described {
    /// The image's record now.
    pub image: Image,
    /// What was set.
    pub set: Vec<(&'static str, String)>,
    /// What was proposed and is something else already.
    pub kept: Vec<(&'static str, String)>,
}

impl Inspection {
    /// Fills in what follows for properties.
    pub(super) fn propose(&mut self) {
        let system = &self.system;
        let distro = system.id.as_deref().map(|id| {
            let known = DISTROS.iter().find(|(theirs, _)| *theirs == id);
            known.map_or(id, |(_, ours)| ours).to_owned()
        });
        // An image that starts either way is left to the cloud's own preference.
        let firmware = match (self.boot.uefi, self.boot.bios) {
            (true, false) => Some("uefi".to_owned()),
            (false, true) => Some("bios".to_owned()),
            _ => None,
        };
        let all = [
            (DISTRO, distro),
            (VERSION, system.version.clone()),
            (ARCHITECTURE, system.architecture.map(str::to_owned)),
            (FIRMWARE, firmware),
        ];
        self.proposed = all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    }
}

impl Service {
    /// Sets the properties that follow from what lies inside an image. What is set already stays, unless `overwrite`.
    /// Blocks on the medium.
    ///
    /// # Errors
    /// As [`Service::inspect_image`] and [`Service::update_image`]; `Conflict` where somebody sets one of them meanwhile.
    pub fn describe_image(&self, actor: &Actor, id: &ImageId, overwrite: bool) -> Result<Described, Error> {
        let (image, inspection) = self.inspect_image(actor, id)?;
        let (mut set, mut kept) = (Vec::new(), Vec::new());
        for (name, value) in &inspection.proposed {
            match image.properties.get(*name) {
                Some(existing) if existing == value => {}
                Some(_) if !overwrite => kept.push((*name, value.clone())),
                _ => set.push((*name, value.clone())),
            }
        }
        if set.is_empty() {
            return Ok(Described { image, set, kept });
        }
        let existing = if overwrite { Existing::Any } else { Existing::Forbidden };
        let change = |(name, value): &(&str, String)| Change::SetProperty {
            name: (*name).to_owned(),
            value: value.clone(),
            existing,
        };
        let image = self.update_image(actor, id, set.iter().map(change).collect())?;
        Ok(Described { image, set, kept })
    }
}
