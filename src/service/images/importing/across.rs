//! Images of other regions as the origin of imports: what is taken from their records, and their data.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use serde_json::Value;

use crate::model::identity::Project;
use crate::model::job::Job;
use crate::model::{ByteRange, Image, ImageId, Status};
use crate::peers::{self, Peer};
use crate::service::images::access;
use crate::service::images::download::expect_here;
use crate::service::images::upload::in_background;
use crate::service::jobs::asker;
use crate::service::rights::{Action, REGION};
use crate::service::{Actor, Error, Service, custom_keys};
use crate::web::{self, Fetched, From};

/// Starts of names of properties that come along, as the reference has them.
const TAKEN_ALONG: [&str; 5] = ["hw_", "trait:", "os_distro", "os_secure_boot", "os_type"];

/// Data on its way in, and what is said of it.
pub(super) struct Inbound {
    pub size_bytes: Option<u64>,
    pub stamp: Option<String>,
    pub offset: u64,
    pub body: web::Body,
    pub record: Option<Said>,
}

impl std::convert::From<Fetched> for Inbound {
    fn from(fetched: Fetched) -> Inbound {
        let Fetched { size_bytes, stamp, offset, body } = fetched;
        Inbound { size_bytes, stamp, offset, body, record: None }
    }
}

/// What another region says of its image that holds for the one here too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    disk_format: Option<String>,
    container_format: Option<String>,
    properties: BTreeMap<String, String>,
}

impl Said {
    fn of(record: &Value) -> Said {
        let text = |name: &str| record[name].as_str().map(str::to_owned);
        let taken = |(name, value): (&String, &Value)| {
            let is_taken = TAKEN_ALONG.iter().any(|start| name.starts_with(start));
            Some((name.clone(), value.as_str().filter(|_| is_taken)?.to_owned()))
        };
        Said {
            disk_format: text("disk_format"),
            container_format: text("container_format"),
            properties: record.as_object().into_iter().flatten().filter_map(taken).collect(),
        }
    }

    fn of_image(image: &Image) -> Said {
        let is_taken = |name: &str| TAKEN_ALONG.iter().any(|start| name.starts_with(start));
        let taken = image.properties.iter().filter(|(name, _)| is_taken(name));
        Said {
            disk_format: image.disk_format.clone(),
            container_format: image.container_format.clone(),
            properties: taken.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }

    pub(super) fn container_format(&self) -> Option<&str> {
        self.container_format.as_deref()
    }

    /// Puts it on an image, but for properties that the operator put there.
    pub(super) fn apply(&self, image: &mut Image, injected: &BTreeMap<String, String>) {
        image.disk_format.clone_from(&self.disk_format);
        image.container_format.clone_from(&self.container_format);
        for (name, value) in &self.properties {
            let is_injected =
                injected.get(name).is_some() && image.properties.get(name) == injected.get(name);
            if !is_injected {
                image.properties.insert(name.clone(), value.clone());
            }
        }
    }
}

impl Service {
    /// Refuses to hand an image of this box to a caller who sees it and may not have its data. Whatever else is wrong
    /// with a region or an image there, the task says, as the reference has it.
    pub(super) fn check_region(&self, actor: &Actor, region: &str, id: &ImageId) -> Result<(), Error> {
        if region != REGION {
            return Ok(());
        }
        let read = self.db.read()?;
        match access::in_sight(&read, actor, id) {
            Ok(image) if !access::may(actor, Action::ImagesExport, &image) => {
                Err(access::refusal(actor, &image, Action::ImagesExport))
            }
            Ok(image) => custom_keys::expect_opens(&read, &image, actor),
            Err(_) => Ok(()),
        }
    }

    /// Opens an image of this box that the job's project sees.
    fn open_here(&self, job: &Job, id: &ImageId, from: Option<&From>) -> Result<Inbound, Error> {
        let read = self.db.read()?;
        let asker = asker(job);
        let image = access::in_sight(&read, &asker, id)?;
        custom_keys::expect_opens(&read, &image, &asker)?;
        expect_here(&image)?;
        let Some(content) = image.content.filter(|_| image.status == Status::Active) else {
            let status = image.status.as_str();
            return Err(Error::conflict(format!("image {id} is {status}, not active")));
        };
        let reader = self.store.reader(&content)?;
        let (size, stamp) = (reader.size_bytes(), hex::encode(content.0));
        let offset = from.filter(|from| from.stamp == stamp).map_or(0, |from| from.offset);
        let body = reader.stream(ByteRange { start: offset, end: size });
        Ok(Inbound {
            size_bytes: Some(size),
            stamp: Some(stamp),
            offset,
            body: Box::pin(body.map_err(|error| web::Error::Unavailable(error.to_string()))),
            record: Some(Said::of_image(&image)),
        })
    }

    fn peer_for(&self, job: &Job, region: &str) -> Result<(&Peer, Project), Error> {
        let read = self.db.read()?;
        let known = job.project.as_ref().map(|project| self.known_project(&read, project)).transpose()?;
        let known = known.flatten();
        let peer = &self.regions.find(job.project.as_ref(), known.as_ref(), region)?.peer;
        let none = || {
            Error::not_found(
                "the job's project is not there any more, or is a cloud's from which nobody came since the start",
            )
        };
        Ok((peer, known.ok_or_else(none)?))
    }

    /// Opens an image of another region, in the project there that is called as the job's project is here.
    pub(super) async fn open_region(
        &self,
        job: &Job,
        region: &str,
        id: &ImageId,
        from: Option<&From>,
    ) -> Result<Inbound, Error> {
        if region == REGION {
            let (service, job, id, from) = (self.clone(), job.clone(), *id, from.cloned());
            return in_background(move || service.open_here(&job, &id, from.as_ref())).await;
        }
        let (peer, project) = self.peer_for(job, region)?;
        let visit = peer.visit(&project.name).await?;
        let record = visit.record(id).await?;
        let record =
            record.ok_or_else(|| Error::not_found(format!("region {region} shows no image {id}")))?;
        if record["status"] != "active" {
            let status = record["status"].as_str().unwrap_or("unknown");
            return Err(Error::conflict(format!("image {id} of region {region} is {status}, not active")));
        }
        // Data never changes there: its digest is its name.
        let stamp = record["os_hash_value"].as_str().map(str::to_owned);
        let is_same = from.filter(|from| stamp.as_ref() == Some(&from.stamp));
        let offset = is_same.map_or(0, |from| from.offset);
        let data = visit.data(id, offset).await?;
        let data = data.map_err(|error: peers::Error| web::Error::Unavailable(error.to_string()));
        Ok(Inbound {
            size_bytes: record["size"].as_u64(),
            stamp,
            offset,
            body: web::steady(data, format!("region {region}")),
            record: Some(Said::of(&record)),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formats_and_some_properties_come_along() {
        let record = json!({
            "disk_format": "qcow2", "container_format": "bare", "hw_disk_bus": "virtio", "trait:X": "required",
            "os_distro": "debian", "secret": "x", "name": "n", "min_disk": 3, "hw_number": 1,
        });
        let said = Said::of(&record);
        assert_eq!(
            (said.disk_format.as_deref(), said.container_format.as_deref()),
            (Some("qcow2"), Some("bare"))
        );
        assert_eq!(said.properties.keys().collect::<Vec<_>>(), ["hw_disk_bus", "os_distro", "trait:X"]);
    }
}
