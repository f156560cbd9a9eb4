//! Images of whole machines: `POST …/wholeimages/action`.
//!
//! There are no servers here, and no backup service: what the operator declared as backups counts, all of the
//! type CBR. Such an image is a set: one for the system and one for each data disk, tied by `__backup_id`.
//! Invariant: a body is read whole, and everything that it can be refused for alone is, before anything is
//! looked for.

use axum::response::Response;

use super::call::{Call, optional_text};
use super::error::Refusal;
use super::imports::described;
use super::jobs::job_response;
use super::patch::checked_name;
use super::systems::{attributes, property};
use crate::model::Visibility;
use crate::service::images::{Change, Field, MachineBackup, NewImage, NewMachine};

/// `POST /v1/cloudimages/wholeimages/action`
pub(super) async fn create(mut call: Call) -> Result<Response, Refusal> {
    let body = call.object().await?;
    let name = checked_name(optional_text(&body, "name")?.unwrap_or_default().to_owned())?;
    let said = described(&body)?;
    if body.contains_key("instance_id") {
        let instead = "put its disks into a backup that the operator declared, and name that as backup_id";
        return Err(Refusal::bad("IMG.0005", format!("there are no servers here; {instead}")));
    }
    let Some(backup) = optional_text(&body, "backup_id")?.map(str::to_owned) else {
        return Err(Refusal::bad("IMG.0019", "a whole machine needs instance_id or backup_id"));
    };
    match optional_text(&body, "whole_image_type")? {
        // The reference's default is CSBS; who says nothing means what there is.
        None | Some("CBR") => {}
        Some("CSBS") => {
            return Err(Refusal::bad("IMG.0127", "there are no CSBS backups here; say CBR, or nothing"));
        }
        Some(other) => {
            return Err(Refusal::bad("IMG.0198", format!("whole_image_type is CBR or CSBS, not {other:?}")));
        }
    }
    let names_memory = body.get("min_ram").is_some_and(|given| !given.is_null());
    let backup = call.run(move |service, actor| service.machine_backup(actor, &backup)).await?;
    let machine = machine(&name, said, names_memory, &backup)?;
    let job = call.run(move |service, actor| service.import_machine(actor, &backup, machine)).await?;
    Ok(job_response(&job))
}

/// The images of a machine: what the caller said of it counts for each.
fn machine(
    name: &str,
    mut said: Vec<Change>,
    names_memory: bool,
    backup: &MachineBackup,
) -> Result<NewMachine, Refusal> {
    if let Some(mib) = backup.min_ram_mib.filter(|_| !names_memory) {
        said.push(Change::Set(Field::MinRamMib(mib)));
    }
    let of = |name: String, environment: &str| {
        let mut changes = vec![
            Change::Set(Field::Name(Some(name))),
            Change::Set(Field::Visibility(Visibility::Private)),
            Change::Set(Field::ContainerFormat(Some("bare".into()))),
            property("__data_origin", &format!("server_backup,{}", backup.id)),
            property("__root_origin", "file"),
            property("virtual_env_type", environment),
        ];
        changes.extend(said.iter().cloned());
        changes
    };
    let mut system = of(name.to_owned(), "FusionCompute");
    system.extend(attributes(backup.os_version.as_deref(), backup.os_type.as_deref())?);
    let kind = backup.os_type.as_deref().unwrap_or("Linux");
    let data = (1..=backup.data.len()).map(|number| {
        let mut changes = of(format!("{name}-data-{number}"), "DataImage");
        changes.extend(attributes(None, Some(kind))?);
        Ok(NewImage { id: None, changes })
    });
    let data = data.collect::<Result<Vec<_>, Refusal>>()?;
    Ok(NewMachine { system: NewImage { id: None, changes: system }, data })
}
